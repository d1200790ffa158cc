"""Times as people write them in a query: a date, a time of today, a day of the week, a duration ago. Pure."""

import re
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from rexec.ground.clock import seconds_of
from rexec.results.errors import ResultsError

DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_AGES: Final = {
    "s": "seconds", "min": "minutes", "h": "hours", "d": "days", "w": "weeks",
}  # fmt: skip

_DATE: Final = re.compile(r"(?P<year>\d{4})(-(?P<month>\d{1,2})(-(?P<day>\d{1,2}))?)?")
_STAMP: Final = re.compile(
    r"((?P<date>\d{4}-\d{1,2}-\d{1,2})[T ])?(?P<hour>\d{1,2}):(?P<minute>\d{2})(:(?P<second>\d{2}))?"
)
_AGE: Final = re.compile(r"(?P<count>\d{1,6})(?P<unit>s|min|h|d|w)")

KNOWN: Final = (
    "known are 2026-11-30, 2026-11, 2026-11-30T14:05, 14:05 (today), today, yesterday, monday to sunday (the last one) "
    "and 30min, 2h, 3d, 1w (ago)"
)


class Stretch(NamedTuple):
    """An interval of time, for example a day or a minute, in seconds since the epoch.

    Attributes:
        begin: Its first moment.
        end: The first moment after it.

    """

    begin: float
    end: float


def stretch(text: str, now: datetime) -> Stretch:
    """Return the interval of time that a text means, in local time.

    In autumn's doubled hour it reaches from the first one into the second.

    Args:
        text: The text, such as "monday".
        now: Local time now.

    Raises:
        ResultsError: It means none.

    """
    try:
        word = text.strip().casefold()
        if age := _AGE.fullmatch(word):
            ago = seconds_of(now) - timedelta(**{_AGES[age["unit"]]: int(age["count"])}).total_seconds()
            return Stretch(ago, ago)
        begin, end = _bounds(word, now)
        return Stretch(seconds_of(begin), max(seconds_of(end), seconds_of(end.replace(fold=1))))
    except (ValueError, OverflowError) as error:
        raise ResultsError(f"no time: {text!r:.60}; {KNOWN}") from error


def _bounds(text: str, now: datetime) -> tuple[datetime, datetime]:
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if text in ("today", "yesterday"):
        begin = today - timedelta(days=text == "yesterday")
        return begin, begin + timedelta(days=1)
    if len(text) >= 3 and (named := [number for number, day in enumerate(DAYS) if day.startswith(text)]):
        begin = today - timedelta(days=(now.weekday() - named[0]) % 7)
        return begin, begin + timedelta(days=1)
    if match := _DATE.fullmatch(text):
        begin = datetime(int(match["year"]), int(match["month"] or 1), int(match["day"] or 1))
        return begin, _after(begin, match)
    if match := _STAMP.fullmatch(text.replace("t", "T")):
        date = datetime.fromisoformat(_padded(match["date"])) if match["date"] else today
        second = int(match["second"] or 0)
        begin = date.replace(hour=int(match["hour"]), minute=int(match["minute"]), second=second)
        return begin, begin + (timedelta(seconds=1) if match["second"] else timedelta(minutes=1))
    raise ValueError(text)


def _after(begin: datetime, match: "re.Match[str]") -> datetime:
    if match["day"]:
        return begin + timedelta(days=1)
    if match["month"]:
        return (begin + timedelta(days=31)).replace(day=1)
    return begin.replace(year=begin.year + 1)


def _padded(date: str) -> str:
    year, month, day = date.split("-")
    return f"{year}-{month:0>2}-{day:0>2}"
