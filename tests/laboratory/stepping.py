"""Runs threads one line at a time, in an order that a test chooses: any interleaving, the same each time."""

import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from types import FrameType
from typing import Any

LIMIT = 150.0
"""Seconds for a step; a thread that waits for another one never finishes it."""


class Stepper:
    """One thread, which stops before each line of some files.

    Args:
        work: What it does.
        files: Ends of the names of the files.

    """

    def __init__(self, work: Callable[[], object], files: tuple[str, ...]) -> None:
        self._work = work
        self._files = files
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self.is_done = False
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def step(self) -> None:
        """Let it run up to its next line."""
        self._go.release()
        assert self._stopped.acquire(timeout=LIMIT), "the thread waits for another one"

    def _run(self) -> None:
        self._go.acquire()
        sys.settrace(self._trace)
        try:
            self._work()
        except BaseException as error:
            self.error = error
        finally:
            sys.settrace(None)
            self.is_done = True
            self._stopped.release()

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.endswith(self._files):
            return None
        if event == "line":
            self._stopped.release()
            self._go.acquire()
        return self._trace


def interleaved(
    works: Sequence[Callable[[], object]], choices: Iterable[int], files: tuple[str, ...]
) -> None:
    """Run functions in threads; `choices` name the thread that makes the next step, the rest is done in turn."""
    steppers = [Stepper(work, files) for work in works]
    for choice in choices:
        left = [each for each in steppers if not each.is_done]
        if not left:
            break
        left[choice % len(left)].step()
    while left := [each for each in steppers if not each.is_done]:
        for each in left:
            each.step()
    for each in steppers:
        if each.error is not None:
            raise each.error
