"""Parts of a message to be sent: buffers, and buffers that are encoded in base64 while they are sent.

So the text of a large array is never in memory as a whole, and the other side reads one part while the next is encoded.
"""

import itertools
import socket
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

import pybase64

from rexec.ground.system_calls import MOST_AT_ONCE
from rexec.wire._arrays import Buffer

_PART: Final = 3 << 16
"""Bytes that are encoded at a time: whole groups of three, few enough to stay in the processor's cache."""
_PIECES_AT_ONCE: Final = 512


class Base64:
    """The base64 of a buffer.

    Args:
        data: The bytes, contiguous.

    """

    def __init__(self, data: memoryview) -> None:
        self._data = data

    def __len__(self) -> int:
        """Return the number of bytes of text."""
        return 4 * ((len(self._data) + 2) // 3)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the text, part by part."""
        for start in range(0, len(self._data), _PART):
            yield pybase64.b64encode(self._data[start : start + _PART])

    def __bytes__(self) -> bytes:
        """Return the text."""
        return pybase64.b64encode(self._data)


Piece = Buffer | Base64


def send_some(sock: socket.socket, rest: deque[memoryview], *, secured: bool) -> None:
    """Send as much of a batch as the socket takes at once, and leave the rest in it.

    Args:
        sock: The socket.
        rest: What is to be sent; not empty.
        secured: Whether it is a TLS socket, which sends one buffer at a time.

    Raises:
        OSError: As the socket's.

    """
    if len(rest) == 1 or secured or not hasattr(sock, "sendmsg"):
        sent = sock.send(rest[0][:MOST_AT_ONCE])
    else:
        taken, left = [], MOST_AT_ONCE
        for view in itertools.islice(rest, _PIECES_AT_ONCE):
            taken.append(view[:left])
            left -= len(taken[-1])
            if not left:
                break
        sent = sock.sendmsg(taken)
    while rest and sent >= len(rest[0]):
        sent -= len(rest.popleft())
    if sent:
        rest[0] = rest[0][sent:]


def batches(pieces: Sequence[Piece]) -> Iterator[list[memoryview]]:
    """Yield what can be sent in one go, in order; nothing in it is empty."""
    batch: list[memoryview] = []
    for piece in pieces:
        if not isinstance(piece, Base64):
            if len(piece):
                batch.append(memoryview(piece))
            continue
        for part in piece:
            batch.append(memoryview(part))
            yield batch
            batch = []
    if batch:
        yield batch
