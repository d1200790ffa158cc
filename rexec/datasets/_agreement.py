"""Memory, sink and database of a run agree after a change that raised, or the result file says that they do not."""

import logging
from collections.abc import Callable
from typing import Final

from rexec.datasets.database import DatasetDB
from rexec.datasets.types import Dataset, DatasetSink, DatasetStore
from rexec.ground.kept import in_memory

_log = logging.getLogger(__name__)


class Agreement:
    """Decides what becomes of a change that raised: what the sink has kept counts.

    Args:
        db: The database.
        sink: Where changes are kept.

    """

    def __init__(self, db: DatasetStore, sink: DatasetSink) -> None:
        self._db: Final = db
        self._sink: Final = sink
        self._unkept: Final[dict[str, set[str]]] = {}
        """Why persistent datasets are not in the database as they were set last, by name."""

    @property
    def lacks(self) -> bool:
        """Whether the database has refused a persistent dataset that was not set anew since."""
        return bool(self._unkept)

    def settle(
        self,
        error: BaseException,
        position: int,
        redo: Callable[[], None],
        undo: Callable[[], None],
        key: str,
        before: Dataset | None,
        after: Dataset,
    ) -> None:
        """Complete a change everywhere, or take it back everywhere.

        Args:
            error: What it raised.
            position: Of the sink before the change.
            redo: Completes the change in memory and database; idempotent.
            undo: Takes it back in memory; idempotent.
            key: Name of the dataset.
            before: The dataset as it was, for the sink, which takes nothing back.
            after: The dataset as it was to be.

        """
        if self._sink.position == position:
            undo()
        elif not isinstance(error, Exception):
            # Ctrl-C after the change was kept.
            self._try(redo, f"dataset {key} is only in the result file", after)
        else:
            # The database refused it.
            undo()
            if after.persist:
                text = f"dataset {key} was not kept by the database: {error}"
                self._unkept.setdefault(key, set()).add(text)
                self._sink.add_degraded(text, unkept=True)
            otherwise = f"dataset {key} has in the file what was refused"
            self._try(lambda: self._keep_again(key, before), otherwise, after)

    def note_kept(self, key: str, dataset: Dataset) -> None:
        """Note that the database has taken a change: what it refused before was set anew."""
        if not dataset.persist:
            return
        for text in self._unkept.pop(key, ()):
            self._sink.remove_degraded(text)
        if isinstance(self._db, DatasetDB) and self._db.forgets is not None:
            self._sink.add_degraded(f"persistent datasets are not kept: {self._db.forgets}")

    def _try(self, action: Callable[[], None], otherwise: str, after: Dataset) -> None:
        try:
            action()
        except Exception as error:
            _log.error("%s: %s", otherwise, error)
            self._sink.add_degraded(f"{otherwise}: {error}", unkept=after.persist)

    def _keep_again(self, key: str, before: Dataset | None) -> None:
        if before is None:
            self._sink.delete(key, origin="run")
            return
        self._sink.set(
            key, in_memory(before.value), before.metadata,
            broadcast=before.broadcast, persist=before.persist, archive=True, origin="run",
        )  # fmt: skip
