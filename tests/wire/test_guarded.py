"""How a request is named in the records of a guarded server, whatever a client sends."""

from types import SimpleNamespace
from typing import Any

import pytest

from rexec.wire import _guarded
from tests.serving import running
from tests.wire.driver import Drv


@pytest.mark.parametrize(
    ("request_", "method"),
    [({"action": "call", "name": "expose"}, "expose"),
     ({"action": "get_rpc_method_list", "name": "x"}, "get_rpc_method_list"),
     ({"action": "call", "name": ["x"] * 999}, "list"), ({"action": "call"}, "NoneType"), ({"action": 3}, "int"),
     ({}, "NoneType"), ({"action": "call", "name": "x" * 999}, "x" * 200), (["call"], ""), (None, ""), (3.5, "")],
)  # fmt: skip
def test_a_request_has_a_short_name(request_: Any, method: str) -> None:
    assert _guarded._method(request_) == method


def test_the_beginning_of_an_answer_is_that_of_its_short_pieces() -> None:
    most = _guarded._ENOUGH
    assert _guarded._begin([]) == b""
    assert _guarded._begin([b"ab", b"cd"]) == b"abcd"
    assert _guarded._begin([b"ab", memoryview(b"raw"), b"cd"]) == b"ab"
    assert _guarded._begin([b"a" * (2 * most), b"b"]) == b"a" * most + b"b"
    assert _guarded._begin([b"a" * most, b"b", b"c"]) == b"a" * most + b"b"


class Known:
    """A connection whose client is looked up."""

    peer, target_name = "lab:1", "drv"

    def __init__(self) -> None:
        self.looked_up = 0

    @property
    def identity(self) -> str:
        self.looked_up += 1
        return "bob"


def test_a_client_is_looked_up_before_its_target_is_made_and_told_where_that_is_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    arrived: list[Any] = []
    guard: Any = SimpleNamespace(record_arrival=arrived.append)
    for one, looked_up in ((None, 0), (guard, 1)):
        connection: Any = Known()
        _guarded.make_target(one, connection, Drv(), terminate=False)
        assert connection.looked_up == looked_up
        caplog.set_level("WARNING", _guarded.__name__)
        _guarded.note_arrival(one, connection)
        assert connection.looked_up == looked_up
        caplog.set_level("INFO", _guarded.__name__)
        _guarded.note_arrival(one, connection)
        assert connection.looked_up == looked_up + 1
        assert arrived == [connection, connection] * looked_up
    assert [each.getMessage() for each in caplog.records] == ["lab:1: target drv: bob"] * 2


def test_the_thread_of_connections_knows_itself() -> None:
    with running({"drv": Drv()}) as server:
        assert server._io is not None
        assert server._io.is_current() is False
