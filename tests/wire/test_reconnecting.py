"""How long a client tries to reach its server again, and what an attempt or a call that is given up leaves behind."""

import asyncio
import concurrent.futures
import gc
import logging
import queue
import socket
import threading
import types
from typing import Any, ClassVar

import pytest

from rexec.ground.reentrant_event import ReentrantEvent
from rexec.wire import (
    _async_client,
    _async_connection,
    _best_effort_client,
    _client,
    _reach_async,
    connection,
    errors,
)
from rexec.wire._server_connection import ServerConnection
from rexec.wire.pc_rpc import AsyncioClient, BestEffortClient, Client
from tests.serving import free_port, running, serving
from tests.waiting import within
from tests.wire.driver import Drv

LOCAL = "127.0.0.1"


class Attempts:
    """Counts the attempts to connect; two that have failed are told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made = 0
        self.two = threading.Event()
        connect, connect_async = connection.open_connection, _async_connection.open_async_connection

        def counted(*args: Any) -> Any:
            self.made += 1
            try:
                return connect(*args)
            finally:
                self.two.set() if self.made >= 2 else None

        async def counted_async(*args: Any) -> Any:
            self.made += 1
            try:
                return await connect_async(*args)
            finally:
                self.two.set() if self.made >= 2 else None

        monkeypatch.setattr(_client, "open_connection", counted)
        monkeypatch.setattr(_async_client, "open_async_connection", counted_async)


def test_a_call_tries_to_connect_until_the_server_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    with serving({"drv": Drv()}, port):
        client = Client(LOCAL, port, reconnect_timeout=150)
    attempts = Attempts(monkeypatch)
    with client, concurrent.futures.ThreadPoolExecutor() as pool:
        added = pool.submit(client.add, 1, 1)
        assert attempts.two.wait(150)
        with serving({"drv": Drv()}, port):
            assert added.result(150) == 2


def test_an_asyncio_call_tries_to_connect_until_the_server_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        client: Any = AsyncioClient(reconnect_timeout=150)
        port = free_port()
        with serving({"drv": Drv()}, port):
            await client.connect_rpc(LOCAL, port, "drv")
        await client._AsyncioClient__connection._protocol.wait_closed()  # the loop has seen the server end
        attempts = Attempts(monkeypatch)
        async with client:
            added = asyncio.ensure_future(client.add(1, 1))
            assert await asyncio.to_thread(attempts.two.wait, 150)
            with serving({"drv": Drv()}, port):
                assert await asyncio.wait_for(added, 150) == 2

    asyncio.run(main())


def test_no_attempt_follows_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    with serving({"drv": Drv()}, port):
        client = Client(LOCAL, port, reconnect_timeout=0)
    attempts = Attempts(monkeypatch)
    with client, pytest.raises(errors.ConnectionFailed):
        client.add(1, 1)
    assert attempts.made == 1


def test_a_best_effort_client_tries_for_ever_also_while_nobody_calls(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    port = free_port()
    attempts = Attempts(monkeypatch)
    client = BestEffortClient(LOCAL, port, "drv", firstcon_timeout=0.1, retry=0.01)
    try:
        assert attempts.two.wait(150)
        assert client.last_error is not None
        with serving({"drv": Drv()}, port):
            # The thread that has connected notes that before others have the connection.
            assert within(150, lambda: client.last_error is None and client.add(1, 1) == 2)
            assert within(150, lambda: f"{LOCAL}:{port} is back" in caplog.text)
    finally:
        client.close_rpc()


class Scripted:
    """Stands for the client inside of a best-effort client: what its connections and calls come to, in order."""

    script: ClassVar[list[Any]]
    tried: ClassVar["queue.SimpleQueue[float]"]

    def __init__(self, *_: Any, handshake_timeout: float, reconnect_timeout: float, **__: Any) -> None:
        assert reconnect_timeout == 0.0
        self.closed = False
        self.tried.put(handshake_timeout)
        if error := self.script.pop(0):
            raise error

    rpc_pending = (7, "add")

    def rpc_call(self, name: str, args: Any, kwargs: Any) -> Any:
        if isinstance(answer := self.script.pop(0), Exception):
            raise answer
        return answer

    def __getattr__(self, name: str) -> None: ...

    def close_rpc(self) -> None:
        self.closed = True


def scripted(monkeypatch: pytest.MonkeyPatch) -> "queue.SimpleQueue[None]":
    """Let each wait of 1000 s take until something is in a queue."""
    wait = ReentrantEvent.wait
    go = queue.SimpleQueue[None]()

    def waits(event: ReentrantEvent, seconds: float) -> bool:
        if seconds != 1000.0:
            return wait(event, seconds)
        go.get(timeout=150)
        return event.is_set()

    monkeypatch.setattr(ReentrantEvent, "wait", waits)
    monkeypatch.setattr(_best_effort_client, "Client", Scripted)
    return go


def test_a_best_effort_client_whose_thread_is_gone_starts_another(monkeypatch: pytest.MonkeyPatch) -> None:
    go = scripted(monkeypatch)
    Scripted.script, Scripted.tried = [errors.ConnectionFailed("gone"), None, 3], queue.SimpleQueue()
    client: Any = BestEffortClient("lab", 1, "drv", 2.0, retry=1000.0)
    facts = vars(client)
    first, facts["_BestEffortClient__thread"] = facts["_BestEffortClient__thread"], None  # as after a fork
    assert client.add() is None
    second = facts["_BestEffortClient__thread"]
    for _ in range(2):
        go.put(None)
    for each in (first, second):
        each.join(150)  # only one of them connects
    assert (client.add(), Scripted.tried.qsize()) == (3, 2)
    client.close_rpc()


def test_a_best_effort_client_says_each_fault_once_and_remakes_the_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    go = scripted(monkeypatch)
    lost, gone = errors.ConnectionBroken("lost"), errors.ConnectionFailed("gone")
    Scripted.script, Scripted.tried = (
        [gone, gone, None, 3, errors.ReentrantCall(), lost, None, lost],
        queue.SimpleQueue(),
    )
    client: Any = BestEffortClient("lab", 1, "drv", 2.0, retry=1000.0)
    remaking = vars(client)["_BestEffortClient__thread"]
    assert (client.last_error, client.add(), client.rpc_pending) == (gone, None, None)
    assert Scripted.tried.get(timeout=150) == 2.0
    client.last_error = None
    for _ in range(2):
        go.put(None)
        assert Scripted.tried.get(timeout=150) == 1000.0
        assert within(150, lambda: client.last_error is gone or not remaking.is_alive())
    remaking.join(150)
    assert (client.last_error, client.add(), client.rpc_pending) == (None, 3, (7, "add"))
    with pytest.raises(errors.ReentrantCall):
        client.add()
    inner = vars(client)["_BestEffortClient__client"]
    assert (client.add(), client.last_error, inner.closed) == (None, lost, True)
    go.put(None)
    vars(client)["_BestEffortClient__thread"].join(150)
    inner = vars(client)["_BestEffortClient__client"]
    # A call that the end of the client cuts off is no fault.
    ended = vars(client)["_BestEffortClient__ended"]
    ended.set()
    assert (client.add(), client.last_error) == (None, None)
    client.close_rpc()
    assert (client.add(), client.rpc_pending, inner.closed) == (None, None, True)
    assert Scripted.script == []
    assert [each.getMessage() for each in caplog.records] == [
        "gone: its calls return None until it is back (tried every 1000 s)", "lab:1 is back",
        "lost: its calls return None until it is back (tried every 1000 s)", "lab:1 is back",
    ]  # fmt: skip


@pytest.mark.parametrize(("error", "said"), [(OSError("broken"), False), (RuntimeError("a fault"), True)])
def test_a_client_whose_answer_cannot_be_sent_loses_its_connection(
    error: Exception, said: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    send, faults = ServerConnection.send, list[Exception]()

    def fail_once(*args: Any, **options: Any) -> bool:
        if faults:
            raise faults.pop()
        return send(*args, **options)

    monkeypatch.setattr(ServerConnection, "send", fail_once)
    with running({"drv": Drv()}) as server, Client(LOCAL, server.port, timeout=150) as client:
        for method in ("acall", "ping"):
            assert client.add(1, 1) == 2
            faults.append(error)
            with pytest.raises(errors.ConnectionBroken):
                client.rpc_call(method, ())
        assert client.add(1, 1) == 2
    told = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert [each.exc_info is not None and each.exc_info[1] for each in told] == [error] * 2 * said
    assert {each.name for each in told} == (
        {"rexec.wire._call_queue", "rexec.wire._io_thread"} if said else set()
    )


def test_a_call_that_is_given_up_while_it_is_sent_leaves_no_error_behind() -> None:
    class Full(asyncio.Transport):
        """Takes nothing more, as where the server reads nothing."""

        def write(self, data: Any) -> None:
            self.full()

        def full(self) -> None: ...

        def abort(self) -> None: ...

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        exchanges = _async_connection._Exchanges()
        transport = Full()
        transport.full = exchanges.pause_writing  # type: ignore[method-assign]
        exchanges.connection_made(transport)
        call = asyncio.ensure_future(exchanges.exchange([b"call"]))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        del call
        with pytest.raises(errors.ConnectionBroken, match="given up"):
            await exchanges.exchange([b"call"])
        del exchanges
        gc.collect()

    told: list[dict[str, Any]] = []
    asyncio.run(main())
    assert told == []


def test_an_answer_larger_than_what_systems_hold_waits_for_its_reader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Large(Drv):
        def large(self) -> bytes:
            return bytes(64 << 20)

    waits: list[bool] = []
    sends: list[bool] = []
    wait, send = ServerConnection._wait_writable, ServerConnection.send

    def patient(connection: ServerConnection, patience: float) -> bool:
        waits.append(wait(connection, 150.0 if patience else 0.0))
        return waits[-1]

    def noted(connection: ServerConnection, pieces: Any, **options: Any) -> bool:
        sends.append(send(connection, pieces, **options))
        return sends[-1]

    monkeypatch.setattr(ServerConnection, "_wait_writable", patient)
    monkeypatch.setattr(ServerConnection, "send", noted)
    with running({"drv": Large()}) as server, Client(LOCAL, server.port, timeout=150) as client:
        assert len(client.large()) == 64 << 20
        assert client.add(1, 1) == 2
        assert client.rpc_connections == 1
    assert waits
    assert all((*waits, *sends))


@pytest.mark.parametrize("error", [OSError("refused"), KeyboardInterrupt(), asyncio.CancelledError()])
def test_a_connection_that_is_not_made_leaves_no_socket(error: BaseException) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()

        async def fail(*_: Any) -> None:
            raise error

        loop.sock_connect = fail
        with socket.socket() as sock:
            way: Any = types.SimpleNamespace(
                sockets=lambda found: [(sock, address, 150.0) for address in found]
            )
            with pytest.raises(type(error)):
                await _reach_async._connected_async(way, [(LOCAL, 1)])
            assert sock.fileno() == -1

    asyncio.run(main())
