"""Spreads calls over several controllers: each takes the next call of a common queue when it is free."""

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from rexec.ground import forks
from rexec.ground.waits import InterruptibleFuture, join_all
from rexec.remote._errors import RemoteClosed, RemoteFunctionError, StateLost
from rexec.remote._jobs import Job
from rexec.remote._remote import Remote
from rexec.wire.call_lock import CallLock

P = ParamSpec("P")
R = TypeVar("R")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """A call that waits for a controller."""

    future: Future[Any]
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Workers:
    """One thread a controller, from the first call on.

    Args:
        devices: Remotes by name.

    """

    def __init__(self, devices: Mapping[str, Remote]) -> None:
        self._devices = dict(devices)
        self._lock = CallLock("a call of this fleet", RemoteFunctionError)
        self._closed = self._cancels = False
        self._begin()

    def _begin(self) -> None:
        """Have no threads yet; in a child process those of the parent do not run."""
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._threads: dict[str, threading.Thread] = {}
        self._running: dict[str, Job[Any]] = {}
        self._generation = forks.generation

    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Run a function on the controller that is free first.

        Raises:
            RuntimeError: `shutdown` was called.
            RemoteFunctionError: None of the controllers can be reached any more.

        """
        future: Future[R] = InterruptibleFuture()
        with self._lock:
            if self._generation != forks.generation:
                self._begin()
            if self._closed:
                raise RuntimeError("the fleet was shut down: it takes no more work")
            if not self._threads:
                self._start()
            if not self._devices:
                raise RemoteFunctionError("no device of the fleet can be reached any more")
            self._queue.put(Work(future, function, args, dict(kwargs)))
        return future

    def _start(self) -> None:
        for name, remote in self._devices.items():
            # Daemons: a controller that hangs does not keep the program from ending.
            self._threads[name] = threading.Thread(
                target=self._work, args=(name, remote), name=f"rexec {name} work", daemon=True
            )
            self._threads[name].start()

    def shutdown(self, *, wait: bool, cancel: bool) -> None:
        """Take no more work.

        Args:
            wait: Until what was taken is done.
            cancel: What has not begun is not begun; what runs is asked to end.

        """
        with self._lock:
            if self._generation != forks.generation:
                self._begin()
            self._closed = True
        if cancel:
            self._cancels = True
            self._drain(None)
        for _ in self._threads:
            self._queue.put(None)
        if cancel:
            for job in list(self._running.values()):
                job.cancel()
        if wait:
            join_all(self._threads.values())

    def _drain(self, error: Exception | None) -> None:
        while True:
            try:
                work = self._queue.get_nowait()
            except queue.Empty:  # by now: the controllers' threads take from it, too
                return
            if work is None:
                continue
            if error is None:
                work.future.cancel()
                work.future.set_running_or_notify_cancel()  # who waits for it goes on
            elif work.future.set_running_or_notify_cancel():
                work.future.set_exception(error)

    def _work(self, name: str, remote: Remote) -> None:
        while (work := self._queue.get()) is not None:
            if self._cancels:
                work.future.cancel()
            if not work.future.set_running_or_notify_cancel():
                continue
            try:
                self._running[name] = job = remote.function(work.function).submit(*work.args, **work.kwargs)
                if self._cancels:  # `shutdown` may have looked before it was listed
                    job.cancel()
                work.future.set_result(job.result())
            except BaseException as error:
                work.future.set_exception(error)
                if gone(error):
                    self._leave_out(name, error)
                    return
            finally:
                self._running.pop(name, None)

    def _leave_out(self, name: str, error: BaseException) -> None:
        """Take no more work for a controller that is gone, because it would fail all waiting calls."""
        with self._lock:
            del self._devices[name]
        _log.warning("%s is left out from now on: %s", name, error)
        if not self._devices:
            self._drain(RemoteFunctionError(f"no device of the fleet can be reached any more: {error}"))


def gone(error: BaseException) -> bool:
    """Return whether an error means that the controller cannot be reached, as opposed to one that it sent."""
    if isinstance(error, StateLost) or hasattr(error, "parent_traceback"):
        return False
    return isinstance(error, ConnectionError | RemoteClosed)
