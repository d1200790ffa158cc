"""What clients of a run's own database (code on a controller, a dashboard) do to the datasets of the run."""

from typing import Any, Final

from rexec.datasets._agreement import Agreement
from rexec.datasets._appends import Appends
from rexec.datasets.changes import DatasetChange, check_appendable, client_change, put_at, undo_at
from rexec.datasets.database import DatasetDB
from rexec.datasets.given import Given
from rexec.datasets.indexing import canonical_index
from rexec.datasets.read_copies import ReadCopies
from rexec.datasets.types import Dataset, DatasetSink, Mod, Origin
from rexec.datasets.values import own_copy


class ClientChanges:
    """A listener of the database: it keeps what clients change, and changes the run's datasets alike.

    Args:
        db: The database; its lock is that of the manager, too.
        sink: Where changes are kept.
        agreement: Is told of what is kept.
        local: The run's datasets.
        broadcast: Names of those that the database shows.
        given: What the experiment gave for them.
        copies: What readers of the run's datasets were given.
        appends: What appends to them.

    """

    def __init__(
        self,
        db: DatasetDB,
        sink: DatasetSink,
        agreement: Agreement,
        local: dict[str, Dataset],
        broadcast: set[str],
        given: Given,
        copies: ReadCopies,
        appends: Appends,
    ) -> None:
        self._db: Final = db
        self._sink: Final = sink
        self._agreement: Final = agreement
        self._local: Final = local
        self._broadcast: Final = broadcast
        self._given: Final = given
        self._copies: Final = copies
        self._appends: Final = appends
        self._of_clients: Final[set[str]] = set()

    def __call__(self, mod: Mod, origin: Origin) -> None:
        """Take over a change, where a client has made it. The database's lock is held, which is the manager's, too."""
        if origin != "client":
            return
        change = client_change(mod)
        self._appends.forget(change.key)
        dataset = self._local.get(change.key)
        if change.kind == "delete":
            self._deleted(change.key)
        elif dataset is None and change.key in self._broadcast:
            return  # the run shows this one without wanting it in its file
        elif dataset is not None and change.kind in {"append", "mutate"}:
            self._given.forget(change.key)
            try:
                self._changed(dataset.value, change)
            finally:
                if change.kind == "mutate":
                    self._copies.forget(change.key)
        else:
            self._set(change.key)

    def _set(self, key: str) -> None:
        persist, own, metadata = self._db.get_entry(key)
        self._sink.set(key, own, metadata, broadcast=True, persist=persist, archive=True, origin="client")
        self._given.forget(key)
        dataset = self._local[key] = Dataset(own, metadata, True, persist)
        self._agreement.note_kept(key, dataset)
        self._broadcast.add(key)
        self._of_clients.add(key)

    def _changed(self, target: Any, change: DatasetChange) -> None:
        value = own_copy(change.value)
        if change.kind == "append":
            check_appendable(change.key, target)
            self._sink.append(change.key, value, origin="client")
            target.append(value)
            return
        index = canonical_index(target, change.index)
        undo = undo_at(target, index)
        try:
            self._sink.mutate(change.key, index, put_at(target, index, value), origin="client")
        except BaseException:
            undo()
            raise

    def _deleted(self, key: str) -> None:
        self._broadcast.discard(key)
        if key in self._of_clients:
            self._sink.delete(key, origin="client")
            self._of_clients.discard(key)
            self._local.pop(key, None)
