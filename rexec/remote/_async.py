"""Remote functions from asyncio: the same code, waited for without blocking the event loop."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, Generic, ParamSpec, TypeVar

from rexec.remote._errors import without_our_frames
from rexec.remote._function import RemoteFunction
from rexec.remote._jobs import Captured, Job
from rexec.remote._remote import Remote

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")


class _End:
    """What comes after the last item."""


_END = _End()


class AsyncRemote:
    """Remote functions on a controller, for coroutines.

    Args:
        remote: Where they run; its `close_rpc` is here as a coroutine.

    """

    def __init__(self, remote: Remote) -> None:
        self.remote = remote

    def function(self, function: Callable[P, R], **options: Any) -> "AsyncRemoteFunction[P, R]":
        """Return a function that runs on the controller and is awaited; see `Remote.function`."""
        return AsyncRemoteFunction(self.remote.function(function, **options))

    async def close_rpc(self) -> None:
        """End this client's jobs on the controller, and the connection."""
        await asyncio.to_thread(self.remote.close_rpc)

    async def __aenter__(self) -> "AsyncRemote":
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close_rpc()


class AsyncRemoteFunction(Generic[P, R_co]):
    """A function that runs on a controller: await its call, `submit` it, or `stream` its items.

    Args:
        function: Its blocking form.

    """

    def __init__(self, function: RemoteFunction[P, R_co]) -> None:
        self._function = function

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the function there and return its value; cancelling the task cancels it."""
        __tracebackhide__ = True  # pytest leaves this frame out
        try:
            return await asyncio.wrap_future(await self.submit(*args, **kwargs))
        except Exception as error:
            raise without_our_frames(error)  # noqa: B904  (it is the same one)

    async def captured(self, *args: P.args, **kwargs: P.kwargs) -> Captured[R_co]:
        """Run the function there and return its value together with what it printed and logged; see `__call__`."""
        job = await self.submit(*args, **kwargs)
        value = await asyncio.wrap_future(job)
        return Captured(value, list(job.output))

    async def submit(self, *args: P.args, **kwargs: P.kwargs) -> Job[R_co]:
        """Start the function as a job and return that; `asyncio.wrap_future(job)` awaits it."""
        return await asyncio.to_thread(self._function.submit, *args, **kwargs)

    async def stream(
        self: "AsyncRemoteFunction[P, Iterator[T]]", *args: P.args, **kwargs: P.kwargs
    ) -> AsyncGenerator[T, None]:
        """Yield the items of a generator function as they are made; `aclose` ends that."""
        items = await asyncio.to_thread(self._function.stream, *args, **kwargs)
        try:
            while not isinstance(item := await asyncio.to_thread(next, items, _END), _End):
                yield item
        finally:
            await asyncio.to_thread(items.close)
