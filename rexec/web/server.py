"""Serves the page: opens the sockets, follows the sources, ends in order."""

import asyncio
import contextlib
import errno
import ipaddress
import logging
import socket
import ssl
from collections.abc import Iterator, Sequence
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from rexec.access.identity import certificate_name
from rexec.web.errors import WebError
from rexec.web.limits import MessageBudget
from rexec.wire._listen import listen
from rexec.wire.errors import shown_address

_log = logging.getLogger(__name__)


SILENCE: Final = 20.0
"""Seconds that a connection may take for a request, or its body: silent ones would keep the others out."""

CERTIFICATE: Final = "certificate"
"""Key of the state of a request: the name of the browser's certificate."""


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals are the command's


class _Connection(H11Protocol):
    """Notes the name of the browser's certificate for its requests, and is closed when no request comes."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        name = certificate_name(transport.get_extra_info("ssl_object"))
        if name:
            self.app_state = {**self.app_state, CERTIFICATE: name}
        self.loop.call_later(SILENCE, self._look, None)

    def _look(self, before: Any) -> None:
        """Close the connection if it waits for the browser since the look before."""
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return
        request: Any = self.cycle
        if request is before and (request is None or request.response_complete or request.more_body):
            self.transport.close()
        else:
            self.loop.call_later(SILENCE, self._look, request)


class _WebSocket(WebSocketsSansIOProtocol):
    """Ends the connection of a browser that sends too many frames beside its messages.

    Pongs would wait in memory for a browser that does not read, and so would empty pieces of a message.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._budget: Final = MessageBudget()

    def handle_ping(self) -> None:
        if self._takes():
            super().handle_ping()

    def handle_pong(self, event: Any) -> None:
        if self._takes():
            super().handle_pong(event)

    def handle_cont(self, event: Any) -> None:
        if self._takes():
            super().handle_cont(event)

    def _takes(self) -> bool:
        takes = self._budget.takes()
        if not takes:
            self.transport.abort()
        return takes


def _is_no_end_of_an_answer(record: logging.LogRecord) -> bool:
    """Return whether a log record is none of an answer that was cut off by the end of the server."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def listening(hosts: Sequence[str] | None, port: int) -> list[socket.socket]:
    """Return sockets that listen on all addresses, on one port; see `rexec.wire._listen.listen`.

    Args:
        hosts: Names or addresses; None: all interfaces.
        port: TCP port; 0: the system chooses, the same one for all.

    Raises:
        WebError: One of them cannot be opened.

    """
    if hosts is not None and not hosts:
        raise WebError("there is no address to serve on: --no-localhost-bind needs --bind ADDRESS")
    try:
        return listen(hosts, port, secured=True)  # the program warns, in words of the page
    except OSError as error:
        is_port = error.errno in (errno.EADDRINUSE, errno.EACCES)
        raise WebError(
            f"{error.strerror or error}; choose another with {'--port' if is_port else '--bind'}"
        ) from None


async def serve(
    app: ASGIApp, sockets: list[socket.socket], context: ssl.SSLContext | None, end: asyncio.Event
) -> None:
    """Serve an application until `end` is set.

    Args:
        app: The application.
        sockets: Sockets that listen.
        context: TLS, or None.
        end: Ends the server.

    """
    factory: Any = None if context is None else lambda *_: context
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        ws=_WebSocket,
        ws_max_size=1 << 17,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=2,
        limit_concurrency=512,
        h11_max_incomplete_event_size=1 << 16,
        ssl_context_factory=factory,
        loop="none",
        http=_Connection,
    )
    server = _Uvicorn(config)
    logging.getLogger("uvicorn.error").addFilter(_is_no_end_of_an_answer)
    serving = asyncio.create_task(server.serve(sockets))
    ending = asyncio.create_task(end.wait())
    await asyncio.wait({serving, ending}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    ending.cancel()
    await serving


def _is_loopback(address: tuple[str, int]) -> bool:
    return ipaddress.ip_address(address[0]).is_loopback


def urls(sockets: list[socket.socket], token: str, *, is_tls: bool) -> list[str]:
    """Return the addresses of the page with the token, first those that other machines reach, too."""
    found = []
    for host, port in sorted((each.getsockname()[:2] for each in sockets), key=_is_loopback):
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # any address leads there
        found.append(f"{'https' if is_tls else 'http'}://{shown_address(host, port)}/?token={token}")
    return list(dict.fromkeys(found))
