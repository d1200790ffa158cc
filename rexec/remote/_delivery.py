"""Hands outcomes to jobs in threads of their own: the poller waits for no job."""

import contextlib
import threading
from collections import deque
from typing import Any, Final

from rexec.ground.reentrant_event import ReentrantEvent
from rexec.remote._jobs import Job, News

PATIENCE: Final = 1.0
"""Seconds for which jobs and their callbacks are waited for, before others are polled again."""


class Delivery:
    """Outcomes on their way to jobs.

    A job's lock may be held by code that a signal handler has interrupted, and the handler may wait for another job;
    so may a callback of a job. Therefore they are handed over in a thread, and what is left in another one.

    Args:
        where: Device, for the names of threads.

    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._outcomes: deque[tuple[Job[Any], News | BaseException]] = deque()

    def __bool__(self) -> bool:
        return bool(self._outcomes)

    def add(self, job: Job[Any], outcome: News | BaseException) -> None:
        """Put an outcome, or the error that a job ends with, beside the others."""
        self._outcomes.append((job, outcome))

    def deliver(self) -> None:
        """Hand over all outcomes; return when that is done, when it takes long, or when a callback starts a job."""
        if not self:
            return
        thread = _Thread(target=self._hand_over, name=f"rexec {self._where} outcomes", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # Python 3.12 starts none while it ends
            self._hand_over()
        else:
            thread.is_over.wait(PATIENCE)

    def _hand_over(self) -> None:
        with contextlib.suppress(IndexError):  # none is left
            while True:
                job, outcome = self._outcomes.popleft()
                if isinstance(outcome, BaseException):
                    job.fail(outcome)
                else:
                    job.finish(outcome)


class _Thread(threading.Thread):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.is_over = ReentrantEvent()

    def run(self) -> None:
        try:
            super().run()
        finally:
            self.is_over.set()


def wait_no_more() -> None:
    """Let the poller go on if a callback of a job calls this, which may be about to wait for another job."""
    thread = threading.current_thread()
    if isinstance(thread, _Thread):
        thread.is_over.set()
