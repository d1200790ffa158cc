"""Values that are larger than what a stock server reads in one request."""

import tracemalloc
from collections import OrderedDict
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rexec.remote
from rexec.remote import Remote, _channel, _pieces
from rexec.remote._pieces import PIECE, steps, weight
from rexec.remote.agent.assembly import Builder
from rexec.wire import pyon, pyon_v1
from rexec.wire.errors import MessageTooLong
from rexec.wire.pc_rpc import Client
from tests.remote import code
from tests.remote_exec.peers import MAKES, controller

STOCK_LINE = 4 << 20
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
    | st.builds(Fraction, st.integers(), st.integers(min_value=1))
)
KEYS = st.text(max_size=5) | st.integers() | st.tuples(st.integers(), st.text(max_size=2))
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(KEYS, inner)
        | st.sets(st.integers() | st.text())
    ),
    max_leaves=30,
)


def built(value: Any) -> Any:
    builder = Builder()
    for step in steps(value):
        assert len(pyon.encode(step)) <= _pieces.PIECE + 1024
        builder.take(pyon.decode(pyon.encode(step)))
    return builder.value()


@settings(max_examples=60)
@given(value=VALUES)
def test_a_value_comes_together_as_it_was(value: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # So that there is something to take apart.
        patch.setattr(_pieces, "PIECE", 400)
        made = built(value)
    assert made == value
    assert type(made) is type(value)


@settings(max_examples=60)
@given(value=VALUES)
def test_the_weight_of_a_value_is_no_less_than_its_length_on_the_wire(value: Any) -> None:
    most = weight(value)
    try:
        old = pyon_v1.encode(value)
    except (TypeError, ValueError):
        old = ""
    assert max(len(pyon.encode(value)), len(old)) <= most


@pytest.mark.parametrize(
    "heaviest",
    ["\"" * 10_000, "\x01" * 10_000, "\U0001f600" * 10_000, b"\xff" * 10_000, -(10**300), Fraction(10**300, 7**200),
     [-1.2345678901234567e-300] * 1000, {"": -(1 << 40)}, [False] * 3, np.full((1, 1, 10_000), 1.5)],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_the_weight_of_the_heaviest_of_a_kind_is_little_more_than_its_length(heaviest: Any) -> None:
    new = pyon.encode(heaviest)
    old = new if isinstance(heaviest, np.ndarray) else pyon_v1.encode(heaviest)
    length = max(len(new), len(old))
    assert length <= weight(heaviest) <= length + 160


def test_arrays_of_any_type_and_order_come_together() -> None:
    for array in (
        np.arange(1 << 20, dtype=np.int32).reshape(1024, 1024).T,
        np.linspace(0, 1, 1 << 18).astype(">f8"),
        np.full(1 << 20, np.datetime64("2020-01-01", "ms")),
        np.ones((1 << 18, 3), np.complex64)[::2],
    ):
        made = built(array)
        assert made.dtype == array.dtype
        assert np.array_equal(made, array)
        made[...] = array  # may be written to
    with pytest.raises(TypeError, match="objects"):
        list(steps(np.array([None] * PIECE)))


def test_kinds_derived_from_others_go_as_those() -> None:
    class Text(str):
        pass

    assert built([Text("x" * PIECE), OrderedDict.fromkeys(range(PIECE // 8))]) == [
        "x" * PIECE,
        dict.fromkeys(range(PIECE // 8)),
    ]


def test_what_cannot_be_taken_apart_is_named() -> None:
    with pytest.raises(MessageTooLong, match="a int of over"):
        list(steps({"number": 1 << (4 * PIECE)}))


class Foreign:
    """A client as the reference library's: it knows no limits, and its server drops a line that is too long."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.longest = 0

    def add_code(self, code: str) -> None:
        self._client.add_code(code)

    def call(self, *args: Any) -> Any:
        size = len(pyon.encode(args))
        self.longest = max(self.longest, size)
        if size > STOCK_LINE:
            raise ConnectionResetError("a line of over 4 MiB")
        return self._client.call(*args)

    def close_rpc(self) -> None:
        self._client.close_rpc()


KINDS = {
    "text": "ä" + "x" * 300_000,
    "bytes": bytes(range(256)) * 1000,
    "list": [index / 3 for index in range(12_000)],
    "dict": {index: ("x" * 4000, index) for index in range(60)},
    "set": set(range(40_000)),
    "array": np.arange(40_000).reshape(-1, 2),
}
NESTED = [{"frames": [np.full(1 << 20, index, np.uint8) for index in range(6)], "names": {"a", "b"}}]


def same(a: Any, b: Any) -> bool:
    return bool(pyon.encode(a) == pyon.encode(b))


@pytest.mark.parametrize("make", MAKES)
def test_values_of_every_kind_reach_every_make_of_controller_in_pieces(
    make: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if servers read less, so that the values need not be large.
    monkeypatch.setattr(_channel, "_STOCK_REQUEST", 1 << 16)
    monkeypatch.setattr(_pieces, "PIECE", 1 << 15)
    monkeypatch.setattr(_pieces, "_RAW", 1 << 14)
    with controller(make) as port:
        foreign = Foreign(Client("127.0.0.1", port, "camera_rexec"))
        with rexec.remote.wrap(foreign, "camera") as remote:
            unchanged = remote.function(code.unchanged)
            assert unchanged(1) == 1  # the agent is larger than these pieces
            foreign.longest = 0
            for name, value in KINDS.items():
                assert same(unchanged(value), value), name
    assert foreign.longest <= 1 << 17


@pytest.mark.parametrize("make", MAKES)
def test_large_arguments_reach_every_make_of_controller(make: str) -> None:
    with (
        controller(make) as port,
        rexec.remote.wrap(Client("127.0.0.1", port, "camera_rexec"), "camera") as remote,
    ):
        assert same(remote.function(code.unchanged)(NESTED), NESTED)


def test_a_client_that_knows_no_limits_sends_pieces() -> None:
    with controller("ours") as port:
        foreign = Foreign(Client("127.0.0.1", port, "camera_rexec"))
        with rexec.remote.wrap(foreign, "camera") as remote:
            assert same(remote.function(code.unchanged)(NESTED), NESTED)
            just_over = np.zeros(27 << 17, np.uint8)  # 4.5 MiB in base64
            assert same(remote.function(code.unchanged)(just_over), just_over)
            large = np.zeros(2 << 20)
            held = remote.function(code.adder(0), parallel=True)  # nothing large before
            assert held(1) == 1
            assert remote.function(code.holder(large))() == large.nbytes
    assert foreign.longest <= STOCK_LINE


@pytest.mark.parametrize("make", MAKES)
def test_code_in_strings_is_called_with_large_arguments_too(make: str) -> None:
    with (
        controller(make) as port,
        rexec.remote.wrap(Client("127.0.0.1", port, "camera_rexec"), "camera") as remote,
    ):
        remote.add_code(
            "calls = []\n"
            "def total(array, *, factor): calls.append(1); return factor * float(array.sum()), len(calls)\n"
            "def fails(array): raise ConnectionError('of the function')\n"
        )
        large = np.ones(1 << 20)
        assert remote.call("total", large, factor=2) == (float(2 << 20), 1)
        with pytest.raises(ConnectionError, match="of the function"):
            remote.call("fails", large)
        assert remote.call("total", large, factor=1) == (float(1 << 20), 2)


class Knowing(Foreign):
    """A client that knows how much its server reads at once."""

    def call(self, *args: Any) -> Any:
        if len(pyon.encode(args)) > STOCK_LINE:
            raise MessageTooLong("more than the server reads")
        return super().call(*args)


def test_code_in_strings_gets_in_pieces_what_a_client_refuses() -> None:
    with controller("ours") as port:
        knowing = Knowing(Client("127.0.0.1", port, "camera_rexec"))
        with rexec.remote.wrap(knowing, "camera") as remote:
            remote.add_code("def total(array): return float(array.sum())")
            assert remote.call("total", np.ones(1 << 20)) == float(1 << 20)


@pytest.mark.parametrize("make", MAKES)
def test_64_mebibytes_go_both_ways(make: str) -> None:
    with (
        controller(make) as port,
        rexec.remote.wrap(Client("127.0.0.1", port, "camera_rexec"), "camera") as remote,
    ):
        array: Any = np.arange(8 << 20, dtype=np.int64)
        assert np.array_equal(remote.function(code.scaled)(array), 3 * array)


def test_sending_pieces_takes_little_memory_beyond_the_value(remote_through_pieces: Remote) -> None:
    array = np.zeros(8 << 20)  # 64 MiB
    size = remote_through_pieces.function(code.size_of)
    assert size(array[:10]) == 80
    tracemalloc.start()
    try:
        # The controller is in this process: the array there, its pieces, and little else.
        assert size(array) == array.nbytes
        assert tracemalloc.get_traced_memory()[1] < 2.5 * array.nbytes
    finally:
        tracemalloc.stop()


@pytest.fixture
def remote_through_pieces() -> Any:
    with controller("ours") as port:
        foreign = Foreign(Client("127.0.0.1", port, "camera_rexec"))
        with rexec.remote.wrap(foreign, "camera") as remote:
            yield remote


class Counted(str):
    """A text that notes how often it was weighed."""

    weighed = 0

    def isascii(self) -> bool:
        Counted.weighed += 1
        return True


@pytest.mark.parametrize(
    ("value", "bytes_"),
    [("", 64), ("ab", 68), ("\x01b", 76), ("\xe9", 76), (b"ab", 72), (bytearray(2), 72), (memoryview(b"abc"), 100),
     (np.zeros(3), 128), (np.zeros((1, 3)), 160), (np.float64(1), 74), (0, 8), (True, 8), (1 << 30, 18), (None, 128),
     (1.0, 128), (1j, 128), (Fraction(1, 1 << 30), 90), ([], 64), ([1.0, 2.0], 116), ((1.0, 1), 208), ({1.0}, 90),
     (frozenset([1]), 76), ({"a": 1}, 146), (OrderedDict(a=[1]), 214)],
)  # fmt: skip
def test_the_weight_of_a_value_is_that_of_its_kind(value: Any, bytes_: int) -> None:
    assert weight(value) == bytes_


def test_no_more_of_a_value_is_weighed_than_decides() -> None:
    for most, weighed in ((64 + 2 * 68, 3), (64 + 2 * 68 - 1, 2), (64 + 3 * 68, 4)):
        Counted.weighed = 0
        assert weight([Counted()] * 100, most) == 64 + weighed * 68
        assert Counted.weighed == weighed
    Counted.weighed = 0
    assert weight([[Counted()] * 100, Counted()], 200.0) == 64 + 64 + 2 * 68 + 4
    assert Counted.weighed == 2


def lengths(value: Any) -> list[Any]:
    """Return the steps of a value: how many things each adds, or its name."""
    return [sum(len(each) for each in step[1]) if step[0] == "items" else step[0] for step in steps(value)]


def test_the_steps_of_a_value_are_as_large_as_they_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (_pieces.PIECE, _pieces._RAW) == (1 << 20, (1 << 20) * 3 // 4 - 1024)
    monkeypatch.setattr(_pieces, "PIECE", 1200)
    monkeypatch.setattr(_pieces, "_RAW", 700)
    assert list(steps("x" * 568)) == [["items", ["x" * 568]]]
    assert lengths("x" * 569) == ["open", 100, 100, 100, 100, 100, 69, "close"]
    assert lengths(bytes(1500)) == ["open", 700, 700, 100, "close"]
    assert lengths(memoryview(bytes(1500))) == lengths(bytearray(1500)) == ["open", 700, 700, 100, "close"]
    assert lengths(np.zeros((10, 15), np.int64)) == ["open", 700, 500, "close"]
    assert list(steps(np.zeros((10, 15), ">i8")))[-1] == ["close", "array", [10, 15], ">i8"]
    # Three of 400 bytes are one piece.
    assert lengths(["x" * 168] * 7) == ["open", 3 * 168, 3 * 168, 168, "close"]
    assert lengths(["x" * 169] * 4) == ["open", 2 * 169, 2 * 169, "close"]
    assert lengths(["y", "x" * 569, "y"]) == [
        "open",
        1,
        "open",
        100,
        100,
        100,
        100,
        100,
        69,
        "close",
        1,
        "close",
    ]
    assert lengths(["x" * 568, "x" * 568]) == ["open", 568, 568, "close"]
    assert [step[1:] for step in steps(frozenset(map(str, range(20)))) if step[0] == "close"] == [["set"]]
    assert [step[1:] for step in steps({str(n): "x" * 100 for n in range(9)}) if step[0] == "close"] == [
        ["dict"]
    ]
