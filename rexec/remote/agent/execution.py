"""Runs on the controller, of any make: one job or stream, on a thread of its own."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from rexec.ground.clock import wall_clock
from rexec.remote.agent.driver_queue import DriverQueue, Ticket
from rexec.remote.agent.exceptions import pack
from rexec.remote.agent.items import Items, awaited
from rexec.remote.agent.output import LOCAL, OutputLog
from rexec.remote.agent.sendable import problem_of

# Seconds that a request waits for the first news: most short functions end in that; their callers need not ask again.
QUICK = 0.001


class Cancelled(BaseException):
    """Raised in a job that is to end: not an Exception, so that `except Exception` does not hold it."""


class Execution:
    """A function that runs on a thread; shipped code sees its own as `job`.

    Args:
        spec: As the client has sent it.
        function: What to call.
        queue: For the driver.
        inbox: The dispatcher's, which looks at each execution that comes there.
        files: Real file names of shipped code.
        who: The client, for others that wait for the driver.

    """

    def __init__(
        self,
        spec: dict[str, Any],
        function: Any,
        queue: DriverQueue,
        inbox: SimpleQueue[Any],
        files: dict[str, str],
        who: str,
    ) -> None:
        self.id: str = spec["id"]
        self.name: str = spec["function"]
        self.call: tuple[Any, Any, Any] = (function, spec["args"], spec["kwargs"])
        self.queue = None if spec["parallel"] else queue
        self.inbox = inbox
        self.files = files
        self.who = f"{who}: {self.name}"
        self.deadline = None if spec["deadline"] is None else time.monotonic() + spec["deadline"]
        self.start_at: float | None = spec["start_at"]
        self.streams: bool = spec["streams"]
        self.detached: bool = spec["detached"]
        # Written in C, so that an exception injected into this thread leaves them intact.
        self.wakeups: SimpleQueue[None] = SimpleQueue()
        self.first_news: SimpleQueue[None] = SimpleQueue()
        # A request waits for `first_news`.
        self.awaited = False
        self.followers: dict[str, dict[str, Execution]] = {}
        self.output = OutputLog()
        self.items = Items()
        self.state = "waiting"
        self.fraction: tuple[float, str] = (0.0, "")
        self.outcome: dict[str, Any] | None = None
        self.ended = 0.0
        self.reason = ""
        # What ends the job, "cancel" or "return": the first of both is set, atomically.
        self.verdict: dict[str, str] = {}
        # The client does not want the outcome.
        self.abandoned = False
        # Why a value cannot be sent, if only the client could find out.
        self.fault = ""
        # The dispatcher knows the deadline.
        self.timed = False
        # The client has the outcome; it was dropped here.
        self.forgotten = False
        # The dispatcher has counted its outcome as kept.
        self.counted = False
        self.ticket: Ticket | None = None
        self.thread: threading.Thread | None = None
        # The thread has started. Before, it says that it is not alive.
        self.runs = False

    # What shipped code uses.

    @property
    def cancelled(self) -> bool:
        """Whether the job is to end."""
        if not self.reason and self.deadline is not None and time.monotonic() > self.deadline:
            self.reason = "deadline"
        return bool(self.reason)

    def check(self) -> None:
        """End the job here if it is to end."""
        if self.cancelled:
            raise Cancelled(self.reason)

    def progress(self, fraction: float, message: str = "") -> None:
        """Tell the caller how far the job is (0 to 1); ends the job here if it is to end."""
        self.fraction = (float(fraction), str(message))
        self.tell_followers()
        self.check()

    def remaining(self) -> float | None:
        """Return the seconds until the deadline, None if there is none."""
        return None if self.deadline is None else self.deadline - time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, and end the job if it is to end meanwhile."""
        until = time.monotonic() + seconds
        self.wait(lambda: until - time.monotonic())

    # What the job's thread does.

    def changed(self) -> None:
        """Have the dispatcher look at this job."""
        self.inbox.put(self)

    def tell_followers(self) -> None:
        """Note for the clients that follow this job that there is news."""
        for changes in list(self.followers.values()):
            changes[self.id] = self

    def wait(self, rest: Callable[[], float | None], *, always: bool = False) -> None:
        """Sleep until nothing is left to wait for; whoever changes that wakes this thread.

        Args:
            rest: Returns the seconds that are left; 0 or less: none; None: until woken.
            always: Do not end here even if the job is to end.

        """
        while True:
            if not always:
                self.check()
            left = rest()
            if left is not None and left <= 0:
                return
            try:
                self.wakeups.get(timeout=None if left is None else min(left, threading.TIMEOUT_MAX))
            except Empty:
                continue

    def event(self, level: int, name: str, text: str) -> None:
        """Keep a line of output for the caller."""
        self.output.add(level, name, text)
        self.tell_followers()

    def take_driver(self, *, always: bool = False) -> None:
        """Wait for the driver, unless the job has it."""
        self.ask_for_driver()
        ticket = self.ticket
        self.wait(lambda: 0 if ticket is None or ticket.granted else None, always=always)
        if self.state != "running":
            self.state = "running"
            self.tell_followers()

    def ask_for_driver(self) -> None:
        """Queue a ticket for the driver, unless the job has one; may be interrupted and repeated."""
        if self.queue is None:
            return
        if self.ticket is None or self.ticket.done:
            self.ticket = Ticket(lambda: self.outcome is None, self.changed, self.who)
        if not self.ticket.queued:
            self.queue.enter(self.ticket)
            self.changed()

    def give_driver(self) -> None:
        """Let others have the driver."""
        if self.ticket is not None:
            self.ticket.done = True
            self.changed()

    def main(self) -> None:
        """Run on the job's thread."""
        try:
            self.run()
        except Cancelled:
            return  # injected on its last lines: the dispatcher notices that the thread has ended

    def run(self) -> None:
        """Run to the end, and note how it ended."""
        LOCAL.job = self
        try:
            outcome = self.perform()
        except Cancelled as error:
            outcome = {"cancelled": self.reason or str(error)}
        except BaseException as error:
            outcome = {"error": pack(error, self.files)}
        self.finish(outcome)

    def perform(self) -> dict[str, Any]:
        """Call the function, and return how that ended."""
        try:
            self.wait(self.until_start)
            self.take_driver()
            function, args, kwargs = self.call
            self.call = (None, (), {})  # the arguments are not kept while the result is
            value = function(*args, **kwargs)
            if inspect.iscoroutine(value):
                value = asyncio.run(value)
            if self.streams:
                self.produce(value)
                value = None
            elif inspect.isgenerator(value) or inspect.isasyncgen(value):
                raise TypeError(f"{self.name} is a generator function: use .stream(), not a call")
            self.refuse_unsendable(value)
            return {"value": value}
        finally:
            self.give_driver()

    def refuse_unsendable(self, value: Any) -> None:
        """Fail this job alone, where its value would fail the answer about all of them."""
        if problem := problem_of(value):
            raise TypeError(f"{self.name}: its value cannot travel: {problem}")

    def finish(self, outcome: dict[str, Any]) -> None:
        """Note how the job ended, once."""
        if self.fault:
            outcome = {"error": pack(TypeError(self.fault), {})}
        if self.verdict.setdefault("by", "return") == "cancel":
            # The client has been told that no result will come.
            outcome = {"cancelled": "cancelled", "failure": outcome.get("error")}
        if self.outcome is None:
            self.ended = time.monotonic()
            self.state = "done"
            self.outcome = outcome
        self.first_news.put(None)
        self.tell_followers()
        self.changed()

    def until_start(self) -> float:
        """Return the seconds until the common start of a fleet."""
        return 0.0 if self.start_at is None else self.start_at - wall_clock()

    def produce(self, iterable: Any) -> None:
        """Offer the items of a generator, a window of them in advance.

        Others get the driver between two items if they wait for it, or while the window is full.
        """
        if inspect.isasyncgen(iterable):
            iterable = awaited(iterable)
        if not hasattr(iterable, "__iter__"):
            raise TypeError(f"{self.name} is no generator function: call or submit it instead of .stream()")
        iterator = iter(iterable)
        try:
            for item in iterator:
                self.refuse_unsendable(item)
                self.items.add(item)
                if self.awaited:
                    self.awaited = False
                    self.first_news.put(None)
                if self.followers:
                    self.tell_followers()
                if self.items.full or (self.queue is not None and self.queue.waiting):
                    self.give_driver()
                    self.wait(lambda: None if self.items.full else 0)
                    self.take_driver()
                else:
                    self.check()
        finally:
            self.take_driver(always=True)
            if hasattr(iterator, "close"):
                iterator.close()

    # What requests and the dispatcher do.

    def wait_a_moment(self) -> None:
        """Wait for the outcome or the next item, as long as most short functions take."""
        self.awaited = True
        until = time.monotonic() + QUICK
        while self.outcome is None and not self.items.held and (left := until - time.monotonic()) > 0:
            try:
                self.first_news.get(timeout=left)
            except Empty:
                break
        self.awaited = False

    def wake(self) -> None:
        """Have the job's thread look again at what it waits for."""
        if self.wakeups.empty():
            self.wakeups.put(None)

    def end(self, reason: str) -> None:
        """Ask the job to end."""
        self.reason = self.reason or reason
        self.wake()
        self.changed()

    def cancel(self) -> bool:
        """Ask the job to end; return whether no result of it will come."""
        # Before the request: what ends by it has been cancelled.
        is_first = self.verdict.setdefault("by", "cancel") == "cancel"
        self.end("cancelled")
        return is_first

    def start_together(self, at: float) -> float:
        """Take the time of the common start; return by how many seconds it is still to come."""
        self.start_at = at
        self.wake()
        return at - wall_clock()

    def take_back(self, items_seen: int, spent: float | None = None) -> None:
        """Drop the items of a stream that have arrived, on which its consumer has spent so many seconds."""
        if self.items.take_back(items_seen, spent):
            self.wake()

    def poll(self, events_seen: int, items_seen: int) -> dict[str, Any]:
        """Return what is new to the caller, who has seen so many events and items."""
        if self.fault:
            self.items.held.clear()
        self.take_back(items_seen)
        outcome = self.outcome
        items = self.items.batch()
        count = self.output.count  # before the lines, to which more may be added meanwhile
        return {
            "state": self.state,
            "progress": self.fraction,
            "events": self.output.since(events_seen),
            "event_count": count,
            "first_item": self.items.first,
            "items": items,
            "outcome": None if len(items) else outcome,
        }

    def give_up_driver(self) -> None:
        """Give the driver back on behalf of a thread that has ended."""
        if self.ticket is not None:
            self.ticket.done = True

    def discard(self, message: str) -> None:
        """Replace a value that cannot be sent by a TypeError, and end the job."""
        self.fault = message
        if self.outcome is not None:
            self.outcome = {"error": pack(TypeError(message), {})}
        self.end("a value that cannot travel")
        self.tell_followers()

    def drop(self, message: str) -> None:
        """Drop outcome and output of a job that has ended; the outcome becomes an error."""
        self.outcome = {"error": pack(LookupError(message), {})}
        self.output.clear()
        self.tell_followers()
