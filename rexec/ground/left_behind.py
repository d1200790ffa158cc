"""A blocking call of a coroutine that may never end: neither its cancellation nor the program's end waits for it."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")


async def left_behind(function: Callable[..., Result], *args: Any) -> Result:
    """Call a function in a thread of its own and return what it returns, or raise what it raises.

    Unlike with `asyncio.to_thread`, for whose threads the end of the loop and of the program waits, the call is left
    behind when the coroutine is cancelled.
    """
    ended: Future[Result] = Future()
    ended.set_running_or_notify_cancel()  # who waits for it may be cancelled, the call cannot be

    def work() -> None:
        try:
            ended.set_result(function(*args))
        except BaseException as error:
            ended.set_exception(error)

    threading.Thread(target=work, name=f"left behind: {function!r:.60}", daemon=True).start()
    return await asyncio.wrap_future(ended)
