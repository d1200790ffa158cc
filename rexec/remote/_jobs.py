"""A job as the caller sees it."""

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from rexec.ground import forks
from rexec.ground.waits import InterruptibleFuture
from rexec.remote._channel import Channel
from rexec.remote._errors import JobExpired, RemoteFunctionError, remote_exception, without_our_frames
from rexec.remote._html import job_html
from rexec.remote._notebook import shown

R = TypeVar("R")
News = dict[str, Any]
"""News of a job from the controller: its state, new output and items, and its outcome once it has one."""


@dataclass(frozen=True)
class Captured(Generic[R]):
    """The value of a function, and the lines that it printed and logged.

    Args:
        value: What it returned.
        output: Lines, in their order.

    """

    value: R
    output: list[str]


class Job(InterruptibleFuture[R]):
    """A remote function that runs on a thread of its controller. Made by `RemoteFunction.submit` and `Remote.job`.

    Args:
        channel: To the controller's agent.
        job_id: The job's id there.
        name: The function's name.

    Attributes:
        id: Finds the job again: `Remote.job(id)`.
        name: The function's name.
        state: "waiting" (for the driver), "running" or "done", as the controller told last.
        progress: Fraction from 0 to 1, and its message, as the function reported last.
        output: Lines that it printed or logged so far.
        holder: While it waits: who has the driver, and since when (monotonic time), as far as that is known.

    """

    def __init__(self, channel: Channel, job_id: str, name: str) -> None:
        super().__init__()
        self.id = job_id
        self.name = name
        self.state = "waiting"
        self.progress: tuple[float, str] = (0.0, "")
        self.output: list[str] = []
        self.holder: tuple[str, float] | None = None
        self._channel = channel
        self._events_seen = 0
        self._unnotified = [None]
        self._generation = self._refused_in = forks.generation
        self._conditions: dict[int, threading.Condition] = {}
        """In place of its own, in processes forked from this one, by their generation."""

    @property
    def inherited(self) -> bool:
        """Whether it is a job of the process that this one was forked from."""
        return self._generation != forks.generation

    def done(self) -> bool:
        """Return whether it has ended, or is another process's."""
        self._refuse_in_a_child()
        return super().done()

    def result(self, timeout: float | None = None) -> R:
        """Wait for the end and return what the function returned.

        Args:
            timeout: Seconds to wait at most.

        Raises:
            TimeoutError: It has not ended by then.
            RemoteFunctionError: This process was forked while the job ran, which belongs to its parent.
            Exception: What the function raised.

        """
        __tracebackhide__ = True
        self._refuse_in_a_child()
        try:
            with shown(self):
                return super().result(timeout)
        except BaseException as error:
            raise without_our_frames(error)  # noqa: B904  (it is the same one)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the end and return what the function raised, None if it returned; see `result`."""
        self._refuse_in_a_child()
        return super().exception(timeout)

    def _refuse_in_a_child(self) -> None:
        """Fail a job of the parent process: this process gets no news of it."""
        generation = forks.generation
        if self._refused_in == generation:
            return
        fresh = threading.Condition()  # another thread of the parent may have held the old one
        self._condition = self._conditions.setdefault(generation, fresh)  # one for all threads
        self.fail(
            RemoteFunctionError(
                f"{self._channel.where}: {self.name} is a job of the process that this one was forked from: "
                f"Remote.job({self.id!r}) finds it here, too"
            )
        )
        self._refused_in = generation

    @property
    def where(self) -> str:
        """Name of the device on whose controller it runs."""
        return self._channel.where

    def running(self) -> bool:
        """Return whether it has the driver, or runs beside it, and has not ended."""
        return self.state == "running" and not self.done()

    def cancel(self) -> bool:
        """Ask the function to end at its next `job.check()`, `job.progress()` or item.

        One that does not look is ended 10 s later, at its next line of Python.

        Returns:
            Whether no result will come: the job is cancelled from now on. False if it has ended, or if its controller
            cannot be asked.

        """
        if self.done():
            return self.cancelled()
        try:
            is_cancelled = self.ask_to_end()
        except (OSError, RemoteFunctionError) as error:
            self._channel.log.warning("%s: %s could not be cancelled: %s", self.where, self.name, error)
            return False
        if is_cancelled:
            self._be_cancelled()
        return is_cancelled

    def ask_to_end(self) -> bool:
        """Ask the function to end, as `cancel` does, and go on to follow it; return whether no result will come."""
        return bool(self._channel.request("cancel", self.id))

    def _be_cancelled(self) -> None:
        if super().cancel():
            with contextlib.suppress(IndexError):  # the other of two threads does it
                self._unnotified.pop()
                self.set_running_or_notify_cancel()

    def __await__(self) -> Generator[Any, None, R]:
        """Wait for the result without blocking the event loop: `await job`."""
        return asyncio.wrap_future(self).__await__()

    def _repr_html_(self) -> str:
        return job_html(self)

    def __repr__(self) -> str:
        if not super().done():
            fraction, message = self.progress
            told = f", {fraction:.0%} {message}".rstrip() if self.progress != (0.0, "") else ""
            state = f"{self.state}{told}"
        elif self.cancelled():
            state = "cancelled"
        else:
            error = super().exception()
            state = "returned" if error is None else f"raised {type(error).__name__}"
        return f"<Job {self.name} on {self.where}: {state}>"

    def captured(self, timeout: float | None = None) -> Captured[R]:
        """Wait for the end; return the function's value together with its output.

        Args:
            timeout: Seconds to wait at most.

        Raises:
            TimeoutError: It has not ended by then.
            Exception: What the function raised.

        """
        return Captured(self.result(timeout), list(self.output))

    @property
    def mark(self) -> list[Any]:
        """What has arrived of this job: id, number of lines of output, number of items (of streams only)."""
        return [self.id, self._events_seen, 0]

    def poll(self, taken: int = 0, spent: float | None = None) -> News | None:
        """Return the news of this job; None where the controller does not know it any more.

        A value that cannot travel becomes the TypeError that the job ends with.

        Args:
            taken: Items of its stream that have arrived.
            spent: Seconds that the consumer has spent on them since the last request; the controller then waits a
                moment for the next item.

        """
        asked = [self.id, self._events_seen, taken, spent]
        try:
            found = self._channel.request("poll", asked)
        except (OSError, RemoteFunctionError):
            raise
        except Exception as error:
            # It can be encoded neither by the agent's rules nor by the server, or cannot be made here.
            reason = f"{self.name}: its value cannot travel: {error}"
            self._channel.request("discard", [self.id, reason])
            found = self._channel.request("poll", asked)
        return cast("News | None", found)

    def take(self, news: News) -> None:
        """Take news of the job; idempotent."""
        self.state = news["state"]
        before, self.progress = self.progress, (news["progress"][0], news["progress"][1])
        if self.progress != before:
            fraction, message = self.progress
            self._channel.log.info("[%s] %s: %.0f%% %s", self.where, self.name, 100 * fraction, message)
        for number, _, level, name, text in news["events"]:
            if number <= self._events_seen:
                continue
            missed, self._events_seen = number - self._events_seen - 1, number
            if missed:
                self.output.append(f"({missed} lines were dropped)")
            self.output.append(text)
            self._channel.log.log(level or logging.INFO, "[%s] %s: %s", self._channel.where, name, text)
        missed = news["event_count"] - self._events_seen
        if missed > 0:
            self._events_seen = news["event_count"]
            self.output.append(f"({missed} lines were dropped)")

    def finish(self, outcome: News) -> None:
        """Take how the job ended, its outcome."""
        where = self._channel.where
        if failure := outcome.get("failure"):
            self._channel.log.warning(
                "%s: %s failed while it ended: %r", where, self.name, remote_exception(failure, where)
            )
        if self.done():
            return
        with contextlib.suppress(
            concurrent.futures.InvalidStateError
        ):  # another thread has just cancelled it
            self._end_with(outcome, where)

    def _end_with(self, outcome: News, where: str) -> None:
        if "value" in outcome:
            self.set_result(outcome["value"])
        elif "error" in outcome:
            self.set_exception(remote_exception(outcome["error"], where))
        elif outcome["cancelled"] == "cancelled":
            self._be_cancelled()
        elif outcome["cancelled"] == "deadline":
            self.set_exception(JobExpired(f"{where}: {self.name} was ended: its deadline has passed"))
        else:
            self.set_exception(
                RemoteFunctionError(f"{where}: {self.name} was ended there: {outcome['cancelled']}")
            )

    def fail(self, error: BaseException) -> None:
        """End the future with an error, unless it has ended."""
        with contextlib.suppress(concurrent.futures.InvalidStateError):  # it has ended
            self.set_exception(error)
