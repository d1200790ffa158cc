"""Messages on a pc_rpc connection after the handshake, as pure functions."""

import builtins
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rexec.wire import pyon_v1
from rexec.wire._framing import Frame
from rexec.wire._pieces import Piece
from rexec.wire._pyon_decode import decode_line
from rexec.wire._pyon_encode import PLAIN, Base64Line, Line, RawLine, to_json
from rexec.wire._pyon_v1_parser import parse
from rexec.wire.errors import FormatError
from rexec.wire.packed_exceptions import pack_exception

PYON_V2: Final = "pyon_v2"
RAW_BUFFERS: Final = "raw_buffers_1"
"""Feature: large arrays and bytes follow their line raw (docs/explanation/wire.md)."""
CALL_IDS: Final = "call_ids_1"
"""Feature: an answer bears the number of its request (docs/explanation/wire.md)."""
INTRODUCTION: Final = "introduction_1"
"""Feature: the client says who it is with its choice of a target (docs/explanation/wire.md)."""
FEATURES: Final = (PYON_V2, RAW_BUFFERS, CALL_IDS, INTRODUCTION)


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
        """Return a message that is a dict whose first fields are written already.

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
    if type(ret) in PLAIN:  # the usual small answer, the same in both versions
        return [b'{"status":"ok"%b,"ret":%b}\n' % (numbered(codec, number), to_json(ret))]
    return codec.encode_fields(b'{"status":"ok"' + numbered(codec, number), {"ret": ret})


def numbered(codec: Codec, number: Any) -> bytes:
    """Return the field with the number of a request or answer, as more of the text before it."""
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
    head = b'{"status":"failed"' + numbered(codec, number)
    return codec.encode_fields(head, {"exception": packed})


def bare_method_list(names: frozenset[str]) -> dict[str, Any]:
    """Return a method list that has only names, because reference servers fail on some annotations."""
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
    """Carries the exception of a method past the handlers of connection errors."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error
