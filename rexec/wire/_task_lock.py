"""A lock that belongs to an asyncio task, and is free again once that task has ended, however it ended.

A KeyboardInterrupt between two instructions ends its task and stops the event loop. An `asyncio.Lock` can stay held
then, for ever.
"""

import asyncio
from typing import Any, Final

_POLL: Final = 0.25
"""Seconds after which a waiting task checks whether the first one still runs."""


class TaskLock:
    """Lets one task at a time go on, in the order in which they came: `async with lock:`."""

    def __init__(self) -> None:
        self._queue: dict[asyncio.Task[Any], asyncio.Future[None] | None] = {}
        """Tasks in their order, the holder first, and the futures that wake the waiting ones."""

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError(
                "an asyncio client is used by a task: await the call in one, or use asyncio.run()"
            )
        try:
            self._queue.pop(task, None)  # a call of this very task was interrupted
            self._queue[task] = None
            while (first := next(iter(self._queue))) is not task:
                if first.done():
                    del self._queue[first]
                    continue
                bell = self._queue[task] = asyncio.get_running_loop().create_future()
                await asyncio.wait((bell, first), timeout=_POLL, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *exc_info: object) -> None:
        self._leave()

    def _leave(self) -> None:
        if (task := asyncio.current_task()) is not None:
            self._queue.pop(task, None)
        for bell in self._queue.values():
            if bell is not None and not bell.done():
                bell.set_result(None)
                return
