"""A pc_rpc session of a blocking client: a connection with its greeting, target, codec and method names."""

import time
from collections.abc import Sequence
from typing import Any

from rexec.wire._arrays import Buffer
from rexec.wire._connection import Connection, connect
from rexec.wire._protocol import (
    BANNER,
    FEATURES,
    Codec,
    Greeting,
    RemoteFailure,
    TargetName,
    call_request,
    check_length,
    choose_features,
    choose_target,
    method_list_request,
    parse_greeting,
    parse_methods,
    result_of,
    target_line,
)
from rexec.wire.errors import (
    CallTimeout,
    ConnectionBroken,
    ConnectionFailed,
    FormatError,
    IncompatibleServer,
    MessageTooLong,
)
from rexec.wire.tls import SimpleSSLConfig


class Session:
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
        self._connection = connection
        self._handshake_timeout = handshake_timeout
        self._features = features
        self.target: str | None = None
        self.codec = Codec()
        self.methods: frozenset[str] = frozenset()
        self._number = 0
        self.where = connection.where
        line = self._handshake([BANNER], "greeting")
        try:
            self.greeting: Greeting = parse_greeting(line.line)
        except FormatError as error:
            raise IncompatibleServer(f"{self.where} is no pc_rpc server: {error}") from error

    def select(self, wanted: TargetName) -> None:
        """Choose the target.

        Raises:
            ConnectionFailed: The server did not answer.
            IncompatibleServer: The server does not have it.

        """
        name = choose_target(self.greeting, wanted, self.where)
        if name is None:
            return
        features = choose_features(self.greeting, allowed=self._features)
        self.codec = Codec.of(features)
        # From the next message on lines may announce raw buffers.
        self._connection.reader.raw = self.codec.raw
        frame = self._handshake([target_line(name, features)], f"target {name!r}")
        try:
            self.methods = parse_methods(self.codec.decode(frame))
        except (TypeError, ValueError) as error:
            raise IncompatibleServer(f"{self.where}: {error}") from error
        self.target = name
        self._connection.where = self.where = f"{self.where}, target {name!r}"

    def _handshake(self, pieces: Sequence[Buffer], what: str) -> Any:
        deadline = time.monotonic() + self._handshake_timeout
        # Who speaks before the banner is another protocol (SSH, SMTP): its words, read as a greeting, tell so.
        if pieces != [BANNER] and not self._connection.quiet():
            raise ConnectionFailed(f"{self.where} said more, or ended, during the handshake ({what})")
        try:
            return self._connection.exchange(pieces, None, deadline)
        except CallTimeout as error:
            seconds = self._handshake_timeout
            raise ConnectionFailed(
                f"{self.where} accepted the connection but sent no answer to the {what} in {seconds:g} s"
            ) from error
        except (ConnectionBroken, FormatError, MessageTooLong) as error:
            raise ConnectionFailed(f"{error} (during the handshake, {what})") from error

    def quiet(self) -> bool:
        """Whether the connection can be used for a call."""
        return self._connection.quiet()

    def encode_call(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Buffer]:
        """Return the message of a call.

        Raises:
            TypeError: An argument has no encoding.
            ValueError: An argument is nested too deeply.
            MessageTooLong: The server is known not to take it.

        """
        self._number += 1
        pieces = call_request(self.codec, name, args, kwargs, self._number)
        check_length(pieces, self.greeting, f"{name}() of {self.where}")
        return pieces

    def encode_method_list(self) -> list[Buffer]:
        """Return the message that asks for the method list."""
        self._number += 1
        return method_list_request(self.codec, self._number)

    def exchange(self, pieces: Sequence[Buffer], silence: float | None, deadline: float | None) -> Any:
        """Send a request and return its result.

        Raises:
            RemoteFailure: The method raised.
            WireError: The connection is of no use any more.

        """
        frame = self._connection.exchange(pieces, silence, deadline)
        try:
            answer = self.codec.decode(frame)
        except TypeError as error:
            # The line was whole: only this value cannot be made here (a type that is not registered).
            raise RemoteFailure(error) from error
        except ValueError as error:
            raise FormatError(f"{self.where} sent what is no answer: {error}") from error
        return result_of(answer, self.codec, self._number, self.where)

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
