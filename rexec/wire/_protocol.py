"""What is said on a pc_rpc connection, as pure functions: greeting, choice of target, requests, answers."""

import builtins
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rexec.wire import pyon_v1
from rexec.wire._framing import Frame
from rexec.wire._pieces import Piece
from rexec.wire._pyon_decode import decode_line
from rexec.wire._pyon_encode import PLAIN, Base64Line, Line, RawLine, encode_text, to_json
from rexec.wire._pyon_v1_parser import parse
from rexec.wire.errors import FormatError, IncompatibleServer, MessageTooLong
from rexec.wire.packed_exceptions import pack_exception

BANNER: Final = b"ARTIQ pc_rpc\n"
PYON_V2: Final = "pyon_v2"
RAW_BUFFERS: Final = "raw_buffers_1"
"""Feature: large arrays and bytes follow their line raw (docs/explanation/wire.md)."""
CALL_IDS: Final = "call_ids_1"
"""Feature: an answer bears the number of its request (docs/explanation/wire.md)."""
FEATURES: Final = (PYON_V2, RAW_BUFFERS, CALL_IDS)

STOCK_LINE_LIMIT: Final = 4 << 20
"""A reference server reads at most this many bytes in one line."""


class AutoTarget:
    """As target name: the only target that the server has."""


TargetName = str | type[AutoTarget] | None


@dataclass(frozen=True)
class Greeting:
    """The server's first line."""

    targets: tuple[str, ...]
    description: str | None
    features: frozenset[str]


@dataclass(frozen=True)
class Codec:
    """How values are written on one connection, as its features say."""

    v2: bool = False
    raw: bool = False
    call_ids: bool = False

    @classmethod
    def of(cls, features: Sequence[str]) -> "Codec":
        """Return the codec for the features that were chosen."""
        return cls(PYON_V2 in features, RAW_BUFFERS in features, CALL_IDS in features)

    @property
    def ours(self) -> bool:
        """Whether the peer is one of this project, too."""
        return self.call_ids

    def encode(self, x: Any, root: str = "value") -> list[Piece]:
        """Return a message as pieces to be sent one after another, line end included.

        Raises:
            TypeError: A part of the value has no encoding.
            ValueError: It is nested too deeply.

        """
        if not self.v2:
            return [*pyon_v1.encode_pieces(x, root), b"\n"]
        line = RawLine() if self.raw else Base64Line()
        return line.pieces(line.json(x, root) + b"\n")

    def encode_fields(self, head: bytes, values: dict[str, Any]) -> list[Piece]:
        """Return a message that is a dict, of which the begin is written already.

        Args:
            head: The JSON text of its first fields, from the opening brace on; both versions read it.
            values: Its other fields; in errors they are called as in the dict.

        Raises:
            TypeError: A part of a value has no encoding.
            ValueError: It is nested too deeply.

        """
        if not values:
            return [head + b"}\n"]
        if not self.v2:
            pieces: list[Piece] = [head]
            for name, x in values.items():
                pieces += [b',"%b":' % name.encode(), *pyon_v1.encode_pieces(x, name)]
            return [*pieces, b"}\n"]
        line: Line | None = None  # most often nothing in a message needs one
        text = [head]
        for name, x in values.items():
            if type(x) in PLAIN:
                written = to_json(x)
            else:
                line = line or (RawLine() if self.raw else Base64Line())
                written = line.json(x, name)
            text += (b',"', name.encode(), b'":', written)
        text.append(b"}\n")
        whole = b"".join(text)
        return [whole] if line is None else line.pieces(whole)

    def decode(self, frame: Frame) -> Any:
        """Return the value of a message.

        Raises:
            TypeError: It names an unknown type.
            ValueError: It is malformed.

        """
        if self.v2:
            return decode_line(frame.line, frame.buffers)
        return parse(frame.line)


def greeting_line(targets: Sequence[str], description: str | None) -> bytes:
    """Return the server's first line."""
    greeting = {"targets": sorted(targets), "description": description, "features": list(FEATURES)}
    return encode_text(greeting).encode("ascii") + b"\n"


def parse_greeting(line: bytes | bytearray) -> Greeting:
    """Return the contents of the server's first line.

    Raises:
        FormatError: It is none.

    """
    try:
        # JSON is what both versions have in common here; an old server's description may still need v1.
        try:
            value = decode_line(line)
        except (TypeError, ValueError):
            value = parse(line)
    except (TypeError, ValueError) as error:
        raise FormatError(f"no pc_rpc greeting: {bytes(line[:60])!r}") from error
    targets = value.get("targets") if isinstance(value, dict) else None
    if not isinstance(targets, list) or not all(isinstance(target, str) for target in targets):
        raise FormatError(f"no pc_rpc greeting: {bytes(line[:60])!r}")
    features = value.get("features", [])
    description = value.get("description")
    known = [f for f in features if isinstance(f, str)] if isinstance(features, list) else []
    return Greeting(tuple(targets), None if description is None else str(description), frozenset(known))


def choose_target(greeting: Greeting, wanted: TargetName, where: str) -> str | None:
    """Return the target's name.

    Args:
        greeting: What the server said.
        wanted: A name, `AutoTarget`, or None to choose later.
        where: host:port, for the error.

    Raises:
        IncompatibleServer: The server does not have it.

    """
    has = ", ".join(greeting.targets) or "none"
    if wanted is None:
        return None
    if isinstance(wanted, str):
        if wanted in greeting.targets:
            return wanted
        raise IncompatibleServer(
            f"{where} has no target {wanted!r}; it has: {has}{suggestion(wanted, greeting.targets)}"
        )
    if len(greeting.targets) != 1:
        raise IncompatibleServer(f"{where} has {len(greeting.targets)} targets, name one of them: {has}")
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


def choose_features(greeting: Greeting, *, allowed: Sequence[str] = FEATURES) -> list[str]:
    """Return the features to name: those that both sides have."""
    chosen: list[str] = [
        feature for feature in FEATURES if feature in greeting.features and feature in allowed
    ]
    return chosen if PYON_V2 in chosen else []


def target_line(target: str, features: Sequence[str]) -> bytes:
    """Return the client's choice as its line."""
    return " ".join([target, *features]).encode("ascii") + b"\n"


def parse_methods(value: Any) -> frozenset[str]:
    """Return the names in the server's answer to the choice of a target.

    Raises:
        FormatError: It is none.

    """
    # An old peer writes the empty set as an empty dict.
    if (isinstance(value, set) and all(isinstance(name, str) for name in value)) or value == {}:
        return frozenset(value)
    raise FormatError(f"no set of method names: {value!r:.60}")


def call_request(
    codec: Codec, name: str, args: Sequence[Any], kwargs: dict[str, Any], number: int
) -> list[Piece]:
    """Return the message of a call.

    Raises:
        TypeError: An argument has no encoding; the text has its path.
        ValueError: An argument is nested too deeply.

    """
    head = _call_head(name)
    values: dict[str, Any] = {}
    if codec.call_ids:  # one of ours, which takes a list, and needs not be told of what is empty
        head = b'%b,"id":%d' % (head, number)
        if args:
            values["args"] = list(args)
        if kwargs:
            values["kwargs"] = kwargs
    else:
        values = {"args": tuple(args), "kwargs": kwargs}
    try:
        return codec.encode_fields(head, values)
    except TypeError as error:
        raise TypeError(f"argument of {name}(): {error}") from None


@functools.lru_cache(1024)
def _call_head(name: str) -> bytes:
    return b'{"action":"call","name":%b' % to_json(name)


def check_length(pieces: Sequence[Piece], what: str) -> None:
    """Refuse a message that a reference server would answer by dropping the connection.

    Raises:
        MessageTooLong: It is longer than such a server reads.

    """
    size = sum(map(len, pieces))
    if size > STOCK_LINE_LIMIT:
        raise MessageTooLong(
            f"{what}: the request has {size} bytes, this server reads at most {STOCK_LINE_LIMIT} in one. "
            "Send the data in pieces"
        )


def method_list_request(codec: Codec, number: int) -> list[Piece]:
    """Return the message that asks for signatures and docstrings."""
    return codec.encode_fields(b'{"action":"get_rpc_method_list"' + _numbered(codec, number), {})


def decode_request(codec: Codec, frame: Frame) -> Any:
    """Return a request; or the TypeError to answer it with, where it names an unknown type.

    Raises:
        FormatError: It is malformed.

    """
    try:
        return codec.decode(frame)
    except TypeError as error:
        return error
    except ValueError as error:
        raise FormatError(f"no request: {error}") from error


def answer_message(codec: Codec, ret: Any, number: Any) -> list[Piece]:
    """Return the message of a successful answer.

    Raises:
        TypeError: The value has no encoding; the text has the path, such as `ret['fits'][3]`.
        ValueError: The value is nested too deeply.

    """
    numbered = _numbered(codec, number)
    if type(ret) in PLAIN:  # the usual small answer, the same in both versions
        return [b'{"status":"ok"%b,"ret":%b}\n' % (numbered, to_json(ret))]
    return codec.encode_fields(b'{"status":"ok"' + numbered, {"ret": ret})


def _numbered(codec: Codec, number: Any) -> bytes:
    """Return the field with the number of an answer, as more of the text before it."""
    if not codec.call_ids:
        return b""
    # A client that has numbered its request otherwise than by an integer gets an answer that fits no request.
    return b',"id":%d' % number if type(number) is int else b',"id":null'


def failure_message(codec: Codec, error: BaseException, number: Any, skip: int) -> list[Piece]:
    """Return the message that says that a call raised.

    Args:
        codec: That of the connection.
        error: What was raised.
        number: The request's.
        skip: Outermost frames of the traceback that belong to the server.

    """
    packed = pack_exception(error, extended=codec.ours, skip=skip)
    head = b'{"status":"failed"' + _numbered(codec, number)
    return codec.encode_fields(head, {"exception": packed})


def bare_method_list(names: frozenset[str]) -> dict[str, Any]:
    """Return a method list of which only the names are known: reference servers fail on some annotations."""
    spec: dict[str, Any] = {
        "args": ["self"],
        "varargs": "args",
        "varkw": "kwargs",
        "defaults": None,
        "kwonlyargs": [],
        "kwonlydefaults": None,
        "annotations": {},
    }
    return {"docstring": None, "methods": {n: (spec, None) for n in sorted(names) if not n.startswith("_")}}


class RemoteFailure(builtins.Exception):
    """Carries what a method raised past the handlers of faults of the connection."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error
