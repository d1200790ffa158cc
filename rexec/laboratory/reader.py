"""Shows a snapshot from a thread of its own, on its own clock."""

import logging
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final

from rexec.laboratory.snapshot import NOTHING, News
from rexec.laboratory.store import LiveSnapshot

logger = logging.getLogger(__name__)

LAST: Final = 2.0
"""Seconds for the last news at the end; a terminal or a pipe that takes nothing must not keep a program alive."""


class SnapshotReader:
    """Calls a function with what is new, regularly and once at the end of the context.

    A function that blocks, for example because nobody reads a pipe, misses values and delays nobody.

    Args:
        laboratory: The snapshot.
        show: Called with the news, which may be none.
        every: Seconds between calls.
        parts: Parts to look at; None: all.

    """

    def __init__(
        self,
        laboratory: LiveSnapshot,
        show: Callable[[News], None],
        every: float,
        parts: Iterable[str] | None = None,
    ) -> None:
        self._laboratory = laboratory
        self._show = show
        self._every = every
        self._parts = parts
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reads the snapshot", daemon=True)

    def _run(self) -> None:
        version, is_last = NOTHING, False
        while not is_last:
            is_last = self._end.wait(self._every)
            news = self._laboratory.since(version, self._parts)
            version = news.version
            try:
                self._show(news)
            except Exception:
                logger.exception("what is new cannot be shown")
                return

    def __enter__(self) -> "SnapshotReader":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join(LAST)
