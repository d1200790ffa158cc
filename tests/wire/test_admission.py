"""Who may stay where there is no room: bounds on connections and descriptors, and what is logged of it."""

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import sys
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rexec.wire import _acceptor, _admission
from rexec.wire._acceptor import Acceptor
from rexec.wire._limits import Limits
from rexec.wire._listen import listen
from tests.waiting import within

LOCAL = "127.0.0.1"


class At:
    """A socket, as far as its descriptor goes."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def fileno(self) -> int:
        return self.descriptor


def at(descriptor: int) -> socket.socket:
    return cast("socket.socket", At(descriptor))


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_admission, "_unfinished", {})
    monkeypatch.setattr(_admission, "_warned_at", {})
    monkeypatch.setattr(_admission, "_was_full", False)


def test_what_strangers_cause_is_logged_once_in_ten_seconds_for_each_kind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    monkeypatch.setattr(_admission, "time", SimpleNamespace(monotonic=lambda: now))
    for now, kind in [
        (1.0, "a"),
        (10.5, "a"),
        (10.5, "b"),
        (10.9, "a"),
        (11.0, "a"),
        (20.9, "a"),
        (20.5, "b"),
    ]:
        _admission.seldom(kind, "%g %s", now, kind)
    assert [each.getMessage() for each in caplog.records] == ["1 a", "10.5 b", "11 a", "20.5 b"]
    assert {each.levelno for each in caplog.records} == {logging.WARNING}
    held = [len(_admission._warned_at)]
    for number in range(4097):
        _admission.seldom(str(number), "")
        held.append(len(_admission._warned_at))
    assert held == [*range(2, 4098), 1, 2]


@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_NOFILE")
@pytest.mark.parametrize(
    ("soft", "reserve", "limit"), [(1024, 100, 924), (1024, 256, 768), (1024, 300, 768), (-1, 100, None)]
)
def test_connections_leave_descriptors_to_the_rest_of_the_process(
    soft: int, reserve: int, limit: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    monkeypatch.setattr(resource, "RLIM_INFINITY", -1)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, 4096))
    assert _admission.descriptor_limit(Limits(descriptor_reserve=reserve)) == limit
    monkeypatch.setattr(sys, "platform", "win32")
    assert _admission.descriptor_limit(Limits()) is None


def test_descriptors_are_counted_for_a_while_after_all_were_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []

    def listed(path: str) -> list[str]:
        assert path == "/dev/fd"
        if not used:
            raise FileNotFoundError
        return [str(number) for number in range(used.pop())]

    monkeypatch.setattr(os, "listdir", listed)
    assert _admission._is_full(at(10**6), None) is False
    assert _admission._is_full(at(79), 80) is False
    for descriptor in (81, 80):
        assert _admission._is_full(at(descriptor), 80)
        for count, full in [(81, True), (80, False), (71, False), (70, False)]:
            used[:] = [count]
            assert _admission._is_full(at(3), 80) is full
            assert not used  # counted
        used[:] = [81]
        assert not _admission._is_full(at(3), 80)
        assert used  # not counted any more: there was room enough
    assert _admission._is_full(at(80), 80)
    used.clear()
    assert _admission._is_full(at(3), 80) is False  # a system without that folder


@contextlib.contextmanager
def connections(number: int) -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    with contextlib.ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(number)]
        for pair in pairs:
            for each in pair:
                stack.enter_context(each)
        yield pairs


def has_ended(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False


@pytest.mark.parametrize(
    ("present", "full", "gone", "stays", "said"),
    [
        (1, False, [], True, None),
        (2, False, ["ours"], True, "over 2 connections: the oldest unfinished handshake is closed"),
        (1, True, ["theirs"], True, "over 80 file descriptors: the oldest unfinished handshake is closed"),
        (2, True, ["ours"], True, "over 2 connections: the oldest unfinished handshake is closed"),
    ],
)
def test_the_oldest_unfinished_connection_gives_way(
    present: int,
    full: bool,
    gone: list[str],
    stays: bool,
    said: str | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(_admission, "descriptor_limit", lambda _: 80)
    server, names = At(0), ["theirs", "ours", "later"]
    with connections(3) as pairs:
        for name, (ours, _) in zip(names, pairs, strict=True):
            owner = "another" if name == "theirs" else server
            _admission.unfinished(ours, owner, partial(_acceptor._hang_up, ours))
        new = at(80 if full else 79)
        assert _admission.has_room(new, server, "peer:1", present, Limits(connections=2)) is stays
        ended = dict(zip(names, pairs, strict=True))
        assert within(150, lambda: [name for name, (_, peer) in ended.items() if has_ended(peer)] == gone)
        assert len(_admission._unfinished) == 3 - len(gone)
        assert [each.getMessage() for each in caplog.records] == ([said] if said else [])
        _acceptor._hang_up(pairs[0][0])
        pairs[0][0].close()
        _acceptor._hang_up(pairs[0][0])  # one that has ended already


def test_where_nobody_can_give_way_the_new_connection_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    server = At(0)
    with connections(1) as [(ours, peer)]:
        _admission.unfinished(ours, "another", partial(_acceptor._hang_up, ours))
        assert _admission.has_room(at(3), server, "peer:1", 2, Limits(connections=2)) is False
        assert not has_ended(peer)
    assert [each.getMessage() for each in caplog.records] == ["over 2 connections: peer:1 is refused"]
    _admission.finished(ours)
    _admission.finished(ours)
    assert not _admission._unfinished


def accepting(context: ssl.SSLContext | None, factory: Any = None, **limits: Any) -> Acceptor:
    return Acceptor(
        listen(LOCAL, 0, secured=True),
        factory or (lambda _, __: asyncio.Protocol()),
        Limits(**limits),
        context,
    )


async def connected(acceptor: Acceptor) -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, acceptor.listeners[0].getsockname()[:2])
    return sock


async def until(condition: Any) -> None:
    assert await asyncio.to_thread(within, 150, condition)


def test_nothing_is_accepted_once_a_server_has_closed() -> None:
    async def main() -> None:
        acceptor = accepting(None)
        await asyncio.sleep(0)
        await acceptor.close()
        assert all(each.done() for each in acceptor._accepting)

    asyncio.run(main())


def test_a_server_that_closes_waits_for_the_end_of_each_tls_handshake() -> None:
    async def main() -> None:
        acceptor = accepting(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        with await connected(acceptor) as client:
            await until(lambda: acceptor._welcoming)
            (sock,) = acceptor._welcoming.values()
            assert [owner for owner, _ in _admission._unfinished.values()] == [acceptor]
            await acceptor.close()
            assert not acceptor._welcoming
            assert not acceptor._present
            assert not _admission._unfinished
            assert sock.fileno() == -1
            assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
        assert [each.fileno() for each in acceptor.listeners] == [-1]

    asyncio.run(main())


@pytest.mark.parametrize("context", [None, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)], ids=["plain", "tls"])
def test_a_connection_that_gave_way_is_forgotten_although_its_client_stays(
    context: ssl.SSLContext | None,
) -> None:
    async def main() -> None:
        class Leaving(asyncio.Protocol):
            def __init__(self, sock: socket.socket) -> None:
                self.sock = sock

            def connection_lost(self, _: Exception | None) -> None:
                acceptor.left(self.sock)

        acceptor = accepting(context, lambda sock, _: Leaving(sock), connections=1)
        with await connected(acceptor) as client:
            await until(lambda: acceptor._present)
            (first,) = acceptor._present
            with await connected(acceptor):
                await until(lambda: len(acceptor._present) == 1 and first not in acceptor._present)
                assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
        await acceptor.close()

    asyncio.run(main())


def test_a_client_whose_tls_fails_is_told_of_and_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        acceptor = accepting(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        with await connected(acceptor) as client:
            await until(lambda: acceptor._present)
            await asyncio.get_running_loop().sock_sendall(client, b"no TLS at all\n" * 10)
            await until(lambda: not acceptor._present and not acceptor._welcoming)
        await acceptor.close()

    asyncio.run(main())
    assert "connection closed" in caplog.text
    assert not _admission._unfinished


def test_a_tls_handshake_has_the_time_of_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    async def main(context: ssl.SSLContext | None) -> None:
        async def create(factory: Any, sock: socket.socket, **keywords: Any) -> None:
            given.append(keywords)
            sock.close()

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "connect_accepted_socket", create)
        acceptor = accepting(context, handshake_timeout=7.0)
        with await connected(acceptor):
            await until(lambda: given)
            await acceptor.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for one, seconds in ((context, 7.0), (None, None)):
        asyncio.run(main(one))
        assert given == [{"ssl": one, "ssl_handshake_timeout": seconds}]
        given.clear()


def test_what_the_system_cannot_accept_keeps_no_other_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kept, tuned, made = list[Any](), list[Any](), list[Any]()
    monkeypatch.setattr(_acceptor, "keep_from_children", kept.append)
    monkeypatch.setattr(_acceptor, "tune", tuned.append)
    monkeypatch.setattr(_acceptor, "_ACCEPT_PAUSE", 0.25)
    sleep, slept = asyncio.sleep, list[float]()

    async def sleeping(seconds: float) -> None:
        slept.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", sleeping)

    async def main() -> None:
        def factory(sock: socket.socket, peer: str) -> asyncio.Protocol:
            made.append((sock, peer))
            return asyncio.Protocol()

        acceptor = accepting(None, factory)
        (listener,) = acceptor.listeners
        assert kept == [listener]
        accept, faults = acceptor._accepted, [OSError(24, "too many open files"), ConnectionAbortedError()]

        async def accepted(one: socket.socket) -> Any:
            if faults:
                raise faults.pop()
            return await accept(one)

        monkeypatch.setattr(acceptor, "_accepted", accepted)
        for _ in range(2):
            with await connected(acceptor) as client:
                await until(lambda: made)
                sock, peer = made.pop()
                assert peer == "{}:{}".format(*client.getsockname())
                assert (kept[-1], tuned.pop()) == (sock, sock)
                assert sock in acceptor._present
                assert [(one, owner) for one, (owner, _) in _admission._unfinished.items()] == [
                    (sock, acceptor)
                ]
                acceptor.left(sock)
        assert not faults
        assert set(slept) == {0, 0.25}
        await acceptor.close()

    asyncio.run(main())
    assert [each.getMessage() for each in caplog.records] == [
        "cannot accept connections: [Errno 24] too many open files; trying again in 0.25 s"
    ]


def test_a_client_that_has_gone_without_an_address_keeps_no_other_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    peers: list[str] = []

    async def main() -> None:
        def factory(_: socket.socket, peer: str) -> asyncio.Protocol:
            peers.append(peer)
            return asyncio.Protocol()

        acceptor = accepting(None, factory)
        accept, gone = acceptor._accepted, socket.socket()
        nameless = [gone]

        async def accepted(one: socket.socket) -> Any:
            return (nameless.pop(), None) if nameless else await accept(one)

        monkeypatch.setattr(acceptor, "_accepted", accepted)
        with await connected(acceptor) as client:
            await until(lambda: peers)
            assert peers == ["{}:{}".format(*client.getsockname())]
        assert gone.fileno() == -1
        for sock in list(acceptor._present):
            acceptor.left(sock)
        await acceptor.close()

    asyncio.run(main())


@pytest.mark.parametrize("error", [OSError("gone"), RuntimeError("a fault")])
def test_a_connection_that_cannot_be_welcomed_leaves_nothing(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        def fails(sock: socket.socket) -> None:
            raise error

        monkeypatch.setattr(_acceptor, "tune", fails)
        acceptor = accepting(None)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            acceptor._present.add(ours)
            _admission.unfinished(ours, acceptor, partial(_acceptor._hang_up, ours))
            welcome = acceptor._welcome(ours, "lab:1")
            if isinstance(error, OSError):
                await welcome
            else:
                with pytest.raises(RuntimeError):
                    await welcome
            assert (ours.fileno(), acceptor._present, _admission._unfinished) == (-1, set(), {})
        await acceptor.close()

    asyncio.run(main())
    said = ["lab:1: gone: connection closed"] if isinstance(error, OSError) else []
    assert [each.getMessage() for each in caplog.records] == said


def test_a_connection_that_is_refused_is_closed_and_the_next_one_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [False, True]
    monkeypatch.setattr(_acceptor, "has_room", lambda *_: answers.pop(0))

    async def main() -> None:
        acceptor = accepting(None)
        with await connected(acceptor) as first, await connected(acceptor) as second:
            assert await asyncio.get_running_loop().sock_recv(first, 1) == b""
            await until(lambda: acceptor._present)
            (sock,) = acceptor._present
            acceptor.left(sock)
            acceptor.left(sock)
            assert not acceptor._present
            assert second.fileno() != -1
            await acceptor.close()

    asyncio.run(main())
