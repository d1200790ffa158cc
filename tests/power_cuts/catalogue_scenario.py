"""The index of a folder of results, which is never the truth: no state of it may change an answer."""

import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

from devicedb.whole_file import write_whole
from rexec.catalogue import find, index_file, listing
from rexec.catalogue.facts import RunFacts
from rexec.catalogue.index import INDEX_NAME
from rexec.catalogue.notes import RunNotes, comment, notes_of, tag
from rexec.catalogue.reading import facts_of
from rexec.results import ResultsWriter
from schemas import RunIdentity
from tests.power_cuts.scenario import Promise, Scenario

_QUESTIONS: Final[dict[str, Callable[[RunFacts, RunNotes], bool]]] = {
    "": lambda facts, notes: True,
    "class=Rabi": lambda facts, notes: facts.class_name == "Rabi",
    "tag=odd": lambda facts, notes: "odd" in notes.tags,
    "dataset=points": lambda facts, notes: "points" in facts.datasets,
    "drift": lambda facts, notes: "drift" in notes.comment,
}
"""Each question, and what is true of the files that it finds."""


class CatalogueScenario(Scenario):
    """`rexec results find` while runs are tagged, come and go.

    The power-cut disk knows no times. The worst are assumed: each result file has the time that the index has noted
    for such a content, and the index itself the time that says that it is whole.
    """

    name = "index of the catalogue"

    def prepare(self, folder: Path) -> None:
        for rid, name in enumerate(("Rabi", "Ramsey", "Rabi")):
            identity = RunIdentity(rid=rid, class_name=name, start_time=1e9 + rid)
            with ResultsWriter.create(
                folder / f"00000000{rid}-{name}.h5", identity, refresh_interval=0
            ) as writer:
                writer.set("points", [1.0] * (rid + 1), {})

    def run(self, folder: Path, promise: Promise) -> None:
        first, second, third = sorted(folder.glob("*.h5"))
        with _times_of_contents():
            find("", folder=folder)
            tag(first, ["odd"])
            find("tag=odd", folder=folder)
            comment(third, "a drift")
            second.unlink()
            find("drift", folder=folder)
            write_whole(folder / "000000003-Rabi.h5", first.read_bytes())
            find("class=Rabi", folder=folder)
            tag(first, ["odd"], remove=True)
            comment(third, "none")
            find("", folder=folder)

    def check(self, folder: Path, promised: Any) -> str:
        index = folder / INDEX_NAME
        if index.exists() and index.stat().st_size:
            os.utime(index, ns=(10**18, 10**18 + index_file._stamp(index)))
        read = [(path, facts_of(path), notes_of(path)) for path in sorted(folder.glob("*.h5"))]
        with _times_of_contents():
            for query, is_true in _QUESTIONS.items():
                found = sorted(run.path for run in find(query, folder=folder))
                wanted = [path for path, facts, notes in read if is_true(facts, notes)]
                if found != wanted:
                    return f"{query!r} finds {len(found)} runs, there are {len(wanted)}"
        connection = sqlite3.connect(index)
        sound = connection.execute("PRAGMA integrity_check").fetchall()
        connection.close()
        return "" if sound == [("ok",)] else f"the index is damaged: {sound}"


@contextmanager
def _times_of_contents() -> Iterator[None]:
    """Let time and inode of a file follow from its content, so that a copy of the folder is the folder for an index."""

    def state(path: str) -> Any:
        try:
            content = Path(path).read_bytes()
        except OSError:
            return None
        return SimpleNamespace(st_size=len(content), st_mtime_ns=zlib.crc32(content), st_ino=1)

    with (
        patch.object(listing, "_stat", state),
        patch.object(listing, "_entry_stat", lambda entry: state(entry.path)),
    ):
        yield
