"""Names and behaviour that programs written for the reference library count on."""

import asyncio
import inspect
import json
import logging
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rexec import asyncio_tools, keepalive, logging_tools
from rexec.wire import certs, packed_exceptions, pyon, pyon_v1
from rexec.wire._loop import new_event_loop, simple_server_loop
from rexec.wire.broadcast import Broadcaster, Receiver
from rexec.wire.pc_rpc import BestEffortClient, IncompatibleServer, Server
from rexec.wire.sync_struct import Notifier, Publisher, Subscriber
from rexec.wire.tls import SimpleSSLConfig
from tests.serving import can_be_taken_over, serving

LOCAL = "127.0.0.1"


# On Windows, the system may have accepted a connection whose `sock_accept` is cancelled: its socket closes with the
# future.
UNCLOSED = pytest.mark.filterwarnings(
    *(
        ("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:unclosed:ResourceWarning")
        if sys.platform == "win32"
        else ("error",)
    )
)


class Drv:
    def ping(self) -> bool:
        return True


def test_options_of_json_pass_through_pyon(tmp_path: Path) -> None:
    value = {"b": (1, 2.5), "a": float("inf"), "é": [None]}
    text = pyon.encode(value, sort_keys=True, ensure_ascii=False)
    assert text.startswith('{"a":Infinity,"b":')
    assert "é" in text
    assert pyon.decode(text) == value
    assert pyon.decode(pyon.encode(value), parse_float=str)["b"] == (1, "2.5")
    pyon.store_file(tmp_path / "x", value, ensure_ascii=False)
    assert "é" in (tmp_path / "x").read_text(encoding="utf-8")
    assert pyon.load_file(tmp_path / "x", parse_int=float) == value
    with pytest.raises(ValueError, match="JSON compliant"):
        pyon.encode(value, allow_nan=False)
    with pytest.raises(TypeError, match="object_hook"):
        pyon.decode("{}", object_hook=dict)
    with pytest.raises(json.JSONDecodeError, match="not PYON"):
        pyon.decode("[1, ")


def test_wrapped_inner_values_of_a_registered_type_travel() -> None:
    class Custom:
        def __init__(self, data: Any) -> None:
            self.data = data

    pyon.register([Custom], name="custom", encode=lambda x: [pyon.wrap(x.data)], decode=Custom)
    try:
        data = {1: (2, {"a": (3,)})}
        assert pyon.decode(pyon.encode(Custom(data))).data == data
    finally:
        pyon.deregister([Custom], "custom")


def test_builtin_exceptions_have_their_names_on_the_wire() -> None:
    assert packed_exceptions.builtin_exceptions[KeyError] == "KeyError"
    assert SystemExit in packed_exceptions.builtin_exceptions


@pytest.mark.parametrize(
    ("kind", "defaults"),
    [
        (Server, {"builtin_terminate": False, "allow_parallel": False, "description": None}),
        (simple_server_loop, {"description": None, "allow_parallel": False}),
        (Publisher, {"backlog": 64 * 1024 * 1024, "pyon_v1": False, "limits": None}),
        (Broadcaster, {"queue_limit": 1024, "backlog": 64 * 1024 * 1024, "pyon_v1": False, "limits": None}),
        (pyon.encode, {"pretty": False}),
        (pyon_v1.encode, {"pretty": False}),
    ],
)
def test_options_have_their_defaults(kind: Any, defaults: dict[str, Any]) -> None:
    parameters = inspect.signature(kind).parameters
    assert {name: parameters[name].default for name in defaults} == defaults


def test_pop_of_a_dict_reaches_subscribers_by_its_key() -> None:
    async def main() -> None:
        notifier = Notifier({"a": 1, 5: {"x": 2}, "last": 3})
        publisher = Publisher({"n": notifier})
        await publisher.start(LOCAL, 0)
        copies: list[Any] = []
        mods: list[Any] = []
        subscriber = Subscriber("n", lambda struct: copies.append(struct) or struct, mods.append)  # type: ignore[func-returns-value]
        await subscriber.connect(LOCAL, publisher.port)
        async with asyncio.timeout(150):
            while not copies:  # noqa: ASYNC110 - what is awaited has no event
                await asyncio.sleep(0.005)
            assert notifier.pop("a") == 1
            assert notifier[5].pop("x") == 2
            assert notifier.pop("last") == 3
            while len(mods) < 4:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert copies[0] == notifier.raw_view == {5: {}}
        assert mods[1] == {"action": "pop", "path": [], "i": "a"}
        await subscriber.close()
        await publisher.stop()

    asyncio.run(main())


@UNCLOSED
@pytest.mark.parametrize("how", ["server", "cancel", "close", "writer"])
def test_the_end_of_a_subscription_can_be_awaited(how: str) -> None:
    async def main() -> None:
        publisher = Publisher({"n": Notifier({})})
        await publisher.start(LOCAL, 0)
        assert publisher.server is not None
        port = publisher.server.sockets[0].getsockname()[1]
        lost: list[int] = []
        subscriber = Subscriber("n", lambda struct: struct, None, lambda: lost.append(1))
        await subscriber.connect(LOCAL, port)
        task, writer = _facts(subscriber)
        assert not task.done()
        assert writer.get_extra_info("peername") == (LOCAL, port)
        if how == "server":
            await publisher.stop()
        elif how == "cancel":
            task.cancel()
        elif how == "close":
            await subscriber.close()
        else:
            writer.close()
        async with asyncio.timeout(150):
            await asyncio.wait([task])
        assert lost == ([1] if how in ("server", "writer") else [])
        await subscriber.close()
        await publisher.stop()
        assert publisher.server is None

    asyncio.run(main())


def _facts(subscriber: Subscriber) -> tuple["asyncio.Future[None]", asyncio.StreamWriter]:
    assert subscriber.receive_task is not None
    assert subscriber.writer is not None
    return subscriber.receive_task, subscriber.writer


def test_a_receiver_has_the_same() -> None:
    async def main() -> None:
        broadcaster = Broadcaster()
        await broadcaster.start(LOCAL, 0)
        assert broadcaster.server is not None
        assert broadcaster.server.is_serving()
        receiver = Receiver("x", print)
        await receiver.connect(LOCAL, broadcaster.server.sockets[0].getsockname()[1])
        await broadcaster.stop()
        async with asyncio.timeout(150):
            assert receiver.receive_task is not None
            await receiver.receive_task
        await receiver.close()

    asyncio.run(main())


def test_a_best_effort_client_without_a_target_takes_the_only_one() -> None:
    with serving({"lamp": Drv()}) as port:
        client = BestEffortClient(LOCAL, port, None)
        assert client.get_selected_target() == "lamp"
        assert client.ping() is True
        client.close_rpc()
    with (
        serving({"lamp": Drv(), "other": Drv()}) as port,
        pytest.raises(IncompatibleServer, match="lamp, other"),
    ):
        BestEffortClient(LOCAL, port, None)


def test_settings_of_keepalive_that_a_system_lacks_stay_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "TCP_KEEPIDLE", 10_000, raising=False)  # as Windows before 2017
    with socket.socket() as sock:
        with pytest.raises(OSError):  # noqa: PT011
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
        keepalive.set_keepalive(sock)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_tools_of_asyncio_programs() -> None:
    async def main() -> None:
        condition = asyncio_tools.Condition()
        woken: list[int] = []

        class Waits(asyncio_tools.TaskObject):
            async def _do(self) -> None:
                await condition.wait()
                woken.append(1)
                await asyncio.sleep(60)

        class Fails(asyncio_tools.TaskObject):
            async def _do(self) -> None:
                raise ValueError("early")

        class Echo(asyncio_tools.AsyncioServer):
            async def _handle_connection_cr(
                self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
            ) -> None:
                while line := await reader.readline():
                    writer.write(line)

        waits = [Waits() for _ in range(3)]
        for each in waits:
            each.start()
        fails = Fails()
        fails.start()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        condition.notify()
        async with asyncio.timeout(150):
            while len(woken) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            for each in waits:
                await each.stop()
            with pytest.raises(ValueError, match="early"):
                await fails.stop()
            server = Echo()
            await server.start(LOCAL, 0)
            assert server.server is not None
            port = server.server.sockets[0].getsockname()[1]
            assert not can_be_taken_over((LOCAL, port))
            reader, writer = await keepalive.async_open_connection(LOCAL, port, after_idle=20)
            sock = writer.get_extra_info("socket")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            writer.write(b"hello\n")
            assert await reader.readline() == b"hello\n"
            await server.stop()
            assert await reader.read() == b""
            writer.close()

    asyncio.run(main())


def test_lines_of_another_program_are_logged_with_their_source(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        stream = asyncio.StreamReader()
        stream.feed_data(b"WARNING<2>:lamp:one\ntwo\r\nprinted\xff\nINFO:lamp:cut")
        stream.feed_eof()
        await logging_tools.LogParser(lambda: "controller(lamp)").stream_task(stream)

    with caplog.at_level(logging.INFO):
        asyncio.run(main())
    assert [(r.name, r.levelname, r.getMessage()) for r in caplog.records if hasattr(r, "source")] == [
        ("lamp", "WARNING", "one\ntwo"),
        ("print", "INFO", "printed\\xff"),
        ("lamp", "INFO", "cut"),
    ]
    shown = logging_tools.SourceFilter(logging.WARNING, "me")
    assert [shown.filter(record) for record in caplog.records if hasattr(record, "source")] == [True] * 3
    own = logging.LogRecord("x", logging.INFO, "", 0, "", None, None)
    assert not shown.filter(own)
    assert vars(own)["source"] == "me"


@UNCLOSED
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, new_event_loop], ids=["asyncio", "fastest"])
def test_a_publisher_stops_in_whatever_state_a_connection_is(
    new_loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    made = certs.make_set(tmp_path, ["us"])
    tls = SimpleSSLConfig(str(made.server.cert), str(made.server.key), str(made.trusted_clients))

    async def main(turns: int, config: SimpleSSLConfig | None) -> None:
        publisher = Publisher({"n": Notifier({})})
        await publisher.start(LOCAL, 0, config)
        with socket.create_connection((LOCAL, publisher.port)) as peer:
            if turns % 2:
                peer.sendall(publisher.banner + b"n\n")
            for _ in range(turns):
                await asyncio.sleep(0)
            async with asyncio.timeout(150):
                await publisher.stop()
            peer.settimeout(150)
            try:
                while peer.recv(4096):
                    pass
            except ConnectionResetError:
                pass  # also an end
        assert not publisher.connections

    with asyncio.Runner(loop_factory=new_loop) as runner:
        for config in (None, tls):
            for turns in range(10):
                runner.run(main(turns, config))
