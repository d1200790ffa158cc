"""Serves the page: opens the sockets, follows the sources, ends in order."""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from rexec.access.identity import certificate_name
from rexec.web.errors import WebError
from rexec.wire.errors import reason_of, shown_address

_log = logging.getLogger(__name__)

_BACKLOG: Final = 128

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


def listening(hosts: Sequence[str] | None, port: int) -> list[socket.socket]:
    """Return sockets that listen on all addresses, on one port.

    Args:
        hosts: Names or addresses; None: all interfaces. One of the two loopback addresses may be missing.
        port: TCP port; 0: the system chooses, the same one for all.

    Raises:
        WebError: None can be opened, or one that is not a loopback address.

    """
    sockets: list[socket.socket] = []
    wanted = ["0.0.0.0", "::"] if hosts is None else list(hosts)  # noqa: S104  # the person asked for it
    failure: OSError | None = None
    for host in wanted:
        try:
            for family, kind, protocol, _, address in dict.fromkeys(
                socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            ):
                opened = socket.socket(family, kind, protocol)
                sockets.append(opened)
                if sys.platform == "win32":  # otherwise any program that asks for it shares the port
                    opened.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
                else:
                    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                opened.bind((address[0], port, *address[2:]))
                opened.listen(_BACKLOG)
                opened.setblocking(False)
                port = opened.getsockname()[1]
        except OSError as error:
            is_bound = any(each.fileno() >= 0 and _is_listening(each) for each in sockets)
            if hosts is not None and host == "::1" and is_bound:
                continue  # this machine has no IPv6
            failure = error
            break
    if failure is not None or not sockets:
        for each in sockets:
            each.close()
        is_port = failure is not None and failure.errno in (errno.EADDRINUSE, errno.EACCES)
        raise WebError(
            f"cannot serve on {shown_address(host, port)}: {reason_of(failure) if failure else 'no address'}; "
            f"choose another with {'--port' if is_port else '--bind'}"
        )
    for each in sockets:
        if not _is_listening(each):
            each.close()
    return [each for each in sockets if each.fileno() >= 0]


def _is_listening(opened: socket.socket) -> bool:
    try:
        return bool(opened.getsockname()[1])
    except OSError:
        return False


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
        ws="websockets-sansio",
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
    serving = asyncio.create_task(server.serve(sockets))
    ending = asyncio.create_task(end.wait())
    await asyncio.wait({serving, ending}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    ending.cancel()
    await serving


def urls(sockets: list[socket.socket], token: str, *, is_tls: bool) -> list[str]:
    """Return the addresses of the page with the token, loopback ones first."""
    found = []
    for each in sockets:
        host, port = each.getsockname()[:2]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # any address leads there
        found.append(f"{'https' if is_tls else 'http'}://{shown_address(host, port)}/?token={token}")
    return list(dict.fromkeys(found))
