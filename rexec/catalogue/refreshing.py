"""Brings an index up to date with a folder: looks for what changed, and reads that.

In a folder of up to `EXACT` files, each query looks at each file. In a larger one it looks at each folder, each file
that is young or whose run has not ended, and the files of one folder in `PART`, picked by chance; all of them when
asked for (`check`). Programs of ours and of ARTIQ change a folder or a young file, so that what they write is seen
at once.
"""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from rexec.catalogue.index import Held, RunIndex
from rexec.catalogue.listing import (
    FileSignature,
    FolderState,
    folder_state,
    is_young,
    listing,
    shown_path,
    signature,
    stored_path,
)
from rexec.catalogue.notes import RunNotes, read_notes
from rexec.results._files import is_locked
from rexec.results.layout import journal_path

if TYPE_CHECKING:
    from rexec.catalogue.facts import RunFacts

EXACT: Final = 5_000
"""Number of files up to which each query looks at all of them."""

PART: Final = 50
"""In a larger folder, each query looks at the files of one folder in so many."""

MOST_CHOSEN: Final = 40
"""Maximum number of folders of which that is done."""

DEEPEST: Final = 12
"""Maximum depth of folders."""

_RACY: Final = 3.0
"""Seconds after a change of a folder in which a further one may leave its time as it is."""

_WRITTEN: Final = 60.0
"""Seconds after which a file that can be read is not written any more, if it has no journal."""

_LOST: Final = 3600.0
"""Seconds after which a file that cannot be read is not written any more: ARTIQ writes its files in place."""

_REFUSED: Final = -1
"""In place of a time, of what the system refused to read: nothing in the file shows when it can be read again."""

_BATCH: Final = 200
"""Files whose facts are written together."""

_BATCH_SECONDS: Final = 1.0
"""Seconds after which facts are written; a kill loses those of this time."""

_WORTH_SETTLING: Final = 100
"""Settled files that are worth a write of their own."""

ReadingProgress = Callable[[int, int], None]
"""Called with how many files were read, and how many are to be read."""


class _ReadFile(NamedTuple):
    """A file that was read, and waits to be written into the index."""

    below: str
    name: str
    signature: FileSignature
    facts: "RunFacts"
    notes: RunNotes
    live: str


class Refreshing:
    """One round of bringing an index up to date.

    Args:
        index: The index.
        root: The folder of results.
        check: Whether to look at each file, however many there are.
        progress: Told how it goes on.

    """

    def __init__(
        self, index: RunIndex, root: Path, *, check: bool = False, progress: ReadingProgress | None = None
    ) -> None:
        self._index: Final = index
        self._root: Final = os.fspath(root)
        self._check: Final = check or index.checked
        self._progress: Final = progress or (lambda read, total: None)
        self._known: dict[str, tuple[int, int | None, int | None]] = {}
        """Number, time and inode of the folders in the index, by path below the root."""
        self._pending: dict[str, None] = {}
        """Folders in which something is to be read."""
        self._read = self._total = 0
        self._found: list[_ReadFile] = []
        self._listed: list[tuple[str, FolderState, set[str]]] = []
        """Folders whose files were all read: their state before that, and the names of their files."""
        self._since = time.monotonic()

    def run(self) -> None:
        """Bring the index up to date.

        Raises:
            sqlite3.Error: The index cannot be used.

        """
        self._known = {
            shown_path(path): (number, mtime, inode)
            for number, path, mtime, inode in self._index.rows("SELECT id, path, mtime, inode FROM folder")
        }
        gone = self._walk()
        self._look_at_unsettled()
        self._look_at_journals()
        if gone:
            self._forget(gone)
        for below in sorted(self._pending, reverse=True):  # the newest first
            self._read_folder(below)
        self._flush()

    def look_again(self, runs: list[int]) -> bool:
        """Return whether files of these runs have changed since they were read; then they are read again."""
        marks = ", ".join("?" * len(runs))
        paths = self._paths()
        for held in self._index.held(f"id IN ({marks})", runs):
            below = paths.get(held.folder)
            if below is None or signature(self._path(below, held.name)) != held.signature:
                self._pending[below or ""] = None
        for below in list(self._pending):
            self._read_folder(below)
        is_changed = bool(self._pending)
        self._flush()
        self._pending.clear()
        return is_changed

    def _paths(self) -> dict[int, str]:
        """Return the folders in the index by their numbers."""
        return {number: below for below, (number, _, _) in self._known.items()}

    def _path(self, below: str, name: str = "") -> str:
        return os.path.join(*filter(None, (self._root, below, name)))

    def _walk(self) -> list[int]:
        """Look at all folders; return the numbers of those that are gone."""
        ((count,),) = self._index.rows("SELECT count(*) FROM run")
        is_exact = self._check or count <= EXACT
        some = min(len(self._known) // PART, MOST_CHOSEN)
        chosen = set() if is_exact else set(random.sample(range(len(self._known)), some))
        young = time.time_ns() - int(_RACY * 1e9)
        prefix = os.path.join(self._root, "")
        seen: set[tuple[int, int]] = set()
        gone: list[int] = []
        new: list[tuple[str, int]] = [] if "" in self._known else [("", 0)]
        for place, (below, (number, mtime, inode)) in enumerate(self._known.items()):
            try:
                found = os.stat(prefix + below)
            except OSError:
                gone.append(number)
                continue
            seen.add((found.st_dev, found.st_ino))
            is_same = found.st_mtime_ns == mtime and found.st_ino == inode
            if not is_same or is_exact or place in chosen or (mtime or 0) > young:
                depth = below.count(os.sep) + 1 if below else 0
                new += [
                    (inner, depth + 1) for inner in self._look(below, is_same) if inner not in self._known
                ]
        while new:
            below, depth = new.pop()
            state = folder_state(prefix + below)
            if state is None or (state.device, state.inode) in seen or depth > DEEPEST:
                continue
            seen.add((state.device, state.inode))
            new += [(inner, depth + 1) for inner in self._look(below, False)]
        return gone

    def _look(self, below: str, is_same: bool) -> list[str]:
        """Look which files of a folder are to be read; return the folders in it.

        Args:
            below: The folder, below the root.
            is_same: Whether the index has its present time.

        """
        found = listing(self._path(below))
        held = self._held(below)
        changed = sum(held.get(name) != each for name, each in found.files.items())
        if not is_same or changed or held.keys() - found.files.keys():
            self._pending[below] = None
            self._total += changed
        return [os.path.join(below, name) for name in found.folders]

    def _held(self, below: str) -> dict[str, FileSignature]:
        number = self._known.get(below, (None,))[0]
        if number is None:
            return {}
        return {each.name: each.signature for each in self._index.held("folder = ?", (number,))}

    def _look_at_unsettled(self) -> None:
        """Look at the files that may still be written."""
        unsettled = list(self._index.held("settled = 0"))
        paths = self._paths() if unsettled else {}
        settled = []
        for held in unsettled:
            below = paths.get(held.folder, "")
            if below in self._pending:
                continue
            if signature(self._path(below, held.name)) != held.signature:
                self._pending[below] = None
                self._total += 1
            elif not held.signature.journal and not is_young(held.signature.mtime, _LOST):
                settled.append(held.run)
        if len(settled) >= _WORTH_SETTLING:
            with self._index.writing():
                for run in settled:
                    self._index.execute("UPDATE run SET settled = 1 WHERE id = ?", (run,))

    def _look_at_journals(self) -> None:
        """Look which runs that have not ended still go on: a kill changes no file."""
        going = list(self._index.held("settled = 0 AND journal != ''"))
        paths = self._paths() if going else {}
        changed: list[tuple[Held, str]] = []
        for held in going:
            live = _live(self._path(paths.get(held.folder, ""), held.name))
            if live != held.live:
                changed.append((held, live))
        if changed:
            with self._index.writing():
                for held, live in changed:
                    self._index.set_live(held.run, live)

    def _forget(self, folders: list[int]) -> None:
        with self._index.writing():
            for number in folders:
                for held in list(self._index.held("folder = ?", (number,))):
                    self._index.drop(held.run)
                self._index.execute("DELETE FROM folder WHERE id = ?", (number,))

    def _read_folder(self, below: str) -> None:
        """Read the files of a folder that are not as the index has them."""
        path = self._path(below)
        state = folder_state(path)
        if state is None:  # it has gone since it was looked at
            if below in self._known:
                self._forget([self._known.pop(below)[0]])
            return
        files = listing(path).files
        held = self._held(below)
        for name in sorted(files, reverse=True):
            if held.get(name) == files[name]:
                continue
            self._found.append(self._facts(below, name, files[name]))
            self._read += 1
            self._progress(self._read, max(self._total, self._read))
            if len(self._found) >= _BATCH or time.monotonic() - self._since > _BATCH_SECONDS:
                self._flush()
        self._listed.append((below, state, set(files)))

    def _facts(self, below: str, name: str, found: FileSignature) -> _ReadFile:
        # HDF5, which an index that is up to date does without
        from rexec.catalogue.reading import read_facts, refused_facts

        path = Path(self._path(below, name))
        live = _live(os.fspath(path)) if found.journal else ""
        notes, known = RunNotes(), found
        try:
            facts = read_facts(path)
        except OSError as error:
            facts, known = refused_facts(path, error), found._replace(mtime=_REFUSED)
        try:
            notes = read_notes(path) if found.notes else notes
        except OSError:
            known = found._replace(mtime=_REFUSED)
        return _ReadFile(below, name, known, facts, notes, live)

    def _flush(self) -> None:
        """Write what was read."""
        self._since = time.monotonic()
        if not self._found and not self._listed:
            return
        with self._index.writing():
            for each in self._found:
                quiet = _LOST if each.facts.kind == "unreadable" else _WRITTEN
                mtime = each.signature.mtime
                is_settled = not (each.signature.journal or mtime == _REFUSED or is_young(mtime, quiet))
                self._index.put(
                    self._number(each.below),
                    each.name,
                    each.signature,
                    each.facts,
                    each.notes,
                    live=each.live,
                    is_settled=is_settled,
                )
            for below, state, names in self._listed:
                number = self._number(below)
                for held in list(self._index.held("folder = ?", (number,))):
                    if held.name not in names:
                        self._index.drop(held.run)
                self._index.execute(
                    "UPDATE folder SET mtime = ?, inode = ? WHERE id = ?", (state.mtime, state.inode, number)
                )
        self._found.clear()
        self._listed.clear()

    def _number(self, below: str) -> int:
        """Return the number of a folder, which is added if it is new. Only within a write."""
        path = stored_path(below)
        for (number,) in self._index.rows("SELECT id FROM folder WHERE path = ?", (path,)):
            self._known.setdefault(below, (int(number), None, None))
            return int(number)
        number = self._index.execute("INSERT INTO folder (path) VALUES (?)", (path,)) or 0
        self._known[below] = (number, None, None)
        return number


def _live(path: str) -> str:
    """Return "running" or "killed" for a run that has a journal, "" for one that has ended meanwhile."""
    journal = journal_path(Path(path))
    if is_locked(journal):
        return "running"
    return "killed" if journal.exists() else ""
