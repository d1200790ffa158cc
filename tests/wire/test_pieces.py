"""Pieces of a message arrive whole and in order, however little a socket takes at once."""

import base64
from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rexec.ground.system_calls import MOST_AT_ONCE
from rexec.wire import _pieces
from rexec.wire._pieces import Base64, batches, send_some

MOST = _pieces._PIECES_AT_ONCE


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, _pieces._PART - 1, _pieces._PART, 2 * _pieces._PART + 1])
def test_base64_of_a_buffer_has_the_length_that_it_says(size: int) -> None:
    data = bytes(index % 251 for index in range(size))
    text = Base64(memoryview(data))
    assert bytes(text) == b"".join(text) == base64.b64encode(data)
    assert len(text) == len(bytes(text))
    assert [len(part) for part in text][:-1] == [_pieces._PART * 4 // 3] * ((size - 1) // _pieces._PART)


def test_a_batch_ends_with_each_part_of_base64_and_has_nothing_empty() -> None:
    long = bytes(_pieces._PART + 1)
    pieces: list[Any] = [
        b"a",
        b"",
        bytearray(b"b"),
        Base64(memoryview(long)),
        b"c",
        Base64(memoryview(b"")),
        b"d",
    ]
    found = [[bytes(each) for each in batch] for batch in batches(pieces)]
    first, second = list(Base64(memoryview(long)))
    assert found == [[b"a", b"b", first], [second], [b"c", b"d"]]
    assert list(batches([])) == list(batches([b""])) == []


class Narrow:
    """A socket that takes so many bytes at once."""

    def __init__(self, takes: list[int]) -> None:
        self._takes = takes
        self.taken = b""
        self.buffers: list[int] = []

    def send(self, data: Any) -> int:
        return self.sendmsg([data])

    def sendmsg(self, buffers: Any) -> int:
        self.buffers.append(len(buffers))
        text = b"".join(bytes(each) for each in buffers)[: self._takes.pop() if self._takes else None]
        self.taken += text
        return len(text)


@given(
    parts=st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=9),
    takes=st.lists(st.integers(0, 20), max_size=9),
    secured=st.booleans(),
)
def test_what_a_socket_does_not_take_is_sent_later(
    parts: list[bytes], takes: list[int], secured: bool
) -> None:
    sock: Any = Narrow(takes)
    rest = deque(memoryview(part) for part in parts)
    while rest:
        send_some(sock, rest, secured=secured)
        assert all(rest)
    assert sock.taken == b"".join(parts)
    if secured:
        assert set(sock.buffers) == {1}
    else:
        assert sock.buffers[0] == len(parts)


@pytest.mark.parametrize("secured", [False, True])
def test_no_more_bytes_are_sent_at_once_than_macos_takes(
    secured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_AT_ONCE < 2**31
    monkeypatch.setattr(_pieces, "MOST_AT_ONCE", 5)
    sock: Any = Narrow([])
    parts = [b"abcdefghijk", b"l", b"mn", b"op", b"q"]
    rest, sizes = deque(memoryview(part) for part in parts), list[int]()
    while rest:
        before = len(sock.taken)
        send_some(sock, rest, secured=secured)
        sizes.append(len(sock.taken) - before)
    assert sock.taken == b"".join(parts)
    assert sizes == ([5, 5, 1, 1, 2, 2, 1] if secured else [5, 5, 5, 2])
    assert secured or sock.buffers == [1, 1, 4, 2]


def test_no_more_buffers_are_sent_at_once_than_systems_take() -> None:
    sock: Any = Narrow([])
    rest = deque(memoryview(b"x") for _ in range(2 * MOST + 1))
    while rest:
        send_some(sock, rest, secured=False)
    assert sock.buffers == [MOST, MOST, 1]
    assert MOST <= 1024
