"""A stream as the caller sees it: the items of a generator function that runs on a controller."""

import logging
import time
from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import Any, Final, TypeVar

import numpy as np

from rexec.remote._errors import StateLost, without_our_frames
from rexec.remote._html import job_html
from rexec.remote._jobs import Job, News
from rexec.remote._poller import Poller

T = TypeVar("T")
_log = logging.getLogger(__name__)
_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.05
_CLOSE_WAIT: Final = 10.0


class Stream(Iterator[T]):
    """The items of a remote generator function, as it makes them.

    Made by `RemoteFunction.stream`. Leaving a `with` block, `close()`, or dropping the stream ends the remote
    generator: its `finally` runs.

    Args:
        poller: Of the controller where it runs.
        job: Its job.
        first: Its first news.

    """

    def __init__(self, poller: Poller, job: Job[Any], first: News) -> None:
        self.job = job
        self._poller = poller
        self._ready: deque[tuple[int, T]] = deque()
        self._next = 0
        self._closed = False
        self._last: News | None = None
        self._came = 0.0
        """When the last items came (`time.monotonic`)."""
        poller.keep_alive(job)
        self._take(first)

    @property
    def output(self) -> list[str]:
        """Lines that the generator printed or logged so far."""
        return self.job.output

    def _take(self, news: News) -> None:
        self.job.take(news)
        items, start = news["items"], news["first_item"]
        if isinstance(items, np.ndarray):
            items = [row.copy() for row in items]  # keeping one must not keep all of them
        known = max(0, self._taken - start)  # after an interruption the same answer comes again
        self._ready.extend(zip(count(start + known), items[known:], strict=False))
        self._came = time.monotonic()
        if news["outcome"] is not None:
            self._last = news["outcome"]

    @property
    def _taken(self) -> int:
        """The number of items that have arrived."""
        return self._ready[-1][0] + 1 if self._ready else self._next

    def _poll(self, spent: float | None = None) -> None:
        news = self.job.poll(self._taken, spent)
        if news is None:
            raise StateLost(f"{self._poller.channel.where}: {self.job.name} is not known there any more")
        self._take(news)

    def __repr__(self) -> str:
        state = "ended" if self._closed else self.job.state
        return f"<Stream {self.job.name} on {self.job.where}: {self._next} items taken, {state}>"

    def _repr_html_(self) -> str:
        return job_html(self.job)

    def __iter__(self) -> "Stream[T]":
        return self

    def __next__(self) -> T:
        __tracebackhide__ = True
        if self.job.inherited:
            self.job.result()  # raises: an item that arrived here would be missing in the parent process
        pause = _FIRST_PAUSE
        while not self._ready:
            if self._closed:
                raise StopIteration
            if self._last is not None:
                self._end(self._last)
                if (error := self.job.exception()) is not None:
                    raise without_our_frames(error)
                raise StopIteration
            self._poll(time.monotonic() - self._came if pause == _FIRST_PAUSE else None)
            if not self._ready and self._last is None:
                time.sleep(pause)
                pause = min(_LONGEST_PAUSE, 1.5 * pause)
        number, item = self._ready.popleft()
        self._next = number + 1
        return item

    def _end(self, outcome: News) -> None:
        self._closed = True
        self._poller.end(self.job, outcome)

    def _skip(self) -> None:
        self._next = self._taken
        self._ready.clear()

    def close(self) -> None:
        """End the remote generator, and wait until its `finally` has run (10 s at most).

        In a forked child it goes on, because it is the parent process's.
        """
        if self._closed or self.job.inherited:
            return
        self._closed = True
        until = time.monotonic() + _CLOSE_WAIT
        try:
            if self._last is None:
                self.job.ask_to_end()
            while self._last is None and time.monotonic() < until:
                self._skip()
                self._poll()
                if self._last is None:
                    time.sleep(_FIRST_PAUSE)
        finally:
            self._skip()
            if self._last is None:
                self._poller.abandon(self.job)
            self._end(self._last or {"cancelled": "cancelled"})
        where = self._poller.channel.where
        if self._last is None:
            _log.warning(
                "%s: %s was asked to end and has not in %g s: it still has the driver",
                where,
                self.job.name,
                _CLOSE_WAIT,
            )
        elif "error" in self._last:
            _log.warning("%s: %s failed before it was closed: %r", where, self.job.name, self.job.exception())

    def __enter__(self) -> "Stream[T]":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        # A finalizer runs anywhere, even inside a request: the poller does the rest.
        if not getattr(self, "_closed", True) and not self.job.inherited:
            self._poller.abandon(self.job)
