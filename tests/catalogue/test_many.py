"""A question among many runs looks at few of them: the steps of SQLite are counted, not seconds."""

from datetime import datetime
from pathlib import Path

import pytest

from rexec.catalogue import find, found
from rexec.catalogue.facts import NamedValue, RunFacts
from rexec.catalogue.index import RunIndex
from rexec.catalogue.listing import FileSignature
from rexec.catalogue.notes import RunNotes
from tests.catalogue.laboratories import made


def index_of(path: Path, count: int) -> RunIndex:
    """Return an index that holds so many runs, of which there are no files."""
    index = RunIndex(path)
    with index.writing():
        folder = index.execute("INSERT INTO folder (path) VALUES ('')") or 0
        for rid in range(count):
            facts = RunFacts(
                "run",
                float(rid),
                rid,
                ("Ramsey", "Rabi")[rid % 2],
                arguments={
                    "phase": NamedValue(rid / count),
                    "mode": NamedValue("fast"),
                    "step": NamedValue(20),
                },
                datasets={
                    "exposure": NamedValue(5e-3, "", "ms", 1e-3),
                    "signal": NamedValue(None, "an array"),
                },
            )
            signature = FileSignature(1, rid, rid, "", "")
            index.put(folder, f"{rid:09}.h5", signature, facts, RunNotes(), live="", is_settled=True)
    return index


def steps(index: RunIndex, query: str) -> int:
    """Return how many hundreds of steps of SQLite a question takes."""
    count = 0

    def step() -> None:
        nonlocal count
        count += 1

    index._connection.set_progress_handler(step, 100)
    found._selected(query, index, Path(), 20, datetime.now())
    index._connection.set_progress_handler(None, 0)
    return count


def test_an_answer_among_the_newest_does_not_grow_with_the_number_of_runs(tmp_path: Path) -> None:
    queries = (
        "class=Rabi exposure=5ms",
        "rabi phase>0.9",
        "exposure<1s phase!=0.5 class!=Rabi",
        "dataset=signal device!=none fast",
        "exposure>6ms",
        "class=Nothing exposure=5ms",
        "phase!=0.5 exposure=5ms time=1970-01-03..",
    )
    with index_of(tmp_path / "few", 2_000) as few, index_of(tmp_path / "many", 6_000) as many:
        grown = {query: (steps(few, query), steps(many, query)) for query in queries}
    assert not {query: pair for query, pair in grown.items() if pair[1] > 1.5 * pair[0] + 5}


@pytest.mark.parametrize("newest", [0, 1, 3, 1_000])
@pytest.mark.parametrize(
    "query",
    [
        "",
        "phase<0.25",
        "signal",
        "class=Ramsey phase!=0.1 dataset=signal",
        "ramsey phase=0",
        "dataset!=signal",
        "tag!=paper rabi",
    ],
)
def test_the_newest_are_the_same_runs(
    results: Path, monkeypatch: pytest.MonkeyPatch, newest: int, query: str
) -> None:
    for rid in range(6):
        made(results, rid, ("Ramsey", "Rabi")[rid % 2])
    whole = [run.path for run in find(query)]
    monkeypatch.setattr(found, "_NEWEST", newest)
    for limit in (1, 2, 3, 6, 7):
        assert [run.path for run in find(query, limit=limit)] == whole[:limit]
