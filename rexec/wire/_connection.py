"""One blocking connection of a client: made, used for one exchange at a time, closed at the first fault."""

import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from rexec.wire._framing import Frame, FrameReader
from rexec.wire._listen import tune
from rexec.wire._pieces import Piece, batches, send_some
from rexec.wire._spin import Spin
from rexec.wire.errors import (
    CallTimeout,
    ConnectionBroken,
    ConnectionFailed,
    checked_host,
    reason_of,
    shown_address,
)
from rexec.wire.tls import SimpleSSLConfig


def connect(host: str, port: int, timeout: float | None, ssl_config: SimpleSSLConfig | None) -> "Connection":
    """Return a new connection.

    Args:
        host: Name or address.
        port: TCP port.
        timeout: Longest time for connection and TLS handshake, in seconds.
        ssl_config: TLS, if any.

    Raises:
        ConnectionFailed: Nobody listens, nobody answers, or TLS was refused.

    """
    where = shown_address(host, port)
    try:
        sock = socket.create_connection((checked_host(host), port), timeout)
    except TimeoutError as error:
        raise ConnectionFailed(f"{where} did not accept a connection in {timeout:g} s") from error
    except OSError as error:
        raise ConnectionFailed(f"cannot connect to {where}: {reason_of(error)}") from error
    try:
        tune(sock)
        if ssl_config is not None:
            secured = ssl_config.create_client_context().wrap_socket(sock)
            sock = secured
            ssl_config.check_peer(secured.getpeercert(binary_form=True))
    except TimeoutError as error:
        sock.close()
        raise ConnectionFailed(f"{where} did not complete the TLS handshake in {timeout:g} s") from error
    except OSError as error:
        sock.close()
        raise ConnectionFailed(f"no TLS with {where}: {error}") from error
    except BaseException:
        sock.close()
        raise
    return Connection(sock, where)


class Connection:
    """A connected socket with its messages.

    Args:
        sock: Connected socket, with a timeout.
        where: host:port and target, for errors.

    """

    def __init__(self, sock: socket.socket, where: str) -> None:
        self.sock = sock
        self.where = where
        self.reader = FrameReader()
        self._timeout: float | None = sock.gettimeout()
        self._secured = isinstance(sock, ssl.SSLSocket)
        self._poll: Any = None
        if hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(sock, select.POLLIN)  # type: ignore[attr-defined, unused-ignore]
        # Of TLS, poll does not see what is decrypted already.
        self._spin = Spin(self._poll) if self._poll is not None and not self._secured else None

    def local_host(self) -> str:
        """Return the address of this end."""
        return str(self.sock.getsockname()[0])

    def quiet(self) -> bool:
        """Whether nothing has come since the last answer: no bytes that nobody asked for, no end of stream."""
        if self._secured:
            return self.reader.idle and self._quiet_tls()
        if self._poll is not None:
            return self.reader.idle and not self._poll.poll(0)
        return self.reader.idle and not select.select([self.sock], [], [], 0)[0]

    def _quiet_tls(self) -> bool:
        """Whether TLS itself (its session tickets) is all that may have come."""
        self._set_timeout(0.0)
        try:
            self.sock.recv(1)
        except ssl.SSLWantReadError:
            return True
        except OSError:
            return False
        return False

    def _set_timeout(self, seconds: float | None) -> None:
        self.sock.settimeout(seconds)
        self._timeout = seconds

    def exchange(self, pieces: Sequence[Piece], silence: float | None, deadline: float | None) -> Frame:
        """Send a message and return the one that answers it.

        Args:
            pieces: The message.
            silence: Longest time without progress, in seconds.
            deadline: When the answer must be complete (`time.monotonic`).

        Raises:
            CallTimeout: No progress, or no answer in time.
            ConnectionBroken: The connection was lost.
            WireError: What came is no message.

        """
        try:
            if silence != self._timeout:
                self._set_timeout(silence)
            self._send(pieces, silence, deadline)
            return self._receive(silence, deadline)
        except TimeoutError as error:
            is_silent = silence is not None and (deadline is None or time.monotonic() < deadline)
            limit = f"in {silence:g} s" if is_silent else "in time"
            raise CallTimeout(f"{self.where} did not answer {limit}") from error
        except OSError as error:
            if isinstance(error, ConnectionBroken):
                raise
            raise ConnectionBroken(f"connection to {self.where} lost: {reason_of(error)}") from error

    def _send(self, pieces: Sequence[Piece], silence: float | None, deadline: float | None) -> None:
        """Send pieces one after another, uncopied."""
        first = pieces[0]
        if len(pieces) == 1 and isinstance(first, bytes):  # the usual case, most often sent in one go
            if deadline is not None:
                self._bound(silence, deadline)
            sent = self.sock.send(first)
            if sent == len(first):
                return
            pieces = [memoryview(first)[sent:]]
        for batch in batches(pieces):
            rest = deque(batch)
            while rest:
                if deadline is not None:
                    self._bound(silence, deadline)
                send_some(self.sock, rest, secured=self._secured)

    def _receive(self, silence: float | None, deadline: float | None) -> Frame:
        """Return the next message."""
        reader = self.reader
        while True:  # nothing of the answer is here yet: the connection was quiet
            if deadline is not None:
                self._bound(silence, deadline)
            if self._spin is not None:
                self._spin.awake()
            count = self.sock.recv_into(reader.space())
            if count == 0:
                raise ConnectionBroken(f"{self.where} closed the connection")
            frame = reader.take(count)
            if frame is not None:
                return frame

    def _bound(self, silence: float | None, deadline: float) -> None:
        """Bound the next wait by what is left."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._set_timeout(left if silence is None else min(left, silence))

    def close(self) -> None:
        """Close the socket; a thread that waits on it is woken."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it was not connected any more, which is what is wanted
        self.sock.close()
