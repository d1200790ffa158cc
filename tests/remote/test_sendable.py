"""What the agent says of values before they are sent, also on a controller whose encoder it does not know."""

from typing import Any

import pytest

from rexec.remote import Remote
from rexec.remote.agent import sendable
from tests.remote import code


class Odd:
    """A class that no encoder knows."""


def test_where_no_encoder_is_known_only_plain_values_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sendable, "LIBRARIES", ("no_such_library.pyon", "nor_this"))
    assert sendable.problem_of({"a": [1, 2.5, (None, b"x")]}) == ""
    assert sendable.problem_of({"a": [1, Odd()]}) == "value['a'][1]: a Odd cannot be encoded"
    assert sendable.problem_of({Odd(): 1}) == "a key of value: a Odd cannot be encoded"


def test_the_first_encoder_that_is_there_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sendable, "LIBRARIES", ("no_such_library.pyon", "rexec.wire.pyon"))
    assert "a Odd cannot be encoded (" in sendable.problem_of([Odd()])


def test_an_error_whose_message_cannot_be_made_has_one_all_the_same() -> None:
    class Ends(Exception):
        def __str__(self) -> str:
            raise KeyboardInterrupt

    assert sendable.error_text(Ends()) == "<KeyboardInterrupt while the message was made>"
    assert sendable.error_text(ValueError()) == "ValueError"


def test_the_size_of_a_value_is_counted_with_keys_and_no_further_than_needed() -> None:
    asked: list[int] = []

    class Item(bytes):
        def __len__(self) -> int:
            asked.append(1)
            return 1000

    assert sendable.size_of({"k" * 500: b"v" * 300}, 1e9) == 64 + 564 + 364
    assert sendable.size_of(7, 1e9) == 64
    assert sendable.size_of([Item()] * 10_000, 10_000) > 10_000
    assert len(asked) < 20


def test_a_value_whose_pieces_did_not_all_come_is_an_error_of_its_request(remote: Remote) -> None:
    request: Any = remote._channel.request
    with pytest.raises(ValueError, match="sent in pieces is not complete"):
        request("whole", "jobs")
    request("piece", [True, ["open"]])
    request("piece", [False, ["items", [1]]])
    with pytest.raises(ValueError, match="sent in pieces is not complete"):
        request("whole", "jobs")
    assert remote.function(code.unchanged)(7) == 7
