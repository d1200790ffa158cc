"""Refreshes the result file of a run: every few seconds, on demand, and for the last time at its end."""

import json
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from rexec.ground.child import Child, ChildLost
from rexec.ground.waits import join_all
from rexec.results._files import remove_leftovers
from rexec.results.degraded import DegradedStates
from rexec.results.errors import JournalDamaged, ResultsError
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.writer import Journal
from rexec.results.keeper import Keeper

_log = logging.getLogger(__name__)

SHARE: Final = 9.0
"""Where the run folds itself: t seconds of CPU are followed by at least 9 t without, a tenth of its time at most.

CPU time, because on a busy machine the same work takes many times as long by the clock.
"""

EARLY_FROM: Final = 64 * 2**20
"""Bytes of the journal since the last refresh from which on a process does the next one before its time: what is left
to do at the end of a run is bounded by bytes, not only by seconds."""

_LOOK: Final = 0.25
"""Seconds between two looks at how much has been written."""

PROCESS_FROM: Final = 2**20
"""Bytes of the journal between two refreshes from which on a process of its own is worth its start."""

PROCESSES: Final = os.name == "posix"
"""Whether a child can share the claim on the journal, so that no recovery takes a run for dead before both are."""

SILENCE: Final = 60.0
"""Seconds without a sign of life after which the process counts as lost."""


class Refresher:
    """The result file of one run. Methods may be called from any thread.

    Little is folded by a thread of the run itself. Where more is to be done, a process is started for it, so that
    reading and compressing take no time from the experiment; should it be lost, the file is refreshed at the end only.

    Args:
        path: The result file.
        journal: The run's journal.
        degraded: Where to say that the file is not refreshed as it should be.
        interval: Seconds between two refreshes; 0: only on demand.
        process_from: Bytes between two refreshes from which on a process is used; None: never.

    """

    def __init__(
        self,
        path: Path,
        journal: Journal,
        degraded: DegradedStates,
        *,
        interval: float,
        process_from: int | None = PROCESS_FROM,
    ) -> None:
        self.path: Final = path
        self.shown = False
        """Whether there is a file of this run."""
        self.problems: list[str] = []
        """What HDF5 refused, and changes that could not be carried out, as text."""
        self._journal: Final = journal
        self._degraded: Final = degraded
        self._failing = ""
        """Since when and why refreshes fail."""
        self._interval: Final = interval
        self._process_from = process_from if PROCESSES else None
        self._replaces: Final = path.exists()
        self._lock = threading.Lock()
        self._keeper: Keeper | None = self._new_keeper()
        self._child: Child | None = None
        self._claim = -1
        self._order = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._refresh_regularly, name="rexec-results", daemon=True)

    @property
    def process(self) -> int | None:
        """Number of the process that keeps the file; None: this one does."""
        child = self._child  # read once: another thread may lose it meanwhile
        return child.pid if child is not None else None

    def start(self) -> None:
        """Begin to refresh regularly."""
        if self._interval > 0:
            self._thread.start()

    def refresh(self) -> None:
        """Bring the file up to date with what is in the journal now.

        Raises:
            ResultsError: The file cannot be written. The journal still has everything.

        """
        with self._lock:
            self._journal.heal()
            self._bring_up_to(self._journal.size)

    def finish(self, end: dict[str, Any]) -> None:
        """Finish the file, and compare it with the journal; `stop` comes first.

        Args:
            end: How the run ended (`status`, `error`, `time`), for a journal that could not take it.

        Raises:
            ResultsError: It cannot be written, or does not hold what the journal holds.

        """
        with self._lock:
            if self._child is not None and self._claim == self._journal.claim:
                try:
                    self._ask(f"{self._journal.size} {json.dumps(end)}")
                except ChildLost as error:
                    self._lose(error)
                else:
                    return
            if self._keeper is None:
                self._keeper = self._new_keeper()
            self._keep(lambda keeper: keeper.finish(self._journal.size, end), self._keeper)

    def stop(self) -> None:
        """Return when no refresh is under way, and none will be."""
        self._stop.set()
        if self._thread.is_alive():
            join_all([self._thread])

    def close(self) -> None:
        """Let go of the journal, and remove what is beside the file. Twice is no error."""
        self.stop()
        with self._lock:
            if self._child is not None:
                self._child.close()
                self._child = None
            if self._keeper is not None:
                self._keeper.close()
            remove_leftovers(self.path)

    def _bring_up_to(self, size: int) -> None:
        if self._child is not None and self._claim != self._journal.claim:
            # The journal was written anew: the process shares the claim on a file that is gone.
            self._child.close()
            self._child, self._keeper = None, self._new_keeper()
        if self._child is not None:
            try:
                self._ask(str(size))
            except ChildLost as error:
                self._lose(error)
            else:
                return
        if self._keeper is None:
            raise ResultsError("the process that keeps the result file was lost: it is written at the end")
        self._keep(lambda keeper: keeper.bring_up_to(size), self._keeper)

    def _keep(self, act: Callable[[Keeper], None], keeper: Keeper) -> None:
        try:
            act(keeper)
        except ResultsError:
            raise
        except BaseException:
            # Ctrl-C may have hit between reading a record and folding it: read all of them again.
            self._keeper = self._new_keeper()
            keeper.close()
            raise
        finally:
            self._take_over(keeper.shown, keeper.problems)

    def _ask(self, line: str) -> None:
        assert self._child is not None  # noqa: S101  # who calls has looked
        self._order += 1
        self._child.send(f"{self._order} {line}".encode())
        self._heed(self._child)

    def _heed(self, child: Child) -> None:
        answer = json.loads(child.receive(SILENCE))
        while answer["order"] != self._order:  # Ctrl-C has hit before the answer to an earlier order
            answer = json.loads(child.receive(SILENCE))
        self._take_over(answer["shown"], answer["problems"])
        if answer["error"] is not None:
            raise (JournalDamaged if answer["damaged"] else ResultsError)(answer["error"])

    def _take_over(self, shown: bool, problems: list[str]) -> None:
        self.shown, self.problems = self.shown or shown, problems

    def _lose(self, error: ChildLost) -> None:
        text = f"{error}; the file is written at the end of the run, nothing is lost"
        _log.warning("%s", text)
        self._degraded.add(text)
        if self._child is not None:
            self._child.close()
        self._child = None
        self._stop.set()
        remove_leftovers(self.path)

    def _new_keeper(self) -> Keeper:
        return Keeper(
            JournalReader(self._journal.path), self.path, replaces=self._replaces and not self.shown
        )

    def _start_process(self) -> None:
        """Hand the file over to a process, once that is ready."""
        self._process_from, self._order = None, 0
        claim, replaces = self._journal.claim, self._replaces and not self.shown
        arguments = (str(self._journal.path), str(self.path), str(replaces))
        try:
            child = Child(
                "rexec.results._keeper_child",
                arguments,
                inherit=(claim,),
                purpose="the process that keeps the result file",
            )
        except ChildLost as error:
            _log.info("%s; the run keeps the file itself", error)
            return
        try:
            self._heed(child)
        except (ChildLost, ResultsError) as error:
            _log.info("%s; the run keeps the file itself", error)
            child.close()
            return
        if self._keeper is not None:
            self._keeper.close()
        self._child, self._keeper, self._claim = child, None, claim
        remove_leftovers(self.path)

    def _refresh_regularly(self) -> None:
        pause, folded, written = self._interval, -1, 0
        rest = 0.0 if self._process_from is not None else pause
        while not self._is_over(pause, rest, written):
            begun, cpu = time.monotonic(), time.thread_time()
            try:
                self._journal.heal()
                size = self._journal.size
                if size == folded:
                    continue
                with self._lock:
                    if (
                        self._process_from is not None
                        and self._journal.written - written >= self._process_from
                    ):
                        self._start_process()
                    begun, cpu = time.monotonic(), time.thread_time()
                    self._bring_up_to(size)
                folded, written = size, self._journal.written
                if self._failing:
                    self._degraded.remove(self._failing)
                    self._failing = ""
            except ResultsError as error:
                folded = -1
                if not self._failing and not self._stop.is_set():
                    _log.warning("%s; the journal has everything, trying again", error)
                    self._failing = f"from {time.strftime('%H:%M:%S')} on the file was not refreshed: {error}"
                    self._degraded.add(self._failing)
            pause, rest = self._pauses(time.monotonic() - begun, time.thread_time() - cpu)
            rest = pause if self._failing else rest

    def _pauses(self, elapsed: float, cpu: float) -> tuple[float, float]:
        """Return the seconds until the next refresh, and until one that much has been written for."""
        if self._child is None:
            pause = max(self._interval, SHARE * cpu)
            return pause, pause
        # From the beginning of one to that of the next: a change is in the file after max(interval, 2 t) + t.
        return max(self._interval - elapsed, elapsed), elapsed

    def _is_over(self, pause: float, rest: float, written: int) -> bool:
        """Wait until the next refresh is due; return whether there is to be none."""
        begun = time.monotonic()
        while (left := begun + pause - time.monotonic()) > 0:
            if self._stop.wait(min(left, _LOOK)):
                return True
            is_much = self._journal.written - written >= EARLY_FROM
            if is_much and time.monotonic() - begun >= rest:
                break
        return self._stop.is_set()
