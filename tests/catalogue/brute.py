"""Which runs a query is true of, the slow way: each file is read, each term is a Python function."""

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from rexec.catalogue.facts import NamedValue, RunFacts
from rexec.catalogue.notes import RunNotes, notes_of
from rexec.catalogue.reading import facts_of
from tests.catalogue.laboratories import BEGIN


@dataclass(frozen=True)
class Read:
    """A file that was read."""

    path: Path
    facts: RunFacts
    notes: RunNotes


Test = Callable[[Read], bool]


def read_all(folder: Path) -> list[Read]:
    """Read each file of a folder."""
    return [Read(path, facts_of(path), notes_of(path)) for path in sorted(folder.rglob("*.h5"))]


def in_order(found: list[Read]) -> list[Path]:
    """Return the paths, the newest first."""
    key = lambda each: (each.facts.time, each.facts.rid if each.facts.rid is not None else -1, each.path.name)  # noqa: E731
    return [each.path for each in sorted(found, key=key, reverse=True)]


def _compare(operator: str, left: float, right: float) -> bool:
    near = abs(left - right) <= 1e-14 * abs(right)
    return {
        "=": near, "!=": not near, "<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right
    }[operator]  # fmt: skip


def _named(read: Read, name: str) -> list[NamedValue]:
    both = (read.facts.arguments.get(name), read.facts.datasets.get(name))
    return [each for each in both if each is not None]


def _number(value: NamedValue) -> float | None:
    return None if isinstance(value.value, str | None) else float(value.value)


def _text_term(name: str, of: Callable[[Read], str], words: list[str]) -> st.SearchStrategy[tuple[str, Test]]:
    def make(operator: str, chosen: list[str]) -> tuple[str, Test]:
        if operator == "~":
            return f"{name}~{chosen[0]}", lambda read: chosen[0].casefold() in of(read).casefold()
        text = f"{name}{operator}{','.join(chosen)}"
        if operator == "=":
            return text, lambda read: any(fnmatch.fnmatchcase(of(read), each) for each in chosen)
        return text, lambda read: not any(fnmatch.fnmatchcase(of(read), each) for each in chosen)

    chosen = st.lists(st.sampled_from(words), min_size=1, max_size=2)
    return st.builds(make, st.sampled_from(["=", "!=", "~"]), chosen)


def _number_term(name: str, numbers: list[tuple[str, float]]) -> st.SearchStrategy[tuple[str, Test]]:
    def one(operator: str, chosen: tuple[str, float]) -> tuple[str, Test]:
        text, wanted = chosen
        return f"{name}{operator}{text}", lambda read: any(
            _compare(operator, number, wanted)
            for value in _named(read, name)
            if (number := _number(value)) is not None
        )

    def between(one_end: tuple[str, float], other_end: tuple[str, float]) -> tuple[str, Test]:
        first, last = sorted((one_end, other_end), key=lambda end: end[1])
        return f"{name}={first[0]}..{last[0]}", lambda read: any(
            first[1] <= number <= last[1]
            for value in _named(read, name)
            if (number := _number(value)) is not None
        )

    operators = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
    some = st.sampled_from(numbers)
    return st.one_of(st.builds(one, operators, some), st.builds(between, some, some))


def _mode(operator: str, word: str) -> tuple[str, Test]:
    def values(read: Read) -> list[str]:
        return [each.value for each in _named(read, "mode") if isinstance(each.value, str)]

    if operator == "!=":
        return f"mode!={word}", lambda read: any(value != word for value in values(read))
    return f"mode={word}", lambda read: word in values(read)


def _rid(operator: str, number: int) -> tuple[str, Test]:
    def fits(read: Read) -> bool:
        return read.facts.rid is not None and _compare(operator, read.facts.rid, number)

    return f"rid{operator}{number}", fits


def _set(name: str, of: Callable[[Read], Any], word: str, operator: str) -> tuple[str, Test]:
    return f"{name}{operator}{word}", lambda read: (word in of(read)) == (operator == "=")


def _flag(name: str, wanted: bool) -> tuple[str, Test]:
    return f"{name}={'yes' if wanted else 'no'}", lambda read: getattr(read.facts, name) is wanted


def _time(operator: str, day: int) -> tuple[str, Test]:
    begin = datetime.fromtimestamp(BEGIN).replace(hour=0) + timedelta(days=day)
    first, end = begin.timestamp(), (begin + timedelta(days=1)).timestamp()
    tests: dict[str, Callable[[float], bool]] = {
        "=": lambda time: first <= time < end,
        "!=": lambda time: not first <= time < end,
        "<": lambda time: time < first,
        "<=": lambda time: time < end,
        ">": lambda time: time >= end,
        ">=": lambda time: time >= first,
    }
    return f"time{operator}{begin:%Y-%m-%d}", lambda read: tests[operator](read.facts.time)


def _since(day: int) -> tuple[str, Test]:
    text, test = _time(">=", day)
    return text.replace("time>=", "since="), test


def _free(word: str) -> tuple[str, Test]:
    def fits(read: Read) -> bool:
        facts = read.facts
        given = [
            f"{key}={value.text if value.value is None else value.value}"
            for key, value in facts.arguments.items()
        ]
        parts = [facts.class_name, read.path.name, read.notes.comment, *read.notes.tags, *given]
        return any(word.casefold() in part.casefold() for part in parts)

    return (f'"{word}"' if "=" in word else word), fits


_ANY = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])

TERMS: st.SearchStrategy[tuple[str, Test]] = st.one_of(
    _text_term("class", lambda read: read.facts.class_name, ["Ramsey", "Rabi", "R*", "*a*", "none", "ra"]),
    _text_term("host", lambda read: read.facts.host, ["lab1", "lab*", "2"]),
    _text_term("person", lambda read: read.facts.person, ["alice", "bob", "*"]),
    _number_term("phase", [("0.5", 0.5), ("0.25", 0.25), ("0", 0.0), ("1e-1", 0.1), ("-1", -1.0)]),
    _number_term("n", [("0", 0), ("2", 2), ("4", 4)]),
    _number_term("gain", [("1", 1), ("2", 2), ("10", 10)]),
    _number_term("exposure", [("5ms", 5e-3), ("1000us", 1e-3), ("0.02s", 0.02), ("0", 0)]),
    st.builds(_mode, st.sampled_from(["=", "!="]), st.sampled_from(["fast", "slow", "5ms", "quick"])),
    st.builds(_rid, _ANY, st.integers(-1, 20)),
    st.builds(
        _set, st.just("dataset"), st.just(lambda read: read.facts.datasets),
        st.sampled_from(["signal", "trace", "x"]), st.sampled_from(["=", "!="]),
    ),
    st.builds(
        _set, st.just("tag"), st.just(lambda read: read.notes.tags),
        st.sampled_from(["paper", "bad"]), st.sampled_from(["=", "!="]),
    ),
    st.builds(_flag, st.sampled_from(["dirty", "simulated"]), st.booleans()),
    st.builds(_time, _ANY, st.integers(-1, 2)),
    st.builds(_since, st.integers(-1, 2)),
    st.builds(_free, st.sampled_from(["ramsey", "phase=0", "drift", "paper", "00003", "zzz", "mode=fast"])),
)  # fmt: skip
"""A term as it is typed, and whether a file fits it."""
