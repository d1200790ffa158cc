"""Keeps the results of one run: the journal at once, the HDF5 file every few seconds and at the end.

How a runner uses it:

    writer = ResultsWriter.create(path, identity)           # at build: fails here when the folder cannot be written
    manager = DatasetManager(database, sink=writer)         # every change goes to the journal first
    writer.update_identity(run_time=time.time())            # what becomes known later
    path = writer.close("completed")                        # in a `finally`, also after an error or Ctrl-C
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import h5py

from rexec.results._files import publish, temporary_beside
from rexec.results.errors import JournalDamaged, ResultsError, ResultsNotWritable
from rexec.results.fold import RunState
from rexec.results.h5file import FoldedFile, copy_of, write_groups
from rexec.results.journal import Journal
from rexec.results.layout import journal_path
from rexec.results.reader import JournalReader
from rexec.results.records import Kind, Origin, Record
from rexec.results.verify import verify_against
from schemas.run import RunIdentity

_log = logging.getLogger(__name__)

_SHARE: Final = 9.0
"""A refresh that takes t seconds is followed by at least 9 t without one: folding costs a tenth of the time at most."""


class ResultsWriter:
    """The results of one run, from build to end. Methods may be called from any thread.

    It is the sink of a `rexec.datasets.DatasetManager`. Make one with `create`.

    Args:
        path: The result file.
        journal: Its journal, new.
        refresh_interval: Seconds between two refreshes of the file; 0: only by `snapshot` and `close`.

    """

    def __init__(self, path: Path, journal: Journal, *, refresh_interval: float) -> None:
        self.path: Final = path
        self._journal: Final = journal
        self._reader: Final = JournalReader(journal.path)
        self._state: Final = RunState()
        self._working: Final = FoldedFile(path.with_name(f".{path.name}.working"), journal.identifier)
        self._fold_lock = threading.Lock()
        self._replaces: Final = path.exists()
        self._published = False
        self._closed = False
        self._stop = threading.Event()
        self._refresher = threading.Thread(
            target=self._refresh_regularly, args=(refresh_interval,), name="rexec-results", daemon=True
        )
        self._interval: Final = refresh_interval

    @classmethod
    def create(
        cls,
        path: Path,
        identity: RunIdentity,
        *,
        overwrite: bool = False,
        refresh_interval: float = 5.0,
        sync_interval: float = 0.5,
    ) -> "ResultsWriter":
        """Claim a result file, and write the identity of the run into it.

        Args:
            path: The result file, for example from `results_path`; its folder is made.
            identity: The identity as far as it is known at build; `update_identity` adds the rest.
            overwrite: Whether a file of that name may be replaced.
            refresh_interval: Seconds between two refreshes of the file while the run goes on; 0: none.
            sync_interval: Seconds between two syncs of the journal to the disk.

        Raises:
            ResultsNotWritable: The file cannot be written, exists already, or is another run's.

        """
        path = Path(path)
        if path.is_dir():
            raise ResultsNotWritable(f"cannot write the result file {path}: it is a folder; name a file")
        if path.exists() and not overwrite:
            raise ResultsNotWritable(f"the result file {path} exists already; name another, or move it away")
        journal = Journal(journal_path(path), sync_interval=sync_interval)
        writer = cls(path, journal, refresh_interval=refresh_interval)
        try:
            journal.put(Record(Kind.IDENTITY, value=identity.model_dump()))
            journal.sync()
            writer.snapshot()
        except (OSError, ResultsError) as error:
            journal.path.unlink(missing_ok=True)
            writer._let_go()
            raise ResultsNotWritable(f"cannot write the result file {path}: {error}") from error
        if refresh_interval > 0:
            writer._refresher.start()
        return writer

    @property
    def journal_size(self) -> int:
        """Bytes in the journal: what has been acknowledged."""
        return self._journal.size

    def __enter__(self) -> "ResultsWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if not self._closed:
            self.close("completed" if kind is None else "failed", error=error)

    # What DatasetManager calls.

    def set(
        self,
        key: str,
        value: Any,
        metadata: Mapping[str, Any],
        *,
        broadcast: bool = False,
        persist: bool = False,
        archive: bool = True,
        origin: Origin = "run",
    ) -> None:
        """Keep that a dataset was set; `archive` tells whether it belongs into the file."""
        record = Record(Kind.SET, key, 0.0, value, dict(metadata), None, origin, broadcast, persist, archive)
        self._journal.put(record)

    def append(self, key: str, value: Any, *, origin: Origin = "run") -> None:
        """Keep that a value was appended to a list."""
        self._journal.append(key, value, origin=origin)

    def mutate(self, key: str, index: Any, value: Any, *, origin: Origin = "run") -> None:
        """Keep that `dataset[index] = value` was done."""
        self._journal.put(Record(Kind.MUTATE, key, 0.0, value, None, index, origin))

    def delete(self, key: str, *, origin: Origin = "run") -> None:
        """Keep that a dataset was removed."""
        self._journal.put(Record(Kind.DELETE, key, origin=origin))

    def archive(self, key: str, value: Any, metadata: Mapping[str, Any]) -> None:
        """Keep a value that was read, under `archive/`."""
        self._journal.put(Record(Kind.ARCHIVE, key, 0.0, value, dict(metadata)))

    # What the runner calls.

    def update_identity(self, **fields: Any) -> None:
        """Add to or replace fields of the identity (`schemas.RunIdentity`), such as run_time or expid."""
        unknown = fields.keys() - RunIdentity.model_fields.keys()
        if unknown:
            raise TypeError(f"a run's identity has no field {', '.join(sorted(unknown))}")
        self._journal.put(Record(Kind.IDENTITY, value=fields))

    def declare_plot(self, signal: str, axes: Sequence[str] = ()) -> None:
        """Say which dataset a viewer shows first, against which others (NeXus default plot)."""
        self._journal.put(Record(Kind.NOTE, "plot", value={"signal": signal, "axes": list(axes)}))

    def note(self, name: str, value: Any) -> None:
        """Keep a further fact about the results: a bridge's "comparison" of what it holds with what there is."""
        self._journal.put(Record(Kind.NOTE, name, value=value))

    def sync(self) -> None:
        """Return when every change so far survives a loss of power."""
        self._journal.sync()

    def snapshot(self) -> None:
        """Refresh the file now; other programs see every change made before this call.

        Raises:
            ResultsError: The file cannot be written. The journal still has everything.

        """
        with self._fold_lock:
            self._catch_up()
            self._publish()

    def write_hdf5(self, file: h5py.File) -> None:
        """Write the groups `datasets` and `archive` into an open HDF5 file, as ARTIQ's manager does."""
        with self._fold_lock:
            self._catch_up()
            write_groups(file, self._state)

    def close(self, status: str = "completed", *, error: BaseException | str | None = None) -> Path:
        """Finish the file, verify it, and remove the journal. Call it once.

        Args:
            status: "completed", "failed", "interrupted", or whatever tells how the run ended.
            error: The exception that ended it.

        Returns:
            Path of the result file.

        Raises:
            ResultsError: The file could not be written or does not hold what the journal holds; the journal is kept,
                and the text says what to do.

        """
        self._stop.set()
        if self._refresher.is_alive():
            self._refresher.join()
        self._closed = True
        text = error if isinstance(error, str) or error is None else f"{type(error).__name__}: {error}"
        try:
            self._journal.put(Record(Kind.END, value={"status": status, "error": text, "time": time.time()}))
            self._journal.sync()
            with self._fold_lock:
                self._catch_up()
                self._publish(compact=True)
                verify_against(self.path, self._state)
            self._journal.path.unlink()
        except (OSError, ResultsError) as failure:
            raise ResultsError(
                f"the result file {self.path} could not be finished: {failure}. Everything is kept in "
                f"{self._journal.path}; `rexec results recover {self.path.parent}` makes the file of it"
            ) from failure
        finally:
            self._let_go()
        return self.path

    def discard(self) -> None:
        """End without a result, for a run that never began: no file, no journal; a replaced file is as it was."""
        self._stop.set()
        if self._refresher.is_alive():
            self._refresher.join()
        self._closed = True
        if self._published:
            self.path.unlink(missing_ok=True)
        self._journal.path.unlink(missing_ok=True)
        self._let_go()

    def _let_go(self) -> None:
        self._reader.close()
        self._working.path.unlink(missing_ok=True)
        # Last: until then the journal is claimed, and no recovery takes the run for a dead one.
        self._journal.close()

    def _catch_up(self) -> None:
        for record in self._reader.records():
            self._state.apply(record)
        if self._reader.offset < self._journal.size and self._reader.damage is not None:
            raise JournalDamaged(self._reader.damage)

    def _publish(self, *, compact: bool = False) -> None:
        temporary = temporary_beside(self.path)
        state = self._state
        try:
            self._working.update(state, compact=compact)
            copy_of(self._working.path, temporary)
            # A file that is to be replaced stays until there is something to put in its place.
            if not self._replaces or state.datasets or state.archive or state.end is not None:
                self._published = True
                publish(temporary, self.path)
        except OSError as error:
            raise ResultsError(f"cannot refresh {self.path}: {error}") from error
        finally:
            temporary.unlink(missing_ok=True)

    def _refresh_regularly(self, interval: float) -> None:
        pause, warned, folded = interval, False, -1
        while not self._stop.wait(pause):
            if self._journal.size == folded:
                continue
            folded = self._journal.size
            begun = time.monotonic()
            try:
                self.snapshot()
            except ResultsError as error:
                if not warned:
                    _log.warning("%s; the journal has everything, trying again", error)
                warned, folded = True, -1
            pause = max(interval, _SHARE * (time.monotonic() - begun))


def write_results(
    path: Path,
    identity: RunIdentity,
    datasets: Mapping[str, Any],
    archive: Mapping[str, Any] | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """Write a whole result file at once, for data that exist already.

    Args:
        path: The result file.
        identity: Which run it is.
        datasets: Values by name, or objects with `value` and `metadata` (`rexec.datasets.Dataset`).
        archive: The same, for `archive/`.
        overwrite: Whether a file of that name may be replaced.

    """
    writer = ResultsWriter.create(path, identity, overwrite=overwrite, refresh_interval=0)
    with writer:
        for key, item in datasets.items():
            writer.set(key, getattr(item, "value", item), getattr(item, "metadata", {}))
        for key, item in (archive or {}).items():
            writer.archive(key, getattr(item, "value", item), getattr(item, "metadata", {}))
    return writer.path


def identity_now(rid: int, class_name: str, **fields: Any) -> RunIdentity:
    """Return an identity whose run begins now; `fields` are the further ones of `schemas.RunIdentity`."""
    return RunIdentity(rid=rid, class_name=class_name, start_time=datetime.now().timestamp(), **fields)
