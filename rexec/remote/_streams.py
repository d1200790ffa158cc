"""A stream as the caller sees it: the items of a generator function that runs on a controller."""

import logging
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, Final, TypeVar

from rexec.remote._errors import StateLost
from rexec.remote._follower import Follower
from rexec.remote._jobs import Job, News

T = TypeVar("T")
_log = logging.getLogger(__name__)
_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.05
_CLOSE_WAIT: Final = 10.0


class Stream(Iterator[T]):
    """The items of a remote generator function, as it makes them.

    Leaving a `with` block, `close()`, or dropping the stream ends the remote generator: its `finally` runs.

    Args:
        follower: Of the controller where it runs.
        job: Its job.
        first: What was known when it was started.

    """

    def __init__(self, follower: Follower, job: Job[Any], first: News) -> None:
        self.job = job
        self._follower = follower
        self._ready: deque[T] = deque()
        self._taken = 0
        self._closed = False
        self._last: News | None = None
        follower.keep_alive(job)
        self._take(first)

    @property
    def output(self) -> list[str]:
        """Lines that the generator printed or logged so far."""
        return self.job.output

    def _take(self, news: News) -> None:
        self.job.take(news)
        self._ready.extend(news["items"])
        self._taken += len(news["items"])
        if news["outcome"] is not None:
            self._last = news["outcome"]

    def _poll(self) -> None:
        news = self.job.poll(self._taken)
        if news is None:
            raise StateLost(f"{self._follower.channel.where}: {self.job.name} is not known there any more")
        self._take(news)

    def __iter__(self) -> "Stream[T]":
        return self

    def __next__(self) -> T:
        pause = _FIRST_PAUSE
        while not self._ready:
            if self._closed:
                raise StopIteration
            if self._last is not None:
                self._end(self._last)
                self.job.result()
                raise StopIteration
            self._poll()
            if not self._ready and self._last is None:
                time.sleep(pause)
                pause = min(_LONGEST_PAUSE, 1.5 * pause)
        return self._ready.popleft()

    def _end(self, outcome: News) -> None:
        self._closed = True
        self._follower.end(self.job, outcome)

    def close(self) -> None:
        """End the remote generator, and wait until its `finally` has run (10 s at most)."""
        if self._closed:
            return
        self._closed = True
        until = time.monotonic() + _CLOSE_WAIT
        try:
            if self._last is None:
                self.job.cancel()
            while self._last is None and time.monotonic() < until:
                self._ready.clear()
                self._poll()
                if self._last is None:
                    time.sleep(_FIRST_PAUSE)
        finally:
            self._ready.clear()
            self._end(self._last or {"cancelled": "cancelled"})
        where = self._follower.channel.where
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
        # A finalizer runs anywhere, in the middle of a request too: it leaves the rest to the follower.
        if not getattr(self, "_closed", True):
            self._follower.abandon(self.job)
