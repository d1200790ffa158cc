"""What a pc_rpc client says and understands on one connection: greeting, choice of a target, calls. No I/O."""

from collections.abc import Sequence
from typing import Any, Final

from rexec.wire._framing import Frame
from rexec.wire._pieces import Piece
from rexec.wire._protocol import (
    CALL_IDS,
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
    target_line,
)
from rexec.wire.errors import ConnectionBroken, ConnectionFailed, FormatError, IncompatibleServer, WireError
from rexec.wire.packed_exceptions import exception_from

GREETING: Final = "greeting"
"""The first step of the handshake, in the words of errors."""


class Conversation:
    """The state of a connection between a client and a server.

    Args:
        where: host:port, for errors; the target is added once it is chosen.
        features: Those that may be used.

    """

    def __init__(self, where: str, features: Sequence[str] = FEATURES) -> None:
        self.where = where
        self.greeting = Greeting((), None, frozenset())
        self.codec = Codec()
        self.methods: frozenset[str] = frozenset()
        self.target: str | None = None
        self._features = features
        self._number = 0

    def greeted(self, frame: Frame) -> None:
        """Take the server's first line.

        Raises:
            IncompatibleServer: It is that of another protocol.

        """
        try:
            self.greeting = parse_greeting(frame.line)
        except FormatError as error:
            raise IncompatibleServer(f"{self.where} is no pc_rpc server: {error}") from error

    def choose(self, wanted: TargetName) -> tuple[str, bytes] | None:
        """Return the name of the target and the line that chooses it; None where none is wanted yet.

        From here on messages are written with the features that both sides have.

        Raises:
            IncompatibleServer: The server does not have it.

        """
        name = choose_target(self.greeting, wanted, self.where)
        if name is None:
            return None
        features = choose_features(self.greeting, allowed=self._features)
        self.codec = Codec.of(features)
        return name, target_line(name, features)

    def chosen(self, name: str, frame: Frame) -> None:
        """Take the names of the target's methods, the answer to its choice.

        Raises:
            IncompatibleServer: It is no such answer.

        """
        try:
            self.methods = parse_methods(self.codec.decode(frame))
        except (TypeError, ValueError) as error:
            raise IncompatibleServer(f"{self.where}: {error}") from error
        self.target = name
        self.where = f"{self.where}, target {name!r}"

    def silent(self, what: str, seconds: float) -> ConnectionFailed:
        """Return the error that a step of the handshake was not answered."""
        return ConnectionFailed(
            f"{self.where} accepted the connection but sent no answer to the {what} in {seconds:g} s"
        )

    def refused(self, what: str, error: WireError) -> ConnectionFailed:
        """Return the error that a step of the handshake ended the connection."""
        where = "" if self.where in str(error) else f"{self.where}: "
        hint = ""
        if what == GREETING and isinstance(error, ConnectionBroken):
            hint = ". It may be a port of another protocol, want TLS, or not know our certificate"
        return ConnectionFailed(f"{where}{error} (during the handshake, {what}){hint}")

    def encode_call(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Piece]:
        """Return the message of a call.

        Raises:
            TypeError: An argument has no encoding.
            ValueError: An argument is nested too deeply.
            MessageTooLong: The server is known not to take it.

        """
        self._number += 1
        pieces = call_request(self.codec, name, args, kwargs, self._number)
        if CALL_IDS not in self.greeting.features:  # one of ours takes any length
            check_length(pieces, f"{name}() of {self.where}")
        return pieces

    def encode_method_list(self) -> list[Piece]:
        """Return the message that asks for the method list."""
        self._number += 1
        return method_list_request(self.codec, self._number)

    def result(self, frame: Frame) -> Any:
        """Return what the last call returned.

        Raises:
            RemoteFailure: The method raised, or its value cannot be made here.
            FormatError: It is no answer to that call: the connection is of no use any more.

        """
        try:
            answer = self.codec.decode(frame)
        except TypeError as error:
            # The line was whole: only this value cannot be made here (a type that is not registered).
            raise RemoteFailure(error) from error
        except ValueError as error:
            raise FormatError(f"{self.where} sent what is no answer: {error}") from error
        if type(answer) is not dict or (self.codec.call_ids and answer.get("id") != self._number):
            raise FormatError(f"{self.where} sent something else than the answer to this call")
        status = answer.get("status")
        if status == "ok":
            return answer.get("ret")
        if status == "failed":
            raise RemoteFailure(exception_from(answer.get("exception"), self.where))
        raise FormatError(f"{self.where} sent an answer with the status {status!r:.40}")
