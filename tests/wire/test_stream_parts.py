"""Parts of streams by themselves: batches of lines, receivers that are slow, lines that are applied, snapshots."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rexec.ground import forks
from rexec.wire import _snapshots, _stream_client, _stream_server, errors
from rexec.wire._line_queue import WHOLE, LineQueue
from rexec.wire._pyon_parts import V1, V2
from rexec.wire._snapshots import Snapshots
from rexec.wire._stream_client import Follower, LineProtocol
from rexec.wire._stream_server import StreamServer
from rexec.wire._subscription import PIECE
from rexec.wire.broadcast import Broadcaster
from rexec.wire.sync_struct import Subscriber as Subscriber_
from tests.clock import set_clock


class Subscriber:
    """A subscriber that takes lines at once, or not."""

    def __init__(self, name: str = "n", *, takes: bool = True) -> None:
        self.name, self.peer, self.takes = name, "lab:1", takes
        self.got: list[bytes] = []
        self.lines = LineQueue()
        self.dropped = 0

    def write_now(self, lines: bytes) -> bool:
        if self.takes:
            self.got.append(lines)
        return self.takes

    def put(self, line: bytes, part: Any = WHOLE) -> None:
        self.lines.put(line, part)


class Sends(StreamServer):
    """Notes what subscribers do not take at once."""

    def __init__(self) -> None:
        super().__init__(b"hello\n")
        self.queued: list[Any] = []

    def enqueue(self, subscription: Any, line: bytes, part: Any) -> None:
        self.queued.append((subscription, line, part))


class Clock:
    """A clock and timers that the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.timers: list[Any] = []
        monkeypatch.setattr(_stream_server, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(asyncio, "get_running_loop", lambda: self)

    def call_later(self, wait: float, call: Any, name: str) -> Any:
        return self.call_soon(call, name, wait)

    def call_soon(self, call: Any, name: str, wait: float = 0.0) -> Any:
        timer = SimpleNamespace(wait=wait, run=lambda: call(name), cancelled=False)
        timer.cancel = lambda: setattr(timer, "cancelled", True)
        self.timers.append(timer)
        return timer


def test_lines_of_a_moment_are_sent_together(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, server = Clock(monkeypatch), Sends()
    quick, slow, other = Subscriber(), Subscriber(takes=False), Subscriber("m")
    for each in (quick, slow, other):
        server.followers(each.name).append(cast("Any", each))
    server.send("n", b"a\n", "part")
    server.send("n", b"b\n")
    assert [timer.wait for timer in clock.timers] == [0.0]
    assert quick.got == []
    clock.timers[0].run()
    assert quick.got == [b"a\nb\n"]
    assert server.queued == [(slow, b"a\n", "part"), (slow, b"b\n", WHOLE)]
    assert other.got == []
    assert clock.timers.pop().cancelled
    clock.now += 0.0005
    server.send("n", b"c\n")
    assert [round(timer.wait, 6) for timer in clock.timers] == [0.0015]
    server.send("m", b"d\n")
    assert clock.timers[1].wait == 0.0
    assert [(each["name"], each["waiting"], each["dropped"]) for each in server.status()] == [
        ("n", 0, 0), ("n", 0, 0), ("m", 0, 0)
    ]  # fmt: skip
    assert (quick.got[1:], other.got) == ([b"c\n"], [b"d\n"])  # whose status is asked has all
    clock.now += 0.002
    server.queued.clear()
    server.send("n", b"x" * PIECE)
    assert len(quick.got) == 2
    server.send("n", b"y\n")
    assert len(quick.got) == 2  # a large batch goes through the queues
    assert [(each, len(line)) for each, line, _ in server.queued] == [
        (quick, PIECE), (quick, 2), (slow, PIECE), (slow, 2)
    ]  # fmt: skip
    server.flush("n")
    server.flush("nobody")
    assert len(server.queued) == 4
    server.forget(cast("Any", quick))
    server.forget(cast("Any", quick))
    assert list(map(id, server.subscriptions("n"))) == [id(slow)]
    server.send("n", b"z\n")
    server.forget_loop()
    server.flush("n")
    assert len(server.queued) == 4
    monkeypatch.setattr(forks, "generation", forks.generation + 1)
    assert list(server.subscriptions("n")) == []


def test_a_receiver_that_is_slow_loses_the_oldest_messages(caplog: pytest.LogCaptureFixture) -> None:
    server = Broadcaster(3, backlog=1000)
    assert server.has("anything")
    slow = Subscriber(takes=False)
    for number in range(5):
        server.enqueue(cast("Any", slow), b"%d\n" % number, WHOLE)
    assert (slow.dropped, server.dropped, len(slow.lines)) == (2, 2, 3)
    assert slow.lines.take() == b"2\n"
    server.enqueue(cast("Any", slow), b"x" * 796, WHOLE)  # with the two that wait exactly the backlog
    assert (len(slow.lines), server.dropped) == (3, 2)
    server.enqueue(cast("Any", slow), b"y" * 5000, WHOLE)
    assert (len(slow.lines), server.dropped) == (1, 5)
    assert [each.getMessage() for each in caplog.records] == [
        "lab:1 receives 'n' too slowly: messages are dropped"
    ]


def test_each_line_is_applied_and_what_cannot_be_ends_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        for lines, values, failed, level in (
            ([b'{"a": 1}', b"2"], [{"a": 1}, 2], False, None),
            ([b"(1, 2)", b"[3]", b"{4}"], [(1, 2), [3], {4}], False, None),
            ([b"1", b"no value"], [1], True, logging.ERROR),
            ([b'{"__jsonclass__": ["nothing", []]}'], [], True, logging.ERROR),
        ):
            got: list[Any] = []
            protocol = LineProtocol(got.append, lambda: None, 100)
            for line in lines:
                protocol.get_buffer(-1)[: len(line) + 1] = line + b"\n"
                protocol.buffer_updated(len(line) + 1)
            assert (got, protocol.failure is not None) == (values, failed)
            assert {each.levelno for each in caplog.records} == ({level} if level else set())
            caplog.clear()

        def fails(_: object) -> None:
            raise ZeroDivisionError

        protocol = LineProtocol(fails, lambda: None)
        protocol.get_buffer(-1)[:2] = b"1\n"
        protocol.buffer_updated(2)
        assert isinstance(protocol.failure, ZeroDivisionError)
        assert caplog.records[0].exc_info
        assert protocol.writer() is None
        protocol.write(b"x")

    asyncio.run(main())


def test_the_loss_of_a_connection_is_told_unless_this_side_closed_it() -> None:
    async def main() -> None:
        for how, told in (("lost", 1), ("closed", 0), ("cancelled", 0)):
            lost: list[int] = []
            protocol = LineProtocol(lambda _: None, lambda: lost.append(1))  # noqa: B023
            if how == "closed":
                closing = asyncio.ensure_future(protocol.close())
                await asyncio.sleep(0)
            elif how == "cancelled":
                protocol.closed.cancel()
                await asyncio.sleep(0)
            protocol.connection_lost(None)
            assert len(lost) == told
            if how == "closed":
                await closing
            assert ("closed by this side" in str(protocol.failure)) == (how != "lost")

    asyncio.run(main())


def test_a_follower_is_closed_as_often_as_is_asked_and_says_why_it_ended() -> None:
    async def main() -> None:
        one = Follower("thing", [], lambda: lost.append(1))
        await one.close()
        assert one.failure is None
        one._protocol = protocol = LineProtocol(lambda _: None, one._lost)
        for _ in range(2):
            closing = asyncio.ensure_future(one.close())
            await asyncio.sleep(0)
            protocol.connection_lost(None)
            await closing
            assert (str(one.failure), one.has_failed()) == ("closed by this side", False)
        assert lost == []

    lost: list[int] = []
    asyncio.run(main())


def test_a_server_that_stops_waits_for_the_end_of_each_connection() -> None:
    async def main() -> None:
        server, log = Sends(), list[Any]()

        async def ends(name: str) -> None:
            await asyncio.sleep(0)
            log.append(name)

        for name in "ab":
            one: Any = Subscriber(name)
            one.__dict__ |= {"fail": log.append, "wait_closed": lambda name=name: ends(name)}
            server.connections.add(cast("Any", one))
        for left_to_others in (
            lambda: StreamServer(b"").has("n"),
            lambda: StreamServer(b"").enqueue(one, b"", WHOLE),
        ):
            with pytest.raises(NotImplementedError):
                left_to_others()
        stopping = asyncio.ensure_future(server.stop())
        for _ in range(9):
            await asyncio.sleep(0)
        assert stopping.done()
        assert list(map(str, log[::2])) == ["the server stops"] * 2
        assert sorted(log[1::2]) == ["a", "b"]

    asyncio.run(main())


def test_a_server_that_starts_forgets_what_an_ended_loop_was_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    server: Any = Sends()
    server._bursts["n"] = "of a loop that has ended"
    vars(server)["_listen"] = lambda *where: (where, "context")
    monkeypatch.setattr(_stream_server, "Acceptor", lambda *what: what)
    asyncio.run(server.start("lab", 3))
    assert server._bursts == {}
    assert server._acceptor == (("lab", 3, None), server._connected, server.limits, "context")


def test_a_connection_that_ends_is_one_less_for_its_server() -> None:
    server, left = Sends(), list[Any]()
    one: Any = Subscriber()
    for acceptor in (None, SimpleNamespace(left=left.append)):
        server._acceptor = cast("Any", acceptor)
        server.connections.add(one)
        server.left(cast("Any", "sock"), one)
        assert server.connections == set()
    assert left == ["sock"]


def test_what_is_no_modification_ends_a_subscription() -> None:
    built: list[Any] = []

    def build(struct: Any) -> Any:
        built.append(struct)

    one = Subscriber_("n", build, built.append)
    for wrong in ([1], {"struct": 1}, None, "action"):
        with pytest.raises(ValueError, match="no modification"):
            one._received(wrong)
    assert built == []
    init = {"action": "init", "struct": 1}
    one._received(init)
    assert built == [1, init]


def test_every_callback_is_called_and_a_failure_is_told(caplog: pytest.LogCaptureFixture) -> None:
    got: list[Any] = []

    def fails(_: object) -> None:
        raise ValueError

    one = Follower("thing", [got.append, fails, got.append], None)
    assert (one.failure, one.has_failed(), one.receive_task, one.writer) == (None, False, None, None)
    one._notify(3)
    one._lost()
    assert got == [3, 3]
    assert [each.getMessage() for each in caplog.records] == ["a callback of the thing failed"]
    two = Follower("thing", got.append, lambda: got.append("lost"))
    two._lost()
    two._notify(4)
    assert got[2:] == ["lost", 4]
    for failure, failed in (
        (None, False),
        (errors.ConnectionBroken("x"), False),
        (errors.FormatError("x"), True),
    ):
        two._protocol = cast("Any", SimpleNamespace(failure=failure))
        assert (two.failure, two.has_failed()) == (failure, failed)


class Turns:
    """An event loop whose calls the test makes, and a clock by which each step takes a turn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.soon: list[Any] = []
        self.later: list[Any] = []
        ticks = iter(range(10**9))
        set_clock(monkeypatch, "rexec.wire._snapshots", perf_counter=lambda: float(next(ticks)))
        monkeypatch.setattr(asyncio, "get_running_loop", lambda: self)

    def call_soon(self, call: Any, *args: Any) -> None:
        self.soon.append(lambda: call(*args))

    def call_later(self, seconds: float, call: Any, *args: Any) -> None:
        self.later.append((seconds, lambda: call(*args)))

    def run(self) -> None:
        while self.soon:
            self.soon.pop(0)()


@pytest.mark.parametrize(("syntax", "large"), [(V1, False), (V2, False), (V2, True)])
def test_a_snapshot_is_made_once_for_all_who_wait_and_kept_if_large(
    syntax: Any, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, got = Turns(monkeypatch), list[Any]()
    struct: dict[str, Any] = {"a": [1, 2], "b": "x" * (1 << 16) if large else "x", "c": 3}
    snapshots = Snapshots(lambda _: struct, syntax)
    assert not snapshots.is_awaited("n")
    for _ in range(2):
        snapshots.give("n", WHOLE, got.append)
    assert snapshots.is_awaited("n")
    assert got == []
    turns.run()
    assert len(got) == 2
    assert got[0] == got[1]
    assert b"".join(got[0]).count(b"\n") == 1
    assert not snapshots.is_awaited("n")
    assert [seconds for seconds, _ in turns.later] == [5.0] * large
    mod = {"action": "setitem", "path": [], "key": "c", "value": 4}
    snapshots.changed("n", "c", mod, b"changed\n")
    snapshots.give("n", WHOLE, got.append)
    if large:
        assert got[2] == [got[0][0], b"changed\n"]
        turns.later[0][1]()
        snapshots.give("n", WHOLE, got.append)
    assert len(got) == 2 + large
    turns.run()
    assert len(got) == 3 + large


def test_what_changes_meanwhile_is_in_the_snapshot_or_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    turns, got = Turns(monkeypatch), list[Any]()
    struct: dict[str, Any] = {"a": 1, "b": 2, "c": 3}
    snapshots = Snapshots(lambda _: struct, V2)

    def change(key: str, value: Any) -> None:
        struct[key] = value
        mod = {"action": "setitem", "path": [], "key": key, "value": value}
        snapshots.changed("n", key, mod, f"{key}={value}\n".encode())

    snapshots.give("n", WHOLE, got.append)
    change("a", 5)  # while it is being encoded
    change("c", 7)  # before its turn
    for _ in range(2):
        turns.soon.pop(0)()
    change("a", 6)  # after it
    turns.run()
    ((text, *behind),) = got
    assert b'"a":5,"b":2,"c":7' in text.replace(b" ", b"")
    assert behind == [b"a=6\n"]
    snapshots.give("n", "c", got.append)
    turns.run()
    assert b"setitem" in got[1][0]
    del struct["c"]
    snapshots.give("n", "c", got.append)
    turns.run()
    assert got[2] is None  # it is gone
    snapshots.give("n", WHOLE, got.append)
    snapshots.clear()
    turns.run()
    assert len(got) == 3


def test_a_snapshot_says_of_each_change_whether_it_can_still_be_used() -> None:
    setting: dict[str, Any] = {"action": "setitem", "path": [], "key": "a", "value": 1}
    for struct, key, done, part, use, behind in (
        ({"a": 1, "b": 2}, WHOLE, False, "a", True, 0),  # is still to be encoded
        ({"a": 1, "b": 2}, WHOLE, False, WHOLE, False, 0),
        ({"a": 1, "b": 2}, WHOLE, True, "a", True, 1),
        ({"a": 1, "b": 2}, WHOLE, True, WHOLE, False, 0),
        ({"a": 1, "b": 2}, "a", True, "b", True, 0),
        ({"a": 1, "b": 2}, "a", True, "a", True, 1),
        ({"a": 1, "b": 2}, "a", True, WHOLE, True, 1),
        ([1, 2], WHOLE, True, WHOLE, True, 1),
        ({1: 2}, WHOLE, True, 1, True, 1),
    ):
        one = _snapshots._Snapshot(struct, key, V2)
        while done and not one.is_done:
            one.go_on()
        assert one.changed(part, setting, b"line\n") is use
        assert one.lines()[1:] == [b"line\n"] * behind
    one = _snapshots._Snapshot({"a": 1}, WHOLE, V2)
    while not one.is_done:
        one.go_on()
    size = len(one.text)
    assert one.changed("a", setting, b"x" * size) is True
    assert one.changed("a", setting, b"x") is False  # to encode it again costs less


def test_a_key_that_is_gone_before_its_turn_leaves_no_trace() -> None:
    for gone in ("a", "b", "c"):
        struct = {"a": 1, "b": 2, "c": 3}
        one = _snapshots._Snapshot(struct, WHOLE, V2)
        del struct[gone]
        assert one.changed(gone, {"action": "delitem", "path": [], "key": gone}, b"line\n") is True
        while not one.is_done:
            one.go_on()
        assert one.lines() == [b'{"action":"init","struct":' + V2.text(struct) + b"}\n"]


def test_a_key_that_changes_all_the_time_is_encoded_at_once_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Any] = []

    def part_of(value: Any, *_: Any) -> Any:
        begun.append(value)
        yield b"outdated"

    monkeypatch.setattr(_snapshots, "parts", part_of)
    one = _snapshots._Snapshot({"a": [1, 2]}, WHOLE, V2)
    for _ in one._work:
        assert (
            one.changed("a", {"action": "setitem", "path": [], "key": "a", "value": [1, 2]}, b"line\n")
            is True
        )
    assert begun == [[1, 2]] * 4
    assert one.lines() == [b'{"action":"init","struct":{"a":[1,2]}}\n']


def test_a_change_that_is_not_told_begins_a_snapshot_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    turns, got = Turns(monkeypatch), list[Any]()
    struct: dict[str, Any] = {"a": 1, "b": 2, "c": 3}
    snapshots = Snapshots(lambda _: struct, V2)
    snapshots.give("n", WHOLE, got.append)
    turns.soon.pop(0)()
    struct["a"] = 9
    snapshots.drop("n")
    turns.run()
    assert got == [[b'{"action":"init","struct":{"a":9,"b":2,"c":3}}\n']]


def test_a_follower_is_prepared_before_it_asks_for_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[Any] = []
    protocol: Any = SimpleNamespace(write=log.append, closed="closed", writer=lambda: "writer", failure=None)

    async def reach(*way: Any) -> Any:
        log.append(way[:4])
        assert isinstance(way[4](), LineProtocol)
        return protocol

    async def main() -> None:
        for before, prepared in ((None, []), (lambda: log.append("prepared"), ["prepared"])):
            one = Follower("thing", [], None)
            log.clear()
            await one._follow("lab", 3, None, 8.0, b"first\n", log.append, before)
            assert log == [("lab", 3, 8.0, None), *prepared, b"first\n"]
            facts: Any = (one.receive_task, one.writer)
            assert facts == ("closed", "writer")

    monkeypatch.setattr(_stream_client, "reach_async", reach)
    asyncio.run(main())


def test_a_snapshot_of_a_key_is_kept_while_others_change(monkeypatch: pytest.MonkeyPatch) -> None:
    turns, got = Turns(monkeypatch), list[Any]()
    snapshots = Snapshots(lambda _: {"a": "x" * (1 << 16), "b": 1}, V2)
    snapshots.give("n", "a", got.append)
    turns.run()
    for key, line, behind in (("b", b"b\n", []), ("a", b"a\n", [b"a\n"])):
        snapshots.changed("n", key, {"action": "setitem", "path": [], "key": key}, line)
        snapshots.give("n", "a", got.append)
        assert got[-1] == [got[0][0], *behind]
    assert not turns.soon


def test_what_cannot_be_encoded_is_told_to_those_who_wait(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    turns, got = Turns(monkeypatch), list[Any]()
    snapshots = Snapshots(lambda _: {"a": object()}, V2)
    snapshots.give("n", WHOLE, got.append)
    turns.run()
    assert got == [None]
    assert "'n' cannot be sent to those who begin to follow it" in caplog.text
