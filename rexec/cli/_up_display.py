"""The output of `rexec up`: a live table on a terminal, lines elsewhere, JSON with --json."""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Final

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from devicedb.cli.console import TerminalConsole
from devicedb.cli.output import columns_that_fit
from devicedb.cli.terminal import say_unbuffered
from devicedb.printable import inset, printable
from rexec.devices.leases import users_in_words
from rexec.laboratory import ControllerFact, LiveSnapshot, LogFact, News
from rexec.laboratory.reader import SnapshotReader
from rexec.laboratory.supervised import kept_running
from rexec.supervise.status import ControllerStatus

logger = logging.getLogger(__name__)

_STYLES: Final = {
    "up": "green",
    "busy": "yellow",
    "frozen": "bold red",
    "waiting": "red",
    "elsewhere": "magenta",
}
_HEADINGS: Final = ("controller", "state", "pid", "uptime", "restarts", "last ping", "memory")
_USED_BY: Final = "used by"
"""Heading of the fourth column, which is there only while a controller has a user."""
_LOUD: Final = 300.0
"""Seconds without an answer after which a busy controller is shown in red."""


class ChangePrinter:
    """Prints each change of a controller's state: as text, as JSON, or, above a live table, problems only.

    Args:
        as_json: Whether to print JSON, to standard output.
        console: Console of standard error, for the table.

    """

    def __init__(self, as_json: bool, console: TerminalConsole) -> None:
        self._json = as_json
        self._console = console
        self._last = 0
        self._is_heard = True

    def __call__(self, news: News) -> None:
        """Print the new changes."""
        part = news.parts.get("log")
        for number, fact in part.changed.items() if part is not None else ():
            if number > self._last + 1:
                logger.warning("%d changes were not printed in time", number - self._last - 1)
            self._last = number
            self._show(fact)

    def _show(self, fact: LogFact) -> None:
        if self._json:
            if fact.status is not None:
                self._print(json.dumps({"time": fact.time, **asdict(fact.status)}))
        elif not self._console.is_terminal:
            self._print(fact.text)
        elif fact.level >= logging.WARNING and not fact.is_repeated:
            self._console.say(f"{time.strftime('%H:%M:%S', time.localtime(fact.time))} {fact.text}")

    def _print(self, text: str) -> None:
        if self._is_heard:
            try:
                say_unbuffered(inset(text))
            except OSError as error:
                # The reader has gone, or the disk is full; the controllers are still needed.
                self._is_heard = False
                logger.warning("changes are no longer printed: %s", error.strerror or error)


@contextmanager
def display_on(console: TerminalConsole, as_json: bool, laboratory: LiveSnapshot) -> Iterator[Live | None]:
    """Show a live table while the context lasts, on a terminal; yield None elsewhere."""
    if as_json or not console.is_terminal:
        yield None
        return

    def show(_: News) -> None:
        size = live.console.size
        live.update(table(laboratory.snapshot()["controllers"], time.time(), size.height, size.width))

    with Live(console=console, auto_refresh=True, refresh_per_second=2) as live:
        with SnapshotReader(laboratory, show, 0.5):
            yield live


def table(controllers: Mapping[str, ControllerFact], now: float, height: int, width: int) -> Group:
    """Return a table of the controllers, and below it the problems.

    Args:
        controllers: The controllers.
        now: Seconds since the epoch.
        height: Lines of the terminal; if they do not suffice, controllers that are up are omitted first.
        width: Columns of the terminal; if they do not suffice, the last columns of the table are omitted.

    """
    found = kept_running(controllers)
    left_out = [fact.name for fact in controllers.values() if fact.left_out]
    notes = [printable(f"{each.name}: {each.message.splitlines()[0]}") for each, _ in found if each.message]
    notes += [printable(f"not run here: {', '.join(left_out)}")] if left_out else []
    room = max(3, height - 3 - len(notes))
    shown = found
    if len(found) > room:
        shown = sorted(found, key=lambda each: each[0].state == "up")[:room]
        notes.insert(0, f"{len(found) - room} more are {'up' if shown[-1][0].state == 'up' else 'not shown'}")
    rows = [list(_HEADINGS), *(cells(fact, status, now) for fact, status in shown)]
    if any(fact.users for fact, _ in shown):
        for row, used in zip(
            rows, [_USED_BY, *(users_in_words(fact.users) for fact, _ in shown)], strict=True
        ):
            row.insert(3, printable(used))
    count = columns_that_fit(rows, width, keep=3)
    made = Table(box=None, header_style="bold", pad_edge=False)
    for heading in rows[0][:count]:
        made.add_column(heading, no_wrap=True)
    for (_, status), row in zip(shown, (row[:count] for row in rows[1:]), strict=True):
        silent = status.silent_since
        style = "bold red" if silent is not None and now - silent > _LOUD else _STYLES.get(status.state, "")
        made.add_row(*(Text(cell, style if at == 1 else "") for at, cell in enumerate(row)))
    # Notes are cut to the width; the whole reasons were printed above the table.
    return Group(made, *(Text(note, no_wrap=True, overflow="ellipsis") for note in notes))


def cells(fact: ControllerFact, status: ControllerStatus, now: float) -> list[str]:
    ping = ""
    if status.ping is not None and status.pinged is not None:
        ping = f"{status.ping * 1e3:.0f} ms, {duration(now - status.pinged)} ago"
    state: str = status.state
    if status.silent_since is not None:
        state += f" {duration(now - status.silent_since)}"
    if status.retry_at is not None:
        state += f", again in {duration(max(0.0, status.retry_at - now))}"
    return [
        printable(status.name),
        state,
        str(status.pid or ""),
        duration(now - status.since) if status.since else "",
        str(status.restarts),
        ping,
        f"{fact.memory / 1e6:.0f} MB" if fact.memory else "",
    ]


def duration(seconds: float) -> str:
    """Return a duration for people: 12 s, 3 min, 5 h, 2 d."""
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"
