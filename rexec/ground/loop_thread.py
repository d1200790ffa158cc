"""Runs an asynchronous context in an event loop of its own thread, for callers that are not asynchronous."""

import asyncio
import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Final, Generic, ParamSpec, TypeVar

from rexec.ground import forks
from rexec.ground.waits import InterruptibleFuture, wait_in_slices

__all__ = ["LoopThread"]

_log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")


class LoopThread(Generic[T]):
    """An event loop in a daemon thread, inside one asynchronous context from `start` to `close`. A context itself.

    Args:
        context: Makes the context; called in the thread. `start` returns the value that the context yields, or
            raises its error.
        name: Of the thread.
        new_loop: Makes the event loop.
        timeout: Seconds that `close` waits for the context to end; then it leaves the thread behind, and logs that.

    """

    def __init__(
        self,
        context: Callable[[], AbstractAsyncContextManager[T]],
        *,
        name: str,
        new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
        timeout: float = 10.0,
    ) -> None:
        self._context: Final = context
        self._name: Final = name
        self._new_loop: Final = new_loop
        self._timeout: Final = timeout
        self._generation = forks.generation
        self._ready: Final[Future[T]] = InterruptibleFuture()
        self._calls: Final[set[Future[Any]]] = set()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._end: asyncio.Event | None = None
        self._ends_early = False
        self._has_ended: Final = threading.Event()
        self._failure: BaseException | None = None

    def start(self) -> T:
        """Start the thread, and return what the context yields.

        Ctrl-C while the context is entered cancels that.

        Raises:
            RuntimeError: It was started before.
            BaseException: What the context raised.

        """
        if self._thread is not None:
            raise RuntimeError(f"{self._name} was started before")
        self._generation = forks.generation
        # The loop is made here, so that a failure is the caller's.
        self._loop = loop = _without_signals(self._new_loop)
        self._thread = threading.Thread(target=self._run, args=(loop,), name=self._name, daemon=True)
        try:
            try:
                self._thread.start()
            except RuntimeError:  # the process has too many threads
                loop.close()
                self._has_ended.set()
                raise
            return self._ready.result()
        except BaseException:
            self._give_up()
            raise

    def call(self, function: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a coroutine function in the thread, and return its result.

        Ctrl-C while it runs cancels it.

        Raises:
            RuntimeError: The loop does not run (any more), belongs to the process that this one was forked from, or
                is the caller's own.
            BaseException: What the function raised.

        """
        if not self._is_ours():
            raise RuntimeError(f"{self._name} does not run in a forked process")
        if threading.current_thread() is self._thread:
            raise RuntimeError(f"{self._name} cannot wait for itself: await the function instead")
        answer: Future[R] = InterruptibleFuture()
        # It is listed before it is posted: the end of the thread fails what is listed, and refuses what is posted.
        self._calls.add(answer)
        try:
            if self._loop is None or not self._post(
                lambda: self._begin(answer, lambda: function(*args, **kwargs))
            ):
                raise RuntimeError(f"{self._name} does not run")
            return answer.result()
        except BaseException:
            answer.cancel()
            raise
        finally:
            self._calls.discard(answer)

    def end(self) -> None:
        """Order the end, and do not wait for it. For any thread, also its own."""
        if self._is_ours() and self._loop is not None:
            self._post(self._set_end)

    def wait(self, timeout: float) -> bool:
        """Wait for the end, at most `timeout` seconds; return whether the thread has ended."""
        if self._thread is None or not self._is_ours():
            return True
        # Not by a join alone: Ctrl-C may have hit while the thread was being started.
        if not wait_in_slices(self._has_ended.wait, timeout):
            return False
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return True

    def close(self) -> None:
        """End the context, the loop and the thread. Twice is no error; in a forked process nothing is done.

        Raises:
            BaseException: What the context raised at its end.

        """
        self.end()
        if threading.current_thread() is self._thread:
            return
        if not self.wait(self._timeout):
            _log.error("%s has not ended within %g s; it is left behind", self._name, self._timeout)
        failure, self._failure = self._failure, None
        if failure is not None and self._is_ours():
            raise failure

    def __enter__(self) -> T:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self.close()

    def _is_ours(self) -> bool:
        return self._generation == forks.generation

    def _post(self, function: Callable[[], object]) -> bool:
        assert self._loop is not None  # noqa: S101  # start has made it
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:  # the loop is closed
            return False
        return True

    def _set_end(self) -> None:
        self._ends_early = True
        if self._end is not None:
            self._end.set()

    def _give_up(self) -> None:
        """End a start that failed or is not wanted any more."""

        def cancel() -> None:
            self._set_end()
            if self._task is not None:
                self._task.cancel()

        self._post(cancel)
        self.wait(self._timeout)
        self._failure = None

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                try:
                    runner.run(self._stay())
                except BaseException as error:  # raised where it belongs: by start or close
                    self._fail(error)
        finally:
            for call in tuple(self._calls):
                _fail(call, RuntimeError(f"{self._name} ended during a call"))
            self._has_ended.set()

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, asyncio.CancelledError):
            error = RuntimeError(f"{self._name} was cancelled")
        if not _fail(self._ready, error):
            self._failure = error

    def _begin(self, answer: "Future[R]", function: Callable[[], Awaitable[R]]) -> None:
        async def run() -> None:
            try:
                value = await function()
            except asyncio.CancelledError:
                _fail(answer, RuntimeError(f"a call in {self._name} was cancelled"))
            except BaseException as error:  # raised by the caller
                _fail(answer, error)
            else:
                with contextlib.suppress(InvalidStateError):  # the caller has gone
                    answer.set_result(value)

        if self._task is not None and self._task.done():  # the loop cancels its tasks, or has done so
            _fail(answer, RuntimeError(f"{self._name} does not run"))
            return
        task = asyncio.ensure_future(run())
        answer.add_done_callback(lambda _: self._post(task.cancel))

    async def _stay(self) -> None:
        self._task, self._end = asyncio.current_task(), asyncio.Event()
        if self._ends_early:
            raise asyncio.CancelledError
        async with self._context() as value:
            self._ready.set_result(value)
            await self._end.wait()


def _without_signals(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> asyncio.AbstractEventLoop:
    """Return a loop that leaves the signals' wake-up descriptor alone.

    On Windows a loop that is made in the main thread takes it; ended in another thread, it does not give it back.
    """
    if sys.platform == "win32":
        if threading.current_thread() is threading.main_thread():
            before = signal.set_wakeup_fd(-1)
            try:
                return new_loop()
            finally:
                signal.set_wakeup_fd(before)
    return new_loop()


def _fail(future: "Future[Any]", error: BaseException) -> bool:
    try:
        future.set_exception(error)
    except InvalidStateError:  # it has its result, or is cancelled
        return False
    return True
