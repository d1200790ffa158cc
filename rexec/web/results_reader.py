"""Asks the process that reads result files, and replaces it when a file has killed it or keeps it busy for ever."""

import asyncio
import binascii
import contextlib
import threading
from typing import Any, Final

import orjson
import pybase64

from rexec.ground.child import Child, ChildLost, ChildSilent
from rexec.web.frames import frame

_MOST_WAITING: Final = 32


class ResultsReader:
    """One process for requests, one after another. Belongs to one event loop.

    Args:
        timeout: Seconds for one answer.

    """

    def __init__(self, timeout: float) -> None:
        self._timeout: Final = timeout
        self._lock: Final = asyncio.Lock()
        self._beginning: Final = threading.Lock()
        """Held while a process is started, so that `close` ends it and not only those from before."""
        self._child: Child | None = None
        self._waiting = 0
        self._is_closed = False

    async def ask(self, **request: Any) -> bytes:
        """Return the answer, a frame; one with `problem` if there is none."""
        if self._waiting >= _MOST_WAITING or self._is_closed:
            return frame({"problem": "too many requests at once: try again"})
        self._waiting += 1
        # A request that is cancelled goes on: otherwise the next one would share its process, and get its answer.
        return await asyncio.shield(self._in_turn(orjson.dumps(request)))

    async def _in_turn(self, request: bytes) -> bytes:
        try:
            async with self._lock:
                return await asyncio.to_thread(self._ask, request)
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """End the process, also while it works."""
        self._is_closed = True
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        with self._beginning:
            child = self._child
        if child is not None:
            child.close(0.0)

    def _begun(self) -> Child:
        with self._beginning:
            if self._is_closed:
                raise ChildLost("the page has ended")
            if self._child is None:
                self._child = Child("rexec.web.results_child", purpose="the process that reads result files")
            return self._child

    def _ask(self, request: bytes) -> bytes:
        try:
            child = self._begun()
            child.send(request)
            return pybase64.b64decode(child.receive(self._timeout), validate=True)
        except ChildSilent:
            problem = f"reading takes longer than {self._timeout:g} s; it was given up"
        except ChildLost as error:
            problem = f"{error}: the file that it was reading may be damaged"
        except binascii.Error:
            problem = "the process that reads result files sent an invalid answer"
        self._give_up()
        return frame({"problem": problem})

    def _give_up(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            with contextlib.suppress(OSError):
                child.close(0.0)
