"""What a proxy reads of the connections that it passes on."""

from typing import Any

import numpy as np
import pytest

from rexec.wire._handshake import BANNER, greeting_line
from rexec.wire._protocol import FEATURES
from rexec.wire.tap import Exchange, Tap, dump_raw, load_raw
from tests.clock import set_clock

GREETING = greeting_line(["drv", "other"], "a lamp")
METHODS_V1, METHODS_V2 = b"{'f'}\n", b'{"__jsonclass__":["set",[["f"]]]}\n'
CALL = b'{"action":"call","name":"f","id":1,"args":[3]}\n'
ANSWER = b'{"status":"ok","id":1,"ret":4}\n'


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(100, 10**6))
    set_clock(monkeypatch, "rexec.wire.tap", monotonic=lambda: float(next(ticks)))


def told(choice: bytes, methods: bytes, *, early: bool = False) -> Tap:
    """Return a tap that has heard a handshake; early: the client chooses before it has the greeting."""
    one = Tap()
    assert (one.target, one.methods, one.problem) == (None, frozenset(), None)
    one.from_client(BANNER)
    if early:
        one.from_client(choice)
    assert one.from_server(GREETING) == []
    if not early:
        assert one.target is None
        one.from_client(choice)
    assert one.from_server(methods) == []
    assert (one.problem, one.target, one.methods) == (None, "drv", frozenset({"f"}))
    return one


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize(
    ("features", "methods", "encoding"),
    [((), METHODS_V1, "v1"), (FEATURES[:1], METHODS_V2, "v2"), (("pyon_v2", "raw_buffers_1"), METHODS_V2, "raw")],
)  # fmt: skip
def test_an_exchange_is_a_request_and_its_answer(
    features: tuple[str, ...], methods: bytes, encoding: str, early: bool
) -> None:
    one = told(" ".join(("drv", *features)).encode() + b"\n", methods, early=early)
    one.from_client(CALL[:10])
    one.from_client(CALL[10:] + CALL.replace(b"3", b"5"))
    found = one.from_server(ANSWER[:5])
    assert found == []
    found = one.from_server(ANSWER[5:] + ANSWER.replace(b"4", b"6"))
    request = {"action": "call", "name": "f", "id": 1, "args": [3]}
    answer = {"status": "ok", "id": 1, "ret": 4}
    assert found == [
        Exchange("drv", encoding, request, answer, None, 100.0, 2.0),
        Exchange("drv", encoding, request | {"args": [5]}, answer | {"ret": 6}, None, 101.0, 2.0),
    ]
    assert one.problem is None


def test_what_cannot_be_read_is_told_and_the_reading_goes_on() -> None:
    one = told(b"drv\n", METHODS_V1)
    for call, answer, has in (
        (b"no call\n", ANSWER, (None, 4)),
        (CALL, b"no answer\n", (3, None)),
        (b"no call\n", b"no answer\n", (None, None)),
    ):
        one.from_client(call)
        (found,) = one.from_server(answer)
        assert found.problem
        asked = None if found.request is None else found.request["args"][0]
        assert (asked, None if found.answer is None else found.answer["ret"]) == has
    one.from_client(CALL)
    assert one.from_server(ANSWER)[0].problem is None


def test_bytes_of_another_protocol_end_the_reading_once() -> None:
    one = Tap()
    one.from_client(b"GET / HTTP/1.1\n")
    assert str(one.problem).startswith("the client's words are no pc_rpc: unknown banner")
    problem = one.problem
    one.from_client(BANNER)
    assert one.from_server(b"x\n") == []
    assert one.problem == problem
    two = Tap()
    assert two.from_server(b"220 mail\n") == []
    assert str(two.problem).startswith("the server's words are no pc_rpc: ")
    three = told(b"drv\n", METHODS_V1)
    assert three.from_server(ANSWER) == []
    assert three.problem == "the server's words are no pc_rpc: it answered what nobody had asked"


def test_a_value_is_kept_in_one_message_with_large_arrays_raw() -> None:
    value: dict[str, Any] = {"a": [1, 2.5, "x"], "frame": np.arange(100_000)}
    data = dump_raw(value)
    assert data.startswith(b"#800000 ")
    back = load_raw(data)
    assert back["a"] == value["a"]
    assert np.array_equal(back["frame"], value["frame"])
    for wrong in (b"", data[:-1], data + b"x", data * 2):
        with pytest.raises(ValueError, match="it is not one whole message"):
            load_raw(wrong)
    with pytest.raises(TypeError, match="record"):
        dump_raw(object())
