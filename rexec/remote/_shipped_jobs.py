"""Runs on the controller, of any make: jobs and streams, their output and their errors.

Its source is sent by `rexec.remote` together with that of `_shipped_agent`. Only the standard library is imported,
and only values that the protocol can carry go in and out.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import inspect
import logging
import sys
import threading
import time
import traceback
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rexec.remote._shipped_agent import Session

SELF_FILE = "<rexec agent>"
PREFIX = "rexec_shipped_"
MOST_EVENTS = 10_000
LOCAL = threading.local()


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

    def __init__(self, session: Session, spec: dict[str, Any]) -> None:
        self.id: str = spec["id"]
        self.name: str = spec["function"]
        self.session = session
        self.turns = None if spec["parallel"] else session.agent.turns
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
            elif not self.detached and self.session.lost():
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
                while self.start_at is not None and (rest := self.start_at - time.time()) > 0:
                    self.check()
                    time.sleep(min(rest, 0.05))
                self.take_turn()
                value = function(*args, **kwargs)
                if inspect.iscoroutine(value):
                    value = asyncio.run(value)
                if self.window:
                    self.produce(value)
                    value = None
                elif inspect.isgenerator(value):
                    raise TypeError(f"{self.name} is a generator function: use .stream(), not a call")
                outcome = {"value": value}
            finally:
                self.give_turn()
        except Cancelled as error:
            outcome = {"cancelled": self.reason or str(error)}
        except BaseException as error:
            outcome = {"error": pack(error, self.session.files)}
        with self.condition:
            self.ended = time.monotonic()
            self.state = "done"
            self.outcome = outcome
            self.condition.notify_all()

    def produce(self, iterable: Any) -> None:
        """Hand out the items of a generator, no more of them in advance than the window is wide."""
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


class Current:
    """What shipped code calls `job`: that of the thread it runs on."""

    def __getattr__(self, name: str) -> Any:
        return getattr(LOCAL.job, name)


class Forward(logging.Handler):
    """Gives the log records of jobs to their callers."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record for the caller."""
        job = getattr(LOCAL, "job", None)
        if job is not None:
            job.event(record.levelno, record.name.replace(PREFIX, "", 1), self.format(record))


class Lines:
    """A text file of which each line becomes an event."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        """Take text."""
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


def show(*values: Any, file: Any = None, **keywords: Any) -> None:
    """Print, for shipped code: to the caller."""
    job = getattr(LOCAL, "job", None)
    if job is None or (file is not None and file not in (sys.stdout, sys.stderr)):
        builtins.print(*values, file=file, **keywords)
        return
    lines = Lines()
    builtins.print(*values, file=lines, **keywords)
    job.event(0, "stderr" if file is sys.stderr else "stdout", lines.text.rstrip("\n"))


def pack(error: BaseException, files: dict[str, str]) -> dict[str, Any]:
    """Return an exception as a value: class, message, arguments, and its traceback as text."""
    kind = type(error)
    with contextlib.suppress(Exception):
        told = traceback.TracebackException.from_exception(error)
        rename(told, files, 0)
        text = "".join(told.format())
        frames = told.stack.format()
        notes = [str(note) for note in getattr(error, "__notes__", [])]
        arguments = (
            list(error.args) if all(isinstance(a, str | int | float | bool) for a in error.args) else None
        )
        return {
            "class": kind.__qualname__,
            "builtin": getattr(builtins, kind.__name__, None) is kind,
            "message": str(error),
            "args": arguments,
            "frames": frames,
            "text": text,
            "notes": notes,
        }
    return {
        "class": kind.__qualname__,
        "builtin": False,
        "message": "<its message could not be made>",
        "args": None,
        "frames": [],
        "text": "",
        "notes": [],
    }


def rename(told: Any, files: dict[str, str], depth: int) -> None:
    """Give frames of shipped code their real file names, and leave out those of this module."""
    stack = [frame for frame in told.stack if frame.filename != SELF_FILE]
    for frame in stack:
        frame.filename = files.get(frame.filename, frame.filename)
    told.stack = traceback.StackSummary.from_list(stack)
    for other in (told.__cause__, told.__context__, *(getattr(told, "exceptions", None) or ())):
        if other is not None and depth < 50:
            rename(other, files, depth + 1)


CURRENT = Current()
