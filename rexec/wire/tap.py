"""Reads a pc_rpc conversation from the side, as a proxy hears it: which target, what was asked and answered."""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rexec.wire._framing import Frame, FrameReader
from rexec.wire._protocol import BANNER, Codec, Greeting, parse_greeting, parse_methods
from rexec.wire.errors import FormatError, WireError

__all__ = ["Exchange", "Tap", "dump_raw", "load_raw"]

_RAW = Codec(v2=True, raw=True)


@dataclass(frozen=True)
class Exchange:
    """A request and its answer.

    Attributes:
        target: Target of the connection.
        encoding: "v1", "v2", or "raw" where large arrays go raw.
        request: The request as a dict, None where it could not be read.
        answer: The answer as a dict, None where it could not be read.
        problem: Why one of them could not be read.
        began: When the request was complete (`time.monotonic`).
        seconds: From then to the complete answer.

    """

    target: str
    encoding: str
    request: Any
    answer: Any
    problem: str | None
    began: float
    seconds: float


class Tap:
    """Follows one connection. Bytes are given in the order in which they passed.

    What is no pc_rpc ends the following (`problem` says why), never the conversation.
    """

    def __init__(self) -> None:
        self.greeting: Greeting | None = None
        self.target: str | None = None
        self.methods: frozenset[str] | None = None
        self.problem: str | None = None
        self._codec = Codec()
        self._client = FrameReader()
        self._server = FrameReader()
        self._greeted = False
        self._asked: deque[tuple[Frame, float]] = deque()

    def from_client(self, data: bytes) -> None:
        """Take what the client sent, before it is passed on."""
        if self.problem is not None:
            return
        try:
            for frame in _frames(self._client, data):
                self._client_said(frame)
        except (WireError, ValueError) as error:
            self.problem = f"the client's words are no pc_rpc: {error}"

    def from_server(self, data: bytes) -> list[Exchange]:
        """Take what the server sent; return the exchanges that this completes."""
        found: list[Exchange] = []
        if self.problem is None:
            try:
                for frame in _frames(self._server, data):
                    found += self._server_said(frame)
            except (WireError, ValueError) as error:
                self.problem = f"the server's words are no pc_rpc: {error}"
        return found

    def _client_said(self, frame: Frame) -> None:
        if not self._greeted:
            if bytes(frame.line) + b"\n" != BANNER:
                raise FormatError(f"{bytes(frame.line[:40])!r} is no banner of it")
            self._greeted = True
        elif self.target is None:
            name, *features = bytes(frame.line).decode("ascii", "replace").split(" ")
            self.target = name
            self._codec = Codec.of(features)
            self._client.raw = self._server.raw = self._codec.raw
        else:
            self._asked.append((frame, time.monotonic()))

    def _server_said(self, frame: Frame) -> Iterator[Exchange]:
        if self.greeting is None:
            self.greeting = parse_greeting(frame.line)
        elif self.methods is None:
            self.methods = parse_methods(self._codec.decode(frame))
        elif self._asked:
            request, began = self._asked.popleft()
            yield self._exchange(request, frame, began)
        else:
            raise FormatError("it answered what nobody had asked")

    def _exchange(self, asked: Frame, answered: Frame, began: float) -> Exchange:
        seconds = time.monotonic() - began
        encoding = "raw" if self._codec.raw else "v2" if self._codec.v2 else "v1"
        problem, read = None, []
        for frame in (asked, answered):
            try:
                read.append(self._codec.decode(frame))
            except (TypeError, ValueError) as error:
                read.append(None)
                problem = problem or str(error)
        return Exchange(self.target or "", encoding, read[0], read[1], problem, began, seconds)


def _frames(reader: FrameReader, data: bytes) -> Iterator[Frame]:
    """Give bytes to a reader and yield the messages that they complete."""
    rest = memoryview(data)
    frame = reader.take()
    while frame is not None or rest:
        if frame is not None:
            yield frame
            frame = reader.take()
            continue
        space = reader.space()
        count = min(len(space), len(rest))
        space[:count] = rest[:count]
        rest = rest[count:]
        frame = reader.take(count)


def dump_raw(value: Any) -> bytes:
    """Return a value as one message in the form of the feature `raw_buffers_1`: a line, large arrays raw behind it.

    Raises:
        TypeError: A part of the value has no encoding.

    """
    return b"".join(bytes(piece) for piece in _RAW.encode(value, "record"))


def load_raw(data: bytes) -> Any:
    """Return the value of a message made by `dump_raw`.

    Raises:
        TypeError: It names an unknown type.
        ValueError: It is malformed, or not whole.

    """
    reader = FrameReader()
    reader.raw = True
    frames = list(_frames(reader, data))
    if len(frames) != 1 or not reader.idle:
        raise ValueError("it is not one whole message")
    return _RAW.decode(frames[0])
