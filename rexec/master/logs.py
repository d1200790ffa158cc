"""Logs of a master: receives those of controller managers, and broadcasts them with its own.

The protocol on the logging port, as recorded from a controller manager: the banner `ARTIQ logging`, then for each
message `SOURCE:LEVEL:NAME:TEXT`, or `SOURCE:LEVEL<n>:NAME:TEXT` for a TEXT of n lines. A master broadcasts under `log`
(level, source, seconds since the epoch, "NAME:TEXT").
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, TypeAlias

from rexec.master.log_rates import LogBudgets
from rexec.wire._admission import name_of, seldom
from rexec.wire._listen import ListeningServer
from rexec.wire.logs import BANNER, LogLine, Reader, begins_record
from rexec.wire.tls import SimpleSSLConfig

_log = logging.getLogger(__name__)

CHUNK: Final = 1 << 14
"""Bytes read at a time."""
LINE_LIMIT: Final = 1 << 16
"""Bytes after which a line is cut."""
CONNECTIONS: Final = 128
"""Maximum number of connections; a laboratory has one for each controller manager."""
_HANDSHAKE_TIME: Final = 30.0
_TURN: Final = 0.002
"""Seconds of work on log records after which other clients of the master get their turn."""
_PAUSE: Final = 3
"""Length of their turn, as a multiple of the time that the records took."""
REPORT_INTERVAL: Final = 5.0
"""Seconds between reports of dropped records."""

Message: TypeAlias = tuple[int, str, float, str]
"""Level, source, time in seconds since the epoch, and "NAME:TEXT"."""


class BroadcastHandler(logging.Handler):
    """Passes each record of this process, from any thread, to the event loop in which the handler was made.

    Args:
        show: Called in the loop with each message.
        source: Name of this process as a source.

    """

    def __init__(self, show: Callable[[Message], None], source: str = "master") -> None:
        super().__init__()
        self._show: Final = show
        self._source: Final = source
        self._loop: Final = asyncio.get_running_loop()
        self.setFormatter(logging.Formatter("%(name)s:%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on one record; records from other programs have their own source."""
        try:
            source = getattr(record, "source", self._source)
            message = (record.levelno, source, record.created, self.format(record))
            self._loop.call_soon_threadsafe(self._show, message)
        except RuntimeError:
            return  # the loop is closed
        except Exception:
            self.handleError(record)


class LogReceiver(ListeningServer):
    """Receives the logs of other programs. Belongs to the event loop in which it is started.

    What senders make it hold is bounded in bytes. Each sender has a budget (`LogBudgets`), and all of them together a
    quarter of the loop's time: other clients of the master go first.
    """

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._turns = asyncio.Lock()
        self._budgets = LogBudgets()
        self._reporting: asyncio.Task[None] | None = None

    @property
    def dropped(self) -> dict[str, int]:
        """Number of dropped records by sender."""
        return dict(self._budgets.dropped)

    async def start(
        self, host: Sequence[str] | None, port: int, ssl_config: SimpleSSLConfig | None = None
    ) -> None:
        """Begin to listen.

        Args:
            host: Names or addresses; None for all interfaces.
            port: TCP port; 0 lets the system choose.
            ssl_config: TLS files, or None.

        Raises:
            OSError: The server cannot listen on the address, or cannot read a TLS file.

        """
        sockets, context = self._listen(host, port, ssl_config)
        self._servers += [
            await asyncio.start_server(self._serve, sock=each, limit=CHUNK, ssl=context) for each in sockets
        ]
        if self._reporting is None:
            self._reporting = asyncio.create_task(self._report_regularly())

    async def stop(self) -> None:
        """Stop listening and close all connections."""
        if self._reporting is not None:
            self._reporting.cancel()
        for server in self._servers:
            server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = writer.get_extra_info("peername")[:2]
        if len(self._writers) >= CONNECTIONS:
            seldom(
                f"logs {name_of(self)}",
                "log connection of %s:%s refused: there are %d",
                host,
                port,
                CONNECTIONS,
            )
            writer.transport.abort()
            return
        self._writers.add(writer)
        try:
            async with asyncio.timeout(_HANDSHAKE_TIME):
                if await reader.readexactly(len(BANNER)) != BANNER:
                    return
            await self._take_all(reader, host)
        except (asyncio.IncompleteReadError, asyncio.CancelledError):
            return  # nothing more comes, or the loop ends
        except (OSError, TimeoutError, ValueError) as error:
            seldom(f"logs {name_of(self)} {host}", "log connection of %s:%s closed: %s", host, port, error)
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _take_all(self, reader: asyncio.StreamReader, host: str) -> None:
        """Log the records of a connection until its end, giving way to whatever else the loop has to do."""
        record = _RecordReader()
        async for lines in _chunks(reader):
            async with self._turns:
                began = time.perf_counter()
                for line in lines:
                    found = record.feed(line)
                    if found is not None:
                        self._handle(host, *found)
                    spent = time.perf_counter() - began
                    if spent > _TURN:
                        await asyncio.sleep(_PAUSE * spent)
                        began = time.perf_counter()

    def _handle(self, host: str, source: str, line: LogLine, size: int) -> None:
        root = logging.getLogger()
        if not root.isEnabledFor(line.level) or not self._budgets.takes(f"{source} at {host}", size):
            return
        record = logging.LogRecord(line.name, line.level, "", 0, line.text, None, None)
        record.source = source
        record.created = time.time()
        root.handle(record)

    async def _report_regularly(self) -> None:
        while True:
            await asyncio.sleep(REPORT_INTERVAL)
            for source, count in self._budgets.news():
                _log.warning("%s sends too many log records: %d were dropped", source, count)


class _RecordReader:
    """Makes records of the lines of one connection."""

    def __init__(self) -> None:
        self._source = ""
        self._lines: Reader | None = None
        self._size = 0

    def feed(self, line: bytes) -> tuple[str, LogLine, int] | None:
        """Return source, record and size in bytes if a record ends with this line; ValueError if it begins none."""
        text = line.decode("utf-8", "replace")
        if self._lines is None:
            source, _, text = text.partition(":")
            if not begins_record(text):
                raise ValueError(f"{line[:80].decode('utf-8', 'replace')!r} is not a log message")
            self._source, self._lines, self._size = source[:200], Reader(), 0
        self._size += len(line) + 1
        found = self._lines.feed(text)
        if found is None:
            return None
        self._lines = None
        return self._source, found, self._size


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[list[bytes]]:
    """Yield the lines of a stream, as many as were read at once; what is beyond `LINE_LIMIT` of a line is dropped."""
    rest = b""
    while data := await reader.read(CHUNK):
        *lines, rest = (rest + data).split(b"\n")
        rest = rest[:LINE_LIMIT]
        yield [line[:LINE_LIMIT] for line in lines]
    if rest:
        yield [rest]
