"""The asyncio client: what it says before it is connected, when it connects anew, and how one exchange ends."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from rexec.ground import forks
from rexec.wire import _async_client, _async_connection, _server, _task_lock, errors
from rexec.wire._async_connection import AsyncConnection, _Exchanges
from rexec.wire._conversation import Conversation
from rexec.wire._frame_protocol import FrameProtocol
from rexec.wire._framing import Frame
from rexec.wire._task_lock import TaskLock
from rexec.wire.pc_rpc import AsyncioClient, Client
from tests.serving import free_port, running
from tests.wire.driver import Drv

LOCAL = "127.0.0.1"


def in_loop(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


async def connected(port: int, target: Any = "drv", **keywords: Any) -> Any:
    client = AsyncioClient(**keywords)
    await client.connect_rpc(LOCAL, port, target)
    return client


def test_a_connection_is_waited_for_until_it_is_lost() -> None:
    async def main() -> None:
        for cause, said in (
            (None, "connection lost: closed"),
            (ConnectionResetError("reset"), "connection lost: reset"),
        ):
            one = FrameProtocol()
            waiting = asyncio.ensure_future(one.wait_closed())
            for _ in range(3):
                await asyncio.sleep(0)
            assert not waiting.done()
            one.connection_lost(cause)
            await waiting
            assert str(one.failure) == said
            assert isinstance(one.failure, ConnectionResetError if cause else EOFError)
            one.connection_lost(None)
            assert str(one.failure) == said
            with pytest.raises(NotImplementedError):
                one.frame_received(Frame(b""))

    in_loop(main)


def test_a_server_that_cannot_describe_its_methods_has_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise AttributeError("as a stock server raises it")

    async def asked(port: int) -> Any:
        async with await connected(port) as client:
            return await client.get_rpc_method_list()

    monkeypatch.setattr(_server, "describe", fails)
    with running({"drv": Drv()}) as server, Client(LOCAL, server.port) as client:
        for found in (client.get_rpc_method_list(), asyncio.run(asked(server.port))):
            assert found["docstring"] is None
            assert {"add", "ping"} <= set(found["methods"])
            assert not any(each.startswith("_") for each in found["methods"])
            assert list(found["methods"]) == sorted(found["methods"])
            assert found["methods"]["add"][0]["varargs"] == "args"


def test_a_client_that_was_never_connected_says_so() -> None:
    async def main() -> None:
        client: Any = AsyncioClient()
        assert client.get_selected_target() is None
        assert client.rpc_connections == 0
        for wrong in (client.get_rpc_id, client.get_local_host):
            with pytest.raises(errors.ConnectionFailed, match="not connected"):
                wrong()
        for call in (client.rpc_call("ping"), client.get_rpc_method_list(), client.select_rpc_target("drv")):
            with pytest.raises(errors.ConnectionFailed, match="not connected"):
                await call
        for name in ("ping", "__len__"):
            with pytest.raises(AttributeError, match="not connected"):
                getattr(client, name)
        closing = asyncio.ensure_future(client.close_rpc())
        for _ in range(5):
            await asyncio.sleep(0)
        assert closing.done()  # after a turn of the loop

    in_loop(main)


def test_what_a_connected_client_tells() -> None:
    async def main() -> None:
        with running({"drv": Drv(), "other": Drv()}, description="a lamp") as server:
            client = await connected(server.port)
            async with client as same:
                assert same is client
                assert client.get_selected_target() == "drv"
                assert client.get_rpc_id() == (["drv", "other"], "a lamp")
                assert client.get_local_host() == LOCAL
                assert client.rpc_connections == 1
                assert await client.add(1, b=2, scale=2.0) == 6
                assert await client.rpc_call("add", (1,), {"b": 3}) == 4
                assert client.add.__name__ == client.add.__qualname__ == "add"
                assert "add" in (await client.get_rpc_method_list())["methods"]
                with pytest.raises(AttributeError, match="add"):
                    client.ad  # noqa: B018
                with pytest.raises(AttributeError):
                    client.__len__  # noqa: B018
                with pytest.raises(ValueError, match="bad value"):
                    await client.fail()
                assert client.rpc_connections == 1  # an error of the driver costs no connection
            with pytest.raises(errors.ConnectionFailed, match="not connected"):
                await client.ping()

    in_loop(main)


def test_a_server_that_cannot_list_its_methods_has_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> None:
        raise AttributeError

    async def main() -> None:
        with running({"drv": Drv()}) as server:
            async with await connected(server.port) as client:
                monkeypatch.setattr(Conversation, "encode_method_list", fails)
                assert "add" in (await client.get_rpc_method_list())["methods"]

    in_loop(main)


def test_a_target_may_be_chosen_later_and_on_a_new_connection() -> None:
    async def main() -> None:
        with running({"drv": Drv(), "other": Drv()}) as server:
            client = await connected(server.port, None)
            assert client.get_selected_target() is None
            await client.select_rpc_target("other")
            assert (client.get_selected_target(), client.rpc_connections) == ("other", 1)
            assert await client.ping()
            await client.connect_rpc(LOCAL, server.port, None)
            assert client.rpc_connections == 2
            client._AsyncioClient__connection.close()
            await client.select_rpc_target("drv")
            assert (client.get_selected_target(), client.rpc_connections) == ("drv", 3)
            client._AsyncioClient__connection.close()
            assert await client.ping()  # on a new connection to the same target
            assert (client.get_selected_target(), client.rpc_connections) == ("drv", 4)
            await client.close_rpc()

    in_loop(main)


@pytest.mark.parametrize(
    ("reconnect", "limit", "times"),
    [(0.0, None, 1), (0.05, None, 1), (0.4, None, 4), (0.4, 0.0, 1), (5.0, 0.4, 4)],
)
def test_a_call_tries_to_connect_as_long_as_it_may(
    reconnect: float, limit: float | None, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, waited = free_port(), list[float]()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        client: Any = AsyncioClient(reconnect_timeout=reconnect, call_timeout=limit)
        with running({"drv": Drv()}) as server:
            await client.connect_rpc(LOCAL, server.port, "drv")
        client._AsyncioClient__close()
        client._AsyncioClient__address = (LOCAL, port, None)
        attempts = 0

        async def refused(*_: Any) -> None:
            nonlocal attempts
            attempts += 1
            raise errors.ConnectionFailed("nobody listens")

        async def pause(seconds: float) -> None:
            waited.append(seconds)

        monkeypatch.setattr(loop, "time", lambda: 100.0 + sum(waited))
        monkeypatch.setattr(_async_client, "open_async_connection", refused)
        monkeypatch.setattr(asyncio, "sleep", pause)
        with pytest.raises(errors.ConnectionFailed, match="nobody listens"):
            await client.rpc_call("ping")
        monkeypatch.undo()
        assert attempts == times

    in_loop(main)
    assert waited == [0.05, 0.1, 0.2][: times - 1]


def test_pauses_between_attempts_grow_up_to_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = list[float]()

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def refused(*_: Any) -> None:
            raise errors.ConnectionFailed("nobody listens")

        async def pause(seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == 9:
                client._AsyncioClient__address = None

        client: Any = AsyncioClient(reconnect_timeout=10**9)
        client._AsyncioClient__address = (LOCAL, 1, None)
        monkeypatch.setattr(_async_client, "open_async_connection", refused)
        monkeypatch.setattr(asyncio, "sleep", pause)
        monkeypatch.setattr(loop, "time", lambda: 100.0)
        with pytest.raises(errors.ConnectionFailed, match="not connected"):  # closed meanwhile
            await client.rpc_call("ping")
        monkeypatch.undo()

    in_loop(main)
    assert waited == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0]


def test_a_call_that_waited_for_others_too_long_is_not_sent() -> None:
    async def main() -> None:
        drv = Drv()
        with running({"drv": drv}) as server:
            async with await connected(server.port) as client:
                first = asyncio.ensure_future(client.hold())
                assert await asyncio.to_thread(drv.holding.wait, 150)
                second = asyncio.ensure_future(client.rpc_call("ping", timeout=0.0))
                await asyncio.sleep(0)
                drv.gate.set()
                with pytest.raises(errors.CallTimeout, match="busy with other calls for over 0 s"):
                    await second
                assert await first
                assert await client.rpc_call("ping", timeout=150.0)
                assert client.rpc_connections == 1

    in_loop(main)


def test_a_client_is_used_on_one_running_loop_and_anew_on_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with running({"drv": Drv()}) as server, asyncio.Runner() as first, asyncio.Runner() as second:
        client = first.run(connected(server.port))

        async def elsewhere() -> None:
            with pytest.raises(errors.ReentrantCall, match="in use on another event loop"):
                await asyncio.to_thread(second.run, client.ping())

        first.run(elsewhere())
        connection = client._AsyncioClient__connection
        assert second.run(client.ping())  # the first loop does not run now
        assert str(connection._protocol.failure) == "closed by this side"
        assert client.rpc_connections == 2
        assert second.run(client.ping())
        assert client.rpc_connections == 2
        monkeypatch.setattr(forks, "generation", forks.generation + 1)
        with pytest.raises(errors.ReentrantCall, match="belongs to the parent process"):
            second.run(client.ping())
        connection = client._AsyncioClient__connection
        assert first.run(client.ping())
        assert client.rpc_connections == 3
        assert connection._protocol.failure is None  # it is the parent's, and stays open there
        monkeypatch.undo()
        first.run(client.close_rpc())
        connection._protocol.transport.abort()
        second.run(asyncio.sleep(0))


def test_a_client_that_connects_anew_or_is_closed_leaves_no_connection_behind() -> None:
    async def main(port: int) -> None:
        client = await connected(port)
        before = client._AsyncioClient__connection._protocol.transport.get_extra_info("socket")
        await client.connect_rpc(LOCAL, port, "drv")
        assert before.fileno() == -1
        sock = client._AsyncioClient__connection._protocol.transport.get_extra_info("socket")
        await client.close_rpc()
        assert sock.fileno() == -1

    with running({"drv": Drv()}) as server:
        asyncio.run(main(server.port))


class Line(asyncio.Transport):
    """Notes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.aborted = 0

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def abort(self) -> None:
        self.aborted += 1

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return None


def receive(exchanges: FrameProtocol, data: bytes) -> None:
    space = exchanges.get_buffer(-1)
    space[: len(data)] = data
    exchanges.buffer_updated(len(data))


def opened() -> tuple[_Exchanges, Line]:
    exchanges, line = _Exchanges(), Line()
    exchanges.connection_made(line)
    return exchanges, line


def test_an_exchange_ends_with_one_answer_and_nothing_else() -> None:
    async def main() -> None:
        exchanges, line = opened()
        asked = asyncio.ensure_future(exchanges.exchange([b"call\n"]))
        await asyncio.sleep(0)
        receive(exchanges, b"ans")
        assert not asked.done()
        receive(exchanges, b"wer\n")
        assert bytes((await asked).line) == b"answer"
        assert line.written == [b"call\n"]
        receive(exchanges, b"x")
        assert isinstance(exchanges.failure, errors.FormatError)
        assert str(exchanges.failure) == "said what nobody asked for"
        assert line.aborted == 1
        with pytest.raises(errors.ConnectionBroken, match="said what nobody asked for"):
            await exchanges.exchange([b"call\n"])

    in_loop(main)


@pytest.mark.parametrize("more", [b"x", b"another\n"])
def test_more_than_one_answer_is_none(more: bytes) -> None:
    async def main() -> None:
        exchanges, _ = opened()
        asked = asyncio.ensure_future(exchanges.exchange([b"call\n"]))
        await asyncio.sleep(0)
        receive(exchanges, b"answer\n" + more)
        with pytest.raises(errors.FormatError, match="said more than was asked for"):
            await asked

    in_loop(main)


def test_a_request_is_written_in_chunks_as_far_as_there_is_room() -> None:
    async def main() -> None:
        exchanges, line = opened()
        exchanges.pause_writing()
        asked = asyncio.ensure_future(exchanges.exchange([b"x" * ((2 << 20) + 5)]))
        await asyncio.sleep(0)
        assert list(map(len, line.written)) == [1 << 20]
        exchanges.resume_writing()
        for _ in range(3):
            await asyncio.sleep(0)
        assert list(map(len, line.written)) == [1 << 20, 1 << 20, 5]
        receive(exchanges, b"\n")
        await asked
        exchanges.pause_writing()
        asked = asyncio.ensure_future(exchanges.exchange([b"x" * (2 << 20)]))
        await asyncio.sleep(0)
        exchanges.connection_lost(OSError("gone"))
        with pytest.raises(errors.ConnectionBroken, match="connection lost: gone"):
            await asked
        assert len(line.written) == 4  # nothing follows the end

    in_loop(main)


def test_a_connection_that_was_never_made_carries_nothing() -> None:
    async def main() -> None:
        with pytest.raises(errors.ConnectionBroken, match="not connected"):
            await _Exchanges().exchange([b"call\n"])

    in_loop(main)


def test_an_interrupted_reception_ends_the_call_that_waits() -> None:
    async def main() -> None:
        exchanges, _ = opened()
        asked = asyncio.ensure_future(exchanges.exchange([b"call\n"]))
        await asyncio.sleep(0)

        def interrupted(_: object) -> None:
            raise SystemExit

        exchanges.frame_received = interrupted  # type: ignore[method-assign, assignment]
        with pytest.raises(SystemExit):
            receive(exchanges, b"answer\n")
        with pytest.raises(errors.ConnectionBroken, match=r"the reception was given up \(SystemExit\)"):
            await asked
        assert exchanges._waiter is None

    in_loop(main)


def test_a_connection_whose_handshake_fails_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        exchanges, line = opened()

        async def reached(*_: Any) -> Any:
            return exchanges

        monkeypatch.setattr(_async_connection, "reach_async", reached)
        opening = asyncio.ensure_future(
            _async_connection.open_async_connection("lab", 3249, "drv", None, 150.0)
        )
        for _ in range(9):
            await asyncio.sleep(0)
        assert line.written == [b"ARTIQ pc_rpc\n"]
        receive(exchanges, b'{"targets": ["other"], "description": null}\n')
        with pytest.raises(errors.IncompatibleServer, match="no target 'drv'"):
            await opening
        assert line.aborted == 1

    in_loop(main)


def test_a_call_is_given_its_time_and_says_why_it_ended() -> None:
    async def main() -> None:
        exchanges, _ = opened()
        connection = AsyncConnection(exchanges, "lab:3249", "drv", ())
        assert not connection.usable
        connection.clean = True

        def usable() -> bool:
            return connection.usable

        assert usable()
        asked = asyncio.ensure_future(connection.call([b"call\n"], None))
        await asyncio.sleep(0)
        assert not usable()
        receive(exchanges, b'{"status": "failed", "exception": {"class": "ValueError", "message": "bad"}}\n')
        with pytest.raises(Exception, match="bad"):
            await asked
        assert usable()
        asked = asyncio.ensure_future(connection.call([b"call\n"], 150.0))
        await asyncio.sleep(0)
        receive(exchanges, b'{"status": "ok", "ret": 3}\n')
        assert await asked == 3
        assert usable()
        assert exchanges._waiter is None  # the memory of the answer is free
        with pytest.raises(errors.ConnectionBroken, match="connection to lab:3249 is closed"):
            connection.local_host()
        with pytest.raises(errors.CallTimeout, match=r"lab:3249 did not answer in 0 s"):
            await connection.call([b"call\n"], 0.0)
        assert not usable()
        with pytest.raises(errors.ConnectionBroken, match="connection to lab:3249: the call was given up"):
            await connection.call([b"call\n"], 150.0)

    in_loop(main)


def test_what_is_no_answer_closes_the_connection() -> None:
    async def main() -> None:
        exchanges, line = opened()
        connection = AsyncConnection(exchanges, "lab:3249", "drv", ())
        asked = asyncio.ensure_future(connection.call([b"call\n"], None))
        await asyncio.sleep(0)
        receive(exchanges, b"[]\n")
        with pytest.raises(errors.FormatError, match="something else than an answer"):
            await asked
        assert line.aborted == 1
        assert not connection.usable

    in_loop(main)


class Frames(FrameProtocol):
    """Keeps what comes."""

    def __init__(self, limit: int | None = None) -> None:
        super().__init__(limit)
        self.got: list[bytes] = []

    def frame_received(self, frame: Any) -> None:
        self.got.append(bytes(frame.line))
        if frame.line == b"last":
            self.fail(EOFError("enough"))


def test_the_first_error_of_a_connection_is_kept_and_ends_it() -> None:
    async def main() -> None:
        frames, line = Frames(10), Line()
        frames.connection_made(line)
        receive(frames, b"a\nb\nlast\nc\n")
        assert frames.got == [b"a", b"b", b"last"]
        assert (str(frames.failure), line.aborted) == ("enough", 1)
        assert frames.eof_received() is False
        assert str(frames.failure) == "enough"
        assert not frames.closed.done()
        waiting = asyncio.ensure_future(frames.wait_closed())
        frames.connection_lost(None)
        frames.connection_lost(None)
        await waiting
        for end, said in (
            (lambda each: each.eof_received(), "the other side closed the connection"),
            (lambda each: each.connection_lost(None), "connection lost: closed"),
            (lambda each: each.connection_lost(TimeoutError("t")), "connection lost: t"),
            (lambda each: receive(each, b"x" * 11), "10 bytes"),
        ):
            frames = Frames(10)
            end(frames)
            assert said in str(frames.failure)
            assert isinstance(frames.failure, errors.WireError)

    in_loop(main)


def test_a_connection_of_another_loop_is_not_waited_for_nor_aborted_where_that_has_ended() -> None:
    with asyncio.Runner() as first, asyncio.Runner() as second:

        async def made() -> tuple[Frames, Line]:
            frames, line = Frames(), Line()
            frames.connection_made(line)
            return frames, line

        frames, line = first.run(made())
        second.run(frames.wait_closed())
        first.close()
        frames.fail(EOFError())
        assert line.aborted == 0


def test_a_lock_of_tasks_needs_one_and_is_free_once_its_holder_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        lock = TaskLock()
        order: list[str] = []

        async def ended_within() -> None:
            await lock.__aenter__()  # as one that a KeyboardInterrupt ended

        async def late(name: str) -> None:
            async with lock:
                order.append(name)

        await asyncio.ensure_future(ended_within())
        await asyncio.gather(late("a"), late("b"), late("c"))
        assert order == ["a", "b", "c"]
        assert not lock._queue
        async with lock:
            waiting = asyncio.ensure_future(late("d"))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert len(lock._queue) == 1

        # A call that was interrupted, and whose task calls again, has lost its turn; nobody wakes the next one.
        monkeypatch.setattr(_task_lock, "_POLL", 0.01)
        order.clear()
        async with asyncio.timeout(30):
            await lock.__aenter__()
            waiting = asyncio.ensure_future(late("e"))
            await asyncio.sleep(0)
            async with lock:
                assert order == ["e"]
            await waiting
        assert not lock._queue
        # The next one is woken, and does not wait for the end of the task that had the lock.
        monkeypatch.setattr(_task_lock, "_POLL", 1000.0)
        order.clear()
        async with asyncio.timeout(30):
            async with lock:
                waiting = asyncio.ensure_future(late("f"))
                await asyncio.sleep(0)
            await waiting
        assert order == ["f"]
        entering = TaskLock().__aenter__()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("asyncio.current_task", lambda: None)
            with pytest.raises(RuntimeError, match="is used by a task"):
                entering.send(None)

    in_loop(main)


def test_a_call_begins_as_long_as_any_time_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(port: int) -> None:
        async with await connected(port, call_timeout=1.0) as client:
            loop = asyncio.get_running_loop()
            now = loop.time()
            monkeypatch.setattr(loop, "time", lambda: now)
            assert await client.add(1, 2) == 3

    with running({"drv": Drv()}) as server:
        asyncio.run(main(server.port))
