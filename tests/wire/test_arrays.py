"""Arrays on the wire, and other small parts: what is refused, at its bound and one beyond."""

import os
import socket
import weakref
from typing import Any, cast

import numpy as np
import pytest

from rexec.wire import _arrays, _forks, _pyon_encode
from rexec.wire._limits import Limits

ONE_HASH = (1 << 61) - 1
"""Its multiples all have the hash 0."""


@pytest.mark.parametrize("text", ["<f8", ">i2", "|b1", "=u4", "<c16", "|S3", "<U4", "|V7", "<M8[ns]", "<m8"])
def test_a_type_of_plain_data_is_read(text: str) -> None:
    assert _arrays.dtype_from(text) == np.dtype(text)


@pytest.mark.parametrize(
    "text", ["f8", "<O8", "<f3", "<f8,<f8", "<M8[ns", "", 3, None, b"<f8", "<M8[parsec]", "|S1234567890"]
)
def test_another_type_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match=r"is not a dtype of plain data|is not a dtype here"):
        _arrays.dtype_from(text)


@pytest.mark.parametrize(
    ("shape", "dtype", "data", "said"),
    [
        ([1], "|S0", b"", "whose items have no bytes"),
        (3, "<u1", b"abc", "3 is not a shape"),
        ("3", "<u1", b"abc", "'3' is not a shape"),
        ([1] * 65, "<u1", b"a", r"\[1, 1, .* is not a shape"),
        ([0] * 65, "<u1", b"", r"\[0, 0, .* is not a shape"),
        ([-1], "<u1", b"a", r"\[-1\] is not a shape"),
        ([True], "<u1", b"a", r"\[True\] is not a shape"),
        ([1.0], "<u1", b"a", r"\[1.0\] is not a shape"),
        ([2], "<u1", b"a", r"1 bytes are no array of shape \(2,\) and dtype <u1"),
        ([1], "<u2", b"a", r"1 bytes are no array of shape \(1,\) and dtype <u2"),
        ([0, 1 << 70], "<u1", b"", r"no array of shape \(0, 1180591620717411303424\) and dtype <u1"),
    ],
)  # fmt: skip
def test_what_is_no_array_is_refused_in_words(shape: Any, dtype: str, data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        _arrays.array_from(shape, dtype, data)


def test_an_array_can_be_written_to_and_is_aligned() -> None:
    for data in (b"abcdefgh", bytearray(b"abcdefgh"), memoryview(bytearray(b"xabcdefgh"))[1:]):
        array = _arrays.array_from([2, 1], "<u4", data)
        assert array.tobytes() == b"abcdefgh"
        assert array.flags.writeable
        assert array.flags.aligned
        assert array.shape == (2, 1)
    own = bytearray(b"abcd")
    _arrays.array_from((4,), "<u1", own)[0] = 120
    assert own == b"xbcd"
    assert _arrays.array_from([1] * 20, "<u1", b"a").ndim == 20
    assert _arrays.array_from([0, 3], "<u2", b"").shape == (0, 3)


def test_arrays_of_any_layout_have_their_bytes_in_order() -> None:
    table = np.arange(6, dtype="<u2").reshape(2, 3)
    for array in (table, np.asfortranarray(table), table[:, ::-1], np.array(7, "<u2"), np.zeros((0, 3))):
        assert bytes(_arrays.flat(array)) == array.tobytes()
    assert np.shares_memory(np.frombuffer(_arrays.flat(table), np.uint8), table)
    for array, said in (
        (np.array([None]), "arrays of objects"),
        (np.zeros(3, "V0"), "whose items have no bytes"),
    ):
        with pytest.raises(TypeError, match=said):
            _arrays.flat(array)
    assert bytes(_arrays.flat(np.array("", "U0"))) in (b"", b"\0" * 4)


def test_scalars_may_be_empty_texts() -> None:
    assert _arrays.scalar_from("<f8", np.float64(2.5).tobytes()) == 2.5
    assert _arrays.scalar_from("|S0", b"") == b""
    assert _arrays.scalar_from("<U0", b"") == ""
    assert type(_arrays.scalar_from("<U0", b"")) is np.str_
    for dtype, data in (("|S0", b"x"), ("<f8", b""), ("<f8", b"abc")):
        with pytest.raises(ValueError, match=r"no array|no bytes"):
            _arrays.scalar_from(dtype, data)
    assert _arrays.scalar_bytes(np.str_("")) == b""
    assert _arrays.scalar_bytes(np.float64(1)) == np.float64(1).tobytes()


@pytest.mark.parametrize(
    ("others", "same", "is_refused"),
    [(900, 100, False), (0, 1000, False), (901, 100, False), (900, 101, True)],
)
def test_a_hundred_numbers_of_many_may_have_one_hash(others: int, same: int, is_refused: bool) -> None:
    keys = [*range(1, others + 1), *(number * ONE_HASH for number in range(same))]
    pairs: list[Any] = [[key, 0] for key in keys]
    for check, values in ((_arrays.spread, keys), (_arrays.spread_pairs, pairs)):
        if is_refused:
            with pytest.raises(ValueError, match="over 100 of 1001 values have one hash"):
                check(values)
        else:
            assert check(values) is values
    odd: list[Any] = [None, (), "x"] * 400
    assert _arrays.spread_pairs(odd) is odd


def test_an_array_has_at_most_sixty_four_dimensions() -> None:
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":  # older ones have at most 32
        assert _arrays.array_from([1] * 64, "<f8", bytes(8)).shape == (1,) * 64
    with pytest.raises(ValueError, match="is not a shape"):
        _arrays.array_from([1] * 65, "<f8", bytes(8))


def test_base64_is_strict() -> None:
    assert _arrays.from_base64("YWI=") == bytearray(b"ab")
    assert type(_arrays.bytes_from_base64(b"YWI=")) is bytes
    for wrong in ("YW I=", "YWI", "Y*I="):
        for read in (_arrays.from_base64, _arrays.bytes_from_base64):
            with pytest.raises(ValueError):  # noqa: PT011 - its words are those of the library
                read(wrong)
    with pytest.raises(ValueError, match="expected base64, found int"):
        _arrays.from_base64(3)


def test_errors_of_encoding_say_where() -> None:
    class Refusing:
        def __init__(self, error: Exception) -> None:
            self.error = error

        def simplify(self, x: Any) -> None:
            raise self.error

    for error, kind, said in (
        (RecursionError(), ValueError, r"ret is nested deeper than \d+ levels"),
        (ValueError("odd"), ValueError, "ret: odd"),
    ):
        with pytest.raises(kind, match=said):
            _pyon_encode.guarded(cast("Any", Refusing(error)), [], "ret")
    found = _pyon_encode.locate({"a": [1, (2, {3: object()})]}, "ret", TypeError("outer"), _attempt)
    assert (found[0], str(found[1])) == ("ret['a'][1][1][3]", "inner")
    found = _pyon_encode.locate([1], "ret", TypeError("outer"), _attempt)
    assert (found[0], str(found[1])) == ("ret", "outer")


def _attempt(part: Any) -> None:
    if "object at" in repr(part):
        raise TypeError("inner")


def test_limits_are_those_that_the_page_of_servers_names() -> None:
    assert Limits() == Limits(4096, 60.0, 4096, 256, None)


def test_what_children_get_is_made_once_before_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    nowhere: list[int] = []
    monkeypatch.setattr(_forks, "_nowhere", nowhere)
    monkeypatch.setattr(_forks, "_watched", watched := weakref.WeakSet[socket.socket]())
    monkeypatch.setattr(os, "register_at_fork", lambda **what: asked.append(what), raising=False)
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            _forks.keep_from_children(each)
        assert set(watched) == {one, two}
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=nowhere.pop()) as made:
            assert made.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
        assert not nowhere
        assert asked == [{"after_in_child": _forks._lose_sockets}]
        monkeypatch.delattr(os, "register_at_fork")
        watched.clear()
        _forks.keep_from_children(one)
        assert not watched  # where there are no forks


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="needs fork()")
def test_a_child_loses_the_sockets_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    closed = socket.socket()
    closed.close()
    with ours, theirs, socket.socket() as nowhere:
        monkeypatch.setattr(_forks, "_nowhere", [nowhere.fileno()])
        watched = weakref.WeakSet([closed])
        monkeypatch.setattr(_forks, "_watched", watched)
        _forks.keep_from_children(ours)
        assert set(watched) == {ours, closed}
        _forks._lose_sockets()  # as in the child; here the only holder of that end has lost it
        assert theirs.recv(1) == b""
        assert not os.get_inheritable(ours.fileno())
        assert not watched
        with pytest.raises(OSError):  # noqa: PT011 - a socket that is not connected
            ours.send(b"x")
