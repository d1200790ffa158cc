"""One browser's connection: it receives requests, and sends news once the browser has acknowledged the last.

Nothing waits for a browser here: each message is made when it is sent, of what is true then. So a browser that is
stopped costs no memory, and one that is slow gets the latest state.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from rexec.web.frames import frame
from rexec.web.live_view import KINDS, MOST_POINTS, Had, LiveView, Wanted
from rexec.web.page import PARTS, Page

INTERVAL: Final = 0.05
"""Least seconds between two messages to one browser."""

UNANSWERED: Final = 2
"""Messages that may be on the way without an acknowledgement."""

MOST_VIEWS: Final = 24
MOST_BYTES: Final = 4 << 20
"""Bytes of arrays after which a message is sent; the other plots are in the next one."""

MOST_TIME: Final = 0.1
"""Seconds of making plots after which a message is sent, likewise: the other browsers wait meanwhile."""

_REST: Final = 3.0
"""Least pause after a message, as a multiple of what making it took: one browser may ask for new plots all the time."""

Send = Callable[[bytes], Awaitable[None]]


class BadMessage(ValueError):
    """A browser has sent what the protocol does not know."""


class Session:
    """What one browser wants, has got, and has acknowledged.

    Args:
        page: What the page shows.
        send: Sends a message.
        hello: What the first message says beside.

    """

    def __init__(self, page: Page, send: Send, hello: dict[str, Any]) -> None:
        self._page: Final = page
        self._send: Final = send
        self._hello: dict[str, Any] | None = hello
        self._parts: frozenset[str] = frozenset()
        self._seen: dict[str, int] = {}
        self._views: dict[str, LiveView] = {}
        self._sent = self._answered = 0
        self._is_paused = self._is_asked = False
        self._wake = asyncio.Event()

    def looks_at(self, part: str) -> bool:
        """Return whether the browser shows a part now."""
        return part in self._parts and not self._is_paused

    def take(self, message: Any) -> None:
        """Take a message of the browser.

        Raises:
            BadMessage: It is none.

        """
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "want":
            self._want(message)
        elif kind == "ack":
            self._answered = min(max(_whole(message, "seq"), self._answered), self._sent)
        elif kind == "pause":
            self._is_paused = True
        elif kind == "continue":
            self._is_paused = False
        elif kind == "alive":
            self._is_asked = True
        else:
            raise BadMessage("a message has a type: want, ack, pause, continue or alive")
        self._wake.set()

    async def run(self) -> None:
        """Send what is new, until cancelled."""
        while True:
            await self._until_ready()
            began = time.monotonic()
            message = self._message()
            made = time.monotonic() - began
            if message is not None:
                await self._send(message)
            await asyncio.sleep(pause_after(made, time.monotonic() - began))

    async def _until_ready(self) -> None:
        while True:
            self._wake.clear()
            version = min((self._seen.get(part, 0) for part in self._parts), default=self._page.clock.version)
            may_send = not self._is_paused and self._sent - self._answered < UNANSWERED
            if may_send and (self._hello is not None or self._is_asked or self._page.clock.version > version):
                return
            due = [view.wait() for view in self._views.values() if view.is_due(self._page.datasets)]
            if may_send and due and min(due) <= 0:
                return
            waits: set[asyncio.Future[Any]] = {asyncio.ensure_future(self._wake.wait())}
            if may_send:
                waits.add(asyncio.ensure_future(self._page.clock.newer_than(self._page.clock.version)))
            try:
                await asyncio.wait(
                    waits, timeout=min(due) if may_send and due else None, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                for each in waits:
                    each.cancel()

    def _message(self) -> bytes | None:
        now, began = self._page.clock.version, time.monotonic()
        header: dict[str, Any] = {}
        for part in self._parts:
            header |= self._page.news(frozenset({part}), self._seen.get(part, 0))
            self._seen[part] = now
        views: list[dict[str, Any]] = []
        arrays: list[Any] = []
        size = 0
        for view in sorted(self._views.values(), key=lambda each: each.wait()):
            if size > MOST_BYTES or (views and time.monotonic() > began + MOST_TIME):
                break
            part_of = view.news(self._page.datasets) if view.wait() <= 0 else None
            if part_of is not None:
                views.append({**part_of.facts, "arrays": [len(arrays), len(part_of.arrays)]})
                arrays += part_of.arrays
                size += sum(array.nbytes for array in part_of.arrays)
        if views:
            header["views"] = views
        if self._hello is not None:
            header["hello"], self._hello = self._hello, None
        if not header and not self._is_asked:
            return None
        self._is_asked = False
        self._sent += 1
        return frame({"seq": self._sent, "version": now, "time": time.time(), **header}, arrays)

    def _want(self, message: dict[str, Any]) -> None:
        parts = message.get("parts", [])
        if not isinstance(parts, list) or not all(isinstance(each, str) for each in parts):
            raise BadMessage("parts is a list of names")
        views = message.get("views", {})
        if not isinstance(views, dict) or len(views) > MOST_VIEWS:
            raise BadMessage(f"views is a dict of at most {MOST_VIEWS} plots")
        self._parts = frozenset(parts) & PARTS
        since = message.get("since")
        is_resumed = isinstance(since, dict) and since.get("instance") == self._page.instance
        if isinstance(since, dict) and is_resumed:
            version = _whole(since, "version")
            self._seen = dict.fromkeys(PARTS, min(version, self._page.clock.version))
        elif "since" in message:
            self._seen = {}
        if message.get("instance", self._page.instance) != self._page.instance:
            views = {}  # their numbers mean other datasets here: the page asks again when it has ours
        before, self._views = self._views, {}
        for name, given in views.items():
            wanted, view = _wanted(given), before.get(name)
            if view is None or view.wanted != wanted:
                view = LiveView(name[:40], wanted, Had.received(given.get("had")) if is_resumed else None)
            self._views[name] = view


def pause_after(made: float, sent: float) -> float:
    """Return the seconds to wait after a message.

    Args:
        made: Seconds that making it took.
        sent: Seconds that making and sending it took.

    """
    return max(INTERVAL - sent, _REST * made)


def _wanted(given: Any) -> Wanted:
    if not isinstance(given, dict):
        raise BadMessage("a plot is a dict")
    kind = given.get("kind", "auto")
    complex_as = given.get("complex", "re_im")
    if not isinstance(kind, str) or kind not in KINDS or complex_as not in ("re_im", "mag_phase"):
        raise BadMessage("a plot has an unknown kind")
    axis = None if given.get("axis") is None else _whole(given, "axis")
    most = min(max(_whole(given, "most", 4000), 16), MOST_POINTS)
    return Wanted(_whole(given, "dataset"), axis, kind, most, complex_as)


def _whole(message: dict[str, Any], name: str, otherwise: int | None = None) -> int:
    value = message.get(name, otherwise)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 53:
        raise BadMessage(f"{name} is a whole number")
    return value
