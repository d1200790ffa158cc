"""The datasets of a run: ARTIQ's dataset manager, over any database and any place that keeps the changes."""

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from rexec.datasets._agreement import Agreement
from rexec.datasets._appends import Appends
from rexec.datasets._clients import ClientChanges
from rexec.datasets._filed import Filed
from rexec.datasets._local import LocalDatasets
from rexec.datasets._shown import Shown
from rexec.datasets.changes import put_at, undo_at
from rexec.datasets.database import DatasetDB
from rexec.datasets.door import checked_flag, checked_metadata, checked_name, checked_value
from rexec.datasets.errors import DatasetError, MissingDataset, check_process
from rexec.datasets.given import Given
from rexec.datasets.indexing import artiq_index, canonical_index
from rexec.datasets.read_copies import ReadCopies
from rexec.datasets.types import Dataset, DatasetSink, DatasetStore, Metadata, NoSink
from rexec.ground import forks
from rexec.ground.kept import in_memory
from rexec.ground.reentry import refuse_reentry

_log = logging.getLogger(__name__)


class DatasetManager:
    """What an experiment's `set_dataset`, `mutate_dataset`, `append_to_dataset` and `get_dataset` call.

    A value is copied when it is set and when it is read, so that a list or array that is changed behind the
    manager's back is never different between this run, the master and the file; such a change is reported by
    `check_unchanged` (and at `close`). Each change is kept by the sink before the method returns, then shown
    to the database. A method that raises, also by Ctrl-C, has changed memory, sink and database, or none of them.
    Methods may be called from any thread of the process that made the manager, not from a forked child.

    Args:
        db: The database for broadcast datasets: a `DatasetDB` of this process, or a client of a master's.
        sink: Where changes are kept (`rexec.results.ResultsWriter`); None keeps them in memory only.

    """

    def __init__(self, db: DatasetStore, *, sink: DatasetSink | None = None) -> None:
        self._db = db
        self._sink: Final[DatasetSink] = NoSink() if sink is None else sink
        self._generation: Final = forks.generation
        # One lock for both: a change by a client takes the database's first, a change by the run this one.
        self._lock = db.lock if isinstance(db, DatasetDB) else threading.RLock()
        self._local: Final[dict[str, Dataset]] = {}
        self._shown: Final = Shown(db)
        self._given: Final = Given()
        self._copies: Final = ReadCopies()
        self._filed: Final = Filed(db, self._sink)
        self._agreement: Final = Agreement(db, self._sink)
        self._appends: Final = Appends(db, self._sink, self._agreement, self._shown, self._lock)
        self._bound: Final = self._appends.bound
        if isinstance(db, DatasetDB):
            self._clients: Final = ClientChanges(
                db,
                self._sink,
                self._agreement,
                self._local,
                self._shown.keys,
                self._given,
                self._copies,
                self._appends,
            )
            db.subscribe(self._clients)

    @property
    def local(self) -> Mapping[str, Dataset]:
        """The datasets that belong into the result file, under `datasets/`."""
        return LocalDatasets(self._local)

    @property
    def archive(self) -> Mapping[str, Dataset]:
        """The datasets that were read and belong into the result file, under `archive/`."""
        return MappingProxyType(self._filed.datasets)

    def set(
        self,
        key: str,
        value: Any,
        metadata: Metadata | None = None,
        broadcast: bool = False,
        persist: bool = False,
        archive: bool = True,
    ) -> None:
        """Set a dataset.

        Args:
            key: Name of the dataset; "a/b" is `b` in the group `a` of the result file.
            value: Any value that PYON has; anything else is kept as its text, with a warning.
            metadata: Those given of unit, scale, precision.
            broadcast: Show it to the database and its subscribers.
            persist: Let the database keep it beyond the run; implies `broadcast`.
            archive: Write it into the result file.

        Raises:
            TypeError, ValueError: Name, value, metadata or flags cannot be kept.
            DatasetError: The database cannot keep it.

        """
        check_process(self._generation)
        key = checked_name(key)
        own = checked_value(key, value)
        checked = checked_metadata(key, metadata)
        persist = checked_flag(key, "persist", persist)
        broadcast = checked_flag(key, "broadcast", broadcast) or persist
        archive = checked_flag(key, "archive", archive)
        if not (broadcast or archive):
            _log.warning("dataset %s is stored nowhere: neither broadcast nor archive was asked for", key)
        refuse_reentry(self._lock, DatasetError, key)
        new = Dataset(own, checked, broadcast, persist)
        with self._lock:
            self._appends.forget(key)
            before, position = self._local.get(key), self._sink.position
            if broadcast and before is not None:  # which the database may refuse
                before = replace(before, value=in_memory(before.value))

            def place() -> None:
                self._place(key, new if archive else None)
                self._shown.show(key, new)

            try:
                self._sink.set(
                    key, own, checked, broadcast=broadcast, persist=persist, archive=archive, origin="run"
                )
                place()
            except BaseException as error:
                self._agreement.settle(
                    error, position, place, lambda: self._place(key, before), key, before, new
                )
                raise
            self._agreement.note_kept(key, new)
            if archive:
                self._given.watch(key, value)
            else:
                self._given.forget(key)

    def mutate(self, key: str, index: Any, value: Any) -> None:
        """Do `dataset[index] = value`.

        Args:
            key: Name of a dataset that this run has set.
            index: An index as NumPy takes it; a tuple of ints is `slice(*index)`, a tuple of tuples one slice a
                dimension.
            value: What to put there.

        Raises:
            KeyError: This run has not set such a dataset.
            IndexError, TypeError, ValueError: The dataset has no such part, or cannot hold the value.

        """
        check_process(self._generation)
        own = checked_value(key, value, 1)
        index = artiq_index(index)
        refuse_reentry(self._lock, DatasetError, key)
        with self._lock:
            dataset = self._target(key)
            if dataset is None:
                self._db.update({"action": "setitem", "path": [key, 1], "key": index, "value": own})
                return
            self._copies.forget(key)
            index = canonical_index(dataset.value, index)
            undo, position = undo_at(dataset.value, index), self._sink.position
            try:
                own = put_at(dataset.value, index, own)
                self._sink.mutate(key, index, own, origin="run")
                if key in self._shown.keys:
                    self._db.update({"action": "setitem", "path": [key, 1], "key": index, "value": own})
            except BaseException as error:
                self._agreement.settle(
                    error, position, lambda: self._shown.show(key, dataset), undo, key, dataset, dataset
                )
                raise
            finally:
                self._copies.forget(key)  # a signal handler may have read it meanwhile
            self._agreement.note_kept(key, dataset)

    def append_to(self, key: str, value: Any) -> None:
        """Append a value to a dataset that is a list.

        Args:
            key: Name of a dataset that this run has set.
            value: What to append.

        Raises:
            KeyError: This run has not set such a dataset.
            TypeError: The dataset is not a list.
            ValueError: The value is nested too deeply.

        """
        bound = self._bound.get(key)
        if bound is not None and bound.append(value):
            return
        check_process(self._generation)
        own = checked_value(key, value, 1)
        refuse_reentry(self._lock, DatasetError, key)
        with self._lock:
            dataset = self._target(key)
            if dataset is None:
                self._db.update({"action": "append", "path": [key, 1], "x": own})
            else:
                self._appends.append(key, dataset, own)

    def get(self, key: str, archive: bool = False) -> Any:
        """Return a copy of a dataset's value: this run's own, else the database's.

        The copy of a long list of numbers or texts is a `DatasetList`, a subclass of list: see `ReadCopies`.

        Args:
            key: Name of the dataset.
            archive: File a value that came from the database under `archive/` in the result file.

        Raises:
            KeyError: There is no such dataset.
            DatabaseUnreadable: There is one that cannot be read.

        """
        check_process(self._generation)
        with self._lock:
            dataset = self._local.get(key)
            if dataset is not None:
                return self._copies.read(key, dataset.value)
            return self._filed.read(key, self._local, archive=archive)

    def get_metadata(self, key: str) -> Metadata:
        """Return a copy of a dataset's metadata: this run's own, else the database's; raises as `get`."""
        check_process(self._generation)
        dataset = self._local.get(key)
        return dict(self._filed.read_metadata(key, self._local) if dataset is None else dataset.metadata)

    def write_hdf5(self, file: Any) -> None:
        """Write the groups `datasets` and `archive` into an open HDF5 file, by the sink that keeps them.

        Raises:
            TypeError: The manager has no sink that can (`rexec.results.ResultsWriter` can).

        """
        check_process(self._generation)
        self._sink.write_hdf5(file)

    def set_storage(self, key: str, **settings: Any) -> None:
        """Say how the file stores a dataset (`rexec.results.storage_settings.checked_settings`)."""
        check_process(self._generation)
        self._sink.set_storage(key, **settings)

    def declare_plot(self, signal: str, axes: Sequence[str] = ()) -> None:
        """Say which dataset viewers of the result file show first, against which others."""
        check_process(self._generation)
        self._sink.declare_plot(signal, axes)

    def check_unchanged(self) -> list[str]:
        """Return (and report once) the datasets whose list or array the experiment changed after setting it.

        The dataset keeps the value that was set: `mutate_dataset` and `append_to_dataset` change it.
        """
        with self._lock:
            changed = self._given.changed(lambda key: self._local[key].value)
        self._given.tell(changed)
        return changed

    def close(self) -> None:
        """Report what was changed behind the manager's back, and let go of the database."""
        self.check_unchanged()
        self._copies.clear()
        if isinstance(self._db, DatasetDB):
            self._db.unsubscribe(self._clients)

    def _target(self, key: str) -> Dataset | None:
        """Return the dataset that is to be changed; None where only the database has it."""
        dataset = self._local.get(key)
        if dataset is None and key not in self._shown.keys:
            raise MissingDataset(key, list(self._local), "this run has set no dataset")
        self._given.forget(key)
        self._appends.forget(key)
        return dataset

    def _place(self, key: str, dataset: Dataset | None) -> None:
        if dataset is None:
            self._local.pop(key, None)
        else:
            self._local[key] = dataset
