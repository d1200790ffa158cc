"""A query as a condition of SQL on the tables of an index.

Names and texts are compared here, in Python: the index is asked for the different ones that it has, which are few,
and the condition lists those that fit. Numbers and times are compared by SQLite.
"""

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final

from devicedb.printable import printable
from devicedb.suggest import did_you_mean
from rexec.catalogue import moments
from rexec.catalogue.conditions import RunCondition, all_of, of_runs_in
from rexec.catalogue.facts import KINDS, STATUSES, storable
from rexec.catalogue.index import RunIndex
from rexec.catalogue.named_values import value_condition
from rexec.catalogue.quantities import bounds
from rexec.catalogue.schema import CODE, DATASET, DEVICE, TAG
from rexec.catalogue.terms import BACKWARDS, QueryError, Term, Word, pattern, refusal, terms
from rexec.results.errors import ResultsError

TEXTS: Final = {
    "class": "class", "file": "file", "person": "person", "host": "host", "program": "program",
}  # fmt: skip
"""Fields that are text, and their columns."""

HASHES: Final = {"db": "db", "git": "git"}
SETS: Final = {"dataset": DATASET, "device": DEVICE, "code": CODE, "tag": TAG}
CHOICES: Final[dict[str, tuple[str, ...]]] = {"status": STATUSES, "kind": KINDS}
FLAGS: Final = ("dirty", "simulated")
TIMES: Final = ("time", "since", "until")

FIELDS: Final = (*TEXTS, "rid", *CHOICES, *TIMES, *SETS, *HASHES, *FLAGS, "comment")
"""Names that mean a field of a run; any other one is that of an argument or a dataset."""

_RARE: Final = 1_000
"""Runs below which those that fulfil a condition are few."""

LEAST_HASH: Final = 4
"""Characters of a hash that are compared at least."""

_COMPARISONS: Final = ("=", "!=", "<", "<=", ">", ">=")
_YES: Final = {"yes": 1, "true": 1, "1": 1, "no": 0, "false": 0, "0": 0}


def condition(query: str, index: RunIndex, now: datetime) -> RunCondition:
    """Return the condition that a query means.

    Args:
        query: The query; "" is true of every run.
        index: The index, for the names, texts and units that there are.
        now: Local time now.

    Raises:
        QueryError: It is not understood.

    """
    query = storable(query)
    found = list(terms(query))
    texts = tuple(term.words[0].text.casefold() for term in found if not term.name)
    free = [of_runs_in("search", " AND ".join(["instr(text, ?)"] * len(texts)), texts)] if texts else []
    read = _TermReader(query, index, now)
    # Free text is the first: one look at all texts, after which the others are asked for the few that have it.
    return all_of([*free, *(_probed(index, term, read.condition(term)) for term in found if term.name)])


def _probed(index: RunIndex, term: Term, found: RunCondition) -> RunCondition:
    """Return a condition with whether it is rare, where an index of SQLite tells that at once."""
    by_index = term.name in ("rid", *TIMES) or found.probe
    if not by_index or term.operator == "!=":
        return found
    statement = found.probe or f"SELECT 1 FROM run WHERE {found.text}"  # noqa: S608
    rows = index.rows(f"{statement} LIMIT {_RARE}", found.parameters)
    return found._replace(is_rare=len(rows) < _RARE)


class _TermReader:
    """Reads the terms of one query."""

    def __init__(self, query: str, index: RunIndex, now: datetime) -> None:
        self._query: Final = query
        self._index: Final = index
        self._now: Final = now

    def condition(self, term: Term) -> RunCondition:
        name = term.name
        if name in TEXTS:
            return self._text(term, TEXTS[name])
        if name in HASHES:
            return self._hash(term, HASHES[name])
        if name in SETS:
            return self._set(term, SETS[name])
        if name in CHOICES:
            return self._choice(term, CHOICES[name])
        if name in FLAGS:
            return self._flag(term)
        if name in TIMES:
            return self._time(term)
        if name == "comment":
            return self._comment(term)
        if name == "rid":
            return self._any(term, self._rid, "rid IS NOT NULL")
        return value_condition(self._query, term, self._index, FIELDS)

    def _text(self, term: Term, column: str) -> RunCondition:
        self._allow(term, "=", "!=", "~")
        return self._named(term, column, self._fitting(term, by_end=column == "file"))

    def _comment(self, term: Term) -> RunCondition:
        self._allow(term, "=", "!=", "~")
        fits = self._fitting(term)
        there = [text for (text,) in self._index.rows("SELECT DISTINCT comment FROM fact")]
        inner = _listed("comment", [text for text in there if fits(storable(json.loads(text)))])
        return of_runs_in("fact", inner.text, inner.parameters, is_not=term.operator == "!=")

    def _hash(self, term: Term, column: str) -> RunCondition:
        self._allow(term, "=", "!=")
        return self._named(term, column, self._beginning(term))

    def _named(self, term: Term, column: str, fits: Callable[[str], bool]) -> RunCondition:
        """Return the condition on a column that has numbers of names; 0 is the empty text."""
        there = self._index.rows("SELECT id, text FROM name WHERE section = ?", (column,))
        wanted = [number for number, text in [(0, ""), *there] if fits(text)]
        return _listed(column, wanted, is_not=term.operator == "!=")

    def _set(self, term: Term, section: str) -> RunCondition:
        self._allow(term, "=", "!=", *(() if section == CODE else ("~",)))
        fits = self._beginning(term) if section == CODE else self._fitting(term)
        there = self._index.rows("SELECT id, text FROM name WHERE section = ?", (section,))
        inner = _listed("name", [number for number, text in there if fits(text)])
        return of_runs_in("value", inner.text, inner.parameters, is_not=term.operator == "!=")

    def _choice(self, term: Term, choices: tuple[str, ...]) -> RunCondition:
        self._allow(term, "=", "!=")
        for word in term.words:
            if word.text not in choices:
                known = f"known are {', '.join(choices)}"
                hint = did_you_mean(word.text, choices)
                raise self._refusal(word, f"no {term.name} {printable(word.text)!r:.60}; {known}.{hint}")
        return _listed(term.name, [word.text for word in term.words], is_not=term.operator == "!=")

    def _flag(self, term: Term) -> RunCondition:
        self._allow(term, "=", "!=")
        for word in term.words:
            if word.text.casefold() not in _YES:
                raise self._refusal(word, f"{term.name} is yes or no")
        wanted = [_YES[word.text.casefold()] for word in term.words]
        inner = _listed(term.name, wanted, is_not=term.operator == "!=")
        return RunCondition(f"{term.name} IS NOT NULL AND {inner.text}", inner.parameters)

    def _time(self, term: Term) -> RunCondition:
        if term.name == "time":
            return self._any(term, self._when, "1")
        self._allow(term, "=")
        if len(term.words) > 1:
            raise self._refusal(term.words[1], f"{term.name} takes one time")
        found = self._stretch(term.words[0], term.words[0].text)
        if term.name == "since":
            return RunCondition("time >= ?", (found.begin,))
        return RunCondition("time < ?", (max(found.end, found.begin),))

    def _when(self, operator: str, word: Word) -> RunCondition:
        ends = bounds(word.text)
        if ends is not None:
            if operator not in ("=", "!="):
                raise self._refusal(word, f"a range goes with = or !=, not with {operator}")
            first, last = (self._stretch(word, each) if each else None for each in ends)
            if first and last and first.begin > last.begin and first.begin >= last.end:
                raise self._refusal(word, BACKWARDS)
            return _between("time", first and first.begin, last and last.end, is_open=True)
        found = self._stretch(word, word.text)
        end = found.end if found.end > found.begin else found.begin + 1e-6
        if operator in ("=", "!="):
            return _between("time", found.begin, end, is_open=True)
        limit = {"<": found.begin, ">": end, "<=": end, ">=": found.begin}[operator]
        sign = {"<": "<", ">": ">=", "<=": "<", ">=": ">="}[operator]
        return RunCondition(f"time {sign} ?", (limit,))

    def _stretch(self, word: Word, text: str) -> moments.Stretch:
        try:
            return moments.stretch(text, self._now)
        except ResultsError as error:
            raise self._refusal(word, printable(str(error))) from error

    def _rid(self, operator: str, word: Word) -> RunCondition:
        ends = bounds(word.text)
        if ends is not None and operator in ("=", "!="):
            first, last = (self._whole(word, each) if each else None for each in ends)
            if first is not None and last is not None and first > last:
                raise self._refusal(word, BACKWARDS)
            return _between("rid", first, last)
        sign = "=" if operator == "!=" else operator
        return RunCondition(f"rid {sign} ?", (self._whole(word, word.text),))

    def _whole(self, word: Word, text: str) -> int | float:
        sign, digits = text[:1] == "-", text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 300:
            raise self._refusal(word, "rid is a whole number such as 42, or a range such as 40..60")
        number = -int(digits) if sign else int(digits)
        return number if -(2**63) <= number < 2**63 else float(number)

    def _any(self, term: Term, one: Callable[[str, Word], RunCondition], there: str) -> RunCondition:
        """Return the condition that one of the values fits; for "!=", that none does."""
        self._allow(term, *_COMPARISONS)
        found = [one(term.operator, word) for word in term.words]
        text = " OR ".join(f"({each.text})" for each in found)
        parameters = tuple(parameter for each in found for parameter in each.parameters)
        if term.operator == "!=":
            text = f"{there} AND NOT ({text})"
        return RunCondition(text, parameters)

    def _fitting(self, term: Term, *, by_end: bool = False) -> Callable[[str], bool]:
        if term.operator == "~":
            part = term.words[0].text.casefold()
            return lambda text: part in text.casefold()
        patterns = [self._pattern(word) for word in term.words]
        return lambda text: (
            any(fits(text) for fits in patterns)
            or (by_end and any(fits(text[start:]) for start in _part_starts(text) for fits in patterns))
        )

    def _pattern(self, word: Word) -> Callable[[str], bool]:
        return pattern(self._query, word)

    def _beginning(self, term: Term) -> Callable[[str], bool]:
        for word in term.words:
            if len(word.text) < LEAST_HASH:
                raise self._refusal(
                    word, f"give at least the first {LEAST_HASH} characters of the hash for {term.name}"
                )
        heads = tuple(word.text.casefold() for word in term.words)
        return lambda text: text.casefold().startswith(heads)

    def _allow(self, term: Term, *operators: str) -> None:
        if term.operator not in operators:
            raise refusal(
                self._query,
                term.place,
                f"{term.name} goes with {', '.join(operators)}, not with {term.operator}",
            )

    def _refusal(self, word: Word, what: str) -> QueryError:
        return refusal(self._query, word.place, what)


def _part_starts(path: str) -> Iterable[int]:
    """Yield where the names in a path begin."""
    return (place + 1 for place, char in enumerate(path) if char in "/\\")


def _listed(column: str, wanted: Iterable[Any], *, is_not: bool = False) -> RunCondition:
    values = list(wanted)
    if not values:
        return RunCondition(str(int(is_not)))
    sign = "NOT IN" if is_not else "IN"
    text = f"{column} {sign} (SELECT value FROM json_each(?))"  # noqa: S608
    return RunCondition(text, (json.dumps(values),))


def _between(column: str, first: float | None, last: float | None, *, is_open: bool = False) -> RunCondition:
    parts = [f"{column} >= ?"] if first is not None else []
    parts += [f"{column} {'<' if is_open else '<='} ?"] if last is not None else []
    return RunCondition(" AND ".join(parts), tuple(each for each in (first, last) if each is not None))
