"""What a channel asks of a controller: how often, in what order, and what becomes of each answer."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from rexec.ground.client_label import client_label
from rexec.remote import RemoteClosed, RemoteFunctionError, StateLost, _channel
from rexec.remote._channel import Channel
from rexec.remote._pieces import weight
from rexec.wire.errors import ConnectionFailed
from rexec.wire.pc_rpc import Client
from tests.waiting import within

OK = {"ok": 7}


class Scripted:
    """A client whose controller gives the answers of a list, and the last of them for ever."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.payloads: list[Any] = []
        self.hellos: list[Any] = []
        self.closed = 0

    def add_code(self, text: str) -> None:
        assert "_rexec_request" in text
        self.asked.append("add_code")

    def call(self, function: str, session: str, *args: Any) -> Any:
        self.asked.append(args[0] if args else function)
        self.payloads += args[1:2]
        self.hellos += args[2:]
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return dict(answer()) if callable(answer) else answer and dict(answer)

    def close_rpc(self) -> None:
        self.asked.append("close_rpc")
        self.closed += 1


def channel(client: Any, reconnect: Callable[[], Any] | None = None) -> Channel:
    return Channel(client, "lamp", 12.0, reconnect)


def failed() -> ConnectionFailed:
    return ConnectionFailed("127.0.0.1", 1, "connect")


NEW, AGAIN = ["add_code", "x"], ["x"]
ANSWERS: dict[str, tuple[list[Any], list[str], Any]] = {
    "an answer": ([OK], NEW, 7),
    "a connection that is new": ([KeyError("_rexec_request"), OK], NEW * 2, 7),
    "a connection that is always new": ([KeyError("_rexec_request")], NEW * 3, KeyError),
    "a connection that broke": ([OSError("broke"), EOFError(), OK], NEW * 3, 7),
    "a connection that breaks each time": ([OSError("broke")], NEW * 3, OSError),
    "no answer": ([None, OK], NEW * 2, 7),
    "never an answer": ([None], NEW * 3, ConnectionError),
    "a controller that has forgotten the session": ([{"unknown": "session"}, OK], NEW * 2, 7),
    "a controller that forgets it each time": ([{"unknown": "session"}], NEW * 3, ConnectionError),
    "a server that refuses": ([PermissionError("no"), OK], NEW, PermissionError),
    "a client of ours that has tried": ([failed(), OK], NEW, ConnectionFailed),
    "a restarted controller": ([{"lost": "2"}, OK], NEW, StateLost),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_a_request_is_repeated_where_that_helps_and_no_more_than_three_times(name: str) -> None:
    answers, asked, result = ANSWERS[name]
    client = Scripted(*answers)
    if isinstance(result, type):
        with pytest.raises(result) as caught:
            channel(client).request("x")
        noted = "while lamp was asked" in getattr(caught.value, "__notes__", [])
        assert noted == (name in {
            "a connection that breaks each time", "never an answer", "a client of ours that has tried",
        })  # fmt: skip
    else:
        assert channel(client).request("x") == result
    assert client.asked == asked


def test_a_controller_that_forgets_or_is_restarted_is_said_to() -> None:
    with pytest.raises(ConnectionError, match="lamp: the controller forgets the agent as soon as it has it"):
        channel(Scripted({"unknown": "session"})).request("x")
    told: list[StateLost] = []
    restarted = channel(Scripted(OK | {"state": "1"}, {"lost": "2"}, OK))
    restarted.when_state_is_lost(told.append)
    assert restarted.request("x") == 7
    assert restarted.state == "1"
    with pytest.raises(StateLost, match="lamp was restarted"):
        restarted.request("x")
    assert (len(told), restarted.state) == (1, "2")
    assert restarted.request("x") == 7
    assert len(told) == 1


def test_a_new_client_is_made_after_each_break_and_asked_as_a_new_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clients = [Scripted(failed()), Scripted(failed()), Scripted(OK)]
    made = iter(clients[1:])
    asking = channel(clients[0], lambda: next(made))
    with caplog.at_level(logging.INFO, "rexec.remote.lamp"):
        assert asking.request("x") == 7
    assert asking.client is clients[2]
    assert [each.asked for each in clients] == [NEW, NEW, NEW]
    assert caplog.text.count("lamp: the connection broke (") == 2
    dead = Scripted(failed())
    with pytest.raises(ConnectionFailed):
        channel(Scripted(failed()), lambda: dead).request("x")
    assert dead.asked == NEW * 2


def test_a_client_says_who_it_is_and_which_state_it_knows_after_each_break() -> None:
    known = OK | {"state": "1"}
    client = Scripted(known, OK, KeyError("_rexec_request"), known, OSError("broke"), known, OK)
    asking = channel(client)
    assert len(bytes.fromhex(asking.session)) == 8
    assert [asking.request("x", number) for number in range(5)] == [7] * 5
    said = {"lease": 12.0, "level": asking.log.getEffectiveLevel(), "who": client_label()}
    assert client.hellos == [{**said, "state": None}, {**said, "state": "1"}, {**said, "state": "1"}]
    assert client.payloads == [0, 1, 2, 2, 3, 3, 4]
    assert client.asked == ["add_code", "x", "x", "x", "add_code", "x", "x", "add_code", "x", "x"]


def test_an_error_of_the_agent_is_raised_here() -> None:
    packed = {"class": "ValueError", "builtin": True, "message": "odd", "args": ["odd"], "module": "builtins",
              "state": {}, "frames": [], "text": "", "notes": []}  # fmt: skip
    with pytest.raises(ValueError, match="odd"):
        channel(Scripted({"error": packed})).request("x")


def test_the_time_for_which_an_answer_is_waited_for_is_known() -> None:
    seen: list[float] = []

    def answer() -> dict[str, int]:
        assert within(150, lambda: asking.silence > 0.0)  # a clock may tick every 16 ms
        seen.append(asking.silence)
        return OK

    asking = channel(Scripted(answer))
    assert asking.silence == 0.0
    began = time.monotonic()
    assert asking.in_turn(lambda client: client.call("f", "s")) == OK
    assert 0.0 < seen[0] <= time.monotonic() - began
    assert asking.silence == 0.0


def asks_in_pieces(client: Scripted, most: int, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(_channel, "_STOCK_REQUEST", most)
    return channel(client).request("x", "text")


def test_what_a_foreign_server_may_not_read_at_once_goes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Scripted(OK)
    assert asks_in_pieces(client, weight("text"), monkeypatch) == 7
    assert client.asked == NEW
    client = Scripted({"ok": None}, OK)
    assert asks_in_pieces(client, weight("text") - 1, monkeypatch) == 7
    assert client.asked == ["add_code", "piece", "whole"]
    assert client.payloads == [[True, ["items", ["text"]]], "x"]


@pytest.mark.parametrize("missing", [None, {"unknown": "session"}])
def test_pieces_of_which_one_was_lost_are_sent_again(missing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_channel, "steps", lambda value: iter([["open"], ["items", [value]]]))
    client = Scripted({"ok": None}, missing, {"ok": None}, {"ok": None}, OK)
    assert asks_in_pieces(client, 0, monkeypatch) == 7
    assert client.asked == ["add_code", "piece", "piece", "add_code", "piece", "piece", "whole"]
    assert [payload[0] for payload in client.payloads[:4]] == [True, False, True, False]


def test_who_leaves_says_so_once_and_then_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_channel, "_FAREWELL", 150.0)
    threads: list[threading.Thread] = []
    is_closed: list[bool] = []

    def answer() -> dict[str, Any]:
        threads.append(threading.current_thread())
        if client.asked[-1] == "close":
            is_closed.append(within(0.1, lambda: client.closed))
        return {"ok": 7, "state": "1"}

    client = Scripted(answer)
    leaving = channel(client)
    leaving.request("x")
    leaving.leave()
    assert client.asked == ["add_code", "x", "close", "close_rpc"]
    assert is_closed == [False]  # before the answer
    assert (threads[1].name, threads[1].daemon) == ("rexec lamp end", True)
    with pytest.raises(RemoteClosed, match="lamp: the remote is closed"):
        leaving.request("x")
    assert len(client.asked) == 4
    broken = Scripted({"ok": 7, "state": "1"}, OSError("gone"))
    leaving = channel(broken)
    leaving.request("x")
    leaving.leave()
    assert broken.asked == ["add_code", "x", "close", "close_rpc"]  # not three times
    silent = Scripted(OK)
    channel(silent).leave()
    assert silent.asked == ["close_rpc"]


def test_a_controller_that_hangs_is_not_waited_for_by_who_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_channel, "_FAREWELL", 0.01)
    free = threading.Event()

    def hangs() -> dict[str, Any]:
        free.wait(150)
        return OK

    client = Scripted({"ok": 7, "state": "1"}, hangs)
    leaving = channel(client)
    leaving.request("x")
    leaving.leave()
    assert client.closed == 1
    free.set()


def test_a_request_that_is_under_way_when_the_channel_is_closed_is_not_repeated() -> None:
    def closes() -> Any:
        asking.closed = True
        raise OSError("closed under it")

    client = Scripted(closes, OK)
    asking = channel(client)
    with pytest.raises(RemoteClosed):
        asking.request("x")
    assert client.asked == NEW
    late = Scripted(OK)

    def connects() -> Any:
        again.closed = True
        return late

    again = channel(Scripted(OSError("broke")), connects)
    with pytest.raises(RemoteClosed):
        again.request("x")
    assert late.asked == ["close_rpc"]


def inherited(client: Any, reconnect: Callable[[], Any] | None = None) -> Channel:
    """Return a channel as a forked child has it."""
    found = channel(client, reconnect)
    found.request("x")
    found._generation = -1
    client.asked.clear()
    return found


def test_a_forked_child_begins_a_session_of_its_own_or_is_refused() -> None:
    parents, mine = Scripted({"ok": 7, "state": "1"}), Scripted({"ok": 7, "state": "2"})
    forked = inherited(parents, lambda: mine)
    told: list[str | None] = []
    forked.when_forked(lambda: told.append(forked.state))
    before = forked.session
    assert [forked.inherited, forked.request("x"), forked.inherited] == [True, 7, False]
    assert forked.session != before
    assert (told, forked.state, parents.asked) == (["1"], "2", [])
    assert mine.asked == NEW
    assert mine.hellos[0]["state"] is None
    alone = inherited(Scripted(OK))
    with pytest.raises(RemoteFunctionError, match="lamp: this process was forked and has no connection"):
        alone.request("x")
    alone.leave()
    assert alone.client.asked == []


def test_a_client_of_ours_is_closed_in_a_forked_child_too(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[Client] = []
    ours = Client.__new__(Client)
    monkeypatch.setattr(Client, "close_rpc", lambda client: closed.append(client))
    leaving = channel(ours)
    leaving.state, leaving._generation = "1", -1
    leaving.leave()
    assert closed == [ours]
