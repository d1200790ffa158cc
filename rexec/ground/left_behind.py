"""A blocking call of a coroutine that may never end: neither its cancellation nor the program's end waits for it."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")


async def left_behind(function: Callable[..., Result], *args: Any) -> Result:
    """Call a function in a thread of its own and return what it returns, or raise what it raises.

    Unlike with `asyncio.to_thread`, for whose threads the end of the loop and of the program waits, the call is left
    behind when the coroutine is cancelled.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Result] = loop.create_future()

    def deliver(result: Result | None, error: BaseException | None) -> None:
        if ended.done():
            return
        if error is not None:
            ended.set_exception(error)
        else:
            ended.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result, failure = None, None
        try:
            result = function(*args)
        except BaseException as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(deliver, result, failure)

    threading.Thread(target=work, name=f"left behind: {function!r:.60}", daemon=True).start()
    return await ended
