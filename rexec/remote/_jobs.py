"""A job as the caller sees it."""

import concurrent.futures
import logging
import re
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

from rexec.remote._channel import Channel
from rexec.remote._errors import JobExpired, RemoteFunctionError, remote_exception

R = TypeVar("R")
_PATH: Final = re.compile(r"ret(\['ok'\])?(\[0\])?(\['outcome'\]\['value'\]|\['items'\]\[\d+\])")
"""How the wire names a job's value, as part of an answer of the agent."""
News = dict[str, Any]
"""What the controller tells of a job: its state, what it printed and yielded since, and its outcome if it has one."""


@dataclass(frozen=True)
class Captured(Generic[R]):
    """What a function returned, with what it printed and logged on the way.

    Args:
        value: What it returned.
        output: Lines, in their order.

    """

    value: R
    output: list[str]


class Job(concurrent.futures.Future[R]):
    """A remote function that runs on a thread of its controller.

    Attributes:
        id: Finds the job again: `Remote.job(id)`.
        name: The function's name.
        progress: Fraction from 0 to 1, and the message with it, as the function told last.
        output: Lines that it printed or logged so far.

    """

    def __init__(self, channel: Channel, job_id: str, name: str) -> None:
        super().__init__()
        self.id = job_id
        self.name = name
        self.progress: tuple[float, str] = (0.0, "")
        self.output: list[str] = []
        self._channel = channel
        self._events_seen = 0

    def running(self) -> bool:
        """Return whether it has not ended."""
        return not self.done()

    def cancel(self) -> bool:
        """Ask the function to end at its next `job.check()`, `job.progress()` or item; return whether it still ran.

        One that does not look is ended 10 s later, at its next line of Python.
        """
        if self.done():
            return False
        return bool(self._channel.request("cancel", [self.id, "cancelled"]))

    def captured(self, timeout: float | None = None) -> Captured[R]:
        """Wait for the end; return the function's value together with its output.

        Args:
            timeout: Seconds to wait at most.

        Raises:
            TimeoutError: It has not ended by then.
            Exception: What the function raised.

        """
        return Captured(self.result(timeout), list(self.output))

    def asked(self, taken: int = 0) -> list[Any]:
        """Return how to ask the controller for news of this job.

        Args:
            taken: Items of its stream that have arrived.

        """
        return [self.id, self._events_seen, taken]

    def poll(self, taken: int = 0, forget: list[str] | None = None) -> News | None:
        """Return the news of this job; None where the controller does not know it any more.

        A value that cannot travel becomes the TypeError that the job ends with.

        Args:
            taken: Items of its stream that have arrived.
            forget: Ids of jobs that the controller may drop.

        """
        try:
            found = self._channel.request("poll", [[self.asked(taken)], forget or []])
        except TypeError as error:
            reason = f"{self.name}: its value cannot travel: {_PATH.sub('value', str(error))}"
            self._channel.request("discard", [self.id, reason])
            found = self._channel.request("poll", [[self.asked(taken)], []])
        return cast("News | None", found[0])

    def take(self, news: News) -> None:
        """Take what the controller tells of the job."""
        self.progress = (news["progress"][0], news["progress"][1])
        missed = news["event_count"] - self._events_seen - len(news["events"])
        if missed > 0:
            self.output.append(f"({missed} lines were dropped)")
        for _, level, name, text in news["events"]:
            self.output.append(text)
            self._channel.log.log(level or logging.INFO, "[%s] %s: %s", self._channel.where, name, text)
        self._events_seen = news["event_count"]

    def finish(self, outcome: News) -> None:
        """Take how the job ended."""
        if self.done():
            return
        where = self._channel.where
        if "value" in outcome:
            self.set_result(outcome["value"])
        elif "error" in outcome:
            self.set_exception(remote_exception(outcome["error"], where))
        elif outcome["cancelled"] == "cancelled":
            super().cancel()
            self.set_running_or_notify_cancel()
        elif outcome["cancelled"] == "deadline":
            self.set_exception(JobExpired(f"{where}: {self.name} was ended: its deadline has passed"))
        else:
            self.set_exception(
                RemoteFunctionError(f"{where}: {self.name} was ended there: {outcome['cancelled']}")
            )

    def fail(self, error: BaseException) -> None:
        """End the job on this side, unless it has ended."""
        if not self.done():
            self.set_exception(error)
