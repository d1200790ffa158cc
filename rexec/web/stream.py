"""The WebSocket of a page: docs/reference/web-protocol.md is its contract."""

import asyncio
import contextlib
from typing import Any, Final

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from rexec.web.limits import MOST_BROWSERS, MOST_MESSAGE, MessageBudget
from rexec.web.page import Page
from rexec.web.session import BadMessage, Session

PROTOCOL: Final = "rexec.web.1"
BAD_MESSAGE: Final = 4000
TOO_MANY_PAGES: Final = 4001
TOO_MANY_MESSAGES: Final = 4002
SERVER_ENDS: Final = 1001


class Streams:
    """The connections of all pages.

    Args:
        page: What they show.

    """

    def __init__(self, page: Page) -> None:
        self._page: Final = page
        self._open: dict[asyncio.Task[Any], Session] = {}
        self._is_ending = False

    async def serve(self, socket: WebSocket, hello: dict[str, Any]) -> None:
        """Serve one page until it leaves. The guard has admitted it."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # it runs
        await socket.accept(PROTOCOL if PROTOCOL in socket.scope.get("subprotocols", []) else None)
        if len(self._open) >= MOST_BROWSERS:
            await socket.close(TOO_MANY_PAGES, f"{MOST_BROWSERS} pages are open: close one")
            return
        session = Session(self._page, socket.send_bytes, {**hello, "instance": self._page.instance})
        self._open[task] = session
        sending = asyncio.create_task(session.run())
        receiving = asyncio.create_task(_receive(socket, session))
        code, reason = 1000, ""
        try:
            done, _ = await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
            code, reason = receiving.result() if receiving in done else (1000, "")
            if sending in done and not isinstance(
                sending.exception(), WebSocketDisconnect | RuntimeError | OSError | None
            ):
                sending.result()
        except asyncio.CancelledError:
            if not self._is_ending:
                raise
            code, reason = SERVER_ENDS, "rexec web was ended"
        finally:
            del self._open[task]
            for each in (sending, receiving):
                each.cancel()
        if code:
            with contextlib.suppress(RuntimeError, WebSocketDisconnect, OSError):
                async with asyncio.timeout(1.0):
                    await socket.close(code, reason)

    def look_at(self, part: str) -> bool:
        """Return whether a browser shows a part now."""
        return any(session.looks_at(part) for session in self._open.values())

    async def close(self) -> None:
        """Say goodbye to all pages."""
        self._is_ending = True
        tasks = list(self._open)
        for each in tasks:
            each.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=2.0)


async def _receive(socket: WebSocket, session: Session) -> tuple[int, str]:
    """Pass on what a page sends; return with which code and reason its connection ends (0: the page has left)."""
    budget = MessageBudget()
    while True:
        message = await socket.receive()
        if message["type"] != "websocket.receive":
            return 0, ""
        text = message.get("text")
        if not budget.takes():
            return TOO_MANY_MESSAGES, "too many messages"
        if text is None or len(text) > MOST_MESSAGE:
            return BAD_MESSAGE, "a message is JSON text of at most 64 KiB"
        try:
            session.take(orjson.loads(text))
        except BadMessage as error:
            return BAD_MESSAGE, str(error)
        except orjson.JSONDecodeError:
            return BAD_MESSAGE, "a message is JSON"
