"""Runs that were found as a table of pandas: a row a run."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import pandas

from rexec.catalogue.facts import NamedValue, RunFacts, storable
from rexec.catalogue.found_run import FoundRun
from rexec.ground.quantities import Display

_FIXED: Final[dict[str, Callable[[FoundRun], Any]]] = {
    "rid": lambda run: run.rid,
    "class_name": lambda run: run.class_name,
    "status": lambda run: run.status,
    "time": lambda run: run.time,
    "person": lambda run: run.facts.person,
    "host": lambda run: run.facts.host,
    "simulated": lambda run: run.facts.simulated,
    "comment": lambda run: run.comment,
    "tags": lambda run: " ".join(run.tags),
    "path": lambda run: str(run.path),
}


def run_table(runs: Sequence[FoundRun]) -> pandas.DataFrame:
    """Return a row for each run: what it is, its arguments, and its datasets of one value.

    A name that occurs twice means the first of these; then the argument is `argument.NAME`, the dataset
    `dataset.NAME`. What a run lacks is missing (NaN, None). `attrs["units"]` has the units of the numbers by column,
    where all runs agree.
    """
    columns: dict[str, Any] = {name: [_cell(of(run)) for run in runs] for name, of in _FIXED.items()}
    columns["rid"] = pandas.array(columns["rid"], dtype="Int64")
    units: dict[str, str] = {}
    for section in ("argument", "dataset"):
        values = [_section(run.facts, section) for run in runs]
        for name in dict.fromkeys(
            name for each in values for name, value in each.items() if value.value is not None
        ):
            column = storable(f"{section}.{name}" if name in columns else name)
            cells = [each.get(name) for each in values]
            columns[column] = _column([None if cell is None else _cell(cell.value) for cell in cells])
            unit = common_unit(cell for cell in cells if cell is not None)
            if unit:
                units[column] = unit
    frame = pandas.DataFrame(columns)
    frame.attrs["units"] = units
    return frame


def _column(values: list[Any]) -> Any:
    """Return cells as pandas keeps them: whole numbers beside missing ones as such, which would become floats."""
    there = [value for value in values if value is not None]
    if len(there) < len(values) and all(type(value) is int for value in there):
        fits = all(-(1 << 63) <= value < 1 << 63 for value in there)
        return pandas.Series(values, dtype="Int64" if fits else "object")
    return values


def _cell(value: Any) -> Any:
    """Return a value as a table holds it: text without surrogates and NUL, which Arrow and CSV lack."""
    return storable(value) if isinstance(value, str) else value


def common_unit(values: Iterable[NamedValue]) -> str:
    """Return the unit of stored numbers that all of them have; "" where they differ or have none."""
    units = {Display(value.unit, value.scale).base_unit for value in values if value.value is not None}
    return units.pop() if len(units) == 1 else ""


def _section(facts: RunFacts, section: str) -> dict[str, NamedValue]:
    return facts.arguments if section == "argument" else facts.datasets
