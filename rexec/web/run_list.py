"""The runs of a folder as rows of the page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rexec.catalogue import FoundRun, find
from rexec.web.labels import bounded, label

_MOST_VALUES: Final = 60


def listed(folder: Path, query: str, most: int) -> dict[str, Any]:
    """Return the runs for which a query is true, the newest first.

    Args:
        folder: The folder of results.
        query: In the language of the catalogue.
        most: The most runs that are returned; `more` says whether there are others.

    """
    runs = find(query[:2000], folder=folder, limit=most + 1)
    return {"runs": [run_row(run, folder) for run in runs[:most]], "more": len(runs) > most}


def run_row(run: FoundRun, folder: Path) -> dict[str, Any]:
    """Return a run as a page shows it."""
    facts = run.facts
    return {
        # A name that is not UTF-8 is shown, and cannot be opened: no address has it.
        "file": run.path.relative_to(folder).as_posix().encode(errors="backslashreplace").decode(),
        "rid": run.rid,
        "kind": facts.kind,
        "class_name": bounded(run.class_name),
        "status": bounded(run.status),
        "time": facts.time,
        "run_time": facts.run_time,
        "last_change": facts.last_change,
        "person": bounded(facts.person),
        "person_known_by": facts.person_known_by,
        "is_simulated": facts.simulated,
        "arguments": _values(run.arguments),
        "datasets": [label(name) for name in list(facts.datasets)[:_MOST_VALUES]],
        "comment": bounded(run.comment, 2000),
        "tags": [bounded(each) for each in run.tags[:20]],
        "problem": bounded(facts.problem),
    }


def _values(values: Mapping[str, Any]) -> dict[str, str]:
    return {label(name): bounded(_number(value)) for name, value in list(values.items())[:_MOST_VALUES]}


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
