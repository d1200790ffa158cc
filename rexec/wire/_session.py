"""A pc_rpc session of a blocking client: a conversation over a connection."""

import time
from collections.abc import Sequence
from typing import Any

from rexec.wire._connection import Connection, connect
from rexec.wire._conversation import GREETING, Conversation
from rexec.wire._framing import Frame
from rexec.wire._pieces import Piece
from rexec.wire._protocol import BANNER, FEATURES, TargetName
from rexec.wire.errors import CallTimeout, ConnectionBroken, ConnectionFailed, FormatError, MessageTooLong
from rexec.wire.tls import SimpleSSLConfig


class Session(Conversation):
    """Speaks pc_rpc over one connection, until that is closed.

    Args:
        connection: Fresh connection.
        handshake_timeout: Longest time for each step of the handshake, in seconds.
        features: Those that may be used.

    Raises:
        ConnectionFailed: There was no greeting.
        IncompatibleServer: The server speaks something else.

    """

    def __init__(
        self, connection: Connection, handshake_timeout: float, features: Sequence[str] = FEATURES
    ) -> None:
        super().__init__(connection.where, features)
        self._connection = connection
        self._handshake_timeout = handshake_timeout
        self.quiet = connection.quiet
        """Whether the connection can be used for a call."""
        self.greeted(self._handshake(BANNER, GREETING))

    def select(self, wanted: TargetName) -> None:
        """Choose the target.

        Raises:
            ConnectionFailed: The server did not answer.
            IncompatibleServer: The server does not have it.

        """
        choice = self.choose(wanted)
        if choice is None:
            return
        name, line = choice
        # From the next message on lines may announce raw buffers.
        self._connection.reader.raw = self.codec.raw
        self.chosen(name, self._handshake(line, f"target {name!r}"))
        self._connection.where = self.where

    def _handshake(self, line: bytes, what: str) -> Frame:
        deadline = time.monotonic() + self._handshake_timeout
        # Who speaks before the banner is another protocol (SSH, SMTP): its words, read as a greeting, tell so.
        if line != BANNER and not self._connection.quiet():
            raise ConnectionFailed(f"{self.where} said more, or ended, during the handshake ({what})")
        try:
            return self._connection.exchange([line], None, deadline)
        except CallTimeout as error:
            raise self.silent(what, self._handshake_timeout) from error
        except (ConnectionBroken, FormatError, MessageTooLong) as error:
            raise self.refused(what, error) from error

    def exchange(self, pieces: Sequence[Piece], silence: float | None, deadline: float | None) -> Any:
        """Send a request and return its result.

        Raises:
            RemoteFailure: The method raised.
            WireError: The connection is of no use any more.

        """
        return self.result(self._connection.exchange(pieces, silence, deadline))

    def local_host(self) -> str:
        """Return the address of this end."""
        return self._connection.local_host()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def open_session(
    host: str,
    port: int,
    target: TargetName,
    ssl_config: SimpleSSLConfig | None,
    timeout: float,
    features: Sequence[str] = FEATURES,
) -> Session:
    """Connect, shake hands and choose a target.

    Raises:
        ConnectionFailed: That did not work within the time.
        IncompatibleServer: The server speaks something else, or does not have the target.

    """
    connection = connect(host, port, timeout, ssl_config)
    try:
        session = Session(connection, timeout, features)
        session.select(target)
    except BaseException:
        connection.close()
        raise
    return session
