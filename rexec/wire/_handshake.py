"""Both ends of the pc_rpc handshake, as step objects: each takes a message and returns what to send next. No I/O.

The client sends the banner, the server its greeting; the client chooses a target, the server names its methods.
"""

import contextlib
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rexec.access.identity import SAYS_NOTHING, Introduction, introduction
from rexec.wire._conversation import Conversation, Greeting
from rexec.wire._framing import Frame, FrameReader
from rexec.wire._protocol import FEATURES, INTRODUCTION, PYON_V2, Codec
from rexec.wire._pyon_decode import decode_line
from rexec.wire._pyon_encode import encode_text
from rexec.wire._pyon_v1_parser import parse
from rexec.wire.errors import (
    AmbiguousTarget,
    ConnectionBroken,
    ConnectionFailed,
    FormatError,
    IncompatibleServer,
    MessageTooLong,
)

BANNER: Final = b"ARTIQ pc_rpc\n"
_GREETING_LIMIT: Final = 1 << 20
"""Longest greeting, or set of method names, that a client takes, in bytes."""


class AutoTarget:
    """As target name: the only target that the server has."""


TargetName = str | type[AutoTarget] | None


class ClientHandshake:
    """The client's end.

    Args:
        where: host:port, for errors.
        reader: The connection's; the handshake sets what it accepts.
        wanted: A name, `AutoTarget`, or None to choose later.
        features: Features that may be used.

    Attributes:
        conversation: What was agreed, complete once the handshake is.
        step: What is awaited: "greeting", then "target"; empty before and after.

    """

    def __init__(
        self, where: str, reader: FrameReader, wanted: TargetName = None, features: Sequence[str] = FEATURES
    ) -> None:
        self.conversation = Conversation(where)
        self.step = ""
        self._reader = reader
        self._wanted = wanted
        self._features = features
        self._name = ""

    def begin(self) -> bytes:
        """Return the first line to send."""
        self.step = "greeting"
        self._reader.limit = _GREETING_LIMIT
        # SSH and SMTP servers speak first, TLS servers answer with an alert: one byte of it says so.
        self._reader.opening = b"{"
        return BANNER

    def take(self, frame: Frame) -> bytes | None:
        """Take the server's message; return the next line to send, None if there is none.

        Raises:
            FormatError: The message is not the expected answer.
            IncompatibleServer: The server does not have the target.

        """
        if self.step == "greeting":
            self.conversation.greeting = parse_greeting(frame.line)
            self.step = ""
            self._reader.opening = None
            return self.choose(self._wanted)
        talk = self.conversation
        try:
            talk.methods = parse_methods(talk.codec.decode(frame))
        except (TypeError, ValueError) as error:
            raise IncompatibleServer(f"{talk.where}: {error}") from error
        talk.target = self._name
        talk.where = f"{talk.where}, target {self._name!r}"
        self.step = ""
        self._reader.limit = None
        return None

    def choose(self, wanted: TargetName) -> bytes | None:
        """Return the line that chooses a target; None if the choice is for later.

        From here on messages are written with the features that both sides have.

        Raises:
            IncompatibleServer: The server does not have it, or its name cannot be sent.

        """
        talk = self.conversation
        if wanted is None:
            return None
        name = choose_target(talk.greeting, wanted, talk.where)
        if not name.isascii() or any(char.isspace() or not char.isprintable() for char in name):
            raise IncompatibleServer(
                f"{talk.where}: target {name!r} cannot be chosen: a name is printable ASCII without white space"
            )
        features = [each for each in FEATURES if each in talk.greeting.features and each in self._features]
        if PYON_V2 not in features:
            features = []
        self.expect(name, Codec.of(features))
        words = [name, *features]
        if INTRODUCTION in features:
            words.append(introduction().word())
        return " ".join(words).encode("ascii") + b"\n"

    def expect(self, target: str, codec: Codec) -> None:
        """Expect the answer to the choice of a target, in this codec."""
        self._name = target
        self.conversation.codec = codec
        self._reader.raw = codec.raw
        self.step = "target"

    @contextlib.contextmanager
    def waiting(self, seconds: float) -> Iterator[None]:
        """Turn errors of a step into errors of the handshake, which say what was awaited, where, for how long.

        Raises:
            ConnectionFailed: The server did not answer.
            IncompatibleServer: It answered in another protocol.

        """
        where = self.conversation.where
        step = self.step
        what = step if step != "target" else f"target {self._name!r}"
        try:
            yield
        except FormatError as error:
            wrong = IncompatibleServer(f"{where} is no pc_rpc server: it {error}")
            wrong.said = error.said
            raise wrong from error
        except TimeoutError as error:  # CallTimeout is one
            text = f"{where} accepted the connection but sent no answer to the {what} in {seconds:g} s"
            raise _failed(step, text, error) from error
        except (ConnectionBroken, MessageTooLong) as error:
            hint = ""
            if step == "greeting" and isinstance(error, ConnectionBroken):
                hint = ". It may be a port of another protocol, want TLS, or not know our certificate"
            raise _failed(step, f"{where}: {error} (during the handshake, {what}){hint}", error) from error


def _failed(step: str, text: str, cause: Exception) -> ConnectionFailed:
    error = ConnectionFailed.because(text, cause)
    error.step = step
    return error


@dataclass(frozen=True)
class Choice:
    """What a client has chosen, and what it says of itself."""

    target: str
    codec: Codec
    introduction: Introduction = SAYS_NOTHING


class ServerHandshake:
    """The server's end.

    Args:
        reader: The connection's; the handshake sets what it accepts.
        targets: Names that may be chosen; None for any (a tap).
        description: Text for people.

    """

    def __init__(
        self, reader: FrameReader, targets: Iterable[str] | None, description: str | None = None
    ) -> None:
        self._reader = reader
        self._targets: Container[str] | None = None if targets is None else list(targets)
        self._greeting = greeting_line(self._targets or (), description)
        self._has_banner = False

    def take(self, frame: Frame) -> bytes | Choice:
        """Take the client's message; return the line to send, or the choice that ends the handshake.

        Raises:
            FormatError: The client speaks another protocol, or asks for an unknown target or feature.

        """
        line = bytes(frame.line)
        if not self._has_banner:
            if line + b"\n" != BANNER:
                raise _unknown("banner", line)
            self._has_banner = True
            return self._greeting
        name, *features = line.decode("ascii", "replace").split(" ")
        if self._targets is not None and name not in self._targets:
            raise _unknown("target", line)
        said = SAYS_NOTHING
        if INTRODUCTION in features:
            try:
                said = Introduction.from_word(features.pop())
            except ValueError as error:
                raise _unknown("introduction", line) from error
        if not set(features) <= set(FEATURES):
            raise _unknown("feature", line)
        codec = Codec.of(features)
        self._reader.raw = codec.raw
        return Choice(name, codec, said)


def _unknown(what: str, line: bytes) -> FormatError:
    error = FormatError(f"unknown {what}: {line[:60]!r}")
    error.said = line[:60]
    return error


def greeting_line(targets: Iterable[str], description: str | None) -> bytes:
    """Return the server's first line."""
    greeting = {"targets": sorted(targets), "description": description, "features": list(FEATURES)}
    return encode_text(greeting).encode("ascii") + b"\n"


def parse_greeting(line: bytes | bytearray) -> Greeting:
    """Return the contents of the server's first line.

    Raises:
        FormatError: It is no greeting.

    """
    error = FormatError(f"says {bytes(line[:60])!r}")
    error.said = bytes(line[:60])
    try:
        # Both versions write a greeting as JSON, except that an old server's description may need v1.
        try:
            value = decode_line(line)
        except (TypeError, ValueError):
            value = parse(line)
    except (TypeError, ValueError):
        raise error from None
    targets = value.get("targets") if isinstance(value, dict) else None
    if not isinstance(targets, list) or not all(isinstance(target, str) for target in targets):
        raise error
    features = value.get("features", [])
    description = value.get("description")
    known = [f for f in features if isinstance(f, str)] if isinstance(features, list) else []
    return Greeting(tuple(targets), None if description is None else str(description), frozenset(known))


def parse_methods(value: Any) -> frozenset[str]:
    """Return the names in the server's answer to the choice of a target.

    Raises:
        FormatError: It is no set of names.

    """
    # An old peer writes the empty set as an empty dict.
    if (isinstance(value, set) and all(isinstance(name, str) for name in value)) or value == {}:
        return frozenset(value)
    raise FormatError(f"no set of method names: {value!r:.60}")


def choose_target(greeting: Greeting, wanted: str | type[AutoTarget], where: str) -> str:
    """Return the target's name.

    Raises:
        IncompatibleServer: The server does not have it.
        AmbiguousTarget: The only one is wanted, and there are several or none.

    """
    has = ", ".join(greeting.targets) or "none"
    if isinstance(wanted, str):
        if wanted in greeting.targets:
            return wanted
        raise IncompatibleServer(
            f"{where} has no target {wanted!r}; it has: {has}{suggestion(wanted, greeting.targets)}"
        )
    if len(greeting.targets) != 1:
        raise AmbiguousTarget(f"{where} has {len(greeting.targets)} targets, name one of them: {has}")
    return greeting.targets[0]


def no_such_method(where: str, name: str, methods: Iterable[str]) -> AttributeError:
    """Return the error that a target has no method of a name."""
    return AttributeError(f"{where} has no method {name!r}{suggestion(name, methods)}")


def suggestion(wanted: str, names: Iterable[str]) -> str:
    """Return ". Did you mean …?", or nothing where no name is near."""
    # Only once something is wrong: a controller starts without the device database's package.
    from devicedb.suggest import did_you_mean

    text = did_you_mean(wanted, sorted(names))
    return f".{text}" if text else ""
