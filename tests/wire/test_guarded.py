"""How a request is named in the records of a guarded server, whatever a client sends."""

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


def test_the_thread_of_connections_knows_itself() -> None:
    with running({"drv": Drv()}) as server:
        assert server._io is not None
        assert server._io.is_current() is False
