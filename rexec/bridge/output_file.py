"""One output file of a bridge: opened at the first change, rotated, and finished."""

import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rexec.bridge.differences import entry_of
from rexec.bridge.plan import BridgePlan, identity
from rexec.bridge.selection import MAIN
from rexec.datasets.changes import DatasetChange
from rexec.results import ResultsError, ResultsWriter, journal_path, recover

_log = logging.getLogger(__name__)

RETRY: Final = 10.0
"""Seconds after which a new file is started in place of a failed one (mostly because of a full disk)."""

MOST_CHANGES: Final = 1_000_000
"""Changes after which a recording continues in a new file, because its content is also in memory."""

_LARGER: Final = 4


class OutputFile:
    """Writes the datasets of one prefix, or all others, into one file after another.

    Args:
        plan: The plan of the bridge.
        name: Name of the file, without folder and suffix.
        present: Returns the present datasets of the file, as published.
        executor: Finishes files, which takes long for large ones.
        tell: Called with a line of text for people.

    """

    def __init__(
        self,
        plan: BridgePlan,
        name: str,
        present: Callable[[], dict[str, Any]],
        executor: Executor,
        tell: Callable[[str], None],
    ) -> None:
        self.name: Final = name
        self._plan: Final = plan
        self._present: Final = present
        self._executor: Final = executor
        self._tell: Final = tell
        self._writer: ResultsWriter | None = None
        self._finishing: list[Future[None]] = []
        self._limit = 0
        self._count = 0
        self._period = ""
        self._changed_at = 0.0
        self._deleted: set[str] = set()
        self._waiting: tuple[str, float | None] | None = None
        """Reason and start of missed changes for a file whose opening is delayed."""
        self._retry_at = 0.0
        self._is_closing = False
        self._left: list[Path] = []
        """Journals of files that could not be finished."""

    @property
    def path(self) -> Path | None:
        """The open file, or None."""
        return None if self._writer is None else self._writer.path

    @property
    def size(self) -> int:
        """Bytes of changes in the open file."""
        return 0 if self._writer is None else self._writer.journal_size

    def compare(self, found: Iterable[DatasetChange], reason: str, missed: float | None) -> None:
        """Keep the differences found by a snapshot of all datasets."""
        made = list(found)
        if self._waiting is not None:
            return  # the next file begins with all present datasets
        if self._writer is None:
            if any(self._is_kept(change) for change in made):
                self._open(reason, missed)
                made = [change for change in made if change.kind == "delete"]
        elif self._is_lasting() and not self._present():
            self._finish()
        else:
            self._note(reason, missed, len(made))
        if self._writer is not None:
            for change in made:
                self.keep(change)

    def keep(self, change: DatasetChange) -> None:
        """Keep one change, which `present` already contains."""
        self._changed_at = time.monotonic()
        if self._waiting is not None or not (self._writer or self._is_kept(change)):
            return
        if self._writer is None:
            is_part = change.kind in {"append", "mutate"}
            self._open("begun", None, without=None if is_part else change.key)
            if is_part:
                return  # the new file already contains the change
        if self._is_lasting():
            if change.kind == "delete":
                self._deleted.add(change.key)
                return
            self._delete_deferred()
        self._write(change)

    def _is_kept(self, change: DatasetChange) -> bool:
        """Whether a change starts a new file."""
        return change.kind != "delete" or self._plan.mode == "record"

    def _is_lasting(self) -> bool:
        """Whether the file keeps datasets that are deleted together: a run deletes those of a prefix at its end."""
        return self._plan.mode == "mirror" and self.name != MAIN

    def tick(self) -> None:
        """Rotate the file, finish an idle one, or try again after a failure, if it is time."""
        now = time.monotonic()
        self._finishing = [each for each in self._finishing if not each.done()]
        if self._writer is None:
            if self._waiting is not None and now >= self._retry_at and not self._is_blocked():
                self._open(*self._waiting)
            return
        if self.name != MAIN and now - self._changed_at > self._plan.idle:
            self._finish()
        elif self._is_full():
            self._finish()
            self._open("rotated", None)

    def close(self) -> bool:
        """Finish the file, and wait until it and all earlier files are finished.

        Returns:
            Whether files have all that was to be kept: none is left as a journal, and no change waits for a file.

        """
        self._is_closing = True
        self._end_file()
        if self._waiting is not None:  # the last attempt
            self._open(*self._waiting)
            self._end_file()
        return self._waiting is None and not self._left

    def _end_file(self) -> None:
        if self._writer is not None:
            self._finish()
        for each in self._finishing:
            each.result()

    def _is_full(self) -> bool:
        if self.size > self._limit:
            return True
        if self._plan.mode == "mirror":
            return False
        return self._count >= MOST_CHANGES or self._period != self._period_of(datetime.now())

    def _period_of(self, moment: datetime) -> str:
        form = {"hour": "%Y-%m-%d %H", "day": "%Y-%m-%d", "never": ""}[self._plan.rotate_every]
        return moment.strftime(form)

    def _is_blocked(self) -> bool:
        """Whether a file of the same name is still being finished."""
        return self._plan.mode == "mirror" and any(not each.done() for each in self._finishing)

    def _open(self, reason: str, missed: float | None, *, without: str | None = None) -> None:
        """Start a file with the present datasets, or note that this must be done later."""
        present = {key: value for key, value in self._present().items() if key != without}
        if self._is_blocked():
            self._waiting = (reason, missed)
            return
        self._waiting = None
        self._deleted.clear()
        try:
            now = datetime.now()  # one time for name and period, because midnight may pass
            path = self._path(now)
            journal = journal_path(path)
            if journal.exists():
                self._tell(str(recover(journal)))
            self._writer = ResultsWriter.create(
                path,
                identity(self._plan, self.name),
                overwrite=self._plan.mode == "mirror",
                refresh_interval=self._plan.refresh,
            )
        except (ResultsError, OSError) as error:
            self._failed(error)
            return
        left, self._left = self._left, []
        for journal in left:
            self._finishing.append(self._executor.submit(self._recovered, journal))
        self._tell(f"{'recording' if self._plan.mode == 'record' else 'mirroring'} into {path}")
        self._period = self._period_of(now)
        self._changed_at = time.monotonic()
        self._count = 0
        self._note(reason, missed, len(present))
        for key in present:
            self._write(DatasetChange("set", key))
        self._limit = max(self._plan.rotate_size, _LARGER * self.size)

    def _path(self, now: datetime) -> Path:
        if self._plan.mode == "mirror":
            return self._plan.folder / f"{self.name}.h5"
        folder = self._plan.folder / f"{now:%Y-%m-%d}"
        path, number = folder / f"{now:%H%M%S}-{self.name}.h5", 1
        while path.exists() or journal_path(path).exists():
            # The names sort in the order in which the files were started.
            path, number = folder / f"{now:%H%M%S}_{number}-{self.name}.h5", number + 1
        return path

    def _delete_deferred(self) -> None:
        deleted, self._deleted = self._deleted, set()
        for key in deleted - self._present().keys():
            self._write(DatasetChange("delete", key))

    def _note(self, reason: str, missed: float | None, changes: int) -> None:
        value = {"time": time.time(), "reason": reason, "lost": missed, "changes": changes}
        self._do(lambda writer: writer.note("comparison", value))

    def _write(self, change: DatasetChange) -> None:
        self._count += 1
        key = change.key
        if change.kind == "append":
            self._do(lambda writer: writer.append(key, change.value))
        elif change.kind == "mutate":
            self._do(lambda writer: writer.mutate(key, change.index, change.value))
        elif change.kind == "delete":
            self._do(lambda writer: writer.delete(key))
        else:
            persist, value, metadata = entry_of(self._present()[key])
            self._do(lambda writer: writer.set(key, value, metadata, broadcast=True, persist=persist))

    def _do(self, action: Callable[[ResultsWriter], None]) -> None:
        if self._writer is None:
            return  # the file has failed; the next one begins with all present datasets
        try:
            action(self._writer)
        except (ResultsError, OSError) as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        what_follows = (
            "What changed since the last file is in none"
            if self._is_closing
            else f"Trying again in {RETRY:g} s; changes until then are marked as missed"
        )
        _log.error("%s: %s. %s", self.name, error, what_follows)
        self._waiting = ("failed", time.time())
        self._retry_at = time.monotonic() + RETRY
        if self._writer is not None:
            self._finish("failed", error)

    def _finish(self, status: str = "completed", error: Exception | None = None) -> None:
        """Finish the file in the background."""
        if status == "completed" and self._present():
            self._delete_deferred()
        writer, self._writer = self._writer, None
        if writer is not None:
            self._finishing.append(self._executor.submit(self._finished, writer, status, error))

    def _finished(self, writer: ResultsWriter, status: str, error: Exception | None) -> None:
        try:
            path = writer.close(status, error=error)
        except ResultsError as failure:
            _log.error("%s", failure)
            self._left.append(journal_path(writer.path))
        else:
            self._tell(f"finished {path}: verified")

    def _recovered(self, journal: Path) -> None:
        if journal.exists():
            self._tell(str(recover(journal)))
        if journal.exists():
            self._left.append(journal)
