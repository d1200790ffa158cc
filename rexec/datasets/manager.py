"""The datasets of a run: ARTIQ's dataset manager, over any database and any place that keeps the changes."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from rexec.datasets.changes import apply_index, check_appendable, client_change
from rexec.datasets.database import DatasetDB
from rexec.datasets.given import Given
from rexec.datasets.types import Dataset, DatasetSink, DatasetStore, Metadata, Mod, Origin
from rexec.datasets.values import own_copy, same, slices

_log = logging.getLogger(__name__)


class DatasetManager:
    """What an experiment's `set_dataset`, `mutate_dataset`, `append_to_dataset` and `get_dataset` call.

    A value is copied when it is set and when it is read, so that a list or array that is changed behind the
    manager's back is never different between this run, the master and the file; such a change is reported by
    `check_unchanged` (and at `close`). Each change is kept by the sink before the method returns, then shown
    to the database. Methods may be called from any thread.

    Args:
        db: The database for broadcast datasets: a `DatasetDB` of this process, or a client of a master's.
        sink: Where changes are kept (`rexec.results.ResultsWriter`); None keeps them in memory only.

    """

    def __init__(self, db: DatasetStore, *, sink: DatasetSink | None = None) -> None:
        self._db = db
        self._sink: Final = sink
        # One lock for both: a change by a client takes the database's first, a change by the run this one.
        self._lock = db.lock if isinstance(db, DatasetDB) else threading.RLock()
        self._local: dict[str, Dataset] = {}
        self._archive: dict[str, Dataset] = {}
        self._broadcast: set[str] = set()
        self._of_clients: set[str] = set()
        self._read_again: set[str] = set()
        self._given: Final = Given()
        if isinstance(db, DatasetDB):
            db.subscribe(self._changed)

    @property
    def local(self) -> Mapping[str, Dataset]:
        """The datasets that belong into the result file, under `datasets/`."""
        return MappingProxyType(self._local)

    @property
    def archive(self) -> Mapping[str, Dataset]:
        """The datasets that were read and belong into the result file, under `archive/`."""
        return MappingProxyType(self._archive)

    def set(
        self,
        key: str,
        value: Any,
        metadata: Metadata | bool | None = None,
        broadcast: bool = False,
        persist: bool = False,
        archive: bool = True,
    ) -> None:
        """Set a dataset.

        ARTIQ 7 knows no metadata: its experiments pass broadcast, persist and archive from the third place on.

        Args:
            key: Name of the dataset; "a/b" is `b` in the group `a` of the result file.
            value: Any value that PYON has; anything else is kept as its text, with a warning.
            metadata: Those given of unit, scale, precision.
            broadcast: Show it to the database and its subscribers.
            persist: Let the database keep it beyond the run; implies `broadcast`.
            archive: Write it into the result file.

        """
        if not isinstance(key, str):
            raise TypeError(f"the name of a dataset is a str, not {key!r}")
        if isinstance(metadata, bool):
            broadcast, persist, archive = metadata, broadcast, persist
            metadata = None
        broadcast = broadcast or persist
        metadata = dict(metadata or {})
        if not (broadcast or archive):
            _log.warning("dataset %s is stored nowhere: neither broadcast nor archive was asked for", key)
        own = own_copy(value)
        with self._lock:
            if self._sink is not None:
                self._sink.set(
                    key, own, metadata, broadcast=broadcast, persist=persist, archive=archive, origin="run"
                )
            if archive:
                self._local[key] = Dataset(own, metadata, broadcast, persist)
                self._given.watch(key, value)
            else:
                self._local.pop(key, None)
                self._given.forget(key)
            if broadcast:
                self._broadcast.add(key)
                self._db.set(key, own, persist, metadata)
            elif key in self._broadcast:
                self._broadcast.discard(key)
                self._delete_broadcast(key)

    def mutate(self, key: str, index: Any, value: Any) -> None:
        """Do `dataset[index] = value`.

        Args:
            key: Name of a dataset that this run has set.
            index: An index; a tuple of ints is `slice(*index)`, a tuple of tuples one slice a dimension.
            value: What to put there.

        Raises:
            KeyError: This run has not set such a dataset.

        """
        index = slices(index)
        own = own_copy(value)
        with self._lock:
            dataset = self._target(key)
            if dataset is not None:
                undo = apply_index(dataset.value, index, own)
                self._keep(lambda sink: sink.mutate(key, index, own, origin="run"), undo)
            if key in self._broadcast:
                self._db.update({"action": "setitem", "path": [key, 1], "key": index, "value": own})

    def append_to(self, key: str, value: Any) -> None:
        """Append a value to a dataset that is a list.

        Args:
            key: Name of a dataset that this run has set.
            value: What to append.

        Raises:
            KeyError: This run has not set such a dataset.
            TypeError: The dataset is not a list.

        """
        own = own_copy(value)
        with self._lock:
            dataset = self._target(key)
            if dataset is not None:
                check_appendable(key, dataset.value)
                if self._sink is not None:
                    self._sink.append(key, own, origin="run")
                dataset.value.append(own)
            if key in self._broadcast:
                self._db.update({"action": "append", "path": [key, 1], "x": own})

    def get(self, key: str, archive: bool = False) -> Any:
        """Return a copy of a dataset's value: this run's own, else the database's.

        Args:
            key: Name of the dataset.
            archive: File a value that came from the database under `archive/` in the result file.

        Raises:
            KeyError: There is no such dataset.

        """
        with self._lock:
            dataset = self._local.get(key)
            if dataset is not None:
                return own_copy(dataset.value)
            value = own_copy(self._db.get(key))
            if archive:
                self._file_archive(key, value)
            return value

    def get_metadata(self, key: str) -> Metadata:
        """Return a copy of a dataset's metadata: this run's own, else the database's.

        Raises:
            KeyError: There is no such dataset.

        """
        with self._lock:
            dataset = self._local.get(key)
            return dict(self._db.get_metadata(key) if dataset is None else dataset.metadata)

    def write_hdf5(self, file: Any) -> None:
        """Write the groups `datasets` and `archive` into an open HDF5 file, by the sink that keeps them.

        Raises:
            TypeError: The manager has no sink that can (`rexec.results.ResultsWriter` can).

        """
        write = getattr(self._sink, "write_hdf5", None)
        if write is None:
            raise TypeError(
                "this dataset manager keeps values in memory only: give it a ResultsWriter as sink"
            )
        write(file)

    def set_storage(self, key: str, **settings: Any) -> None:
        """Say how a dataset is stored in the result file (`rexec.results.storage.checked_settings`).

        A sink that has no file takes no notice.
        """
        store = getattr(self._sink, "set_storage", None)
        if store is not None:
            store(key, **settings)

    def declare_plot(self, signal: str, axes: Sequence[str] = ()) -> None:
        """Say which dataset viewers of the result file show first, against which others."""
        declare = getattr(self._sink, "declare_plot", None)
        if declare is not None:
            declare(signal, axes)

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
        if isinstance(self._db, DatasetDB):
            self._db.unsubscribe(self._changed)

    def _target(self, key: str) -> Dataset | None:
        dataset = self._local.get(key)
        if dataset is None and key not in self._broadcast:
            raise KeyError(f"cannot change dataset {key!r}: this run has not set it")
        self._given.forget(key)
        return dataset

    def _delete_broadcast(self, key: str) -> None:
        try:
            self._db.delete(key)
        except KeyError:
            _log.debug("dataset %s was removed from the database by somebody else", key)

    def _file_archive(self, key: str, value: Any) -> None:
        filed = self._archive.get(key)
        if filed is not None and same(filed.value, value):
            return
        metadata = dict(self._db.get_metadata(key))
        if filed is not None and key not in self._read_again:
            self._read_again.add(key)
            _log.warning(
                "dataset %s was read again with another value; archive/%s holds the last one", key, key
            )
        if self._sink is not None:
            self._sink.archive(key, value, metadata)
        self._archive[key] = Dataset(own_copy(value), metadata)

    def _changed(self, mod: Mod, origin: Origin) -> None:
        """Take over what code on a controller (or another client) did to the database of this process."""
        db = self._db
        if origin == "run" or not isinstance(db, DatasetDB):
            return
        with self._lock:
            change = client_change(mod)
            key = change.key
            dataset = self._local.get(key)
            if change.kind == "delete":
                self._client_deleted(key)
            elif dataset is None and key in self._broadcast:
                return  # the run shows this one without wanting it in its file
            elif change.kind == "append" and dataset is not None:
                self._given.forget(key)
                if self._sink is not None:
                    self._sink.append(key, change.value, origin="client")
                dataset.value.append(own_copy(change.value))
            elif change.kind == "mutate" and dataset is not None:
                self._given.forget(key)
                undo = apply_index(dataset.value, change.index, own_copy(change.value))
                self._keep(lambda sink: sink.mutate(key, change.index, change.value, origin="client"), undo)
            else:
                self._client_set(db, key)

    def _client_set(self, db: DatasetDB, key: str) -> None:
        persist, own, metadata = db.get_entry(key)
        if self._sink is not None:
            self._sink.set(key, own, metadata, broadcast=True, persist=persist, archive=True, origin="client")
        self._given.forget(key)
        self._local[key] = Dataset(own, metadata, True, persist)
        self._broadcast.add(key)
        self._of_clients.add(key)

    def _client_deleted(self, key: str) -> None:
        self._broadcast.discard(key)
        if key in self._of_clients:
            if self._sink is not None:
                self._sink.delete(key, origin="client")
            self._of_clients.discard(key)
            self._local.pop(key, None)

    def _keep(self, record: Callable[[DatasetSink], None], undo: Callable[[], None]) -> None:
        """Record a change that was made in memory; what could not be kept is not there either."""
        if self._sink is None:
            return
        try:
            record(self._sink)
        except BaseException:
            undo()
            raise
