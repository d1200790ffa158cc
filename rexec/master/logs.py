"""Logs of a master: takes in those that controller managers send, and broadcasts them with its own.

The protocol on the logging port, as recorded from a controller manager: the banner `ARTIQ logging`, then for each
message `SOURCE:LEVEL:NAME:TEXT`, or `SOURCE:LEVEL<n>:NAME:TEXT` where TEXT has n lines. What a master broadcasts under
`log` is (level, source, seconds since the epoch, "NAME:TEXT").
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from rexec.wire.tls import SimpleSSLConfig

_log = logging.getLogger(__name__)

_BANNER: Final = b"ARTIQ logging\n"
_HEAD: Final = re.compile(
    r"(?P<source>[^:]*):(?P<level>[A-Z]+)(<(?P<lines>\d{1,5})>)?:(?P<name>[^:]*):(?P<text>.*)", re.DOTALL
)
_LINE_LIMIT: Final = 1 << 20
_HANDSHAKE_TIME: Final = 30.0

Message: TypeAlias = tuple[int, str, float, str]
"""Level, source, time in seconds since the epoch, and "NAME:TEXT"."""


class BroadcastHandler(logging.Handler):
    """Hands each record of this process, from whatever thread, to the event loop in which it was made.

    Args:
        show: Called in the loop with each message.
        source: Who this process is.

    """

    def __init__(self, show: Callable[[Message], None], source: str = "master") -> None:
        super().__init__()
        self._show: Final = show
        self._source: Final = source
        self._loop: Final = asyncio.get_running_loop()
        self.setFormatter(logging.Formatter("%(name)s:%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Hand on one record; those that other programs sent have their own source."""
        try:
            source = getattr(record, "source", self._source)
            message = (record.levelno, source, record.created, self.format(record))
            self._loop.call_soon_threadsafe(self._show, message)
        except RuntimeError:
            return  # the loop is closed: nobody listens any more
        except Exception:
            self.handleError(record)


class LogReceiver:
    """Takes in the logs of other programs. Belongs to the event loop in which it is started."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._ssl_config: SimpleSSLConfig | None = None
        self.addresses: list[tuple[str, int]] = []
        """Where it listens: (address, port)."""

    async def start(
        self, host: Sequence[str] | None, port: int, ssl_config: SimpleSSLConfig | None = None
    ) -> None:
        """Begin to listen.

        Args:
            host: Names or addresses; None for all interfaces.
            port: TCP port; 0 lets the system choose.
            ssl_config: TLS, if any.

        Raises:
            OSError: The address cannot be listened on, or a TLS file cannot be read.

        """
        self._ssl_config = ssl_config
        context = None if ssl_config is None else ssl_config.create_server_context()
        server = await asyncio.start_server(self._serve, host, port, limit=_LINE_LIMIT, ssl=context)
        self._servers.append(server)
        self.addresses = [each.getsockname()[:2] for each in server.sockets]

    async def stop(self) -> None:
        """Stop listening and close all connections."""
        for server in self._servers:
            server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        address = writer.get_extra_info("peername")
        try:
            if self._ssl_config is not None:
                self._ssl_config.check_peer(writer.get_extra_info("ssl_object").getpeercert(True))
            async with asyncio.timeout(_HANDSHAKE_TIME):
                if await reader.readline() != _BANNER:
                    return
            while line := await reader.readline():
                await _receive(line, reader)
        except (OSError, TimeoutError, ValueError) as error:
            _log.warning("log messages of %s:%s end: %s", *address[:2], error)
        finally:
            self._writers.discard(writer)
            writer.transport.abort()


async def _receive(line: bytes, reader: asyncio.StreamReader) -> None:
    text = line.decode("utf-8", "replace").rstrip("\n")
    head = _HEAD.fullmatch(text)
    if head is None:
        raise ValueError(f"{text[:80]!r} is no log message")
    parts = [head["text"]]
    parts += [
        (await reader.readline()).decode("utf-8", "replace").rstrip("\n")
        for _ in range(int(head["lines"] or 1) - 1)
    ]
    level = logging.getLevelNamesMapping().get(head["level"], logging.INFO)
    record = logging.LogRecord(head["name"], level, "", 0, "\n".join(parts), None, None)
    record.source = head["source"]
    record.created = time.time()
    root = logging.getLogger()
    if root.isEnabledFor(level):
        root.handle(record)
