"""The terms of a query that compare an argument or a dataset, as conditions of SQL."""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from devicedb.printable import printable
from devicedb.suggest import did_you_mean
from rexec.catalogue.conditions import RunCondition, of_runs_in
from rexec.catalogue.index import RunIndex
from rexec.catalogue.quantities import Quantity, bounds, quantity
from rexec.catalogue.schema import ARGUMENT, DATASET
from rexec.catalogue.terms import BACKWARDS, Term, Word, pattern, refusal
from rexec.ground.quantities import Display

_SECTIONS: Final = {"argument.": (ARGUMENT,), "dataset.": (DATASET,), "": (ARGUMENT, DATASET)}
_WORDS: Final = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_NEAR: Final = 1e-14
"""Relative tolerance of equality: 0.1 * 3 equals 0.3."""
_MOST_NAMED: Final = 12


def value_condition(query: str, term: Term, index: RunIndex, fields: Iterable[str]) -> RunCondition:
    """Return the condition that a term means.

    Args:
        query: The query that the term is of.
        term: The term; its name is that of an argument or a dataset.
        index: The index.
        fields: Names that mean something else, for an error.

    Raises:
        QueryError: No run has such an argument or dataset, or the value does not fit it.

    """
    return _Comparison(query, term, index, fields).condition()


class _Comparison:
    """One term, and what the index has under its name."""

    def __init__(self, query: str, term: Term, index: RunIndex, fields: Iterable[str]) -> None:
        self._query: Final = query
        self._term: Final = term
        self._index: Final = index
        names = self._numbers(fields)
        self._names: Final = json.dumps(names)
        self._units: Final = sorted({each for name in names for each in _units(index, name)})
        texts = "SELECT DISTINCT text FROM value INDEXED BY value_text WHERE text IS NOT NULL AND "
        self._texts: Final[list[str]] = [text for (text,) in index.rows(texts + _NAMED, (self._names,))]

    def condition(self) -> RunCondition:
        operator = self._term.operator
        if operator == "~":
            part = self._term.words[0].text.casefold()
            text, parameters = self._text_fits(lambda each: part in each.casefold())
        else:
            found = [self._of_word(word, operator) for word in self._term.words]
            text = " OR ".join(f"({each})" for each, _ in found)
            parameters = tuple(value for _, values in found for value in values)
        if operator == "!=":
            text = f"(number IS NOT NULL OR text IS NOT NULL) AND NOT ifnull({text}, 0)"
        is_number = not self._texts and operator not in ("!=", "~")
        named = f"{_NAMED} AND number IS NOT NULL" if is_number else _NAMED
        by = "value_number" if is_number else ""
        return of_runs_in("value", f"{named} AND ({text})", (self._names, *parameters), by=by)

    def _numbers(self, fields: Iterable[str]) -> list[int]:
        given = self._term.name
        prefix = next(prefix for prefix in _SECTIONS if given.startswith(prefix))
        sections, name = _SECTIONS[prefix], given.removeprefix(prefix)
        found = self._there("AND text = ?", (name,), sections) or (
            self._there("AND text = ?", (given,), _SECTIONS[""]) if prefix else []
        )
        if found:
            return [number for number, _ in found]
        known = sorted({text for _, text in self._there("", (), sections)})
        what = " or ".join(sections)
        listed = ", ".join(printable(each) for each in known[:_MOST_NAMED])
        listed += f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
        raise refusal(
            self._query,
            self._term.place,
            f"no run has an {what} {printable(name)!r:.80}; known are {listed or 'none'}, and the fields "
            f"{', '.join(fields)}." + printable(did_you_mean(name, [*fields, *known])),
        )

    def _there(
        self, more: str, parameters: tuple[str, ...], sections: tuple[str, ...]
    ) -> list[tuple[int, str]]:
        statement = (
            "SELECT id, text FROM name WHERE section IN (SELECT value FROM json_each(?)) "
            "AND EXISTS (SELECT 1 FROM value WHERE value.name = name.id) "
        )
        return self._index.rows(statement + more, (json.dumps(sections), *parameters))

    def _of_word(self, word: Word, operator: str) -> tuple[str, tuple[Any, ...]]:
        if operator in ("=", "!="):
            return self._equal(word)
        found = None if word.is_quoted else quantity(word.text)
        if found is None:
            raise refusal(self._query, word.place, f"{operator} needs a number, such as 0.5 or 5ms")
        return self._compared(word, [(operator, found)])

    def _equal(self, word: Word) -> tuple[str, tuple[Any, ...]]:
        text, parameters = self._text_fits(pattern(self._query, word))
        if word.is_quoted:
            return text, parameters
        number = self._number_fits(word)
        if number is None:
            if not self._texts and self._units:
                raise refusal(
                    self._query,
                    word.place,
                    f"{printable(self._term.name)} is a number: write 0.5 or 5ms, or a range, such as 1..5",
                )
            return text, parameters
        return f"({number[0]}) OR ({text})", (*number[1], *parameters)

    def _number_fits(self, word: Word) -> tuple[str, tuple[Any, ...]] | None:
        """Return the condition that a value is the number, or in the range, of a word; None: it means neither."""
        if word.text.casefold() in _WORDS:
            return "number = ?", (_WORDS[word.text.casefold()],)
        ends = bounds(word.text)
        if ends is not None:
            first, last = (quantity(each) if each else None for each in ends)
            if any(each and found is None for each, found in zip(ends, (first, last), strict=True)):
                return None
            if first is not None and last is not None and not first.unit:
                first = Quantity(first.number, last.unit)  # 1..5ms
            pairs = [(sign, each) for sign, each in ((">=", first), ("<=", last)) if each is not None]
            return self._compared(word, pairs)
        found = quantity(word.text)
        if found is None:
            return None
        if found.unit and self._texts and all(found.stored(*each) is None for each in self._units):
            return None  # text that begins with a digit
        return self._compared(word, [("=", found)])

    def _compared(self, word: Word, pairs: list[tuple[str, Quantity]]) -> tuple[str, tuple[Any, ...]]:
        """Return the condition that all comparisons are true, for the units that there are."""
        parts: list[str] = []
        parameters: list[Any] = []
        for unit, scale in self._units:
            signs: list[str] = []
            values: list[Any] = []
            for sign, each in pairs:
                stored = each.stored(unit, scale)
                if stored is None and not each.unit:
                    self._refuse_bare(word, each, Display(unit, scale))
                if stored is None:
                    break
                if sign == "=" and math.isfinite(stored):
                    signs.append("number BETWEEN ? AND ?")
                    values += [stored - abs(stored) * _NEAR, stored + abs(stored) * _NEAR]
                else:
                    signs.append(f"number {sign} ?")
                    values.append(stored)
            else:
                if len(pairs) == 2 and values[0] - values[1] > abs(values[0]) * _NEAR:
                    raise refusal(self._query, word.place, BACKWARDS)
                parts.append(" AND ".join(["number IS NOT NULL", "unit = ?", "scale = ?", *signs]))
                parameters += [unit, scale, *values]
        if self._units and not parts:
            self._refuse_unit(word, next(each.unit for _, each in pairs if each.unit))
        return " OR ".join(f"({part})" for part in parts) or "0", tuple(parameters)

    def _refuse_bare(self, word: Word, found: Quantity, display: Display) -> None:
        number = f"{found.number:.12g}"
        base = display.base_unit
        other = f" or {number}{base}" if base and " " not in base else ""
        name, unit = printable(self._term.name), printable(display.unit)
        raise refusal(
            self._query, word.place, f"{name} is shown in {unit}: write {number}{unit}{printable(other)}"
        )

    def _refuse_unit(self, word: Word, unit: str) -> None:
        known = list(dict.fromkeys(each for pair in self._units for each in _symbols(*pair)))
        name, listed = printable(self._term.name), ", ".join(map(printable, known))
        raise refusal(
            self._query, word.place, f"{name} has no unit {printable(unit)!r:.40}; known are {listed}"
        )

    def _text_fits(self, fits: Callable[[str], bool]) -> tuple[str, tuple[Any, ...]]:
        wanted = [text for text in self._texts if fits(text)]
        if not wanted:
            return "0", ()
        return "text IS NOT NULL AND text IN (SELECT value FROM json_each(?))", (json.dumps(wanted),)


_NAMED: Final = "name IN (SELECT value FROM json_each(?))"


def _units(index: RunIndex, name: int) -> Iterator[tuple[str, float]]:
    """Yield units and scales of a name: one step in the index for each, not one for each value."""
    begin = "SELECT unit, scale FROM value INDEXED BY value_number WHERE number IS NOT NULL AND name = ?"
    found = index.rows(f"{begin} ORDER BY unit, scale LIMIT 1", (name,))
    while found:
        ((unit, scale),) = found
        yield unit, scale
        found = index.rows(f"{begin} AND unit = ? AND scale > ? ORDER BY scale LIMIT 1", (name, unit, scale))
        found = found or index.rows(f"{begin} AND unit > ? ORDER BY unit, scale LIMIT 1", (name, unit))


def _symbols(unit: str, scale: float) -> list[str]:
    from rexec.ground.units import UNITS

    return Display(unit, scale).symbols() if unit else list(UNITS)
