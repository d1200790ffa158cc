"""Parts of a server, each by itself: the queue of calls, what a guard is asked, targets and their methods, waiting."""

import asyncio
import dataclasses
import functools
import importlib
import pkgutil
import select
import socket
from collections import deque
from types import SimpleNamespace
from typing import Any, cast

import pytest

import rexec.wire
from rexec.access.identity import SAYS_NOTHING
from rexec.access.rights import Right
from rexec.wire import _call_queue, _guarded, _spin, _targets, errors
from rexec.wire._call_queue import CallQueue
from rexec.wire._conversation import Conversation
from rexec.wire._framing import Frame, FrameReader
from rexec.wire._handshake import AutoTarget, Choice, ClientHandshake, ServerHandshake, parse_greeting
from rexec.wire._line_queue import WHOLE, LineQueue
from rexec.wire._protocol import Codec
from rexec.wire._server_connection import ServerConnection
from rexec.wire._spin import Spin
from tests.waiting import within


def test_facts_are_frozen() -> None:
    loose = set()
    for each in pkgutil.iter_modules(rexec.wire.__path__, "rexec.wire."):
        for kind in vars(importlib.import_module(each.name)).values():
            if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__module__ == each.name:
                if not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
                    loose.add(kind.__name__)
    assert loose == {"Frame"}  # made for each message


class Client:
    """A connection, as far as the queue of calls uses it: its next requests, and how much of an answer it takes."""

    def __init__(self, *requests: Any, tight: bool = False, takes: bool = True) -> None:
        self.request, *self.coming = requests
        self.tight, self.takes = tight, takes
        self.answered_at = 0.0
        self.sent: list[Any] = []
        self.outgoing = deque([memoryview(b"old")])
        self.closing = False
        self.peer = "lab:1"
        self.codec = Codec()
        self.request_size = 0
        self.waits: list[tuple[int, float]] = []

    def send(self, answer: list[Any]) -> bool:
        self.sent.append(answer)
        return self.takes

    def receive_soon(self, milliseconds: int, until: float) -> Any:
        self.waits.append((milliseconds, until))
        return self.coming.pop(0) if self.coming else None


class Performer:
    """Answers each request with itself; of those that are coroutines and errors it does what they say."""

    def __init__(self) -> None:
        self.opened: list[Any] = []
        self.given_back: list[Any] = []
        self.performed: list[Any] = []

    def open(self, connection: Any, choice: Choice) -> None:
        self.opened.append(choice)

    def perform(self, connection: Any, request: Any) -> Any:
        self.performed.append(request)
        if isinstance(request, BaseException):
            raise request
        return request if asyncio.iscoroutine(request) else [request]

    def give_back(self, connection: Any) -> None:
        self.given_back.append(connection)


class Clock:
    """A clock that the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
        self.now = 100.0
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch, _call_queue)


def queued(*clients: Client, parallel: bool = False, turns: int = 6, tight: bool = False) -> Performer:
    """Serve clients in their order, for some turns of the loop."""
    performer = Performer()

    async def main() -> None:
        queue = CallQueue(asyncio.get_running_loop(), performer, parallel)
        for each in clients:
            queue.hand_over(cast("Any", each))
            each.tight = tight
        for _ in range(turns):
            await asyncio.sleep(0)
        await queue.stop()
        assert (list(queue._inbox), queue._running, queue._tasks) == ([], False, set())

    asyncio.run(main())
    return performer


def test_calls_are_answered_in_their_order_and_connections_given_back(clock: Clock) -> None:
    choice = Choice("drv", Codec())
    clients = [Client("a"), Client(choice), Client("b", takes=False), Client(EOFError()), Client("c")]
    performer = queued(*clients)
    assert performer.given_back == clients
    assert performer.opened == [choice]
    assert [each.sent for each in clients] == [[["a"]], [], [["b"]], [], [["c"]]]
    assert [each.closing for each in clients] == [False, False, False, True, False]
    assert [bool(each.outgoing) for each in clients] == [True, True, True, False, True]
    assert [each.request for each in clients[:1]] == [None]
    assert clients[0].answered_at == 100.0


def test_a_client_is_in_a_tight_loop_that_asks_within_three_milliseconds(clock: Clock) -> None:
    for clock.now, tight in ((0.0029, True), (0.003, False)):
        client = Client("a")
        client.answered_at = 0.0
        CallQueue(asyncio.new_event_loop(), Performer(), False)._loop.close()
        queue = CallQueue(
            cast("Any", SimpleNamespace(call_soon_threadsafe=lambda _: None)), Performer(), False
        )
        queue.hand_over(cast("Any", client))
        assert client.tight is tight


def test_the_loop_is_woken_once_for_all_that_wait_and_a_closed_one_is_no_error() -> None:
    woken: list[Any] = []
    queue = CallQueue(cast("Any", SimpleNamespace(call_soon_threadsafe=woken.append)), Performer(), False)
    for _ in range(2):
        queue.hand_over(cast("Any", Client("a")))
    assert len(woken) == 1
    loop = asyncio.new_event_loop()
    loop.close()
    CallQueue(loop, Performer(), False).hand_over(cast("Any", Client("a")))


def test_the_loop_runs_between_calls_that_take_long(clock: Clock) -> None:
    soon: list[Any] = []
    performer = Performer()
    loop = SimpleNamespace(call_soon_threadsafe=lambda _: None, call_soon=soon.append)
    queue = CallQueue(cast("Any", loop), performer, False)
    clients = [Client(text) for text in "abc"]
    for each in clients:
        queue.hand_over(cast("Any", each))
        each.tight = False
    seconds = [0.002, 0.0001, 0.0]  # at its very end a turn goes on

    def late(answer: list[Any]) -> bool:
        clock.now += seconds.pop(0)
        return True

    for each in clients:
        each.send = late  # type: ignore[method-assign]
    queue._next()
    assert performer.performed == ["a", "b"]
    assert len(soon) == 1
    soon.pop()()
    assert performer.performed == ["a", "b", "c"]
    assert not soon
    queue.hand_over(cast("Any", Client("d")))
    assert queue._scheduled


def test_a_tight_loop_is_followed_until_it_pauses_or_another_calls(clock: Clock) -> None:
    client = Client("a", "b", "c")
    performer = queued(client, tight=True)
    assert performer.performed == ["a", "b", "c"]
    assert performer.given_back == [client]
    assert client.waits == [(2, 100.0 + 0.002)] * 3
    first, second = Client("a", "b"), Client("x")
    performer = queued(first, second, tight=True)
    assert performer.performed == ["a", "x"]
    assert performer.given_back == [first, second]
    full = Client("a", "b", takes=False)
    performer = queued(full, tight=True)
    assert (performer.performed, full.waits) == (["a"], [])
    broken = Client("a", OSError("gone"))
    performer = queued(broken, tight=True)
    assert (performer.given_back, broken.closing, len(broken.outgoing)) == ([broken], True, 0)


def test_a_tight_loop_lets_the_event_loop_run_every_two_milliseconds(clock: Clock) -> None:
    client = Client(*"abcdef")
    seconds = [0.0021, 0.002, 0.0001, 0.0021, 0.0021, 0.0021]  # at its very end a turn goes on
    send = client.send

    def late(answer: list[Any]) -> bool:
        clock.now += seconds.pop(0)
        return send(answer)

    client.send = late  # type: ignore[method-assign]
    soon: list[Any] = []
    performer = Performer()
    loop = SimpleNamespace(call_soon_threadsafe=lambda _: None, call_soon=lambda *call: soon.append(call))
    queue = CallQueue(cast("Any", loop), performer, False)
    queue.hand_over(cast("Any", client))
    client.tight = True
    queue._next()
    for done in ("abc", "abcd", "abcde", "abcdef"):
        assert performer.performed == list(done)
        assert not performer.given_back
        ((follow, connection),) = soon
        soon.clear()
        follow(connection)
    assert performer.given_back == [client]


def test_what_cannot_be_sent_after_a_tight_call_is_left_to_the_other_thread(clock: Clock) -> None:
    client = Client("a", "b", "c")
    answers = [True, False]
    client.send = lambda answer: answers.pop(0)  # type: ignore[method-assign]
    performer = queued(client, tight=True)
    assert (performer.performed, performer.given_back) == (["a", "b"], [client])


@pytest.mark.parametrize(("parallel", "order"), [(False, ["a", "b"]), (True, ["b", "a"])])
def test_a_coroutine_keeps_others_waiting_unless_calls_may_overlap(
    parallel: bool, order: list[str], clock: Clock
) -> None:
    done: list[str] = []

    async def slow() -> list[Any]:
        for _ in range(3):
            await asyncio.sleep(0)
        return ["slow"]

    first, second = Client(slow()), Client("b")
    for name, each in (("a", first), ("b", second)):
        each.send = lambda _, name=name: done.append(name) or True  # type: ignore[misc,method-assign,func-returns-value]
    performer = queued(first, second, parallel=parallel, turns=20)
    assert done == order
    assert set(performer.given_back) == {first, second}


def test_what_waits_for_a_coroutine_is_served_at_its_end_once(clock: Clock) -> None:
    async def slow() -> list[Any]:
        return ["slow"]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        performer, turns = Performer(), list[str]()
        queue = CallQueue(loop, performer, False)
        serve = queue._next
        queue._next = lambda: turns.append("") or serve()  # type: ignore[method-assign,func-returns-value]
        queue.hand_over(cast("Any", Client(slow())))
        for _ in range(6):
            await asyncio.sleep(0)
        assert len(turns) == 1  # nothing waited at its end
        for request in (slow(), "b"):
            queue.hand_over(cast("Any", Client(request)))
        for _ in range(6):
            await asyncio.sleep(0)
        assert performer.performed[2:] == ["b"]
        assert len(turns) == 3

    asyncio.run(main())


def test_a_coroutine_that_fails_or_is_cancelled_ends_its_connection_alone(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails() -> list[Any]:
        raise ValueError("a fault")

    async def waits() -> list[Any]:
        await asyncio.get_running_loop().create_future()
        return []

    failed, after = Client(fails()), Client("b")
    performer = queued(failed, after)
    assert (failed.closing, after.sent) == (True, [["b"]])
    assert performer.given_back == [failed, after]
    assert [each.getMessage() for each in caplog.records if each.name == "rexec.wire._call_queue"] == [
        "error while serving lab:1: connection closed"
    ]
    stopped, behind = Client(waits()), Client("b")
    performer = queued(stopped, behind)
    assert (stopped.closing, performer.given_back, behind.sent) == (True, [stopped], [])


def test_a_message_is_decoded_and_its_size_noted(clock: Clock) -> None:
    client = Client(Frame(bytearray(b'{"action": "call", "name": "f"}')))
    performer = queued(client)
    assert client.request_size == 31
    assert performer.performed[0]["name"] == "f"


class Guard:
    """Allows what it is told to, and keeps what it is asked to record."""

    def __init__(self, *allowed: Right) -> None:
        self.allowed = allowed
        self.records_calls = True
        self.records: list[tuple[str, dict[str, Any]]] = []
        self.codes: list[tuple[str, str]] = []
        self.asked: list[Right] = []

    def allows(self, connection: Any, needed: Right) -> bool:
        self.asked.append(needed)
        return needed in self.allowed

    def refused(self, connection: Any, what: str, needed: Right) -> PermissionError:
        return PermissionError(f"may not {what}")

    def record(self, kind: str, connection: Any, facts: dict[str, Any]) -> None:
        self.records.append((kind, facts))

    def admit_code(self, connection: Any, code: str, name: str) -> None:
        self.codes.append((code, name))


class Lamp:
    """A driver."""

    volts = 3

    def on(self, level: float = 1.0) -> None:
        """Switch on."""

    @_targets.read_only
    def level(self) -> float:
        return 1.0

    @staticmethod
    @_targets.while_busy
    def below() -> None: ...

    @_targets.while_busy
    @staticmethod
    def above() -> None: ...

    @_targets.ends_with_client
    async def follow(self) -> None: ...

    @property
    def dangerous(self) -> None:
        raise SystemExit

    def ping(self) -> bool:
        return True


class Agent:
    """Runs code of clients."""

    def add_code(self, code: str) -> None: ...

    def call(self) -> None: ...


def guarded(target: Any) -> Any:
    return SimpleNamespace(target=target, needed={}, identity="bob", was_refused=False, request_size=7)


def test_a_factory_is_called_only_for_those_who_may_use_what_it_makes() -> None:
    def lamp() -> Lamp:
        return Lamp()

    def agent() -> Agent:
        return Agent()

    def anything():  # type: ignore[no-untyped-def]
        return Lamp()

    for factory, needed, names in (
        (lamp, Right.READ, {"on", "terminate"}),
        (Agent, Right.REXEC, {"add_code", "terminate"}),
        (agent, Right.REXEC, {"call"}),
        (anything, Right.READ, {"add_code", "call"}),
    ):
        connection = guarded(None)
        guard = Guard()
        assert names <= _guarded.make_target(cast("Any", guard), connection, factory, terminate=True)
        assert isinstance(connection.target, _guarded.NotMade)
        assert (guard.asked, connection.target.needed) == ([needed], needed)
        for who in (None, Guard(needed)):
            names_made = _guarded.make_target(cast("Any", who), connection, factory, terminate=False)
            assert isinstance(connection.target, Lamp | Agent)
            assert "terminate" not in names_made
    connection = guarded(None)
    _guarded.make_target(None, connection, lamp_ := Lamp(), terminate=False)
    assert connection.target is lamp_


@pytest.mark.parametrize(
    ("target", "request_", "needed", "what"),
    [
        (Lamp(), {"action": "call", "name": "on"}, Right.CALL, "call on()"),
        (Lamp(), {"action": "call", "name": "level"}, Right.READ, "call level()"),
        (Lamp(), {"action": "call", "name": "ping"}, Right.READ, "call ping()"),
        (Lamp(), {"action": "call", "name": ["on"]}, Right.CALL, "call list()"),
        (Lamp(), {"action": "get_rpc_method_list"}, Right.READ, "use the method list"),
        (Lamp(), {"action": "lease", "name": "take", "args": ["d", "i", True]}, Right.CALL, "ask about leases"),
        (Lamp(), {"action": "lease", "name": "take", "args": ["d", "i", False]}, Right.READ, "ask about leases"),
        (Lamp(), {"action": "lease", "name": "shared", "args": [True]}, Right.READ, "ask about leases"),
        (Lamp(), {"action": "lease", "name": "take"}, Right.READ, "ask about leases"),
        (Agent(), {"action": "call", "name": "ping"}, Right.REXEC, "call ping()"),
        (Agent(), {"action": "get_rpc_method_list"}, Right.REXEC, "use the method list"),
        (_guarded.NotMade(Right.REXEC), {"action": "call", "name": "x" * 200}, Right.REXEC, f"call {'x' * 100}()"),
    ],
)  # fmt: skip
def test_each_request_takes_a_right(target: Any, request_: Any, needed: Right, what: str) -> None:
    connection, guard = guarded(target), Guard()
    for _ in range(2):
        with pytest.raises(PermissionError) as caught:
            _guarded.admit(cast("Any", guard), connection, request_)
        assert str(caught.value) == f"may not {what}"
    assert guard.asked == [needed] * 2
    remembered = request_["action"] == "call" and isinstance(request_["name"], str)
    assert connection.needed == ({request_["name"]: needed} if remembered else {})
    guard = Guard(needed)
    if isinstance(target, _guarded.NotMade):
        with pytest.raises(PermissionError, match="connect again"):
            _guarded.admit(cast("Any", guard), connection, request_)
    else:
        _guarded.admit(cast("Any", guard), connection, request_)
    assert not guard.codes


def test_the_rights_of_a_thousand_methods_are_remembered() -> None:
    connection, guard = guarded(Lamp()), cast("Any", Guard(Right.CALL))
    for number in range(1002):
        _guarded.admit(guard, connection, {"action": "call", "name": f"m{number}"})
    assert len(connection.needed) == 1000


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"args": ["x = 1"]}, "x = 1"),
        ({"args": ["x = 1"], "kwargs": {"code": "y"}}, "x = 1"),
        ({"kwargs": {"code": "y = 2"}}, "y = 2"),
        ({"args": [b"\xff1"]}, "\\xff1"),
        ({"args": [3]}, "3"),
        ({}, "None"),
    ],
)
def test_code_of_clients_is_admitted_as_text(given: dict[str, Any], code: str) -> None:
    guard = Guard(Right.REXEC)
    connection = guarded(Agent())
    _guarded.admit(cast("Any", guard), connection, {"action": "call", "name": "add_code", **given})
    assert guard.codes == [(code, "add_code")]
    _guarded.admit(cast("Any", guard), connection, {"action": "call", "name": "call", **given})
    assert len(guard.codes) == 1


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ([b'{"status":"ok","ret":1}'], "ok"),
        ([b'{"status":"failed","exception":{"class":"ValueError"}}'], "ValueError"),
        ([b'#3 {"status":"failed","id":1,"exception":', b'{"class": "KeyError"}}'], "KeyError"),
        ([b'{"status":"failed"}'], "failed"),
        ([b'{"status":"failed","exception":{"class":""}}'], "failed"),
    ],
)
def test_the_outcome_of_a_call_is_recorded(
    answer: list[bytes], outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = {"action": "call", "name": "on"}
    later: Any = None
    clock = Clock(monkeypatch, _guarded)

    def now(*_: Any) -> Any:
        clock.now += 1.2345678
        return answer

    async def soon() -> Any:
        return now()

    for carry_out, how in (
        (now, _guarded.recorded_now),
        (now, _guarded.recorded),
        (lambda *_: soon(), _guarded.recorded),
    ):
        guard, connection = Guard(), guarded(Lamp())
        later = how(cast("Any", guard), connection, request, carry_out)  # type: ignore[arg-type]
        assert (asyncio.run(later) if asyncio.iscoroutine(later) else later) is answer
        ((kind, facts),) = guard.records
        assert kind == "call"
        assert facts == {
            "method": "on",
            "outcome": outcome,
            "seconds": 1.234568,
            "bytes_in": 7,
            "bytes_out": sum(map(len, answer)),
        }
        for silent in (None, guard):
            guard.records_calls = False
            connection = guarded(Lamp())
            assert (
                _guarded.recorded_now(cast("Any", silent), connection, request, lambda *_: answer) is answer
            )
            assert _guarded.recorded(cast("Any", silent), connection, request, lambda *_: answer) is answer
        assert len(guard.records) == 1


def test_a_refusal_has_a_record_of_its_own_and_an_ended_coroutine_says_how(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch, _guarded)
    guard, connection = Guard(), guarded(Lamp())
    request = {"action": "call", "name": "on"}
    connection.was_refused = True
    _guarded.recorded_now(cast("Any", guard), connection, request, lambda *_: [b"{}"])
    assert (guard.records, connection.was_refused) == ([], False)

    async def ends() -> Any:
        clock.now += 2.0
        raise asyncio.CancelledError

    ended: Any = _guarded.recorded(cast("Any", guard), connection, request, lambda *_: ends())
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(ended)
    ((kind, facts),) = guard.records
    assert (kind, facts) == ("call", {"method": "on", "outcome": "CancelledError", "seconds": 2.0})


def test_marks_of_methods_are_seen_wherever_they_stand() -> None:
    lamp = Lamp()
    for name, busy in (("below", True), ("above", True), ("on", False), ("absent", False), ("volts", False)):
        assert _targets.is_while_busy(lamp, name) is busy
    assert _targets.is_ended_with_client(lamp, "follow")
    assert not _targets.is_ended_with_client(lamp, "on")
    assert _targets.is_marked(Lamp.below)
    assert not _targets.is_marked(Lamp.on)
    with pytest.raises(TypeError, match="is a coroutine"):
        _targets.while_busy(Lamp.follow)
    with pytest.raises(TypeError, match="is no coroutine function"):
        _targets.ends_with_client(cast("Any", Lamp.on))
    assert not _targets.is_remote_execution(lamp)
    assert _targets.is_remote_execution(Agent)
    assert _targets.is_remote_execution(Agent())
    assert _targets.made_by(Lamp) is Lamp
    assert _targets.made_by(lambda: lamp) is None
    assert [_targets.can_be_served(name) for name in ("a", "", "a b", "\xe4", "a\t")] == [True] + [False] * 4


def test_a_target_s_methods_are_found_without_running_its_code() -> None:
    asked: list[str] = []

    class Base:
        __slots__ = ("empty", "number", "slot")

    class Shutter(Base):
        number_of_class = 3

        def __init__(self) -> None:
            self.slot, self.number = self.method, 3
            self.attribute, self.other = int, "text"

        def method(self) -> None: ...

        @classmethod
        def of_class(cls) -> None: ...

        @staticmethod
        def static() -> None: ...

        part = functools.partialmethod(method)

        @property
        def asks(self) -> Any:
            asked.append("asks")
            return int

        @functools.cached_property
        def asks_once(self) -> Any:
            asked.append("asks_once")
            return int

        def __dir__(self) -> list[str]:
            return [*super().__dir__(), "nothing"]

    found = _targets.method_names(Shutter(), terminate=False)
    assert {each for each in found if not each.startswith("_")} == {
        "slot", "attribute", "method", "of_class", "static", "part",
    }  # fmt: skip
    assert "__class__" in found
    assert asked == []


def test_a_factory_that_ends_the_interpreter_is_an_error() -> None:
    def leaves() -> None:
        raise SystemExit(3)

    def fails() -> None:
        raise KeyError("k")

    with pytest.raises(RuntimeError, match=r"could not be made: SystemExit\(3\)"):
        _targets.made(leaves)
    with pytest.raises(KeyError):
        _targets.made(fails)


def test_methods_are_described_with_their_signatures() -> None:
    class Odd:
        """Odd."""

        builtin = dict.fromkeys

        def __init__(self) -> None:
            self.attribute = lambda x, *rest, y=object, **more: None

        def typed(self, a: "int", b: list[int], c: int = 3, *, d: float = 1.0) -> None:
            """Typed."""

        def _private(self) -> None: ...

    found = _targets.describe(Odd(), terminate=True)
    assert found["docstring"] == "Odd."
    methods = found["methods"]
    assert [*methods] == ["attribute", "typed", "terminate"] or [*methods] == [
        "attribute",
        "builtin",
        "typed",
        "terminate",
    ]
    spec, text = methods["typed"]
    assert text == "Typed."
    assert (spec["args"], spec["defaults"]) == (["self", "a", "b", "c"], (3,))
    assert (spec["kwonlyargs"], spec["kwonlydefaults"]) == (["d"], {"d": 1.0})
    assert spec["annotations"] == {"a": "int", "b": "list[int]", "c": "int", "d": "float", "return": "None"}
    spec, _ = methods["attribute"]
    assert (spec["args"], spec["varargs"], spec["varkw"]) == (["self", "x"], "rest", "more")
    assert spec["kwonlydefaults"] == {"y": repr(object)}
    assert methods["terminate"][0] == {
        "args": ["self"], "defaults": None, "varargs": None, "varkw": None, "kwonlyargs": [], "kwonlydefaults": []
    }  # fmt: skip
    names = _targets.method_names(Lamp(), terminate=False)
    assert {"on", "level", "above", "__class__"} <= names
    assert not {"dangerous", "volts", "terminate"} & names


def test_the_places_of_dropped_lines_are_tidied_away() -> None:
    queue = LineQueue()
    for number in range(3000):
        queue.put(b"%d\n" % number, number % 3)
    assert len(queue) == 3000
    assert queue.size == sum(len(b"%d\n" % number) + 100 for number in range(3000))
    assert (queue.drop(1), queue.drop(1), queue.drop("none")) == (1000, 0, 0)
    assert (len(queue._order), len(queue)) == (3000, 2000)
    assert queue.drop(2) == 1000
    assert len(queue._order) == 3000  # not more than twice those that are left, and a thousand
    queue.put(b"new\n", 1)
    assert [queue.take() for _ in range(3)] == [b"0\n", b"3\n", b"6\n"]
    assert queue.drop(0) == 997
    assert (len(queue._order), queue._gone) == (1, {})
    assert (len(queue), queue.size) == (1, 104)
    assert queue.take() == b"new\n"
    queue.put(b"whole\n")
    assert (queue.drop(WHOLE), queue.size, queue.clear()) == (1, 0, 0)
    queue.put(b"a\n")
    assert (queue.clear(), queue.size, len(queue)) == (1, 0, 0)


class Poll:
    """Says that something can be read after some questions."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.asked: list[int] = []

    def poll(self, milliseconds: int) -> list[int]:
        self.asked.append(milliseconds)
        self.after -= 1
        return [1] if self.after < 0 else []


def test_busy_waits_in_vain_make_the_next_ones_rarer(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(10**9))
    monkeypatch.setattr(_spin, "time", SimpleNamespace(perf_counter=lambda: next(ticks) * 90e-6))
    yields: list[None] = []
    monkeypatch.setattr(_spin, "_yield", lambda: yields.append(None))
    poll = Poll(10**9)
    spin = Spin(poll)
    waits = list[int]()
    for _ in range(9):
        assert not spin.awake()
        assert poll.asked == [0, 0, 0, 0]  # until 200 microseconds are over, and once more
        assert len(yields) == (3 if len(waits) < 5 else 0)  # the peer may need this very processor
        yields.clear()
        poll.asked.clear()
        waits.append(0)
        while spin._left:
            assert spin.awake() is False
            assert not poll.asked
            waits[-1] += 1
        if len(waits) == 5:
            monkeypatch.setattr(_spin, "_yield", None)  # as on Windows
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 256]
    poll.after = 1
    assert spin.awake()
    assert (spin._pause, spin._left) == (1, 0)
    poll.after = 3
    assert spin.awake()  # at the very end
    assert spin._left == 2
    poll.after = 1
    assert not spin.asleep(7)
    assert spin.asleep(8)
    assert poll.asked[-2:] == [7, 8]


POLL = pytest.mark.skipif(not hasattr(select, "poll"), reason="needs poll()")


@pytest.fixture
def pair() -> Any:
    ours, theirs = socket.socketpair()
    for each in (ours, theirs):
        each.setblocking(False)
    with ours, theirs:
        yield serving(ours), theirs


def serving(sock: socket.socket) -> ServerConnection:
    reader = FrameReader()
    return ServerConnection(sock, "lab:1", reader, ServerHandshake(reader, ["drv"]), 0.0)


@POLL
def test_a_connection_of_a_server_receives_whole_messages(pair: Any) -> None:
    connection, peer = pair
    assert connection.receive() is None
    peer.sendall(b"one\ntwo\nthr")
    assert [bytes(connection.receive().line) for _ in range(2)] == [b"one", b"two"]
    assert connection.receive() is None
    assert not connection.is_gone()
    peer.sendall(b"ee\n")
    assert bytes(connection.receive_soon(10_000, float("inf")).line) == b"three"
    assert connection.receive_soon(0, float("inf")) is None
    peer.sendall(b"half")
    assert connection.receive_soon(0, 0.0) is None  # it has taken too long
    peer.close()
    assert connection.is_gone()
    with pytest.raises(EOFError):
        connection.receive()


def test_a_client_has_gone_once_the_system_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for lacks in (False, True):
        if lacks:
            monkeypatch.delattr(select, "POLLRDHUP", raising=False)
        has_poll = hasattr(select, "POLLRDHUP")
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            connection = serving(ours)
            assert connection.is_gone() is False
            theirs.sendall(b"x")
            select.select([ours], [], [], 30)
            assert connection.is_gone() is False
            assert ours.recv(9) == b"x"
            theirs.close()
            assert within(150, connection.is_gone)
            connection._secured = True
            assert connection.is_gone() is has_poll
            connection._secured = False
            connection.close()
            if not has_poll:
                assert connection.is_gone() is True


def test_a_connection_that_sends_much_leaves_turns_to_others(pair: Any) -> None:
    connection, _ = pair
    pieces: list[int] = []

    class Few:
        """Gives the reader space for few bytes."""

        def recv_into(self, space: memoryview) -> int:
            pieces.append(len(space))
            space[:] = b"x" * len(space)
            return len(space)

    connection.sock = Few()
    assert connection.receive() is None
    assert len(pieces) == 16


@POLL
def test_what_a_client_does_not_take_is_kept_in_order(pair: Any) -> None:
    connection, peer = pair
    assert connection.send([b"short\n"])
    assert peer.recv(100) == b"short\n"
    assert connection.send([b"a", memoryview(b"b"), b"c\n"])
    assert peer.recv(100) == b"abc\n"
    large = [b"%07d\n" % number * 1000 for number in range(1000)]
    assert not connection.send(large, patience=0)
    assert connection.outgoing
    assert not connection.send([b"end\n"], patience=0)
    got = bytearray()
    while not got.endswith(b"end\n"):
        connection.flush()
        got += peer.recv(1 << 20)
    assert bytes(got) == b"".join(large) + b"end\n"
    assert connection.flush()
    connection.outgoing.append(memoryview(b"left"))
    connection.close()
    assert (connection.closed, len(connection.outgoing), connection.sock.fileno()) == (True, 0, -1)


@POLL
def test_a_server_waits_for_a_slow_client_for_a_moment(pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    connection, _ = pair
    waits: list[float] = []

    class Full:
        def register(self, sock: Any, events: int) -> None:
            assert events == select.POLLOUT

        def poll(self, milliseconds: float) -> list[int]:
            waits.append(milliseconds)
            return []

    monkeypatch.setattr(select, "poll", Full, raising=False)
    assert not connection.send([b"x" * (1 << 24)])
    assert waits == [50.0]
    assert sum(map(len, connection.outgoing)) > 0


def test_a_server_waits_for_a_slow_client_also_where_there_is_no_poll(
    pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, _ = pair
    monkeypatch.delattr(select, "poll", raising=False)
    assert connection.receive_soon(0, 0.0) is None
    asked: list[Any] = []

    def selected(*what: Any) -> Any:
        asked.append(what)
        return [], ready, []

    monkeypatch.setattr(select, "select", selected)
    for ready in ([], [connection.sock]):
        assert connection._wait_writable(0.5) is bool(ready)
        assert connection._wait_writable(0.0) is False
    assert asked == [([], [connection.sock], [], 0.5)] * 2


def test_a_connection_of_a_server_begins_with_nothing(pair: Any) -> None:
    connection, _ = pair
    assert {name: getattr(connection, name) for name in NOTHING} == NOTHING


NOTHING: dict[str, Any] = {
    "tight": False, "was_refused": False, "closing": False, "closed": False, "interest": 0, "answered_at": 0.0,
    "request": None, "request_size": 0, "target": None, "target_name": "", "lease_holder": "", "since": 0.0,
    "guard": None, "granted": None, "needed": {}, "outgoing": deque(), "codec": Codec(), "introduction": SAYS_NOTHING,
}  # fmt: skip


def test_a_connection_without_tls_is_trusted_and_has_no_handshake(pair: Any) -> None:
    connection, _ = pair
    assert connection.handshake_tls() == 0
    assert connection.is_trusted()


def test_the_messages_of_a_connection_are_counted_from_its_first() -> None:
    talk = Conversation("lab:1")
    assert talk.last_request == (0, "")
    for codec in (Codec(), Codec(v2=True), Codec(v2=True, raw=True, call_ids=True)):
        talk = Conversation("lab:1")
        talk.codec = codec
        calls: list[tuple[Any, tuple[Any, ...], str]] = [
            (talk.encode_call, ("on", [], {}), "on"),
            (talk.encode_method_list, (), "get_rpc_method_list"),
            (talk.encode_lease, ("take", []), "lease take"),
        ]
        for number, (encode, arguments, name) in enumerate(calls, 1):
            text = b"".join(bytes(each) for each in encode(*arguments))
            assert talk.last_request == (number, name)
            assert (b'"id":%d' % number in text) == codec.call_ids == codec.ours


def frame(line: bytes) -> Frame:
    return Frame(bytearray(line))


def test_a_client_chooses_with_the_features_that_both_sides_have() -> None:
    reader = FrameReader()
    client = ClientHandshake("lab:1", reader, AutoTarget)
    assert (client.begin(), client.step, reader.limit, reader.opening) == (
        b"ARTIQ pc_rpc\n",
        "greeting",
        1 << 20,
        b"{",
    )
    line = client.take(frame(b'{"targets": ["drv"], "description": null}'))
    assert (line, client.step, reader.opening) == (b"drv\n", "target", None)
    assert client.take(frame(b"{'f'}")) is None
    talk = client.conversation
    assert (talk.target, talk.where, talk.methods) == ("drv", "lab:1, target 'drv'", frozenset({"f"}))
    assert (client.step, reader.limit, reader.raw) == ("", None, False)
    later = ClientHandshake("lab:1", FrameReader(), None)
    later.begin()
    assert later.take(frame(b'{"targets": ["a", "b\\u00e4", "c d"], "description": "x"}')) is None
    assert (later.step, later.conversation.target) == ("", None)
    for wrong, said in (
        (AutoTarget, "lab:1 has 3 targets, name one of them: a, b\xe4, c d"),
        ("aa", "lab:1 has no target 'aa'; it has: a, b\xe4, c d"),
        ("b\xe4", "cannot be chosen"),
        ("c d", "cannot be chosen"),
    ):
        with pytest.raises(errors.IncompatibleServer) as caught:
            later.choose(wrong)
        assert said in str(caught.value)
    assert later.choose("a") == b"a\n"
    for answer in (b"[1]", b"3 4", b"{1}"):
        with pytest.raises(errors.IncompatibleServer, match="lab:1"):
            later.take(frame(answer))


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b'{"targets": []}', ((), None, frozenset())),
        (b'{"targets": ["a"], "description": 3, "features": ["x", 4]}', (("a",), "3", frozenset({"x"}))),
        (b'{"targets": ["a"], "description": None, "features": 3}', (("a",), None, frozenset())),
        (b'{"targets": "a"}', None),
        (b'{"targets": [1]}', None),
        (b"[]", None),
        (b"HTTP/1.1 400 " + b"x" * 60, None),
    ],
)
def test_a_greeting_names_targets_and_features(line: bytes, found: Any) -> None:
    if found is None:
        with pytest.raises(errors.FormatError, match="says") as caught:
            parse_greeting(line)
        assert caught.value.said == line[:60]
    else:
        greeting = parse_greeting(line)
        assert (greeting.targets, greeting.description, greeting.features) == found


@pytest.mark.parametrize(
    ("step", "error", "kind", "said"),
    [
        ("greeting", errors.ConnectionBroken("closed"), errors.ConnectionFailed, "handshake, greeting). It may be"),
        ("target", errors.ConnectionBroken("closed"), errors.ConnectionFailed, "during the handshake, target 'drv')"),
        ("greeting", errors.MessageTooLong("long"), errors.ConnectionFailed, "long (during the handshake, greeting)"),
        ("target", TimeoutError(), errors.ConnectionFailed, "sent no answer to the target 'drv' in 3 s"),
        ("greeting", errors.FormatError("says b'x'"), errors.IncompatibleServer, "lab:1 is no pc_rpc server: it says"),
    ],
)  # fmt: skip
def test_an_error_of_the_handshake_says_what_was_awaited(
    step: str, error: Exception, kind: type[Exception], said: str
) -> None:
    client = ClientHandshake("lab:1", FrameReader(), "drv")
    client.begin()
    if step == "target":
        client.take(frame(b'{"targets": ["drv"]}'))
    if isinstance(error, errors.FormatError):
        error.said = b"x"
    with pytest.raises(kind) as caught, client.waiting(3.0):
        raise error
    assert said in str(caught.value)
    if isinstance(caught.value, errors.ConnectionFailed):
        assert caught.value.step == step
        assert ("It may be" in str(caught.value)) == (
            step == "greeting" and isinstance(error, errors.ConnectionBroken)
        )
    else:
        assert caught.value.said == b"x"  # type: ignore[attr-defined]
