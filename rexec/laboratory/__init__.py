"""The snapshot of a laboratory: what is true now, in frozen facts with versions.

One snapshot, many faces. Gatherers write facts through the one `SnapshotWriter`; faces (a table, `rexec doctor`, JSON,
a web page) only read. A face asks on its own clock what is new. No face waits for a gatherer, no gatherer for a face::

    laboratory = LiveSnapshot()
    writer = laboratory.writer()                     # once; a gatherer's end
    writer.put("controllers", "camera", ControllerFact("camera", status=status))

    state, version = {}, NOTHING                     # a face's end
    while True:
        news = laboratory.since(version)
        state, version = applied(state, news), news.version
        draw(state["controllers"], since=news.parts)
        time.sleep(0.1)

**Versions.** Each write makes one version of the whole, a number that grows by one; a part has the version of its last
change. For each part that changed, `since(version)` gives the facts that are new or other than at that version
(`changed`) and the keys that are gone (`removed`). A part that no longer knows, because the version is `NOTHING`, too
old or of another snapshot, gives all its facts, with `is_whole`: drop what you have of it. Applying the news gives what
a reader of `laboratory.snapshot()` has at that version, whatever was missed in between: a reader that pauses misses
values, but never has a state that was not. Across processes keep `(epoch, version)`: another `epoch` means another
snapshot.

**Parts**, each a mapping from a key to a fact (`rexec.laboratory.facts`):

* `entries`: name in the device database, `EntryFact`;
* `controllers`: name of a controller or of a target, `ControllerFact` (state, cause, message with the remedy, users);
* `runs`: rid, `RunFact`;
* `schedule`: rid, `ScheduleFact`;
* `datasets`: key of the dataset, `DatasetFact`;
* `log`: running number, `LogFact`.

Mappings keep the order of first writing; controllers and entries have `place`, their order in the device database.

**Facts never change.** A new value is a new fact; versions share what they have in common. Memory is bounded by the
present facts: `LIMITS` drops the oldest lines of the log and the oldest runs; old removals are forgotten.
"""

from rexec.laboratory.facts import (
    ControllerFact,
    DatasetFact,
    EntryFact,
    LogFact,
    RunFact,
    ScheduleFact,
)
from rexec.laboratory.snapshot import NOTHING, News, PartNews, Snapshot, SnapshotPart, applied
from rexec.laboratory.store import LIMITS, LiveSnapshot, SnapshotWriter

__all__ = [
    "LIMITS",
    "NOTHING",
    "ControllerFact",
    "DatasetFact",
    "EntryFact",
    "LiveSnapshot",
    "LogFact",
    "News",
    "PartNews",
    "RunFact",
    "ScheduleFact",
    "Snapshot",
    "SnapshotPart",
    "SnapshotWriter",
    "applied",
]
