"""Further parts by themselves: blocking clients, ways to a peer, the I/O thread's clock, subscribers, log records."""

import asyncio
import contextlib
import datetime
import errno
import gc
import logging
import selectors
import signal
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rexec.wire import (
    _admission,
    _client,
    _io_thread,
    _listen,
    _loop,
    _reach_async,
    certs,
    errors,
    logs,
    reach,
)
from rexec.wire._conversation import Greeting
from rexec.wire._io_thread import IOThread
from rexec.wire._limits import Limits
from rexec.wire._subscription import PIECE, Subscription
from rexec.wire.pc_rpc import BestEffortClient, Client
from rexec.wire.reach import Way
from tests.serving import free_port, running
from tests.wire.driver import Drv

LOCAL = "127.0.0.1"


def a_client(port: int, target: Any, **keywords: Any) -> Any:
    return Client(LOCAL, port, target, **keywords)


def test_a_target_is_chosen_on_a_connection_that_can_be_used() -> None:
    with running({"drv": Drv(), "other": Drv()}) as server:
        with a_client(server.port, None) as client:
            assert client.get_selected_target() is None
            first = client._Client__connection
            client.select_rpc_target("other")
            assert client._Client__connection is first
            assert client.ping()
            client._Client__drop()
            assert client.ping()
            assert (client.get_selected_target(), client.rpc_connections) == (
                "other",
                2,
            )  # which it has chosen
        for spoilt in ("closed", "unclean", "unquiet"):
            with a_client(server.port, None) as client:
                first = client._Client__connection
                if spoilt == "closed":
                    client._Client__drop()
                elif spoilt == "unclean":
                    first.clean = False
                else:
                    first.quiet = lambda: False
                client.select_rpc_target("drv")
                assert client._Client__connection is not first
                assert client.ping()
                with pytest.raises(errors.WireError):
                    first.call([b"x"], None, None)  # it was closed


def test_what_a_blocking_client_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lamp(Drv):
        def close_rpc(self) -> None:
            raise AssertionError("the client has a method of this name")

    drv = Lamp()
    with running({"drv": drv, "other": Drv()}, description="a lamp") as server:
        where = f"{LOCAL}:{server.port}"
        for limit, seconds in ((None, 10.0), (0.5, 0.5), (99.0, 10.0)):
            with a_client(server.port, None, timeout=limit) as client:
                assert client._Client__handshake_timeout == seconds
        with a_client(server.port, None) as client:
            assert repr(client) == f"<Client of no target at {where}>"
            assert "no target" in client._repr_html_()
        with a_client(server.port, "drv") as client, ThreadPoolExecutor() as pool:
            assert repr(client) == f"<Client of drv at {where}>"
            assert f"at {where}" in client._repr_html_()
            assert "acall, add" in client._repr_html_()
            assert "_private" not in client._repr_html_()
            assert client.get_rpc_id() == (["drv", "other"], "a lamp")
            assert (client.get_selected_target(), client.get_local_host()) == ("drv", LOCAL)
            assert client.rpc_call("add", (1,), {"b": 5}) == client.add(1, b=5) == 6
            assert (client.add.__name__, type(client).__name__) == ("add", "Client")
            for name in ("__len__", "_repr_png_", "_ipython_display_"):
                with pytest.raises(AttributeError, match=f"^{name}$"):
                    getattr(client, name)
            with pytest.raises(
                AttributeError, match=rf"{where}, target 'drv' has no method 'ad'\. Did you mean"
            ):
                client.ad  # noqa: B018
            assert (client.rpc_pending, client.rpc_connections) == (None, 1)
            held = pool.submit(client.hold)
            try:
                assert drv.holding.wait(150)
                assert client.rpc_pending == (3, "hold")
                busy = f"{where} is busy with a call of another thread for over 0.001 s"
                with pytest.raises(errors.CallTimeout, match=busy):
                    client.rpc_call("ping", timeout=0.001)
            finally:
                drv.gate.set()
            assert held.result(150)
            assert (client.rpc_pending, client.rpc_connections) == (None, 1)
            assert client.rpc_has_leases
            with pytest.raises(ValueError, match="no request about leases: 'none'"):
                client.rpc_lease("none")
            with monkeypatch.context() as patch:
                patch.setattr(client._Client__talk, "greeting", Greeting())
                assert not client.rpc_has_leases
                with pytest.raises(ValueError, match=f"{where} knows no leases"):
                    client.rpc_lease("none")
        assert client.rpc_pending is None
        monkeypatch.setattr(_client, "open_connection", lambda *_: pytest.fail("it connects"))
        with pytest.raises(errors.ConnectionFailed, match=f"the client of {where} is closed"):
            client.ping()


def test_a_client_that_does_not_survive_its_preparation_is_not_used() -> None:
    with running({"drv": Drv()}) as server:

        def prepare(client: Client) -> None:
            if what == "fails":
                raise LookupError("not now")
            if what == "closes":
                client.close_rpc()

        what = ""
        client = a_client(server.port, "drv", on_connect=prepare)
        client._Client__drop()
        what = "fails"
        with pytest.raises(LookupError):
            client.ping()
        assert client._Client__connection is None
        what = ""
        assert client.ping()
        assert client.rpc_connections == 3
        client._Client__drop()
        what = "closes"
        with pytest.raises(errors.ConnectionFailed, match="is closed"):
            client.ping()
        with pytest.raises(errors.ConnectionFailed, match="is closed"):
            client.get_local_host()


@pytest.mark.parametrize(
    ("reconnect", "limit", "pauses"),
    [
        (0.0, None, []),
        (0.05, None, []),
        (0.4, None, [0.05, 0.1, 0.2]),
        (9.0, 0.4, [0.05, 0.1, 0.2]),
        (9.0, None, [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]),
    ],
)
def test_a_blocking_call_tries_to_connect_as_long_as_it_may(
    reconnect: float, limit: float | None, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    def refused(*_: Any) -> None:
        raise errors.ConnectionFailed("nobody listens")

    with running({"drv": Drv()}) as server:
        client = a_client(server.port, "drv", reconnect_timeout=reconnect)
        client._Client__drop()
        monkeypatch.setattr(_client, "open_connection", refused)
        clock = SimpleNamespace(monotonic=lambda: 100.0 + sum(waited), sleep=waited.append)
        monkeypatch.setattr(_client, "time", clock)
        with pytest.raises(errors.ConnectionFailed, match="nobody listens"):
            client.rpc_call("ping", timeout=limit)
        assert waited == pauses
        client.close_rpc()


def test_a_best_effort_client_tells_what_it_knows_without_a_connection() -> None:
    for wanted, known in (("lamp", "lamp"), (None, None)):
        client = BestEffortClient(LOCAL, free_port(), wanted, firstcon_timeout=0.1, retry=1000.0)
        assert client.get_selected_target() == known
        assert client.get_rpc_id() is None
        assert client.get_local_host() is None
        assert client.get_rpc_method_list() is None
        assert client.rpc_pending is None
        assert client.anything(1) is None
        (thread,) = (each for each in threading.enumerate() if each.name == "rexec-best-effort")
        assert thread.daemon  # a program ends also while an instrument is away
        assert client.anything.__name__ == client.anything.__qualname__ == "anything"
        with pytest.raises(AttributeError):
            client.__len__  # noqa: B018
        assert isinstance(client.last_error, errors.ConnectionFailed)
        client.close_rpc()
        assert client.anything(1) is None
    with running({"lamp": Drv()}, description="x") as server:
        client = BestEffortClient(LOCAL, server.port, "lamp")
        assert client.get_rpc_id() == (["lamp"], "x")
        assert client.get_local_host() == LOCAL
        assert "add" in (client.get_rpc_method_list() or {})["methods"]
        assert client.rpc_pending is None
        assert client.last_error is None
        with pytest.raises(AttributeError, match="ad"):
            client.ad  # noqa: B018
        with pytest.raises(ValueError, match="bad value"):
            client.fail()
        client.close_rpc()
        assert client.ping() is None


def test_each_step_to_a_peer_says_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(reach, "time", SimpleNamespace(monotonic=lambda: now))
    way = Way("::1", 3, 5.0)
    assert (way.where, way.left) == ("[::1]:3", 5.0)
    for name, error, said in (
        ("resolve", TimeoutError(), "[::1]:3 could not be looked up in 5 s"),
        ("connect", TimeoutError(), "[::1]:3 did not accept a connection in 5 s"),
        ("tls", TimeoutError(), "[::1]:3 did not complete the TLS handshake in 5 s"),
        ("files", FileNotFoundError(2, "none"), "no TLS with [::1]:3: [Errno 2] none"),
        ("tls", ssl.SSLError(1, "pinned"), "no TLS with [::1]:3: pinned"),
        ("connect", socket.gaierror(1, "unknown"), "cannot connect to [::1]:3: unknown"),
    ):
        with pytest.raises(errors.ConnectionFailed) as caught, way.step(name):
            raise error
        assert (str(caught.value), caught.value.step, caught.value.__cause__) == (said, name, error)
    now = 102.0
    assert way.left == 3.0
    address = (socket.AF_INET, socket.SOCK_STREAM, 0, "", (LOCAL, 3))
    shares = []
    for sock, where, share in way.sockets([address] * 3):
        assert where == (LOCAL, 3)
        shares.append(share)
        sock.close()
    assert shares == [1.0, 1.5, 3.0]
    now = 200.0
    assert way.left == 1e-3


class Sock:
    """A socket, as far as a way to a peer uses it."""

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        self.made = (family, kind, protocol)
        self.log: list[Any] = []

    def settimeout(self, seconds: float) -> None:
        self.log.append(seconds)

    def setblocking(self, wanted: bool) -> None:
        self.log.append(wanted)

    def connect(self, address: Any) -> None:
        self.log.append(address)
        if address[1] == 1:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    def close(self) -> None:
        self.log.append("closed")


class Ways:
    """What a way to a peer does with its sockets, without any; a peer has the port 1, where nobody listens, and 2."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.socks: list[Sock] = []
        found = [(5, 6, 7, "", (LOCAL, 1)), (8, 9, 10, "", (LOCAL, 2))]

        def made(*arguments: int) -> Sock:
            self.socks.append(Sock(*arguments))
            return self.socks[-1]

        def looked_up(host: str, port: int, **keywords: Any) -> Any:
            assert (host, port, keywords) == ("lab", 3, {"type": socket.SOCK_STREAM})
            return found

        self.looked_up = looked_up
        fakes = SimpleNamespace(**{**vars(socket), "socket": made, "getaddrinfo": looked_up})
        monkeypatch.setattr(reach, "socket", fakes)
        monkeypatch.setattr(reach, "time", SimpleNamespace(monotonic=lambda: 100.0))
        for module in (reach, _reach_async):
            monkeypatch.setattr(module, "keep_from_children", lambda sock: sock.log.append("kept"))
        monkeypatch.setattr(reach, "tune", lambda sock: sock.log.append("tuned"))
        monkeypatch.setattr(reach, "refused_at_once", lambda sock, host: sock.log.append(host))


class Files:
    """The files of TLS, of which something may be wrong."""

    def __init__(self, wrong: str = "") -> None:
        self.wrong = wrong

    def create_client_context(self) -> Any:
        if self.wrong == "files":
            raise FileNotFoundError(2, "no file")
        return self

    def wrap_socket(self, sock: Any) -> Any:
        if self.wrong == "tls":
            raise ssl.SSLError(1, "refused")
        if self.wrong == "interrupt":
            raise KeyboardInterrupt
        return SimpleNamespace(log=sock.log, secured=sock)


def test_each_socket_to_a_peer_has_its_share_of_the_time_and_is_lost_to_children(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ways = Ways(monkeypatch)
    assert reach.reach("lab", 3, 8.0) is cast("Any", ways.socks[1])
    assert [sock.made for sock in ways.socks] == [(5, 6, 7), (8, 9, 10)]
    assert [sock.log for sock in ways.socks] == [
        ["tuned", LOCAL, 4.0, (LOCAL, 1), "closed"],
        ["tuned", LOCAL, 8.0, (LOCAL, 2), "kept"],
    ]
    for wrong, raised, more in (
        ("", None, [8.0, "kept"]),
        ("files", errors.ConnectionFailed, ["closed"]),
        ("tls", errors.ConnectionFailed, [8.0, "closed"]),
        ("interrupt", KeyboardInterrupt, [8.0, "closed"]),
    ):
        if raised is None:
            assert hasattr(reach.reach("lab", 3, 8.0, cast("Any", Files(wrong))), "secured")
        else:
            with pytest.raises(raised) as caught:
                reach.reach("lab", 3, 8.0, cast("Any", Files(wrong)))
            assert getattr(caught.value, "step", wrong) == wrong
        assert ways.socks[-1].log[5:] == more


@pytest.mark.parametrize("wrong", ["", "files", "tls"])
def test_a_loop_s_socket_to_a_peer_never_blocks_it(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ways, files = Ways(monkeypatch), Files(wrong)

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()

        async def looked_up(*arguments: Any, **keywords: Any) -> Any:
            return ways.looked_up(*arguments, **keywords)

        async def connect(sock: Sock, address: Any) -> None:
            sock.connect(address)

        async def create(factory: Any, **keywords: Any) -> Any:
            given.append(keywords)
            if wrong == "tls":
                raise ssl.SSLError(1, "refused")
            return None, factory()

        loop.getaddrinfo, loop.sock_connect, loop.create_connection = looked_up, connect, create
        for config in (None, files):
            given: list[Any] = []
            if wrong and (config or wrong == "tls"):
                with pytest.raises(errors.ConnectionFailed) as caught:
                    await _reach_async.reach_async(
                        "lab", 3, 8.0, cast("Any", config), lambda: cast("Any", "made")
                    )
                assert (caught.value.step, ways.socks[-1].log[-1]) == (wrong, "closed")
            else:
                made = await _reach_async.reach_async(
                    "lab", 3, 8.0, cast("Any", config), lambda: cast("Any", "made")
                )
                assert cast("Any", made) == "made"
            first, second = ways.socks[-2:]
            assert first.log == ["tuned", LOCAL, False, (LOCAL, 1), "closed"]
            assert second.log[:4] == ["tuned", LOCAL, False, (LOCAL, 2)]
            assert second.log[4] == "kept"
            name = "" if config else None
            assert given in ([], [{"sock": second, "ssl": config, "server_hostname": name}])

    asyncio.run(main())


def test_the_most_telling_failure_is_told() -> None:
    refused, late, other = ConnectionRefusedError(111, "r"), TimeoutError("l"), OSError(113, "o")
    assert reach.telling([other, late, refused]) is refused
    assert reach.telling([other, late, other]) is late
    last = OSError(101, "n")
    assert reach.telling([other, last]) is last
    assert str(reach.telling([])) == "its name has no address"
    for error, said in (
        (OSError("text"), "text"),
        (socket.gaierror(-2, "unknown name"), "unknown name"),
        (ssl.SSLError(1, "[X] y"), "[X] y"),
    ):
        assert errors.reason_of(error) == said
    refusal = errors.reason_of(ConnectionRefusedError(errno.ECONNREFUSED, "x"))
    assert refusal not in ("", "x")
    assert errors.reason_of(ConnectionRefusedError(errno.EINVAL, "x")) == refusal
    assert errors.reason_of(OSError(errno.EINVAL, "x")) not in ("", "x", refusal)
    assert errors.checked_host("lab") == "lab"
    with pytest.raises(socket.gaierror, match=r"'a\.\.b' cannot be the name of a host"):
        errors.checked_host("a..b")


def test_what_cannot_be_listened_on_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[socket.socket] = []
    real = _listen.listener_at

    def second_fails(family: int, address: tuple[object, ...]) -> socket.socket:
        if opened:
            raise OSError(errno.EADDRINUSE, "in use")
        opened.append(real(family, address))
        return opened[0]

    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 0, "", (LOCAL, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.2", 0)),
    ]
    monkeypatch.setattr(_listen, "listener_at", second_fails)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(OSError, match="cannot listen on lab:"):
        _listen.listen("lab", 0, secured=True)
    assert opened[0].fileno() == -1
    bound = socket.create_server((LOCAL, 0))
    with bound, pytest.raises(OSError, match=r"in use|permitted|forbidden|10048"):
        real(socket.AF_INET, bound.getsockname())


def test_the_loop_of_a_controller_is_uvloop_s_where_that_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "uvloop", None)
    loop = _loop.new_event_loop()
    assert isinstance(loop, asyncio.AbstractEventLoop)
    loop.close()
    theirs = object()
    monkeypatch.setitem(__import__("sys").modules, "uvloop", SimpleNamespace(new_event_loop=lambda: theirs))
    assert cast("object", _loop.new_event_loop()) is theirs


@pytest.mark.parametrize("own", [True, False])
def test_a_loop_that_was_given_stays_open_and_another_is_closed(
    own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop: Any = asyncio.SelectorEventLoop()  # whatever loop another test makes the default
    left: list[asyncio.Task[None]] = []
    ended: list[str] = []
    kept: list[Any] = []
    set_for: list[Any] = []
    monkeypatch.setattr(asyncio, "set_event_loop", set_for.append)

    async def items() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            ended.append("generator")

    async def serve(server: Any, host: Any, port: int, ssl_config: Any) -> None:
        assert asyncio.get_running_loop() is loop
        assert (server.builtin_terminate, server.allow_parallel, server.description) == (True, own, "a lamp")
        left.append(asyncio.ensure_future(asyncio.sleep(10**6)))  # as a driver leaves
        kept.append(items())
        assert await anext(kept[0]) == 1
        assert await loop.run_in_executor(None, bool) is False
        kept.append(vars(loop)["_default_executor"])

    patience: list[float] = []
    wait = asyncio.wait

    def waited(tasks: Any, *, timeout: float) -> Any:
        patience.append(timeout)  # for a task that does not end when it is cancelled
        return wait(tasks, timeout=timeout)

    monkeypatch.setattr(asyncio, "wait", waited)
    monkeypatch.setattr(_loop, "new_event_loop", lambda: loop)
    monkeypatch.setattr(_loop, "_serve", serve)
    _loop.simple_server_loop({}, LOCAL, 0, "a lamp", own, loop=None if own else loop)
    monkeypatch.undo()
    assert loop.is_closed() is own
    assert patience == [5.0] * own
    assert left[0].cancelled() is own
    assert (ended, kept[1]._shutdown) == (["generator"] * own, own)
    assert set_for == [loop, None] * own
    if not own:
        loop.run_until_complete(kept[0].aclose())
        loop.run_until_complete(loop.shutdown_default_executor())
        left[0].cancel()
        loop.run_until_complete(asyncio.wait(left))
        loop.close()


def test_a_signal_ends_the_server_and_the_second_one_the_call_that_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handlers: dict[int, Any] = {}

    @contextlib.contextmanager
    def handlers_set(wanted: dict[int, Any]) -> Iterator[None]:
        handlers.update(wanted)
        yield

    monkeypatch.setattr(_loop, "handlers_set", handlers_set)
    server: Any = SimpleNamespace(terminate="terminate")
    told: list[Any] = []
    loop: Any = SimpleNamespace(call_soon_threadsafe=told.append)

    def elsewhere() -> None:
        with _loop._signals(server, loop):
            assert handlers == {}  # only the main thread gets signals

    with ThreadPoolExecutor() as pool:
        pool.submit(elsewhere).result(150)
    with _loop._signals(server, loop):
        assert signal.SIGINT in handlers
        handlers[signal.SIGINT](signal.SIGINT, None)
        assert told == ["terminate"]
        with pytest.raises(KeyboardInterrupt):
            handlers[signal.SIGTERM](signal.SIGTERM, None)
        assert told == ["terminate"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize(
    ("by", "is_told_to_end", "goes_on"),
    [("server", False, False), ("server", True, False), ("driver", True, False), ("driver", False, True)],
)
def test_a_server_goes_on_after_an_exit_of_a_driver_s_task_unless_it_was_to_end(
    error: type[BaseException], by: str, is_told_to_end: bool, goes_on: bool
) -> None:
    loop: Any = asyncio.SelectorEventLoop()
    left: list[asyncio.Task[None]] = []

    async def driver() -> None:
        raise error

    async def serve() -> None:
        if by == "server":
            raise error
        left.append(asyncio.ensure_future(driver()))
        for _ in range(3):
            await asyncio.sleep(0)

    try:
        with contextlib.nullcontext() if goes_on else pytest.raises(error):
            _loop._run(loop, cast("Any", SimpleNamespace(ends=is_told_to_end)), serve())
        assert [type(each.exception()) for each in left] == [error] * (by == "driver")
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
            loop.run_until_complete(asyncio.wait([task]))
        loop.close()
        gc.collect()  # asyncio tells of the tasks when they go: now, and not in a later test


class Selector:
    """Notes what is watched."""

    def __init__(self) -> None:
        self.watched: dict[Any, int] = {}

    def register(self, sock: Any, events: int, data: Any) -> None:
        assert sock not in self.watched
        self.watched[sock] = events

    def modify(self, sock: Any, events: int, data: Any) -> None:
        assert sock in self.watched
        self.watched[sock] = events

    def unregister(self, sock: Any) -> None:
        del self.watched[sock]

    def get_map(self) -> dict[Any, int]:
        return self.watched

    def close(self) -> None: ...


class Shaking:
    """A connection, as far as the I/O thread watches it."""

    def __init__(self, deadline: float = 0.0) -> None:
        self.deadline = deadline
        self.peer, self.sock, self.interest, self.closed = "lab:1", object(), 0, False
        self.outgoing: list[bytes] = []

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def thread(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = IOThread([], cast("Any", None), Limits(handshake_timeout=7.0), None, lambda: None)
    made._selector.close()
    made._selector = cast("Any", Selector())
    with made._wake_read, made._wake_write:
        yield made


def test_the_thread_of_sockets_ends_with_its_process_and_can_be_waited_for(thread: Any) -> None:
    assert thread._thread.daemon
    assert [each.getblocking() for each in (thread._wake_read, thread._wake_write)] == [False, False]
    waits: list[Any] = []
    thread._thread = SimpleNamespace(join=lambda *seconds: waits.append(seconds))
    thread.join()
    thread.abort()
    assert waits == [(), (5.0,)]
    thread._thread = threading.current_thread()
    thread.abort()  # from itself


@pytest.mark.parametrize("tls", [False, True])
def test_the_thread_of_sockets_accepts_what_there_is_room_for(
    thread: Any, tls: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", _io_thread.__name__)
    kept, tuned, wrapped, asked = list[Any](), list[Any](), list[Any](), list[Any]()
    monkeypatch.setattr(_admission, "_unfinished", {})
    monkeypatch.setattr(_io_thread, "time", SimpleNamespace(monotonic=lambda: 100.0))
    monkeypatch.setattr(_io_thread, "keep_from_children", kept.append)
    there = {"room": True, "works": True}

    def tune(sock: Any) -> None:
        if not there["works"]:
            raise OSError("gone")
        tuned.append(sock)

    def has_room(*facts: Any) -> bool:
        asked.append(facts[2:])
        return there["room"]

    monkeypatch.setattr(_io_thread, "tune", tune)
    monkeypatch.setattr(_io_thread, "has_room", has_room)
    thread._service = SimpleNamespace(handshake=lambda reader: ("handshake", reader))

    def wrap(sock: Any, **keywords: Any) -> Any:
        wrapped.append(keywords)
        return sock

    thread._tls = SimpleNamespace(wrap_socket=wrap) if tls else None
    thread._accepting = kept.append

    def accepted(found: Any) -> Any:
        def accept() -> Any:
            if isinstance(found, OSError):
                raise found
            return found

        thread._accept(SimpleNamespace(accept=accept))

    for error in (BlockingIOError(), ConnectionAbortedError()):
        accepted(error)
    assert (kept, thread._accept_again) == ([], None)
    accepted(OSError(24, "too many"))
    assert (kept, thread._accept_again) == ([False], 100.5)
    for lacking in there:
        there[lacking] = False
        sock, other = socket.socketpair()
        with other:
            accepted((sock, ("lab", 1)))
            assert (sock.fileno(), thread.connections()) == (-1, [])
        there[lacking] = True
    for address, peer in ((("lab", 2), "lab:2"), (("::1", 3, 0, 0), "::1:3"), ("unix", "unix")):
        tuned.clear()
        sock, other = socket.socketpair()
        with sock, other:
            accepted((sock, address))
            connection = thread.connections()[-1]
            assert (connection.sock, connection.peer, connection.deadline) == (sock, peer, 107.0)
            assert (sock.gettimeout(), kept[-1], tuned) == (0.0, sock, [sock])
            assert connection.reader.limit == 4096
            assert connection.handshake == ("handshake", connection.reader)
            assert connection in thread._shaking
            assert _admission._unfinished[sock][0] == thread
            assert thread._selector.watched[sock] == selectors.EVENT_READ
            thread.settled(connection)
            assert (connection.handshake, connection.reader.limit) == (None, None)
            assert (connection in thread._shaking, sock in _admission._unfinished) == (False, False)
            assert thread.connections()[-1] is connection
    assert [each[1] for each in asked] == [0, 0, 0, 1, 2]
    assert wrapped == [{"server_side": True, "do_handshake_on_connect": False}] * 3 * tls
    assert [each.getMessage() for each in caplog.records] == [
        "cannot accept connections: [Errno 24] too many; trying again in 0.5 s", "lab:1: gone"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (EOFError(), None),
        (ConnectionResetError("reset"), None),
        (ssl.SSLError(1, "odd"), "lab:1: odd: connection closed"),
        (errors.FormatError("odd"), "lab:1: odd: connection closed"),
        (KeyError("odd"), "internal error while serving lab:1: connection closed"),
    ],
)
def test_a_connection_that_fails_is_dropped_and_what_is_wrong_told(
    error: Exception,
    said: str | None,
    thread: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(_admission, "_warned_at", {})

    def progress(_: Any) -> None:
        asked.append(1)
        raise error

    asked: list[int] = []
    thread._progress = progress
    connection = Shaking()
    thread._connections[connection] = thread._shaking[connection] = None
    thread._watch(connection, 1)
    thread._ready(connection)
    assert (connection.closed, thread._connections, thread._shaking, thread._selector.watched) == (
        True,
        {},
        {},
        {},
    )
    thread._ready(connection)
    assert asked == [1]
    assert [each.getMessage() for each in caplog.records] == [said] * (said is not None)


def test_a_connection_goes_on_as_far_as_it_can(thread: Any) -> None:
    class Speaking(Shaking):
        def __init__(
            self, tls: list[int], flushed: list[bool], frames: list[Any], closing: bool = False
        ) -> None:
            super().__init__()
            self.tls, self.flushed, self.frames, self.closing = tls, flushed, frames, closing

        def handshake_tls(self) -> int:
            return self.tls.pop(0)

        def flush(self) -> bool:
            return self.flushed.pop(0)

        def receive(self) -> Any:
            return self.frames.pop(0)

    handled: list[Any] = []

    def received(_: Any, frame: str) -> bool:
        handled.append(frame)
        return frame == "more"

    thread._service = SimpleNamespace(frame_received=received)
    for tls, flushed, frames, interest, found in (
        ([1], [], [], 1, []),
        ([2], [], [], 2, []),
        ([0], [False], [], 2, []),
        ([0], [True], [None], 1, []),
        ([0], [True, True, False], ["more", "more"], 2, ["more", "more"]),
        ([0], [True, True], ["more", "call"], 0, ["more", "call"]),
    ):
        connection: Any = Speaking(tls, flushed, frames)
        handled.clear()
        thread._progress(connection)
        assert (connection.interest, handled) == (interest, found)
        assert (tls, flushed, frames) == ([], [], [])
    with pytest.raises(EOFError):
        thread._progress(Speaking([0], [True], [], True))


def test_the_thread_of_sockets_sleeps_until_something_is_due(
    thread: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(_io_thread, "time", SimpleNamespace(monotonic=lambda: now))
    assert thread._timeout() is None
    thread._accept_again = 105.0
    assert thread._timeout() == 5.0
    thread._stop_at = 103.0
    assert thread._timeout() == 3.0
    first, second = Shaking(102.0), Shaking(104.0)
    for each in (first, second):
        thread._shaking[each] = thread._connections[each] = None
    assert thread._timeout() == 2.0
    thread._expire()
    assert (first.closed, second.closed, thread._accept_again) == (False, False, 105.0)
    now = 102.0
    thread._expire()
    assert not first.closed
    now = 102.5
    assert thread._timeout() == 0.0
    thread._expire()
    assert (first.closed, second.closed) == (True, False)
    assert [*thread._connections] == [*thread._shaking] == [second]
    now = 105.0
    accepts: list[bool] = []
    monkeypatch.setattr(thread, "_accepting", accepts.append)
    thread._expire()
    assert (second.closed, accepts) == (True, [True])


def test_the_thread_of_sockets_ends_once_all_is_sent_or_after_a_second(
    thread: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(_io_thread, "time", SimpleNamespace(monotonic=lambda: now))
    assert not thread._finished()
    connection = Shaking()
    thread._connections[connection] = None
    connection.outgoing = [b"x"]
    accepts: list[bool] = []
    monkeypatch.setattr(thread, "_accepting", accepts.append)
    thread._begin_stop()
    assert (thread._stop_at, thread._finished(), accepts) == (101.0, False, [False])
    connection.outgoing = []
    assert thread._finished()
    connection.outgoing = [b"x"]
    now = 101.0
    assert thread._finished()
    thread._begin_abort()
    assert thread._stop_at == 101.0


def test_the_thread_of_sockets_watches_what_it_waits_for(thread: Any) -> None:
    connection, watched = Shaking(), thread._selector.watched
    for interest, events in (
        (1, selectors.EVENT_READ),
        (1, selectors.EVENT_READ),
        (2, selectors.EVENT_WRITE),
    ):
        thread._watch(connection, interest)
        assert watched == {connection.sock: events}
        assert connection.interest == interest
    thread._connections[connection] = None
    thread.drop(connection)
    assert (watched, connection.closed, connection.interest, thread.connections()) == ({}, True, 0, [])
    thread._connections[connection] = None
    thread._resume(connection)
    assert thread.connections() == []


def test_listening_sockets_are_watched_while_connections_are_accepted(thread: Any) -> None:
    listeners = [SimpleNamespace(fileno=lambda number=number: number) for number in (3, 4)]
    watched: list[int] = []
    thread.listeners = listeners
    thread._selector = SimpleNamespace(
        get_map=lambda: watched,
        register=lambda one, events, _: watched.append(one.fileno()),
        unregister=lambda one: watched.remove(one.fileno()),
    )
    for wanted, now in ((True, [3, 4]), (True, [3, 4]), (False, []), (False, [])):
        thread._accept_again = 5.0
        thread._accepting(wanted)
        assert (watched, thread._accept_again) == (now, None)


class Bytes(asyncio.Transport):
    """Notes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.aborted = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def abort(self) -> None:
        self.aborted = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return None


class Stream:
    """A server, as far as a subscriber uses it."""

    def __init__(self) -> None:
        self.limits = Limits(handshake_timeout=1000.0)
        self.banner = b"hello\n"
        self.connections: set[Any] = set()
        self.log: list[Any] = []
        self.more: list[bytes] = []

    def has(self, name: str) -> bool:
        return name == "n"

    def subscribed(self, one: Any) -> None:
        self.log.append(("subscribed", one.name))

    def flush(self, name: str) -> None:
        self.log.append(("flush", name))

    def followers(self, name: str) -> list[Any]:
        return self.log

    def subscriptions(self, name: str) -> list[Any]:
        return [0, 1]

    def refill(self, one: Any) -> None:
        if self.more:
            one.lines.put(self.more.pop())

    def forget(self, one: Any) -> None:
        self.log.append("forget")

    def left(self, sock: Any, one: Any) -> None:
        self.log.append("left")


def hear(one: Subscription, data: bytes) -> None:
    one.get_buffer(-1)[: len(data)] = data
    one.buffer_updated(len(data))


def test_a_subscriber_says_the_banner_and_a_name_and_nothing_more(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_admission, "_warned_at", {})
    monkeypatch.setattr(_admission, "_unfinished", {})

    async def main() -> None:
        for words, said in (
            (b"hullo\n", "unknown banner: b'hullo'"),
            (b"hello\nm\n", "there is no 'm' to follow"),
            (b"hello\nn\nmore\n", "a subscriber has nothing more to say"),
            (b"hello\nn\n", None),
        ):
            server = Stream()
            _admission.unfinished(sock := cast("Any", object()), server, lambda: None)
            one = Subscription(cast("Any", server), sock, "lab:1")
            line = Bytes()
            one.connection_made(line)
            assert server.connections == {one}
            assert one._timer is not None
            timer = one._timer
            caplog.clear()
            assert timer.when() > asyncio.get_running_loop().time() + 500
            hear(one, words)
            assert (None if one.failure is None else str(one.failure)) == said
            assert (timer.cancelled(), line.aborted) == (True, said is not None)
            assert (("subscribed", "n") in server.log, "forget" in server.log) == (
                b"\nn\n" in words,
                said is not None,
            )
            assert (sock in _admission._unfinished) == (b"\nn\n" not in words)
            one.connection_lost(None)
            assert "left" in server.log
            logged = [] if said is None else [f"lab:1: {said}: connection closed"]
            assert [each.getMessage() for each in caplog.records] == logged

    asyncio.run(main())


def test_subscribers_of_a_name_share_a_turn_of_the_loop() -> None:
    async def main() -> None:
        for subscribers, lines, more, turns in (
            (0, [b"x" * 5 * PIECE], 0, [[PIECE] * 4, [PIECE]]),
            (1, [b"x" * 5 * PIECE], 0, [[PIECE] * 4, [PIECE]]),
            (9, [b"x" * 2 * PIECE], 0, [[PIECE], [PIECE]]),
            (2, [b"x" * 5 * PIECE], 0, [[PIECE] * 2, [PIECE] * 2, [PIECE]]),
            (2, [b"x" * (2 * PIECE - 1), b"y", b"z"], 0, [[PIECE, PIECE - 1, 2]]),
            (2, [b"x" * (2 * PIECE), b"y"], 0, [[PIECE] * 2, [1]]),
            (2, [b"x" * (PIECE - 1), b"y", b"z"], 0, [[PIECE, 1]]),
            (2, [b"x" * PIECE, b"y"], 0, [[PIECE, 1]]),
            (2, [b"x"], 30, [[21], [10]]),
        ):
            server = Stream()
            server.more = [b"m"] * more
            vars(server)["subscriptions"] = lambda _, number=subscribers: [0] * number
            one = Subscription(cast("Any", server), cast("Any", object()), "lab:1")
            one.connection_made(line := Bytes())
            hear(one, b"hello\nn\n")
            for each in lines:
                one.put(each)
            for written in [*turns, [], []]:
                await asyncio.sleep(0)
                assert list(map(len, line.written)) == written
                line.written.clear()
            one.put(b"x" * 2 * PIECE)
            assert one._next_piece()
            one.put(b"y")
            one.fail(errors.ConnectionBroken("the end of the test"))
            assert (len(one.lines), one._rest) == (0, None)  # their memory is free

    asyncio.run(main())


def test_lines_reach_a_subscriber_in_pieces_as_far_as_it_takes_them() -> None:
    async def main() -> None:
        server = Stream()
        one = Subscription(cast("Any", server), cast("Any", object()), "lab:1")
        line = Bytes()
        one.connection_made(line)
        hear(one, b"hello\nn\n")
        one.begin([b"first\n"])
        assert server.log[-2:] == [("flush", "n"), one]
        assert not one.write_now(b"now\n")  # others come first
        one.put(b"second\n")
        assert line.written == []
        await asyncio.sleep(0)
        assert line.written == [b"first\nsecond\n"]
        assert one.write_now(b"now\n")
        one.pause_writing()
        assert one.write_now(b"no\n") is False
        one.put(b"x" * (2 * PIECE + 5))
        one.put(b"last\n")
        await asyncio.sleep(0)
        assert line.written[2:] == []
        one.resume_writing()
        for _ in range(4):
            await asyncio.sleep(0)
        assert list(map(len, line.written[2:])) == [PIECE, PIECE, 5, 5]
        line.written.clear()
        one.put(b"a\n", "part")
        one.put(b"b\n", "other")
        one.drop("part")
        assert one.dropped == 1
        server.more = [b"m2\n", b"m1\n"]
        await asyncio.sleep(0)
        assert b"".join(line.written).startswith(b"b\nm1\n")
        for _ in range(4):
            await asyncio.sleep(0)
        assert b"".join(line.written) == b"b\nm1\nm2\n"
        one.stale["x"] = None
        assert not one.write_now(b"no\n")
        one.put(b"y\n")
        one.drop()
        assert (one.dropped, len(one.lines)) == (2, 0)
        one._trust = cast("Any", (SimpleNamespace(still_trusts=lambda _: False), b""))
        assert not one.write_now(b"no\n")
        assert str(one.failure) == "its certificate was revoked"
        before = len(server.log)
        one.begin([b"first\n"])
        assert len(server.log) == before

    asyncio.run(main())


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["INFO:a:one", "WARNING<2>:b:two", "more", "plain", "ERROR::x"],
         [(logging.INFO, "a", "one"), (logging.WARNING, "b", "two\nmore"), (logging.INFO, "print", "plain"),
          (logging.ERROR, "print", "x")]),
        (["DEBUG<3>:a:one", "two"], [(logging.DEBUG, "a", "one\ntwo")]),
        (["INFO<1>:a:one", "INFO<0>:a:one"], [(logging.INFO, "a", "one")] * 2),
        ([], []),
        (["INFO<4>:a:one", "x" * ((1 << 18) - 1), "yy", "z", "CRITICAL:b:end"],
         [(logging.INFO, "a", "one\n" + "x" * ((1 << 18) - 1) + "\n... 5 more characters were dropped"),
          (logging.CRITICAL, "b", "end")]),
    ],
)  # fmt: skip
def test_lines_of_a_program_are_records(lines: list[str], found: list[tuple[int, str, str]]) -> None:
    assert [(each.level, each.name, each.text) for each in logs.records(iter(lines))] == found


def test_levels_between_two_have_the_lower_one_s_name() -> None:
    for level, name in (
        (55, "CRITICAL"),
        (50, "CRITICAL"),
        (49, "ERROR"),
        (25, "INFO"),
        (10, "DEBUG"),
        (5, "DEBUG"),
    ):
        assert logs._level_name(level) == name
    record = logs.LogLine(30, "a:b", "one\ntwo")
    assert logs.message("c:\nd", record) == b"c..d:WARNING<2>:a.b:one\ntwo\n"
    assert [logs.begins_record(line) for line in ("INFO:a:b", "INFO a", "x")] == [True, False, False]


def test_certificates_are_made_listed_added_and_revoked(tmp_path: Path) -> None:
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    pair = certs.make_pair(tmp_path, "one", not_before=begin, not_after=begin + datetime.timedelta(days=3))
    assert (pair.cert, pair.key) == (tmp_path / "one.pem", tmp_path / "one.key")
    from cryptography import x509

    read = x509.load_pem_x509_certificate(pair.cert.read_bytes())
    assert (read.not_valid_before_utc, read.not_valid_after_utc) == (
        begin,
        begin + datetime.timedelta(days=3),
    )
    assert read.extensions.get_extension_for_class(x509.BasicConstraints).critical
    basic = read.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (basic.ca, basic.path_length) == (True, 0)
    usual = x509.load_pem_x509_certificate(certs.make_pair(tmp_path, "two").cert.read_bytes())
    now = datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(hours=1) <= now - usual.not_valid_before_utc < datetime.timedelta(hours=2)
    assert abs(usual.not_valid_after_utc - now - datetime.timedelta(days=3650)) < datetime.timedelta(hours=1)
    folder = tmp_path / "set"
    for names, said in (
        (["a", "a"], "must be different"), (["clients"], "must be different"), (["server"], "must be different"),
        (["a b"], "name of a file"), ([".a"], "name of a file"), (["a/b"], "name of a file"), ([""], "name of a file"),
        (["*"], "stands for everyone"), (["a" * 65], "longer than the 64 bytes"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            certs.make_set(folder, names)
    assert not folder.exists()
    made = certs.make_set(folder, ["a" * 64, "bob"])
    assert [*made.clients] == ["a" * 64, "bob"]
    assert made.trusted_clients == folder / "clients.pem"
    for again in (["carl"], ["bob"]):
        with pytest.raises(FileExistsError):
            certs.make_set(folder, again)
    assert not (folder / "carl.pem").exists()
    with pytest.raises(FileExistsError, match="revoke it first"):
        certs.add_client(folder, "bob")
    for wrong in ("a b", "*", "a" * 65):
        with pytest.raises(ValueError, match=r"name of a file|stands for everyone|longer than"):
            certs.add_client(folder, wrong)
    certs.add_client(folder, "carl")
    assert [each.name for each in certs.trusted_clients(folder)] == ["a" * 64, "bob", "carl"]
    assert {len(each.digest) for each in certs.trusted_clients(folder)} == {64}
    assert certs.revoke_client(folder, "bob") == [folder / "bob.pem.revoked", folder / "bob.key.revoked"]
    with pytest.raises(LookupError, match=r"no certificate of 'bob'; it has: a+, carl"):
        certs.revoke_client(folder, "bob")
    for name in ("a" * 64, "carl"):
        certs.revoke_client(folder, name)
    assert certs.trusted_clients(folder) == []
    with pytest.raises(LookupError, match="it has: none"):
        certs.revoke_client(folder, "bob")
    with contextlib.suppress(FileNotFoundError):
        (folder / "dan.pem").unlink()
    made.trusted_clients.write_bytes(pair.cert.read_bytes().rstrip())
    certs.add_client(folder, "dan")
    assert made.trusted_clients.read_bytes().count(b"-\n-----BEGIN") == 1
    assert [each.name for each in certs.trusted_clients(folder)] == ["one", "dan"]
    made.trusted_clients.write_bytes(b"")
    certs.add_client(folder, "eve")
    assert made.trusted_clients.read_bytes().startswith(b"-----BEGIN")
