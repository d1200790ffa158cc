"""What servers listen on, and the warning of one that others can reach."""

import asyncio
import errno
import logging
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rexec.asyncio_tools import AsyncioServer
from rexec.common_args import LOCALHOST
from rexec.wire import _listen, certs
from rexec.wire.broadcast import Broadcaster
from rexec.wire.pc_rpc import Server
from rexec.wire.tls import SimpleSSLConfig

LOCAL = "127.0.0.1"


def test_a_connection_sends_small_messages_at_once_and_notices_a_dead_peer() -> None:
    with socket.socket() as sock:
        _listen.tune(sock)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


class At:
    """A listening socket, as far as its address goes."""

    def __init__(self, address: str) -> None:
        self._address = address

    def getsockname(self) -> tuple[str, int]:
        return self._address, 3249


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_listen, "_warned", [])


def warnings_of(caplog: pytest.LogCaptureFixture, *addresses: str) -> list[str]:
    caplog.clear()
    _listen.warn_if_open([cast("socket.socket", At(address)) for address in addresses])
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_who_listens_beyond_loopback_without_tls_is_told_once_and_in_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert warnings_of(caplog, "127.0.0.1", "::1", "127.0.0.5") == []
    (text,) = warnings_of(caplog, "127.0.0.1", "0.0.0.0", "fe80::1%eth0")
    assert "0.0.0.0, fe80::1%eth0 without TLS" in text
    assert "anyone who reaches this port can call every method" in text
    assert "--ssl" in text
    assert "rexec certs" in text
    assert warnings_of(caplog, "0.0.0.0") == []


@pytest.mark.parametrize(
    "kind", [lambda: Server({}), Broadcaster, AsyncioServer], ids=["pc_rpc", "stream", "plain"]
)
def test_every_kind_of_server_warns_and_none_does_with_tls(
    kind: type[Broadcaster], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Tests listen on loopback alone: here that is taken for an address that others reach.
    monkeypatch.setattr(_listen, "_is_loopback", lambda address: False)
    made = certs.make_set(tmp_path, ["alice"])
    secured = SimpleSSLConfig(str(made.server.cert), str(made.server.key), str(made.trusted_clients))

    async def start(tls: SimpleSSLConfig | None) -> None:
        server = kind()
        await server.start(LOCAL, 0, tls)
        await server.stop()

    asyncio.run(start(secured))
    assert "without TLS" not in caplog.text
    asyncio.run(start(None))
    assert caplog.text.count("without TLS") == 1


def test_an_address_that_cannot_be_listened_on_is_named() -> None:
    with socket.create_server((LOCAL, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on {LOCAL}:{port}: "):
            asyncio.run(Server({}).start(LOCAL, port))
    with pytest.raises(OSError, match=r"cannot listen on no\.such\.host\.invalid:0"):
        _listen.listen("no.such.host.invalid", 0, secured=False)


def test_where_one_address_fails_none_is_listened_on(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[socket.socket] = []

    def listened(name: str, port: int, _: set[str]) -> list[socket.socket]:
        if name == "there":
            raise OSError(errno.EADDRNOTAVAIL, "no address of this machine")
        opened.append(socket.create_server((name, port)))
        return opened

    monkeypatch.setattr(_listen, "_listen_on", listened)
    with pytest.raises(OSError, match="no address of this machine"):
        _listen.listen([LOCAL, "there"], 0, secured=True)
    assert [each.fileno() for each in opened] == [-1]


class Plan:
    """A socket that notes what is done with it."""

    def __init__(self, family: int, kind: int, wrong: str = "") -> None:
        self.log: list[Any] = [(family, kind)]
        self.wrong = wrong

    def setsockopt(self, *option: int) -> None:
        self.log.append(option)

    def bind(self, address: Any) -> None:
        self.log.append(address)
        if address[0] == "taken":
            raise OSError(errno.EADDRINUSE, "in use")

    def listen(self, backlog: int) -> None:
        self.log.append(backlog)

    def setblocking(self, wanted: bool) -> None:
        self.log.append(wanted)

    def close(self) -> None:
        self.log.append("closed")


@pytest.mark.parametrize(("system", "own"), [("linux", "SO_REUSEADDR"), ("win32", "SO_EXCLUSIVEADDRUSE")])
def test_a_port_is_taken_so_that_nobody_else_takes_it_over(
    system: str, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: dict[str, Any] = {"SO_EXCLUSIVEADDRUSE": -5} | vars(socket)
    made: list[Plan] = []

    def make(family: int, kind: int) -> Plan:
        made.append(Plan(family, kind))
        return made[-1]

    monkeypatch.setattr(_listen, "socket", SimpleNamespace(**known | {"socket": make}))
    monkeypatch.setattr(_listen, "sys", SimpleNamespace(platform=system))
    alone = (socket.SOL_SOCKET, known[own], 1)
    only_6 = (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    for family, options in ((socket.AF_INET, [alone]), (socket.AF_INET6, [alone, only_6])):
        _listen.listener_at(family, ("lab", 3))
        assert made[-1].log == [(family, socket.SOCK_STREAM), *options, ("lab", 3), 1024, False]
        with pytest.raises(OSError, match="in use"):
            _listen.listener_at(family, ("taken", 3))
        assert made[-1].log[-1] == "closed"


def test_an_address_keeps_its_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    found = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 0, 7, 9)),
        (
            socket.AF_INET6,
            socket.SOCK_STREAM,
            6,
            "",
            ("fe80::1", 0, 7, 9),
        ),  # as some systems name an address twice
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 0)),
    ]

    def at(family: int, address: Any) -> Any:
        asked.append((family, address))
        return SimpleNamespace(getsockname=lambda: ("", 55))

    def resolve(host: Any, port: int, **options: Any) -> Any:
        asked.append((host, port, options))
        return found

    monkeypatch.setattr(_listen, "listener_at", at)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    _listen.listen(None, 0, secured=True)
    assert asked == [
        (None, 0, {"type": socket.SOCK_STREAM, "flags": socket.AI_PASSIVE}),
        (socket.AF_INET6, ("fe80::1", 0, 7, 9)),
        (socket.AF_INET, ("10.0.0.1", 55)),
    ]


def test_a_server_that_has_stopped_does_not_serve() -> None:
    sockets = _listen.listen(LOCAL, 0, secured=True)
    listening = _listen.Listening(tuple(sockets))
    assert listening.is_serving() is True
    sockets[0].close()
    assert listening.is_serving() is False


def listened(hosts: list[str], monkeypatch: pytest.MonkeyPatch, **names: list[str]) -> list[str]:
    """Return where a server listens if the system resolves names so."""
    found = socket.getaddrinfo

    def resolve(host: str, port: int, **options: Any) -> list[Any]:
        return [each for address in names.get(host, [host]) for each in found(address, port, **options)]

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", resolve)
        sockets = _listen.listen(hosts, 0, secured=True)
    at = [each.getsockname() for each in sockets]
    for each in sockets:
        each.close()
    assert len({address[1] for address in at}) == 1
    return [address[0] for address in at]


def test_a_name_of_an_address_that_is_served_already_is_no_second_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for names in (["127.0.0.1"], ["127.0.0.1", "2001:db8::1"], ["2001:db8::1", "127.0.0.1"]):
        assert listened([LOCAL, "box"], monkeypatch, box=names) == [LOCAL]
    if sys.platform != "darwin":  # which has one loopback address
        both = [LOCAL, "127.0.0.2"]
        assert listened([LOCAL, LOCAL, "box"], monkeypatch, box=both) == both
    with pytest.raises(OSError, match=r"cannot listen on box:\d+: "):
        listened([LOCAL, "box"], monkeypatch, box=["2001:db8::1"])


def refused_at(taken: dict[str, list[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system refuse the next listening sockets at some addresses, for these reasons."""
    listener_at = _listen.listener_at

    def listen_or_not(family: int, address: tuple[Any, ...]) -> socket.socket:
        if reasons := taken.get(address[0]):
            raise OSError(reasons.pop(0), "refused")
        return listener_at(family, address)

    monkeypatch.setattr(_listen, "listener_at", listen_or_not)


@pytest.mark.parametrize("reason", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
def test_a_machine_without_ipv6_serves_on_the_other_loopback_address(
    reason: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused_at({"::1": [reason] * 3}, monkeypatch)
    assert listened(list(LOCALHOST), monkeypatch) == [LOCAL]
    for alone in (
        ["::1"],
        ["::1", LOCAL],
    ):  # asked for first, or alone, it is not the pair of loopback addresses
        with pytest.raises(OSError, match=r"cannot listen on ::1:\d+: "):
            listened(alone, monkeypatch)


def test_a_port_of_the_system_s_choice_is_free_at_each_address(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "darwin":
        pytest.skip("macOS has one loopback address of IPv4")
    refused_at({"127.0.0.2": [errno.EADDRINUSE] * 3}, monkeypatch)
    assert listened([LOCAL, "127.0.0.2"], monkeypatch) == [LOCAL, "127.0.0.2"]
    refused_at({"127.0.0.2": [errno.EADDRINUSE] * 100}, monkeypatch)
    with pytest.raises(OSError, match=r"cannot listen on 127\.0\.0\.2:\d+: "):
        listened([LOCAL, "127.0.0.2"], monkeypatch)
    refused_at({LOCAL: [errno.EADDRINUSE]}, monkeypatch)
    with pytest.raises(OSError, match=f"cannot listen on {LOCAL}:3249: "):
        _listen.listen(LOCAL, 3249, secured=True)  # a port that was asked for is not tried again
