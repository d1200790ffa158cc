"""Keeps the results of one run: the journal at once, the HDF5 file every few seconds and at the end.

How a runner uses it:

    writer = ResultsWriter.create(path, identity)           # at build: fails here when the folder cannot be written
    manager = DatasetManager(database, sink=writer)         # every change goes to the journal first
    writer.update_identity(run_time=time.time())            # what becomes known later
    path = writer.close("completed")                        # in a `finally`, also after an error or Ctrl-C
"""

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import h5py

from rexec.results.errors import ResultsError, ResultsNotWritable
from rexec.results.folder import state_of
from rexec.results.h5file import write_groups
from rexec.results.journal import Journal
from rexec.results.layout import journal_path
from rexec.results.records import Kind, Origin, Record
from rexec.results.refresher import PROCESS_FROM, Refresher
from rexec.results.storage import checked_settings
from schemas.run import RunIdentity

_log = logging.getLogger(__name__)


class ResultsWriter:
    """The results of one run, from build to end. Methods may be called from any thread.

    It is the sink of a `rexec.datasets.DatasetManager`. Make one with `create`.

    Args:
        path: The result file.
        journal: Its journal, new.
        refresher: Keeps the file equal to the journal.

    """

    def __init__(self, path: Path, journal: Journal, refresher: Refresher) -> None:
        self.path: Final = path
        self._journal: Final = journal
        self._refresher: Final = refresher
        self._storage: dict[str, dict[str, Any]] = {}
        self._closed = False

    @classmethod
    def create(
        cls,
        path: Path,
        identity: RunIdentity,
        *,
        overwrite: bool = False,
        refresh_interval: float = 5.0,
        sync_interval: float = 0.5,
        process_from: int | None = PROCESS_FROM,
    ) -> "ResultsWriter":
        """Claim a result file, and write the identity of the run into it.

        Args:
            path: The result file, for example from `results_path`; its folder is made.
            identity: The identity as far as it is known at build; `update_identity` adds the rest.
            overwrite: Whether a file of that name may be replaced.
            refresh_interval: Seconds between two refreshes of the file while the run goes on; 0: none.
            sync_interval: Seconds between two syncs of the journal to the disk.
            process_from: Bytes of changes between two refreshes from which on a process of its own keeps the file, so
                that this takes nothing from the run's own loop; None: a thread of the run always does.

        Raises:
            ResultsNotWritable: The file cannot be written, exists already, or is another run's.

        """
        path = Path(path)
        if path.is_dir():
            raise ResultsNotWritable(f"cannot write the result file {path}: it is a folder; name a file")
        if path.exists() and not overwrite:
            raise ResultsNotWritable(f"the result file {path} exists already; name another, or move it away")
        journal = Journal(journal_path(path), sync_interval=sync_interval)
        try:
            refresher = Refresher(path, journal, interval=refresh_interval, process_from=process_from)
            writer = cls(path, journal, refresher)
            try:
                journal.put(Record(Kind.IDENTITY, value=identity.model_dump()))
                journal.sync()
                refresher.refresh()
            except BaseException:
                refresher.close()
                raise
        except (OSError, ResultsError) as error:
            journal.path.unlink(missing_ok=True)
            journal.abandon()
            raise ResultsNotWritable(f"cannot write the result file {path}: {error}") from error
        refresher.start()
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

    def set_storage(self, key: str, **settings: Any) -> None:
        """Say how a dataset is stored in the HDF5 file (`rexec.results.storage.checked_settings`).

        Raises:
            ValueError: There is no such setting, or it has no such value.

        """
        self._storage[key] = checked_settings(key, settings)
        self._journal.put(Record(Kind.NOTE, "storage", value=dict(self._storage)))

    def sync(self) -> None:
        """Return when every change so far survives a loss of power."""
        self._journal.sync()

    def snapshot(self) -> None:
        """Refresh the file now; other programs see every change made before this call.

        Raises:
            ResultsError: The file cannot be written. The journal still has everything.

        """
        self._refresher.refresh()

    def write_hdf5(self, file: h5py.File) -> None:
        """Write the groups `datasets` and `archive` into an open HDF5 file, as ARTIQ's manager does."""
        write_groups(file, state_of(self._journal.path, self._journal.size))

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
        self._refresher.stop()
        self._closed = True
        text = error if isinstance(error, str) or error is None else f"{type(error).__name__}: {error}"
        end = {"status": status, "error": text, "time": time.time()}
        try:
            if self._journal.put_back():
                _log.warning("%s was removed while the run went on; it is written anew", self._journal.path)
            self._end_journal(end)
            self._refresher.finish(end)
            for problem in self._refresher.problems:
                _log.warning("%s: %s", self.path.name, problem)
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
        self._refresher.stop()
        self._closed = True
        if self._refresher.shown:
            self.path.unlink(missing_ok=True)
        self._journal.path.unlink(missing_ok=True)
        self._let_go()

    def _end_journal(self, end: Mapping[str, Any]) -> None:
        """Write into the journal how the run ended; where the disk fails, the file may still be finished."""
        try:
            self._journal.put(Record(Kind.END, value=end))
            self._journal.sync()
        except ResultsError as error:
            _log.error("%s; trying to finish the result file from what is there", error)

    def _let_go(self) -> None:
        self._refresher.close()
        # Last: until then the journal is claimed, and no recovery takes the run for a dead one.
        if not self._journal.path.exists():
            self._journal.abandon()
            return
        try:
            self._journal.close()
        except ResultsError as error:
            _log.error("%s", error)


def write_results(
    path: Path,
    identity: RunIdentity,
    datasets: Mapping[str, Any],
    archive: Mapping[str, Any] | None = None,
    *,
    plot: tuple[str, Sequence[str]] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a whole result file at once, for data that exist already.

    Args:
        path: The result file.
        identity: Which run it is.
        datasets: Values by name, or objects with `value` and `metadata` (`rexec.datasets.Dataset`).
        archive: The same, for `archive/`.
        plot: Which dataset viewers show first, and its axes.
        overwrite: Whether a file of that name may be replaced.

    """
    writer = ResultsWriter.create(path, identity, overwrite=overwrite, refresh_interval=0)
    with writer:
        for key, item in datasets.items():
            writer.set(key, getattr(item, "value", item), getattr(item, "metadata", {}))
        for key, item in (archive or {}).items():
            writer.archive(key, getattr(item, "value", item), getattr(item, "metadata", {}))
        if plot is not None:
            writer.declare_plot(*plot)
    return writer.path


def identity_now(rid: int, class_name: str, **fields: Any) -> RunIdentity:
    """Return an identity whose run begins now; `fields` are the further ones of `schemas.RunIdentity`."""
    return RunIdentity(rid=rid, class_name=class_name, start_time=datetime.now().timestamp(), **fields)
