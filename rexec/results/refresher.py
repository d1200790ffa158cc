"""Keeps the result file of a run up to date: every few seconds, on demand, and for the last time at its end."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from rexec.results._files import remove_leftovers
from rexec.results.errors import ResultsError
from rexec.results.fold_process import AVAILABLE, FoldProcess, FoldProcessLost
from rexec.results.folder import Folder
from rexec.results.journal import Journal

_log = logging.getLogger(__name__)

SHARE: Final = 9.0
"""A refresh that takes t seconds is followed by at least 9 t without one: folding costs a tenth of the time at most."""

PROCESS_FROM: Final = 2**20
"""Bytes of the journal between two refreshes from which on a process of its own is worth its start."""


class Refresher:
    """The result file of one run. Methods may be called from any thread.

    Little is folded by a thread of the run itself. Where more is to be done, a process is started for it, so that
    reading and compressing take no time from the experiment; should that process be lost, the run takes over.

    Args:
        path: The result file.
        journal: The run's journal.
        interval: Seconds between two refreshes; 0: only on demand.
        process_from: Bytes between two refreshes from which on a process is used; None: never.

    """

    def __init__(
        self, path: Path, journal: Journal, *, interval: float, process_from: int | None = PROCESS_FROM
    ) -> None:
        self.path: Final = path
        self._journal: Final = journal
        self._interval: Final = interval
        self._process_from = process_from if AVAILABLE else None
        self._replaces: Final = path.exists()
        self._lock = threading.Lock()
        self._folding: Folder | FoldProcess = Folder(path, journal.path, replaces=self._replaces)
        self._shown = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._refresh_regularly, name="rexec-results", daemon=True)

    @property
    def shown(self) -> bool:
        """Whether there is a file of this run."""
        return self._shown or self._folding.shown

    @property
    def process(self) -> int | None:
        """Number of the process that keeps the file; None: this one does."""
        return self._folding.pid if isinstance(self._folding, FoldProcess) else None

    @property
    def problems(self) -> list[str]:
        """What HDF5 refused, and changes that could not be carried out, as text."""
        return self._folding.problems

    def start(self) -> None:
        """Begin to refresh regularly."""
        if self._interval > 0:
            self._thread.start()

    def refresh(self) -> None:
        """Refresh the file now.

        Raises:
            ResultsError: The file cannot be written. The journal still has everything.

        """
        with self._lock:
            self._fold(lambda folding: folding.refresh(self._journal.size))

    def finish(self, end: dict[str, Any]) -> None:
        """Finish the file, and compare it with the journal; `stop` comes first.

        Args:
            end: How the run ended (`status`, `error`, `time`), for a journal that could not take it.

        Raises:
            ResultsError: It cannot be written, or does not hold what the journal holds.

        """
        with self._lock:
            self._fold(lambda folding: folding.finish(self._journal.size, end))

    def stop(self) -> None:
        """Return when no refresh is under way, and none will be."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def close(self) -> None:
        """Let go of the journal, and remove what is beside the file. Twice is no error."""
        self.stop()
        with self._lock:
            self._folding.close()
            remove_leftovers(self.path)

    def _fold(self, act: Callable[[Folder | FoldProcess], None]) -> None:
        try:
            act(self._folding)
        except FoldProcessLost as error:
            _log.warning("%s; the run keeps the file itself from now on, nothing is lost", error)
            self._process_from = None
            self._take_over(lambda: Folder(self.path, self._journal.path, replaces=self._keeps_another()))
            act(self._folding)

    def _take_over(self, make: Callable[[], Folder | FoldProcess]) -> None:
        self._shown = self.shown
        self._folding.close()
        remove_leftovers(self.path)
        self._folding = make()

    def _keeps_another(self) -> bool:
        return self._replaces and not self.shown

    def _start_process(self) -> None:
        try:
            self._take_over(self._ready_process)
        except FoldProcessLost as error:
            _log.info("%s; the run keeps the file itself", error)
            self._process_from = None
            self._folding = Folder(self.path, self._journal.path, replaces=self._keeps_another())

    def _ready_process(self) -> FoldProcess:
        replaces = self._keeps_another()
        process = FoldProcess(self.path, self._journal.path, self._journal.claim, replaces=replaces)
        try:
            process.wait_until_ready()
        except FoldProcessLost:
            process.close()
            raise
        return process

    def _is_worth_a_process(self, size: int) -> bool:
        return self.process is None and self._process_from is not None and size >= self._process_from

    def _refresh_regularly(self) -> None:
        pause, warned, folded = self._interval, False, -1
        while not self._stop.wait(pause):
            size = self._journal.size
            if size == folded:
                continue
            begun = time.monotonic()
            try:
                with self._lock:
                    if self._is_worth_a_process(size - max(folded, 0)):
                        self._start_process()
                        begun = time.monotonic()
                self.refresh()
                folded = size
            except ResultsError as error:
                folded = -1
                if not warned:
                    _log.warning("%s; the journal has everything, trying again", error)
                warned = True
            pause = max(self._interval, SHARE * (time.monotonic() - begun))
