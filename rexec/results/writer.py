"""Keeps the results of one run: the journal at once, the HDF5 file every few seconds and at the end.

How a runner uses it:

    writer = ResultsWriter.create(path, identity)           # at build: fails here when the folder cannot be written
    manager = DatasetManager(database, sink=writer)         # every change goes to the journal first
    writer.update_identity(run_time=time.time())            # what becomes known later
    path = writer.close("completed")                        # in a `finally`, also after an error or Ctrl-C
"""

import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import h5py

from devicedb.windows_names import REFUSED, path_is_refused_here
from rexec.results._files import remove
from rexec.results._kept_values import KeptValues
from rexec.results.degraded import DegradedStates
from rexec.results.errors import ResultsError, ResultsNotWritable
from rexec.results.hdf5.file import write_groups
from rexec.results.journal._appender import Appender
from rexec.results.journal.records import Kind, Origin, Record
from rexec.results.journal.writer import Journal
from rexec.results.keeper import state_of
from rexec.results.layout import journal_path
from rexec.results.recordings import keeps_history
from rexec.results.refresher import PROCESS_FROM, Refresher
from rexec.results.storage_settings import checked_settings
from schemas.run import RUN_FIELDS, RunIdentity

_log = logging.getLogger(__name__)


class ResultsWriter:
    """The results of one run, from build to end. Methods may be called from any thread.

    It is the sink of a `rexec.datasets.DatasetManager`. Made by `create`.

    Args:
        path: The result file.
        journal: Its journal, new.
        refresher: Keeps the file equal to the journal.
        degraded: What of the run is not as it was asked for.

    """

    def __init__(self, path: Path, journal: Journal, refresher: Refresher, degraded: DegradedStates) -> None:
        self.path: Final = path
        self.degraded: Final = degraded
        self._journal: Final = journal
        self._refresher: Final = refresher
        self._kept: Final = KeptValues(journal)
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
        degraded: DegradedStates | None = None,
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
            degraded: What of the run is not as it was asked for; None: nothing so far.

        Raises:
            ResultsNotWritable: The file cannot be written, exists already, or is another run's.

        """
        path = Path(path)
        if path.is_dir():
            raise ResultsNotWritable(f"cannot write the result file {path}: it is a folder; name a file")
        if path_is_refused_here(path):
            raise ResultsNotWritable(f"cannot write the result file {path}: {REFUSED}; name another")
        if path.exists() and not overwrite:
            raise ResultsNotWritable(f"the result file {path} exists already; name another, or move it away")
        journal = Journal(journal_path(path), sync_interval=sync_interval)
        try:
            states = DegradedStates() if degraded is None else degraded
            refresher = Refresher(path, journal, states, interval=refresh_interval, process_from=process_from)
            writer = cls(path, journal, refresher, states)
            try:
                if keeps_history(identity.as_dict()):
                    journal.keep_all()
                journal.put(Record(Kind.IDENTITY, value=identity.as_dict() | {"pid": os.getpid()}))
                journal.on_healed = states.add
                states.keep_in(journal)
                journal.sync()
                refresher.refresh()
            except BaseException:
                refresher.close()
                raise
        except BaseException as error:
            journal.remove()
            if not isinstance(error, OSError | ResultsError):
                raise
            raise ResultsNotWritable(f"cannot write the result file {path}: {error}") from error
        refresher.start()
        return writer

    @property
    def position(self) -> int:
        """A number that grows with each change of a dataset that is kept, and only then."""
        return self._journal.position

    @property
    def journal_size(self) -> int:
        """Bytes in the journal: what has been acknowledged."""
        return self._journal.size

    def __enter__(self) -> "ResultsWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if self._journal.is_ours and not self._closed:
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

    def append(self, key: str, value: Any, *, origin: Origin = "run") -> Any:
        """Keep that a value was appended to a list; return what may stand for it in memory."""
        return self._kept.kept(value, self._journal.append(key, value, origin=origin))

    def appender(self, key: str, items: list[Any]) -> Appender:
        """Return what keeps that the run has appended a number to a list, and appends it to `items`."""
        return self._journal.appender(key, items)

    def mutate(self, key: str, index: Any, value: Any, *, origin: Origin = "run") -> None:
        """Keep that `dataset[index] = value` was done."""
        self._journal.put(Record(Kind.MUTATE, key, 0.0, value, None, index, origin))

    def delete(self, key: str, *, origin: Origin = "run") -> None:
        """Keep that a dataset was removed."""
        self._journal.put(Record(Kind.DELETE, key, origin=origin))

    def archive(self, key: str, value: Any, metadata: Mapping[str, Any]) -> None:
        """Keep a value that was read, under `archive/`."""
        self._journal.put(Record(Kind.ARCHIVE, key, 0.0, value, dict(metadata)))

    def add_degraded(self, text: str, *, unkept: bool = False) -> None:
        """Keep that something is not as it was asked for.

        Args:
            text: What, and why, in one line.
            unkept: Whether something that was to be kept was not.

        """
        self.degraded.add(text, unkept=unkept)

    def remove_degraded(self, text: str) -> None:
        """Keep that it is as it was asked for again."""
        self.degraded.remove(text)

    # What the runner calls.

    def update_identity(self, **fields: Any) -> None:
        """Add to or replace fields of the identity (`schemas.RunIdentity`), such as run_time or expid."""
        unknown = fields.keys() - RUN_FIELDS
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
        """Say how a dataset is stored in the HDF5 file (`rexec.results.storage_settings.checked_settings`).

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
        self._check_owner()
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
        self._check_owner()
        self._refresher.stop()
        self._closed = True
        text = error if isinstance(error, str) or error is None else f"{type(error).__name__}: {error}"
        end = {"status": status, "error": text, "time": time.time()}
        try:
            self._journal.heal()
            self.degraded.settle()
            self._end_journal(end)
            self._refresher.finish(end)
            for problem in self._refresher.problems:
                _log.warning("%s: %s", self.path.name, problem)
            self._refresher.close()
        except (OSError, ResultsError) as failure:
            journal = self._journal.path
            kept = "Everything is kept in" if self._journal.is_whole else "What can still be read is in"
            raise ResultsError(
                f"the result file {self.path} could not be finished: {failure}. {kept} {journal}; "
                f"`rexec results recover {journal.parent}` makes the file of it"
            ) from failure
        else:
            self._remove_journal()
        finally:
            self._let_go()
        return self.path

    def discard(self) -> None:
        """End without a result, for a run that never began: no file, no journal. A forked child does nothing."""
        if not self._journal.is_ours:
            return
        self._refresher.stop()
        self._closed = True
        if self._refresher.shown:
            remove(self.path)
        self._refresher.close()
        self._journal.remove()

    def _check_owner(self) -> None:
        if not self._journal.is_ours:
            self._journal.heal()  # raises: it belongs to the parent

    def _end_journal(self, end: Mapping[str, Any]) -> None:
        """Write into the journal how the run ended; where the disk fails, the file may still be finished."""
        try:
            self._journal.put(Record(Kind.END, value=end))
            self._journal.sync()
        except ResultsError as error:
            _log.error("%s; trying to finish the result file from what is there", error)

    def _remove_journal(self) -> None:
        try:
            self._journal.remove()
        except OSError as error:  # on Windows, while another program has it open
            journal = self._journal.path
            _log.warning(
                "%s is finished, but its journal cannot be removed: %s; `rexec results recover %s` does it later",
                self.path,
                error,
                journal.parent,
            )

    def _let_go(self) -> None:
        self._refresher.close()
        # Last: until then the journal is claimed, and no recovery takes the run for a dead one.
        try:
            self._journal.close()
        except ResultsError as error:
            _log.error("%s", error)
