"""Forwards log records to the logging port of a master, as ARTIQ's controller manager does."""

import logging
import socket
import ssl
import threading
import time
from collections import deque
from typing import Final

from rexec.wire.logs import BANNER, LogLine, message
from rexec.wire.reach import reach
from rexec.wire.tls import SimpleSSLConfig

logger = logging.getLogger(__name__)

RECONNECT: Final = 5.0
"""Seconds between attempts to reach the master."""

SEND_TIMEOUT: Final = 10.0
"""Time limit for the master to accept a connection or a record, in seconds."""

_OVERHEAD: Final = 100
"""Bytes that it takes to hold a record, beside its text."""

FAREWELL: Final = 2.0
"""Time limit at the end to send the remaining records, in seconds."""


class LogForwarder(logging.Handler):
    """Sends records to a master in its own thread; a logging call never waits for the network.

    Records of a controller's output (see `Output`) have the controller's name as source, others that of this program.

    Args:
        host, port: Logging port of the master.
        source: Name of this program as the source of records.
        ssl_config: TLS files, or None.
        keep: Most bytes of records kept while the master cannot be reached; the oldest are dropped and counted.

    """

    def __init__(
        self,
        host: str,
        port: int,
        source: str,
        keep: int = 16 << 20,
        ssl_config: SimpleSSLConfig | None = None,
    ) -> None:
        super().__init__()
        self._ssl_config = ssl_config
        self._host, self._port = host, port
        self._source: Final = source
        self._keep: Final = keep
        self._queue: deque[bytes] = deque()
        self._size = 0
        self._some = threading.Condition()
        self._ending = False
        self.dropped = 0
        """Number of records dropped so far."""
        self._told_dropped = 0
        self._is_missed = False
        self._thread = threading.Thread(target=self._run, name="log forwarder", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue one record for sending."""
        try:
            name = getattr(record, "controller", None)
            if name is not None:
                line = message(f"controller({name})", LogLine(record.levelno, record.said_by, record.said))  # type: ignore[attr-defined]
            else:
                line = message(self._source, LogLine(record.levelno, record.name, self.format(record)))
        except Exception:
            self.handleError(record)
            return
        self._put(line)

    def close(self) -> None:
        """Send the queued records, for a few seconds at most, and end the thread."""
        with self._some:
            self._ending = True
            self._some.notify()
        self._thread.join(2 * FAREWELL)
        super().close()

    def _put(self, line: bytes) -> None:
        with self._some:
            self._queue.append(line)
            self._size += len(line) + _OVERHEAD
            while self._size > self._keep and len(self._queue) > 1:
                self._take()
                self.dropped += 1
            self._some.notify()

    def _run(self) -> None:
        until: float | None = None
        while until is None or time.monotonic() < until:
            try:
                with self._connected() as master:
                    master.sendall(BANNER)
                    self._reached()
                    if self._feed(master):
                        return
            except OSError as error:
                self._missed(error)
            with self._some:
                if not self._ending:
                    self._some.wait_for(lambda: self._ending, RECONNECT)
                if self._ending and until is None:
                    if not self._queue:
                        return
                    until = time.monotonic() + FAREWELL
                elif self._ending:
                    self._some.wait(0.1)

    def _connected(self) -> socket.socket:
        return reach(self._host, self._port, SEND_TIMEOUT, self._ssl_config)

    def _feed(self, master: socket.socket) -> bool:
        """Send records until the master is lost (an OSError), or all is sent at the end (True)."""
        while True:
            with self._some:
                self._some.wait_for(lambda: self._queue or self._ending, 1.0)
                line = self._queue[0] if self._queue else None
                if line is None and self._ending:
                    return True
            if _has_ended(master):
                raise ConnectionResetError("the master has closed the connection")
            if line is None:
                continue
            master.sendall(line)
            with self._some:
                # While it was sent the queue may have overflowed, and this record with it.
                if self._queue and self._queue[0] is line:
                    self._take()

    def _take(self) -> None:
        self._size -= len(self._queue.popleft()) + _OVERHEAD

    def _reached(self) -> None:
        if self._is_missed:
            self._is_missed = False
            lost = self.dropped - self._told_dropped
            self._told_dropped = self.dropped
            logger.warning(
                "logs are sent to %s:%d again; %d records were dropped", self._host, self._port, lost
            )

    def _missed(self, error: OSError) -> None:
        if not self._is_missed:
            self._is_missed = True
            logger.warning(
                "logs cannot be sent to the master at %s:%d: %s. Up to %d bytes of records are kept meanwhile",
                self._host,
                self._port,
                error.strerror or error,
                self._keep,
            )


def _has_ended(master: socket.socket) -> bool:
    """Whether the master has closed the connection; it never sends data."""
    master.settimeout(0.0)
    try:
        return not master.recv(4096)
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    finally:
        master.settimeout(SEND_TIMEOUT)
