"""Clients and server of ours together."""

import asyncio
import concurrent.futures
import pickle
import re
import signal
import socket
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rexec.wire import errors, pyon
from rexec.wire._protocol import FEATURES, PYON_V2
from rexec.wire.packed_exceptions import GenericRemoteException
from rexec.wire.pc_rpc import (
    AsyncioClient,
    BestEffortClient,
    Client,
    IncompatibleServer,
    Limits,
    Server,
    while_busy,
)
from tests.ending import interrupt
from tests.serving import free_port, running
from tests.waiting import wait_for, within
from tests.wire.driver import Drv, give_up_a_call

LOCAL = "127.0.0.1"


@pytest.mark.parametrize("features", [(), (PYON_V2,), FEATURES], ids=["v1", "v2", "raw"])
def test_values_of_any_size_go_both_ways(features: tuple[str, ...]) -> None:
    big = np.random.default_rng(0).integers(0, 1 << 16, (300, 1000), dtype=np.uint16)
    value = {"a": big, "b": (1, [2.5, None]), "c": big.tobytes()}
    with running({"drv": Drv()}) as server, Client(LOCAL, server.port, "drv", features=features) as client:
        back = client.echo(value)
        assert np.array_equal(back["a"], big)
        assert back["a"].flags.writeable
        assert back["b"] == value["b"]
        assert back["c"] == value["c"]


def test_a_client_is_not_pickled() -> None:
    with running({"drv": Drv()}) as server, Client(LOCAL, server.port) as client:
        with pytest.raises(TypeError, match=r"Client cannot be pickled, .* make one in each process"):
            pickle.dumps(client)


def test_the_caller_sees_the_chain_of_causes_and_the_remote_source() -> None:
    with running({"drv": Drv()}) as server, Client(LOCAL, server.port) as client:
        with pytest.raises(RuntimeError) as caught:
            client.fail_chained()
    printed = "".join(traceback.format_exception(caught.value))
    assert 'raise RuntimeError("outer") from error' in printed
    assert "KeyError: 'inner'" in printed
    assert "direct cause" in printed
    assert "client.fail_chained()" in printed
    assert f"{LOCAL}:{server.port}" in printed
    assert "_server.py" not in printed


def test_builtin_exceptions_come_back_as_themselves() -> None:
    with running({"drv": Drv()}) as server:
        for features in (FEATURES, (PYON_V2,), ()):
            with Client(LOCAL, server.port, features=features) as client:
                with pytest.raises(UnicodeDecodeError) as caught:
                    client.undecodable()
                assert "can't decode byte 0xff" in str(caught.value)
                with pytest.raises(KeyError) as missing:
                    client.keyerr()
                assert str(missing.value) == "'k'"
                with pytest.raises(GenericRemoteException) as custom:
                    client.fail_custom()
                assert custom.value.remote_class.endswith("Custom")
                assert re.match(
                    r"tests\.wire\.driver\.[\w.<>]*Custom\b", str(custom.value)
                )  # as a traceback has it
                with pytest.raises(TypeError, match=r"ret\['fits'\]\[3\]"):
                    client.deep_unser()
                with pytest.raises(TypeError, match=r"argument of echo\(\): args\[0\]\['x'\]"):
                    client.echo({"x": object()})
                assert client.ping()


def test_a_value_that_cannot_be_made_here_costs_its_answer_only() -> None:
    class Grove:
        def tree(self) -> "Grove":
            return self

        def height(self) -> int:
            return 5

    def refuse(_: Any) -> Any:
        raise ValueError("no such tree")

    pyon.register([Grove], name="tests.grove", encode=lambda _: [1], decode=refuse)
    try:
        with running({"drv": Grove()}) as server, Client(LOCAL, server.port) as client:
            with pytest.raises(TypeError, match="no such tree"):
                client.tree()
            assert (client.height(), client.rpc_connections) == (5, 1)
    finally:
        pyon.deregister([Grove], name="tests.grove")


def test_a_factory_makes_a_target_for_each_connection() -> None:
    class Counter:
        def __init__(self) -> None:
            self.count = 0

        def increment(self) -> int:
            self.count += 1
            return self.count

    with running({"counter": Counter}) as server:
        with Client(LOCAL, server.port) as one, Client(LOCAL, server.port) as other:
            assert [one.increment(), one.increment(), other.increment()] == [1, 2, 1]


def test_all_driver_calls_run_in_one_thread() -> None:
    drv = Drv()
    with running({"drv": drv}) as server:
        clients = [Client(LOCAL, server.port) for _ in range(5)]
        callers = [threading.Thread(target=lambda c=c: [c.add(1) for _ in range(20)]) for c in clients]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(150)
        for client in clients:
            client.close_rpc()
    assert len(drv.threads) == 1


def test_handshake_method_list_and_ping_are_answered_while_the_driver_is_busy() -> None:
    drv = Drv()
    with running({"drv": drv}) as server, Client(LOCAL, server.port) as holder:
        caller = threading.Thread(target=holder.hold)
        caller.start()
        assert drv.holding.wait(150)
        with Client(LOCAL, server.port, timeout=150) as other:
            assert other.ping()
            assert "hold" in other.get_rpc_method_list()["methods"]
            # An ordinary call has to wait for its turn.
            with pytest.raises(errors.CallTimeout):
                other.rpc_call("add", (1, 2), timeout=0.2)
            assert caller.is_alive()
            drv.gate.set()
            caller.join(150)
            assert other.add(1, 2) == 3


def test_coroutines_overlap_only_where_parallel_calls_are_allowed() -> None:
    for allow_parallel, seconds in ((True, 20.0), (False, 0.2)):
        with running({"drv": Drv()}, allow_parallel=allow_parallel) as server:
            with Client(LOCAL, server.port) as one, Client(LOCAL, server.port) as other:
                with concurrent.futures.ThreadPoolExecutor() as pool:
                    met = pool.submit(other.meet, seconds)
                    assert one.meet(seconds) is allow_parallel
                    assert met.result(150) is allow_parallel


def test_a_timed_out_call_never_answers_the_next_one() -> None:
    drv = Drv()
    with running({"drv": drv}) as server, Client(LOCAL, server.port) as client:
        for _ in range(3):
            give_up_a_call(client, drv)
            assert client.echo("mine") == "mine"
        assert client.rpc_connections == 4


def test_bytes_that_nobody_asked_for_break_the_connection() -> None:
    listener = socket.create_server((LOCAL, 0))
    listener.settimeout(150)
    answers = [
        b'{"status":"ok","ret":"first"}\n{"status":"ok","ret":"stale"}\n',
        b'{"status":"ok","ret":"second"}\n',
    ]

    def serve() -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as lines:
                lines.readline()
                connection.sendall(b'{"targets":["t"],"description":null,"features":["pyon_v2"]}\n')
                lines.readline()
                connection.sendall(b'{"__jsonclass__":["set",[["f"]]]}\n')
                lines.readline()
                connection.sendall(answer)
                lines.readline()

    thread = threading.Thread(target=serve)
    thread.start()
    with Client(LOCAL, listener.getsockname()[1], timeout=150) as client:
        assert client.f() == "first"
        assert client.f() == "second"
    thread.join(150)
    listener.close()


def test_a_server_that_accepts_and_says_nothing_is_given_up() -> None:
    with socket.create_server((LOCAL, 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(errors.ConnectionFailed, match=rf"{LOCAL}:{port} accepted .* greeting"):
            Client(LOCAL, port, handshake_timeout=0.2)
    port = free_port()
    with pytest.raises(errors.ConnectionFailed, match=rf"{LOCAL}:{port}: Connection refused"):
        Client(LOCAL, port)


def test_a_wrong_target_names_those_there_are() -> None:
    with running({"camera": Drv(), "stage": Drv()}) as server:
        with pytest.raises(
            IncompatibleServer, match=r"no target 'camra'.*camera, stage.*Did you mean 'camera'"
        ):
            Client(LOCAL, server.port, "camra")
        with pytest.raises(IncompatibleServer, match="2 targets"):
            Client(LOCAL, server.port)


def test_the_next_call_reconnects_and_tells() -> None:
    told: list[Client] = []
    drv = Drv()
    port = free_port()
    with running({"drv": drv}, port=port):
        client = Client(LOCAL, port, on_connect=told.append, reconnect_timeout=0.3)
        assert client.ping()
    with pytest.raises(errors.ConnectionFailed, match=rf"{LOCAL}:{port}"):
        client.ping()
    client.close_rpc()
    with pytest.raises(errors.ConnectionFailed, match="closed"):
        client.ping()
    assert told == []
    with running({"drv": drv}) as server:
        with Client(LOCAL, server.port, on_connect=told.append) as client:
            give_up_a_call(client, drv)
            assert client.add(1, 1) == 2
            assert told == [client]


def test_a_client_has_the_methods_of_the_target_it_is_connected_to() -> None:
    closed = threading.Event()

    class First:
        def acquire(self, shutter: bool) -> str:
            if shutter:
                closed.wait(150)
            return "a frame"

        def rpc_call(self) -> str:
            return "the client has one of its own"

    class Then:
        def new(self, *, number: int) -> int:
            return number

    targets = iter([First(), Then()])
    with running({"drv": lambda: next(targets)}) as server, Client(LOCAL, server.port) as client:
        assert isinstance(client, Client)
        assert "acquire" in dir(client)
        assert client.acquire(False) == "a frame"
        assert client.rpc_call("rpc_call") == "the client has one of its own"
        with pytest.raises(AttributeError, match=r"no method 'acquir'. Did you mean 'acquire'\?"):
            client.acquir()
        with pytest.raises(errors.CallTimeout):
            client.rpc_call("acquire", (True,), timeout=0.05)  # whose connection is given up
        closed.set()
        with pytest.raises(AttributeError, match="'Then' object has no attribute 'acquire'"):
            client.acquire(False)
        assert client.new(number=3) == 3
        assert "acquire" not in dir(client)
        with pytest.raises(AttributeError, match="no method 'acquire'"):
            client.acquire(False)


def test_a_thread_that_closes_the_client_ends_the_call_of_another() -> None:
    drv = Drv()
    with running({"drv": drv}) as server:
        client = Client(LOCAL, server.port)
        caught: list[BaseException] = []

        def call() -> None:
            try:
                client.hold()
            except errors.WireError as error:
                caught.append(error)

        caller = threading.Thread(target=call)
        caller.start()
        assert drv.holding.wait(150)
        client.close_rpc()
        caller.join(150)
        drv.gate.set()
        assert isinstance(caught[0], errors.ConnectionBroken)


async def asyncio_client_body(port: int, drv: Drv) -> None:
    client = AsyncioClient()
    with pytest.raises(AttributeError, match="not connected"):
        client.ping  # noqa: B018
    await client.connect_rpc(LOCAL, port, "drv")
    big = np.arange(1 << 19)
    assert np.array_equal(await client.echo(big), big)
    assert await client.acall() == "async"
    assert client.get_local_host() == LOCAL
    with pytest.raises(ValueError, match="bad value"):
        await client.fail()
    call = asyncio.create_task(client.hold())
    assert await asyncio.to_thread(drv.holding.wait, 150)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    drv.gate.set()
    assert await client.echo("mine") == "mine"
    drv.gate.clear()
    with pytest.raises(errors.CallTimeout):
        await client.rpc_call("hold", (), timeout=0.05)
    drv.gate.set()
    assert await asyncio.gather(*(client.echo(n) for n in range(10))) == list(range(10))
    assert "add" in (await client.get_rpc_method_list())["methods"]
    await client.close_rpc()
    with pytest.raises(errors.ConnectionFailed):
        await client.ping()


def test_the_asyncio_client_gives_up_a_call_with_its_connection() -> None:
    drv = Drv()
    with running({"drv": drv}) as server:
        asyncio.run(asyncio_client_body(server.port, drv))


def test_a_best_effort_client_returns_none_and_comes_back() -> None:
    drv = Drv()
    port = free_port()
    with running({"drv": drv}, port=port):
        client = BestEffortClient(LOCAL, port, "drv", retry=0.05)
        assert client.add(1, 2) == 3
        assert client.get_local_host() == LOCAL
        with pytest.raises(ValueError, match="bad value"):
            client.fail()
        with pytest.raises(AttributeError, match="no method 'nothing'"):
            client.nothing()
    assert client.add(1, 2) is None
    assert isinstance(client.last_error, errors.ConnectionFailed)
    assert client.get_local_host() is None
    with running({"drv": drv}, port=port):
        assert within(150, lambda: client.add(1, 2) == 3 and client.last_error is None)
        assert client.get_local_host() == LOCAL
    assert client.add(1, 2) is None
    never = BestEffortClient(LOCAL, port, "drv", firstcon_timeout=0.2, retry=60)
    assert never.anything(1) is None
    assert "refused" in str(never.last_error)
    for each in (never, client):
        each.close_rpc()
        assert not vars(each)["_BestEffortClient__thread"].is_alive()


def test_string_annotations_do_not_break_the_method_list() -> None:
    with running({"drv": Drv()}) as server, Client(LOCAL, server.port) as client:
        spec, docstring = client.get_rpc_method_list()["methods"]["add"]
    assert docstring == "Adds."
    assert spec["annotations"]["scale"] == "float"


def test_the_method_list_evaluates_no_property() -> None:
    class Driver:
        touched = False

        @property
        def temperature(self) -> float:
            Driver.touched = True
            raise OSError("no answer from the instrument")

        def read(self) -> int:
            return 1

    with running({"drv": Driver()}) as server, Client(LOCAL, server.port) as client:
        assert client.read() == 1
        assert list(client.get_rpc_method_list()["methods"]) == ["read", "terminate"]
    assert not Driver.touched


def test_a_long_line_in_a_handshake_ends_the_connection() -> None:
    with running({"drv": Drv()}, limits=Limits(handshake_line=1024)) as server:
        with socket.create_connection((LOCAL, server.port), 150) as long:
            long.sendall(b"x" * 2000)
            assert long.recv(1) == b""


def test_a_handshake_that_does_not_go_on_is_ended() -> None:
    with running({"drv": Drv()}, limits=Limits(handshake_timeout=0.1)) as server:
        with socket.create_connection((LOCAL, server.port), 150) as idle:
            assert idle.recv(1) == b""


def test_the_oldest_unfinished_handshakes_make_room_for_others() -> None:
    with running({"drv": Drv()}, limits=Limits(connections=5)) as server:
        idle = [socket.create_connection((LOCAL, server.port), 150) for _ in range(8)]
        assert idle[0].recv(1) == b""
        # The server has forgotten them, although their own side stays open.
        assert within(150, lambda: len(server._io.connections()) == 5)  # type: ignore[union-attr]
        with Client(LOCAL, server.port) as client:
            assert client.ping()
            for one in idle:
                one.close()
            assert client.ping()


def test_a_request_over_the_servers_limit_ends_its_connection_whether_text_or_raw() -> None:
    with running({"drv": Drv()}, limits=Limits(line=100_000)) as server:
        for features in (FEATURES, (PYON_V2,)):
            with Client(LOCAL, server.port, features=features) as client:
                assert client.echo(b"x" * 50_000) == b"x" * 50_000
                with pytest.raises(errors.ConnectionBroken):
                    client.echo(b"x" * 150_000)
                assert client.echo("small") == "small"


def test_a_target_name_with_white_space_is_refused() -> None:
    with pytest.raises(ValueError, match="no target name"):
        Server({"a b": Drv()})


def test_a_coroutine_cannot_be_marked_as_answerable_while_busy() -> None:
    async def method() -> None: ...

    with pytest.raises(TypeError, match="coroutine"):
        while_busy(method)


PROGRAM = """
import sys, time, threading
from rexec.wire.pc_rpc import simple_server_loop
class Drv:
    def ping(self): return True
    def hold(self, seconds): print("holding", flush=True); time.sleep(seconds); return "held"
simple_server_loop({"drv": Drv()}, "127.0.0.1", int(sys.argv[1]))
left = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
print("left:", left)
"""


def start_program(tmp_path: Path) -> tuple["subprocess.Popen[str]", int]:
    port = free_port()
    path = tmp_path / "controller.py"
    path.write_text(PROGRAM, encoding="utf-8")
    program = subprocess.Popen([sys.executable, str(path), str(port)], stdout=subprocess.PIPE, text=True)
    wait_for(port)
    return program, port


@pytest.mark.parametrize(
    "how", [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)] + ["terminate"]
)
def test_a_controller_ends_cleanly(tmp_path: Path, how: str) -> None:
    program, port = start_program(tmp_path)
    try:
        with Client(LOCAL, port, timeout=150) as client:
            if how == "terminate":
                client.terminate()
            else:
                # A signal lets the running call finish.
                result: list[Any] = []
                caller = threading.Thread(target=lambda: result.append(client.hold(0.5)))
                caller.start()
                assert program.stdout is not None
                assert program.stdout.readline() == "holding\n"
                interrupt(program, getattr(signal, how))
                caller.join(150)
                assert result == ["held"]
        output, _ = program.communicate(timeout=150)
    finally:
        program.kill()
        program.wait()
    assert program.returncode == 0
    assert output == "left: []\n"
