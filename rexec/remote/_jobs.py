"""Jobs and streams as the caller sees them."""

import concurrent.futures
import contextlib
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from rexec.remote._errors import JobExpired, RemoteFunctionError, StateLost, remote_exception

if TYPE_CHECKING:
    from rexec.remote._remote import Remote

_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.05
_CLOSE_WAIT: Final = 10.0


class Job(concurrent.futures.Future[Any]):
    """A remote function that runs on a thread of its controller.

    Attributes:
        id: Finds the job again: `Remote.job(id)`.
        name: The function's name.
        progress: Fraction from 0 to 1, and the message with it, as the function told last.
        output: Lines that it printed or logged so far.

    """

    def __init__(self, remote: "Remote", job_id: str, name: str) -> None:
        super().__init__()
        self.id = job_id
        self.name = name
        self.progress: tuple[float, str] = (0.0, "")
        self.output: list[str] = []
        self.events_seen = 0
        self._remote = remote

    def running(self) -> bool:
        """Return whether it has not ended."""
        return not self.done()

    def cancel(self) -> bool:
        """Ask the function to end at its next `job.check()`, `job.progress()` or item; return whether it still ran."""
        if self.done():
            return False
        return bool(self._remote.request("cancel", [self.id, "cancelled"]))

    def take(self, news: dict[str, Any]) -> None:
        """Take what the controller tells of the job."""
        self.progress = (news["progress"][0], news["progress"][1])
        missed = news["event_count"] - self.events_seen - len(news["events"])
        if missed > 0:
            self.output.append(f"({missed} lines were dropped)")
        for _, level, name, text in news["events"]:
            self.output.append(text)
            self._remote.log(level, name, text)
        self.events_seen = news["event_count"]

    def finish(self, outcome: dict[str, Any]) -> None:
        """Take how the job ended."""
        if self.done():
            return
        if "value" in outcome:
            self.set_result(outcome["value"])
        elif "error" in outcome:
            self.set_exception(remote_exception(outcome["error"], self._remote.name))
        elif outcome["cancelled"] == "cancelled":
            super().cancel()
            self.set_running_or_notify_cancel()
        else:
            self.set_exception(ended(self._remote.name, self.name, outcome["cancelled"]))


def ended(where: str, name: str, reason: str) -> Exception:
    """Return the exception of a job that was ended for a reason other than its caller's cancel()."""
    if reason == "deadline":
        return JobExpired(f"{where}: {name} was ended: its deadline has passed")
    return RemoteFunctionError(f"{where}: {name} was ended there: {reason}")


class Stream(Iterator[Any]):
    """The items of a remote generator function, as it makes them.

    Leaving a `with` block, `close()`, or dropping the stream ends the remote generator: its `finally` runs.

    Args:
        remote: Where it runs.
        job: Its job.
        first: What was known when it was started.

    """

    def __init__(self, remote: "Remote", job: Job, first: dict[str, Any]) -> None:
        self.job = job
        self._remote = remote
        self._ready: deque[Any] = deque()
        self._taken = 0
        self._closed = False
        self._last: dict[str, Any] | None = None
        self._take(first)

    def _take(self, news: dict[str, Any]) -> None:
        self.job.take(news)
        self._ready.extend(news["items"])
        self._taken += len(news["items"])
        if news["outcome"] is not None:
            self._last = news["outcome"]

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> Any:
        pause = _FIRST_PAUSE
        while not self._ready:
            if self._closed:
                raise StopIteration
            if self._last is not None:
                self._end(self._last)
                raise StopIteration
            self._take(self._remote.poll_stream(self.job, self._taken))
            if not self._ready and self._last is None:
                time.sleep(pause)
                pause = min(_LONGEST_PAUSE, 1.5 * pause)
        return self._ready.popleft()

    def _end(self, last: dict[str, Any]) -> None:
        self._closed = True
        self._remote.forget(self.job)
        self.job.finish(last)
        self.job.result()

    def close(self) -> None:
        """End the remote generator, and wait until its `finally` has run (10 s at most)."""
        if self._closed:
            return
        self._closed = True
        self._ready.clear()
        until = time.monotonic() + _CLOSE_WAIT
        try:
            if self._last is None:
                self._remote.request("cancel", [self.job.id, "cancelled"])
            while self._last is None and time.monotonic() < until:
                self._take(self._remote.poll_stream(self.job, self._taken))
                if self._last is None:
                    time.sleep(_FIRST_PAUSE)
        finally:
            self._ready.clear()
            self._remote.forget(self.job)
            if not self.job.done():
                self.job.finish({"cancelled": "cancelled"})

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        # A connection that is gone already has ended the generator, or will when the lease expires.
        with contextlib.suppress(OSError, StateLost, AttributeError):
            self.close()
