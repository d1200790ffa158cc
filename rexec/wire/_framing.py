"""Cuts a byte stream into messages: a line, or a line and the raw buffers behind it. No I/O.

Data are received without a copy: a raw buffer's bytes go straight into the array's memory.
Time is linear in the length of a line: only what is new is searched for its end.
"""

import re
from dataclasses import dataclass
from typing import Final

import numpy as np

from rexec.ground.system_calls import MOST_AT_ONCE
from rexec.wire.errors import FormatError, MessageTooLong

_SMALL: Final = 1 << 12
_LARGE: Final = 1 << 17
_SIZES: Final = re.compile(rb"#((?:[0-9]{1,15},)*[0-9]{1,15}) ")
_MAX_SIZES: Final = 1 << 20
_LEAST_USE: Final = len('{"__jsonclass__":["bytes",[0]]}')
"""Bytes of text that use a raw buffer: a line cannot announce more buffers than its text has room for."""


@dataclass(slots=True)
class Frame:
    """One message as it came.

    Attributes:
        line: The text, without the end of line and without the sizes of raw buffers.
        buffers: The raw buffers; None where the connection does not have them.

    """

    line: bytes | bytearray
    buffers: list[memoryview] | None = None

    @property
    def size(self) -> int:
        """Number of bytes, of line and buffers."""
        return len(self.line) + sum(len(buffer) for buffer in self.buffers or ())


class FrameReader:
    """Collects received bytes and hands out messages.

    Use: receive into `space()`, then `take(n)` with the number of bytes that came, then `take()` while there is more.

    Lines are received into one small piece of memory, used again and again so that it stays in the processor's cache;
    what a long line has brought is moved from there to its own memory.

    Args:
        limit: Longest message in bytes; None for any length.

    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.raw = False
        """Whether lines may announce raw buffers (set once the feature is negotiated)."""
        self.opening: bytes | None = None
        """First bytes that each line must have, if not None: another protocol is noticed at its first byte."""
        self.idle = True
        """Whether no byte of the next message has arrived."""
        # A connection that only waits, or exchanges small messages, holds no more than this.
        self._data = bytearray(_SMALL)
        self._whole = memoryview(self._data)
        self._start = 0
        self._end = 0
        self._searched = 0
        self._line = bytearray()
        """Begin of a line that does not fit into `_data`."""
        self._waiting: list[memoryview] = []
        self._frame: Frame | None = None

    def space(self) -> memoryview:
        """Return where the next bytes are to be put; never empty."""
        if self._waiting:
            return self._waiting[-1][:MOST_AT_ONCE]
        if self._end == len(self._data):
            self._make_room()
        return self._whole[self._end :]

    def take(self, count: int = 0) -> Frame | None:
        """Return the next complete message, or None if there is none yet.

        Args:
            count: Number of bytes that have just been put into `space()`.

        Raises:
            MessageTooLong: It is longer than the limit.
            FormatError: The announcement of raw buffers makes no sense.

        """
        if count:
            self.idle = False
            if self._waiting:
                self._fill(count)
            else:
                self._end += count
        if self._frame is not None:
            return self._complete()
        end = self._end
        if self._searched == end:
            return None
        at = self._data.find(b"\n", self._searched, end)
        if self.limit is not None and len(self._line) + (end if at < 0 else at) - self._start > self.limit:
            raise MessageTooLong(f"a line of more than {self.limit} bytes")
        if self.opening is not None:
            self._check_opening(self.opening)
        if at < 0:
            self._searched = end
            return None
        line = self._rest_of_line(at) if self._line else self._data[self._start : at]
        at += 1
        if at == end:
            at = self._end = 0
        self._start = self._searched = at
        if not self.raw or not line.startswith(b"#"):
            self.idle = not at
            return Frame(line, [] if self.raw else None)
        self._announced(line)
        return self._complete()

    def _check_opening(self, opening: bytes) -> None:
        """Check the begin of a line, which may be incomplete."""
        begin = self._line[:60] or self._data[self._start : min(self._end, self._start + 60)]
        said = bytes(begin)
        if not said.startswith(opening):
            error = FormatError(f"says {said!r}")
            error.said = said
            raise error

    def _fill(self, count: int) -> None:
        rest = self._waiting.pop()[count:]
        if len(rest):
            self._waiting.append(rest)

    def _rest_of_line(self, at: int) -> bytearray:
        """Return the line that began before what is in `_data`, and ends at a place there."""
        line = self._line
        self._keep(self._whole[self._start : at])
        self._line = bytearray()
        return line

    def _make_room(self) -> None:
        """Move the begin of an unfinished line to its own memory."""
        self._keep(self._whole[self._start : self._end])
        self._start = self._end = self._searched = 0
        if len(self._data) < _LARGE:
            self._data = bytearray(_LARGE)
            self._whole = memoryview(self._data)

    def _keep(self, part: memoryview) -> None:
        try:
            self._line += part
        except MemoryError as error:
            raise MessageTooLong(f"no memory for a line of more than {len(self._line)} bytes") from error

    def _announced(self, line: bytearray) -> None:
        match = _SIZES.match(line, 0, _MAX_SIZES)
        if match is None:
            raise FormatError(f"not an announcement of raw buffers: {bytes(line[:40])!r}")
        sizes = [int(size) for size in match[1].split(b",")]
        if len(sizes) * _LEAST_USE > len(line) - match.end():
            raise FormatError(f"{len(sizes)} raw buffers are announced, more than the message can use")
        if self.limit is not None and len(line) + sum(sizes) > self.limit:
            raise MessageTooLong(f"a message of {len(line) + sum(sizes)} bytes, more than {self.limit}")
        try:
            buffers = [np.empty(size, np.uint8).data if size else memoryview(bytearray()) for size in sizes]
        except (MemoryError, ValueError) as error:
            raise MessageTooLong(f"no memory for raw buffers of {sum(sizes)} bytes") from error
        self._frame = Frame(line[match.end() :], buffers)
        for buffer in buffers:
            count = min(len(buffer), self._end - self._start)
            buffer[:count] = self._whole[self._start : self._start + count]
            self._start += count
            if count < len(buffer):
                self._waiting.append(buffer[count:])
        self._waiting.reverse()  # the next one to be filled is the last
        if self._start == self._end:
            self._start = self._end = 0
        self._searched = self._start

    def _complete(self) -> Frame | None:
        if self._waiting:
            return None
        frame, self._frame = self._frame, None
        self.idle = not self._end
        return frame
