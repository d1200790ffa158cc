"""A server by itself: which requests it takes, which need no turn, and how a call that is awaited ends."""

import asyncio
import json
import threading
import weakref
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rexec.wire import _server
from rexec.wire._framing import Frame
from rexec.wire._limits import Limits
from rexec.wire._protocol import Codec
from rexec.wire._server import ClientGone, Server
from rexec.wire._targets import ends_with_client, while_busy
from rexec.wire.errors import WireError
from rexec.wire.pc_rpc import AsyncioClient, Client
from tests.serving import running

LOCAL = "127.0.0.1"


class Lamp:
    """A driver."""

    def __init__(self) -> None:
        self.hanging = threading.Event()
        self.hung_up = False

    def on(self, level: float = 1.0) -> float:
        return level

    @while_busy
    def ping(self) -> bool:
        return True

    def leaves(self) -> None:
        raise SystemExit(3)

    async def soon(self) -> str:
        return "soon"

    async def fails(self) -> None:
        raise KeyError("k")

    async def cancels_itself(self) -> None:
        raise asyncio.CancelledError

    async def hangs(self) -> None:
        self.hanging.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.hung_up = True

    @ends_with_client
    async def follow(self) -> str:
        await asyncio.sleep(0)
        return "followed"


class Connection:
    """A connection of a client that has chosen a lamp."""

    def __init__(self) -> None:
        self.target, self.codec = Lamp(), Codec(v2=True, call_ids=True)
        self.reference = weakref.ref(self)
        self.gone = False

    def is_gone(self) -> bool:
        return self.gone


def server(**keywords: Any) -> Server:
    async def made() -> Server:
        return Server({"lamp": Lamp()}, **keywords)

    return asyncio.run(made())


def answered(one: Server, request: Any, connection: Any = None) -> dict[str, Any]:
    async def main() -> Any:
        answer = one.perform(connection or cast("Any", Connection()), request)
        return await answer if asyncio.iscoroutine(answer) else answer

    found: dict[str, Any] = json.loads(b"".join(bytes(each) for each in asyncio.run(main())))
    return found


@pytest.mark.parametrize(
    ("request_", "result"),
    [
        ({"action": "call", "name": "on", "args": [3], "id": 7}, 3),
        ({"action": "call", "name": "on", "kwargs": {"level": 4}, "id": 7}, 4),
        ({"action": "call", "name": "on", "id": 7}, 1.0),
        ({"action": "call", "name": "soon", "id": 7}, "soon"),
        ({"action": "call", "name": "follow", "id": 7}, "followed"),
        ({"action": "call", "name": "terminate", "id": 7}, None),
        ({"action": "call", "name": "leaves", "id": 7}, "SystemExit: 3"),
        ({"action": "call", "name": "fails", "id": 7}, "'k'"),
        ({"action": "call", "name": "cancels_itself", "id": 7}, "CancelledError"),
        ({"action": "call", "name": "absent", "id": 7}, "has no attribute 'absent'"),
        ({"action": "call", "id": 7}, "'name'"),
        ({"action": "fly", "id": 7}, "Unknown action: fly"),
        ({"id": 7}, "Unknown action: None"),
        ({"action": "lease", "name": "none", "args": [], "id": 7}, "no request about leases"),
        (["call"], "A request is a dict"),
        (TypeError("no value"), "no value"),
    ],
)
def test_a_request_is_carried_out_or_the_fault_told(request_: Any, result: Any) -> None:
    one = server(builtin_terminate=True)
    answer = answered(one, request_)
    if isinstance(request_, dict):
        assert answer["id"] == 7
    if answer["status"] == "ok":
        assert answer.get("ret") == result
    else:
        assert isinstance(result, str)
        assert result in answer["exception"]["message"]
    ends = isinstance(request_, dict) and request_.get("name") == "terminate"
    assert one.ends is ends


def test_a_driver_can_ask_whose_call_it_carries_out(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    monkeypatch.setattr(_server, "calls_for", called.append)
    one, first, second = server(), Connection(), Connection()
    for connection, name in ((first, "on"), (second, "soon"), (first, "leaves"), (second, "ping")):
        answered(one, {"action": "call", "name": name, "id": 1}, connection)
    one._perform_now(cast("Any", first), {"action": "call", "name": "ping"})
    assert called == [each.reference for each in (first, second, first, second, first)]


def test_a_server_that_is_not_to_be_ended_has_no_such_method() -> None:
    one = server()
    assert (
        "terminate" in answered(one, {"action": "call", "name": "terminate", "id": 1})["exception"]["message"]
    )
    assert not one.ends
    listed = answered(one, {"action": "get_rpc_method_list", "id": 1})["ret"]["methods"]
    assert "terminate" not in listed
    assert "on" in listed


@pytest.mark.parametrize(
    ("request_", "immediate"),
    [
        ({"action": "get_rpc_method_list"}, True),
        ({"action": "lease"}, True),
        ({"action": "call", "name": "ping"}, True),
        ({"action": "call", "name": "on"}, False),
        ({"action": "call", "name": ["ping"]}, False),
        ({"action": "fly", "name": "ping"}, False),
        ({"action": ["call"], "name": "ping"}, False),
        ({}, False),
        (["lease"], False),
    ],
)
def test_what_needs_no_turn_is_answered_at_once(request_: Any, immediate: bool) -> None:
    assert server()._is_immediate(cast("Any", Connection()), request_) is immediate


def test_the_size_of_a_request_is_recorded_and_a_large_one_is_decoded_in_the_thread_of_calls() -> None:
    records: list[Any] = []
    handed: list[Any] = []
    guard = SimpleNamespace(
        records_calls=True,
        allows=lambda *_: True,
        record=lambda kind, _, facts: records.append((kind, facts)),
    )
    one, connection = server(guard=guard), cast("Any", Connection())
    connection.handshake, connection.needed, connection.was_refused = None, {}, False
    connection.send = lambda *_, **__: True
    vars(one)["_queue"] = SimpleNamespace(hand_over=handed.append)
    line = b'{"action": "call", "name": "ping"}'
    assert one.frame_received(connection, Frame(line))
    assert [(kind, facts["bytes_in"]) for kind, facts in records] == [("call", len(line))]
    line = b'{"action": "call", "name": "on"}'
    for size in (1 << 16, (1 << 16) + 1):
        frame = Frame(line.ljust(size))
        assert not one.frame_received(connection, frame)
        assert (connection.request is frame) == (size > 1 << 16)
        assert connection.request_size == size
    assert handed == [connection] * 2


def test_a_call_ends_with_its_client_where_it_is_marked_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_server, "_LOOK", 0.0)

    async def main() -> None:
        for gone in (False, True):
            connection = Connection()
            connection.gone = gone
            begun = asyncio.get_running_loop().create_future()
            call = asyncio.ensure_future(_server._while_connected(cast("Any", connection), begun))
            for _ in range(9):
                await asyncio.sleep(0)
            if gone:
                with pytest.raises(ClientGone, match="the client has gone"):
                    await call
                assert begun.cancelled()
            else:
                assert not call.done()
                begun.set_result(3)
                assert await call == 3

    asyncio.run(main())


def test_a_call_that_is_awaited_is_cancelled_with_the_server() -> None:
    async def main() -> None:
        one = Server({})
        waiting = one._awaited(cast("Any", Connection()), asyncio.get_running_loop().create_future(), 1)
        task = asyncio.ensure_future(waiting)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        async def gone() -> None:
            raise ClientGone

        with pytest.raises(ClientGone):
            await one._awaited(cast("Any", Connection()), gone(), 1)

    asyncio.run(main())


def test_a_server_starts_once_and_may_be_started_again() -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="'a b' is no target name"):
            Server({"a b": Lamp()})
        one = Server({"lamp": Lamp()}, limits=Limits(connections=3))
        assert one.limits.connections == 3
        assert one.connected() == []
        one.abort()
        await one.stop()
        one.give_back(cast("Any", SimpleNamespace()))
        for _ in range(2):
            await one.start(LOCAL, 0)
            assert one.addresses == [(LOCAL, one.port)]
            with pytest.raises(RuntimeError, match="started already"):
                await one.start(LOCAL, 0)
            thread = one._io
            assert thread is not None
            assert not one._io_ended.is_set()  # as it would be if it was that of the last start
            await one.stop()
            assert not thread._thread.is_alive()
            assert (one._io, one.server) == (None, None)
        before = one.ends
        one.terminate()
        assert (before, one.ends) == (False, True)
        await one.wait_terminate()

    asyncio.run(main())


def test_a_target_is_made_in_the_thread_of_calls_unless_its_factory_is_marked() -> None:
    threads: list[str] = []

    def lamp() -> Lamp:
        threads.append(threading.current_thread().name)
        return Lamp()

    @while_busy
    def marked() -> Lamp:
        return lamp()

    with running({"lamp": lamp, "marked": marked}) as one:
        for name in ("lamp", "marked"):
            with Client(LOCAL, one.port, name) as client:
                assert client.ping()
    assert threads == ["server under test", "rexec-wire-io"]


def test_a_server_has_stopped_only_once_its_thread_has_ended() -> None:
    async def main() -> None:
        one = Server({"lamp": Lamp()})
        await one.start(LOCAL, 0)
        io, gate = one._io, threading.Event()
        assert io is not None
        closed, join = io._closed, io.join

        def ends_late() -> None:
            closed()
            gate.wait(150)

        def joined() -> None:
            gate.set()
            join()

        vars(io).update(_closed=ends_late, join=joined)
        await one.stop()
        was_alive = io._thread.is_alive()
        gate.set()
        assert not was_alive

    asyncio.run(main())


def test_a_server_that_stops_cancels_calls_and_lets_its_loop_run_meanwhile() -> None:
    async def main() -> None:
        lamp, gate = Lamp(), threading.Event()

        def busy() -> None:
            gate.wait(150)

        one = Server({"lamp": lamp})
        await one.start(LOCAL, 0)
        client: Any = AsyncioClient()
        await client.connect_rpc(LOCAL, one.port)
        called = asyncio.ensure_future(client.hangs())
        assert await asyncio.to_thread(lamp.hanging.wait, 150)
        assert one._io is not None
        one._io._command(busy)
        stopping = asyncio.ensure_future(one.stop())
        for _ in range(9):
            await asyncio.sleep(0)
        assert lamp.hung_up
        assert not stopping.done()
        gate.set()
        await stopping
        with pytest.raises(WireError):
            await called
        await client.close_rpc()

    asyncio.run(main())


def test_a_server_whose_loop_has_ended_is_stopped_on_another() -> None:
    with asyncio.Runner() as first, asyncio.Runner() as second:

        async def made() -> Server:
            one = Server({"lamp": Lamp()})
            await one.start(LOCAL, 0)
            return one

        one = first.run(made())
        io = one._io
        assert io is not None
        second.run(one.stop())
        was_alive = io._thread.is_alive()
        io.abort()
        assert not was_alive
