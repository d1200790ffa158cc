"""Runs on the controller, of any make: jobs and streams, on threads of their own.

The sources of the modules `_shipped_*` are sent by `rexec.remote` as one. They import nothing beyond the standard
library at their top, and only values that the protocol can carry go in and out.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

from rexec.remote._shipped_errors import pack
from rexec.remote._shipped_output import LOCAL

MOST_EVENTS = 10_000


class Cancelled(BaseException):
    """Raised in a job that is to end: not an Exception, so that `except Exception` does not hold it."""


class Turns:
    """Gives the driver to one job at a time, in the order of asking."""

    def __init__(self) -> None:
        self.condition = threading.Condition()
        self.queue: deque[Job] = deque()

    def acquire(self, job: Job, *, always: bool = False) -> None:
        """Wait for the turn of a job; Cancelled ends that, unless `always`."""
        with self.condition:
            self.queue.append(job)
            try:
                while self.queue[0] is not job:
                    self.condition.wait(0.05)
                    if not always:
                        job.check()
            except BaseException:
                self.queue.remove(job)
                self.condition.notify_all()
                raise

    def release(self, job: Job) -> None:
        """Let the next one have it."""
        with self.condition:
            self.queue.remove(job)
            self.condition.notify_all()


class Job:
    """A function that runs on a thread; shipped code sees its own as `job`."""

    def __init__(
        self, spec: dict[str, Any], turns: Turns, lost: Callable[[], bool], files: dict[str, str]
    ) -> None:
        self.id: str = spec["id"]
        self.name: str = spec["function"]
        self.turns = None if spec["parallel"] else turns
        self.lost = lost
        self.files = files
        self.deadline = None if spec["deadline"] is None else time.monotonic() + spec["deadline"]
        self.start_at: float | None = spec["start_at"]
        self.window: int = spec["window"]
        self.detached: bool = spec["detached"]
        self.condition = threading.Condition()
        self.events: deque[tuple[float, int, str, str]] = deque(maxlen=MOST_EVENTS)
        self.event_count = 0
        self.items: deque[Any] = deque()
        self.first_item = 0
        self.state = "waiting"
        self.fraction: tuple[float, str] = (0.0, "")
        self.outcome: dict[str, Any] | None = None
        self.ended = 0.0
        self.reason = ""
        self.holding = False
        self.thread: threading.Thread | None = None

    @property
    def cancelled(self) -> bool:
        """Whether the job is to end."""
        return bool(self.end_reason())

    def end_reason(self) -> str:
        """Return why the job is to end, or nothing."""
        if not self.reason:
            if self.deadline is not None and time.monotonic() > self.deadline:
                self.reason = "deadline"
            elif not self.detached and self.lost():
                self.reason = "client gone"
        return self.reason

    def check(self) -> None:
        """End the job here if it is to end."""
        if self.end_reason():
            raise Cancelled(self.reason)

    def progress(self, fraction: float, message: str = "") -> None:
        """Tell the caller how far the job is (0 to 1); ends the job here if it is to end."""
        self.fraction = (float(fraction), str(message))
        self.check()

    def remaining(self) -> float | None:
        """Return the seconds until the deadline, None if there is none."""
        return None if self.deadline is None else self.deadline - time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, and end the job if it is to end meanwhile."""
        until = time.monotonic() + seconds
        while (rest := until - time.monotonic()) > 0:
            self.check()
            time.sleep(min(rest, 0.05))
        self.check()

    def event(self, level: int, name: str, text: str) -> None:
        """Keep a line of output for the caller."""
        with self.condition:
            self.events.append((time.time(), level, name, text))
            self.event_count += 1

    def take_turn(self, *, always: bool = False) -> None:
        """Wait for the driver."""
        if self.turns is not None and not self.holding:
            self.turns.acquire(self, always=always)
            self.holding = True
        self.state = "running"

    def give_turn(self) -> None:
        """Let others have the driver."""
        if self.turns is not None and self.holding:
            self.holding = False
            self.turns.release(self)

    def run(self, function: Any, args: Any, kwargs: Any) -> None:
        """Run to the end, on the job's thread."""
        LOCAL.job = self
        outcome: dict[str, Any]
        try:
            try:
                self.wait_for_start()
                self.take_turn()
                value = function(*args, **kwargs)
                if inspect.iscoroutine(value):
                    value = asyncio.run(value)
                if self.window:
                    self.produce(value)
                    value = None
                elif inspect.isgenerator(value) or inspect.isasyncgen(value):
                    raise TypeError(f"{self.name} is a generator function: use .stream(), not a call")
                outcome = {"value": value}
            finally:
                self.give_turn()
        except Cancelled as error:
            outcome = {"cancelled": self.reason or str(error)}
        except BaseException as error:
            outcome = {"error": pack(error, self.files)}
        self.finish(outcome)

    def finish(self, outcome: dict[str, Any]) -> None:
        """Note how the job ended."""
        with self.condition:
            self.ended = time.monotonic()
            self.state = "done"
            self.outcome = outcome
            self.condition.notify_all()

    def wait_for_start(self) -> None:
        """Wait for the common start of a fleet, which comes once all of it are ready."""
        while self.start_at is not None and (rest := self.start_at - time.time()) > 0:
            self.check()
            with self.condition:
                self.condition.wait(min(rest, 0.05))

    def start_together(self, at: float) -> float:
        """Take the time of the common start; return by how many seconds it is still to come."""
        with self.condition:
            self.start_at = at
            self.condition.notify_all()
        return at - time.time()

    def produce(self, iterable: Any) -> None:
        """Hand out the items of a generator, no more of them in advance than the window is wide."""
        if inspect.isasyncgen(iterable):
            iterable = awaited(iterable)
        if not hasattr(iterable, "__iter__"):
            raise TypeError(f"{self.name} is no generator function: call or submit it instead of .stream()")
        iterator = iter(iterable)
        try:
            for item in iterator:
                self.give_turn()
                with self.condition:
                    self.items.append(item)
                    self.condition.notify_all()
                    while len(self.items) >= self.window:
                        self.condition.wait(0.05)
                        self.check()
                self.check()
                self.take_turn()
        finally:
            self.take_turn(always=True)
            if hasattr(iterator, "close"):
                iterator.close()

    def poll(self, events_seen: int, items_seen: int) -> dict[str, Any]:
        """Return what is new to the caller, who has seen so many events and items."""
        with self.condition:
            while self.items and self.first_item < items_seen:
                self.items.popleft()
                self.first_item += 1
            self.condition.notify_all()
            new = min(self.event_count - events_seen, len(self.events))
            return {
                "state": self.state,
                "progress": self.fraction,
                "events": list(self.events)[len(self.events) - new :] if new else [],
                "event_count": self.event_count,
                "items": list(self.items),
                "outcome": None if self.items else self.outcome,
            }

    def discard(self, message: str) -> None:
        """Forget a value that cannot travel; the caller gets a TypeError."""
        self.reason = self.reason or "a value that cannot travel"
        with self.condition:
            self.items.clear()
            self.outcome = {"error": pack(TypeError(message), {})}


def awaited(items: AsyncGenerator[Any, Any]) -> Iterator[Any]:
    """Yield the items of an asynchronous generator, on an event loop of its own."""
    loop = asyncio.new_event_loop()
    try:
        while True:
            try:
                item = loop.run_until_complete(anext(items))
            except StopAsyncIteration:
                return
            yield item
    finally:
        loop.run_until_complete(items.aclose())
        loop.close()
