"""Reads the bytes of a pc_rpc connection that a proxy passes on: target, requests, answers."""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rexec.wire._framing import Frame, FrameReader
from rexec.wire._handshake import Choice, ClientHandshake, ServerHandshake
from rexec.wire._protocol import Codec
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
    """Reads one connection. Give it the bytes in the order in which they passed.

    Bytes that are no pc_rpc end the reading (`problem` says why), not the connection.

    Attributes:
        problem: Why the reading has ended.

    """

    def __init__(self) -> None:
        self.problem: str | None = None
        self._client = FrameReader()
        self._server = FrameReader()
        # What one side sends is input of the other side's handshake.
        self._hears_client = ServerHandshake(self._client, None)
        self._hears_server = ClientHandshake("the connection", self._server)
        self._hears_server.begin()
        self._choice: Choice | None = None
        self._asked: deque[tuple[Frame, float]] = deque()

    @property
    def target(self) -> str | None:
        """Target of the connection, once it is chosen."""
        return None if self._choice is None else self._choice.target

    @property
    def methods(self) -> frozenset[str]:
        """Names of the target's methods, once the server has told them."""
        return self._hears_server.conversation.methods

    def from_client(self, data: bytes) -> None:
        """Take what the client sent, before it is passed on."""
        if self.problem is not None:
            return
        try:
            for frame in _frames(self._client, data):
                if self._choice is not None:
                    self._asked.append((frame, time.monotonic()))
                    continue
                said = self._hears_client.take(frame)
                if isinstance(said, Choice):
                    self._choice = said
                    self._await_methods()
        except (WireError, ValueError) as error:
            self.problem = f"the client's words are no pc_rpc: {error}"

    def from_server(self, data: bytes) -> list[Exchange]:
        """Take what the server sent; return the exchanges that this completes."""
        found: list[Exchange] = []
        if self.problem is None:
            try:
                for frame in _frames(self._server, data):
                    if self._hears_server.step:
                        greeted = self._hears_server.step == "greeting"
                        self._hears_server.take(frame)
                        if greeted:
                            self._await_methods()
                    elif self._asked:
                        found.append(self._exchange(*self._asked.popleft(), frame))
                    else:
                        raise FormatError("it answered what nobody had asked")
            except (WireError, ValueError) as error:
                self.problem = f"the server's words are no pc_rpc: {error}"
        return found

    def _await_methods(self) -> None:
        """Expect the answer to the client's choice, once that and the greeting have been heard, in whatever order."""
        if self._choice is not None and not self._hears_server.step:
            self._hears_server.expect(self._choice.target, self._choice.codec)

    def _exchange(self, asked: Frame, began: float, answered: Frame) -> Exchange:
        seconds = time.monotonic() - began
        codec = self._hears_server.conversation.codec
        encoding = "raw" if codec.raw else "v2" if codec.v2 else "v1"
        problem, read = None, []
        for frame in (asked, answered):
            try:
                read.append(codec.decode(frame))
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
