"""Conditions of SQL on the table `run`, in two forms: one for many runs, and one for few. Pure."""

from collections.abc import Iterable
from typing import Any, NamedTuple


class RunCondition(NamedTuple):
    """A condition of SQL on the table `run`.

    Attributes:
        text: The condition; it first collects all runs for which a part is true: soon done where many are asked.
        parameters: The values of its question marks.
        one_by_one: The same, which looks at one run after the other: soon done where few are asked; "": as `text`.
        probe: What selects a row for each run that fulfils it, by an index of SQLite; "": nothing does.
        is_rare: Whether few runs are known to fulfil it: then the others are asked for these alone.

    """

    text: str
    parameters: tuple[Any, ...] = ()
    one_by_one: str = ""
    probe: str = ""
    is_rare: bool = False


def all_of(conditions: Iterable[RunCondition]) -> RunCondition:
    """Return the condition that all of them are true; of none, that is true of every run."""
    found = sorted(conditions, key=lambda each: not each.is_rare)
    parts = [
        each.text if number == 0 or not found[0].is_rare else each.one_by_one or each.text
        for number, each in enumerate(found)
    ]
    return RunCondition(
        " AND ".join(f"({part})" for part in parts) or "1",
        tuple(parameter for each in found for parameter in each.parameters),
        " AND ".join(f"({each.one_by_one or each.text})" for each in found) or "1",
    )


def of_runs_in(
    table: str, inner: str, parameters: tuple[Any, ...], *, is_not: bool = False, by: str = ""
) -> RunCondition:
    """Return the condition that a table has a row of the run for which an inner condition is true.

    Args:
        table: The table; its column `run` has the number of the run.
        inner: The condition on its rows.
        parameters: The values of the inner question marks.
        is_not: Whether there must be none.
        by: The index of SQLite by which all of them are found; "": SQLite chooses.

    """
    sign = "NOT " if is_not else ""
    indexed = f" INDEXED BY {by}" if by else ""
    return RunCondition(
        f"id {sign}IN (SELECT run FROM {table}{indexed} WHERE {inner})",  # noqa: S608
        parameters,
        f"{sign}EXISTS (SELECT 1 FROM {table} WHERE {table}.run = run.id AND ({inner}))",  # noqa: S608
        f"SELECT 1 FROM {table}{indexed} WHERE {inner}" if by else "",  # noqa: S608
    )
