"""Who a client is: by its certificate, by the kernel, as claimed; and that stock peers see nothing of it."""

import gc
import json
import os
import socket
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rexec.access import identity, kernel_user
from rexec.access.identity import Identity, Introduction, caller, identity_of, introduction
from rexec.ground.client_label import labelled
from rexec.remote_exec import RemoteExecServer, rexec_targets
from rexec.wire import certs
from rexec.wire._framing import Frame, FrameReader
from rexec.wire._handshake import BANNER, Choice, ClientHandshake, ServerHandshake
from rexec.wire._protocol import FEATURES
from rexec.wire.errors import FormatError
from rexec.wire.pc_rpc import Client, Server
from rexec.wire.tls import SimpleSSLConfig
from tests.serving import running, serving
from tests.waiting import within

LOCAL = "127.0.0.1"
ON_LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has /proc/net/tcp")


class Asks:
    """A driver that says for whom it works."""

    def who(self) -> str:
        return str(caller())

    async def who_later(self) -> str:
        return str(caller())


@pytest.fixture
def server() -> Iterator[Server]:
    with running({"drv": Asks()}) as server:
        yield server


def ours() -> str:
    return kernel_user.user_name(os.getuid())


@ON_LINUX
def test_the_kernel_knows_the_user_of_a_loopback_connection(server: Server) -> None:
    with labelled("run 41"), Client(LOCAL, server.port) as client:
        (found,) = server.connected()
        assert found.identity == Identity(
            ours(), "kernel", socket.gethostname(), introduction().program, "run 41", os.getpid()
        )
        assert found.target == "drv"
        assert client.who() == client.who_later() == str(found.identity)
    assert within(150, lambda: not server.connected())


@ON_LINUX
def test_a_claim_is_not_believed_where_the_kernel_knows_better(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rexec.wire._handshake.introduction", lambda: Introduction("mallory", "moon"))
    with Client(LOCAL, server.port):
        (found,) = server.connected()
        assert (found.identity.name, found.identity.known_by) == (ours(), "kernel")


def test_without_kernel_and_certificate_a_name_is_claimed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "user_of_peer", lambda *_: None)
    monkeypatch.setattr("rexec.wire._handshake.introduction", lambda: Introduction("alice", "pc3"))
    with Client(LOCAL, server.port):
        (found,) = server.connected()
        assert found.identity == Identity("alice", "claimed", "pc3")
        assert not found.identity.is_proven
        assert str(found.identity) == "alice (as claimed), pc3"


def test_a_certificate_gives_the_name(tmp_path: Path) -> None:
    made = certs.make_set(tmp_path, ["alice", "bob"])
    tls = SimpleSSLConfig(str(made.server.cert), str(made.server.key), str(made.trusted_clients))
    with running({"drv": Asks()}, tls) as server:
        for name, pair in made.clients.items():
            own = SimpleSSLConfig(str(pair.cert), str(pair.key), str(made.server.cert))
            with Client(LOCAL, server.port, ssl_config=own) as client:
                found = server.connected()[-1].identity
                assert (found.name, found.known_by) == (name, "certificate")
                assert client.who().startswith(f"{name} (by certificate)")


@ON_LINUX
@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can be another user")
def test_another_user_is_told_apart(server: Server) -> None:
    code = (
        "import os, sys; from rexec.wire.client import Client; ''.encode('idna'); os.setuid(12345); "
        "print(Client(sys.argv[1], int(sys.argv[2])).who())"
    )
    for host in (LOCAL, "localhost"):
        said = subprocess.run(
            [sys.executable, "-c", code, host, str(server.port)],
            capture_output=True, text=True, timeout=150, check=True,
        ).stdout  # fmt: skip
        assert said.startswith("uid 12345 (user of this machine)")


@ON_LINUX
def test_a_client_that_has_closed_is_not_taken_for_root() -> None:
    """The kernel shows user 0 for a socket that no process has any more."""
    with socket.create_server((LOCAL, 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        with accepted:
            assert identity_of(accepted, Introduction()).name == ours()
            client.close()
            accepted.settimeout(150)
            assert accepted.recv(1) == b""
            assert identity_of(accepted, Introduction("root")).known_by == "claimed"


@pytest.mark.parametrize(
    "word",
    ["", "null", "[]", "{", '"alice"', "[" * 3000, '{"user":"a"} x'],
    ids=["none", "null", "list", "torn", "text", "nested", "more"],
)
def test_an_introduction_that_is_none_ends_the_connection(word: str) -> None:
    server = ServerHandshake(FrameReader(), ["drv"])
    server.take(Frame(BANNER.removesuffix(b"\n")))
    with pytest.raises(FormatError, match="unknown"):
        server.take(Frame(f"drv pyon_v2 introduction_1 {word}".encode()))


def test_fields_that_are_no_text_are_left_out() -> None:
    said = {"user": ["a"], "host": "h" * 500, "run": None, "pid": True, "new": 1, "program": "p"}
    found = Introduction.from_word(json.dumps(said).replace(" ", ""))
    assert found == Introduction("", "h" * 120, "p", "", 0)


@pytest.mark.parametrize("text", ["run 41", "a\tb\nc", "Ω" * 500, "\U0001f52c" * 500, '"\\', ""])
def test_any_label_is_one_word_of_a_short_line(text: str) -> None:
    said = Introduction(text[:120], text[:120], text[:120], text[:120], 7)
    word = said.word()
    assert word.isascii()
    assert word.isprintable()
    assert " " not in word
    assert len(word) < 3000
    back = Introduction.from_word(word)
    assert back.pid == 7
    assert said.run.startswith(back.run)
    assert back.run or not text


def chosen(features: tuple[str, ...], offered: tuple[str, ...]) -> bytes:
    client = ClientHandshake("there:1", FrameReader(), "drv", features)
    client.begin()
    greeting: dict[str, Any] = {"targets": ["drv"], "description": None, "features": list(offered)}
    line = client.take(Frame(json.dumps(greeting).encode()))
    assert line is not None
    return line


def test_a_peer_that_does_not_offer_it_is_sent_the_same_bytes_as_before() -> None:
    assert chosen(FEATURES, ()) == b"drv\n"
    assert chosen(FEATURES, ("pyon_v2",)) == b"drv pyon_v2\n"
    assert chosen(FEATURES, FEATURES[:3]) == b"drv pyon_v2 raw_buffers_1 call_ids_1\n"
    assert chosen((), FEATURES) == b"drv\n"
    assert chosen(FEATURES, ("introduction_1",)) == b"drv\n"
    assert chosen(FEATURES, FEATURES).startswith(
        b'drv pyon_v2 raw_buffers_1 call_ids_1 introduction_1 {"user":'
    )


def test_a_client_that_says_nothing_is_an_unknown_person() -> None:
    server = ServerHandshake(FrameReader(), ["drv"])
    server.take(Frame(BANNER.removesuffix(b"\n")))
    said = server.take(Frame(b"drv pyon_v2"))
    assert isinstance(said, Choice)
    assert said.introduction == Introduction()
    assert Identity("", "claimed", "10.0.0.7").person == "an unknown person"


def test_the_namespace_of_a_client_ends_with_its_connection() -> None:
    # Not with the next call of another client: it may hold all frames of a night.
    made: list[weakref.ref[RemoteExecServer]] = []

    class Connected(RemoteExecServer):
        def __init__(self, namespace: dict[str, Any]) -> None:
            super().__init__(namespace)
            made.append(weakref.ref(self))

    with serving(rexec_targets("camera", object(), Connected)) as port:
        with Client("127.0.0.1", port, "camera_rexec") as client:
            client.add_code("def one(): return 1")
            assert client.call("one") == 1
        assert within(150, lambda: gc.collect() >= 0 and all(each() is None for each in made))
    assert made
