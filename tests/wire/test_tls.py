"""Mutual TLS: with the right certificates everything works, with any other nothing does."""

import asyncio
import contextlib
import datetime
import os
import re
import select
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rexec.wire import certs, errors, tls
from rexec.wire._framing import FrameReader
from rexec.wire._handshake import ServerHandshake
from rexec.wire._loop import new_event_loop
from rexec.wire._server_connection import READ, WRITE, ServerConnection
from rexec.wire.pc_rpc import AsyncioClient, BestEffortClient, Client
from rexec.wire.sync_struct import Notifier, Publisher, Subscriber
from rexec.wire.tls import PinnedContext, SimpleSSLConfig
from tests.serving import running
from tests.wire.driver import Drv

LOCAL = "127.0.0.1"
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


def config(local: certs.Pair, peer: Path) -> SimpleSSLConfig:
    return SimpleSSLConfig(str(local.cert), str(local.key), str(peer))


def test_a_set_made_for_a_laboratory_works_for_each_of_its_clients(tmp_path: Path) -> None:
    made = certs.make_set(tmp_path, ["alice", "bob"])
    if os.name != "nt":  # where tests/devicedb/test_whole_file.py looks at what there is
        assert made.server.key.stat().st_mode & 0o077 == 0
    with running({"drv": Drv()}, config(made.server, made.trusted_clients)) as server:
        for pair in made.clients.values():
            ours = config(pair, made.server.cert)
            with Client(LOCAL, server.port, ssl_config=ours) as client:
                assert client.echo(b"x" * 1_000_000) == b"x" * 1_000_000
            best_effort = BestEffortClient(LOCAL, server.port, "drv", 150.0, ssl_config=ours)
            assert best_effort.add(1, 2) == 3
            best_effort.close_rpc()

            async def ask(tls: SimpleSSLConfig = ours) -> Any:
                client = AsyncioClient()
                await client.connect_rpc(LOCAL, server.port, ssl_config=tls)
                result = await client.echo(b"y" * 1_000_000)
                await client.close_rpc()
                return result

            assert asyncio.run(ask()) == b"y" * 1_000_000


def test_structures_are_followed_over_tls(tmp_path: Path) -> None:
    made = certs.make_set(tmp_path, ["alice"])

    async def main() -> None:
        notifier = Notifier({"a": 1, "image": np.arange(1000)})
        publisher = Publisher({"x": notifier})
        await publisher.start(LOCAL, 0, config(made.server, made.trusted_clients))
        came: asyncio.Queue[str] = asyncio.Queue()
        copy: dict[str, Any] = {}

        def build(struct: dict[str, Any]) -> dict[str, Any]:
            copy.update(struct)
            return copy

        subscriber = Subscriber("x", build, lambda mod: came.put_nowait(mod["action"]))
        await subscriber.connect(
            LOCAL, publisher.port, ssl_config=config(made.clients["alice"], made.server.cert)
        )
        assert subscriber.writer is not None
        assert subscriber.writer.get_extra_info("ssl_object") is not None
        async with asyncio.timeout(150):
            assert await came.get() == "init"
            assert copy["a"] == 1
            assert np.array_equal(copy["image"], np.arange(1000))
            notifier["b"] = np.full(100_000, 2.5)
            assert await came.get() == "setitem"
            assert np.array_equal(copy["b"], np.full(100_000, 2.5))
        await subscriber.close()
        await publisher.stop()

    asyncio.run(main())


@pytest.mark.parametrize(
    "case", ["wrong client", "expired client", "not yet", "no tls", "wrong server", "expired server"]
)
def test_any_other_certificate_is_refused(tmp_path: Path, case: str) -> None:
    made = certs.make_set(tmp_path, ["alice"])
    stranger = certs.make_pair(tmp_path, "stranger")
    expired = certs.make_pair(tmp_path, "expired", not_before=NOW - 2 * DAY, not_after=NOW - DAY)
    future = certs.make_pair(tmp_path, "future", not_before=NOW + DAY, not_after=NOW + 2 * DAY)
    server_pair, trusted = made.server, made.trusted_clients
    client: SimpleSSLConfig | None = config(made.clients["alice"], made.server.cert)
    if case == "wrong client":
        client = config(stranger, made.server.cert)
    elif case == "expired client":
        client, trusted = config(expired, made.server.cert), expired.cert
    elif case == "not yet":
        client, trusted = config(future, made.server.cert), future.cert
    elif case == "no tls":
        client = None
    elif case == "wrong server":
        server_pair = stranger
    elif case == "expired server":
        server_pair = expired
        client = config(made.clients["alice"], expired.cert)
    with running({"drv": Drv()}, config(server_pair, trusted)) as server:
        with pytest.raises(errors.ConnectionFailed, match=f"{LOCAL}:{server.port}"):
            Client(LOCAL, server.port, ssl_config=client, handshake_timeout=150.0)


def authority(folder: Path) -> tuple[certs.Pair, certs.Pair]:
    """Make a certificate that may sign others, and one that it has signed."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    pairs = []
    for index, name in enumerate(("authority", "signed")):
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]))
            .public_key(keys[index].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - DAY)
            .not_valid_after(NOW + DAY)
            .add_extension(x509.BasicConstraints(ca=index == 0, path_length=None), critical=True)
            .sign(keys[0], hashes.SHA256())
        )
        pair = certs.Pair(folder / f"{name}.pem", folder / f"{name}.key")
        pair.cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        form = serialization.PrivateFormat.PKCS8
        encryption = serialization.NoEncryption()
        pair.key.write_bytes(keys[index].private_bytes(serialization.Encoding.PEM, form, encryption))
        pair.key.chmod(0o600)
        pairs.append(pair)
    return pairs[0], pairs[1]


@pytest.mark.parametrize("signed", ["client", "server"])
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, new_event_loop], ids=["asyncio", "installed"])
def test_what_a_trusted_certificate_has_signed_is_refused_by_every_client_and_server(
    tmp_path: Path, signed: str, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    trusted, other = authority(tmp_path)
    for pair, accepted in ((trusted, True), (other, False)):
        own = certs.make_pair(tmp_path, f"own-{accepted}")
        client, server = (pair, own) if signed == "client" else (own, pair)
        trusts = trusted.cert
        ours = config(client, own.cert if signed == "client" else trusts)
        theirs = config(server, trusts if signed == "client" else own.cert)
        assert reached(ours, theirs, loop) == dict.fromkeys(("blocking", "asyncio", "stream"), accepted)


def reached(
    ours: SimpleSSLConfig, theirs: SimpleSSLConfig, loop: Callable[[], asyncio.AbstractEventLoop]
) -> dict[str, bool]:
    """Return which clients reach their servers."""
    found = {}
    with running({"drv": Drv()}, theirs) as server:
        try:
            Client(LOCAL, server.port, ssl_config=ours, handshake_timeout=150.0).close_rpc()
            found["blocking"] = True
        except errors.ConnectionFailed:
            found["blocking"] = False

        async def on_a_loop() -> None:
            one = AsyncioClient(handshake_timeout=150.0)
            try:
                await one.connect_rpc(LOCAL, server.port, ssl_config=ours)
                found["asyncio"] = True
            except errors.ConnectionFailed:
                found["asyncio"] = False
            await one.close_rpc()
            publisher = Publisher({"x": Notifier({})})
            await publisher.start(LOCAL, 0, theirs)
            came = asyncio.get_running_loop().create_future()
            subscriber = Subscriber(
                "x", lambda value: came.set_result(True), None, lambda: came.set_result(False)
            )
            try:
                await subscriber.connect(LOCAL, publisher.port, ssl_config=ours)
                found["stream"] = await came
            except errors.ConnectionFailed:
                found["stream"] = False
            await subscriber.close()
            await publisher.stop()

        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(on_a_loop())
    return found


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.pem does not exist"):
        SimpleSSLConfig(str(tmp_path / "nothing.pem"), "k", "p").create_client_context()


def test_certificates_in_use_are_not_overwritten(tmp_path: Path) -> None:
    certs.make_set(tmp_path, ["alice"])
    with pytest.raises(FileExistsError, match="not overwritten"):
        certs.make_set(tmp_path, ["carol"])
    with pytest.raises(ValueError, match="different"):
        certs.make_set(tmp_path / "new", ["server"])


def test_files_that_do_not_belong_together_are_named(tmp_path: Path) -> None:
    made = certs.make_set(tmp_path, ["alice"])
    alice = made.clients["alice"]
    (tmp_path / "notes").write_text("no certificate")
    notes = tmp_path / "notes"
    wrong = {
        f"{made.server.key} is not the key of {alice.cert}": certs.Pair(alice.cert, made.server.key),
        f"{notes} holds no certificate, or {alice.key} no key, in PEM form": certs.Pair(notes, alice.key),
    }
    for message, pair in wrong.items():
        with pytest.raises(OSError, match=re.escape(message)):
            config(pair, made.server.cert).create_client_context()
    with pytest.raises(OSError, match=re.escape(f"{notes} holds no certificate")):
        config(alice, notes).create_server_context()


def test_a_client_revoked_while_a_server_starts_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = certs.make_set(tmp_path, ["alice"])
    alice = ssl.PEM_cert_to_DER_cert(made.clients["alice"].cert.read_text())
    ours = config(made.server, made.trusted_clients)
    assert ours.create_server_context().still_trusts(alice)
    read = SimpleSSLConfig.server_context

    def read_then_revoked(self: SimpleSSLConfig, *, is_first: bool) -> PinnedContext:
        context = read(self, is_first=is_first)
        made.trusted_clients.write_text("")
        return context

    monkeypatch.setattr(SimpleSSLConfig, "server_context", read_then_revoked)
    assert not ours.create_server_context().still_trusts(alice)


def der(pair: certs.Pair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pair.cert.read_text())


def test_a_server_follows_changes_of_its_files_and_keeps_the_last_that_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "rexec.wire.tls")
    now = 100.0
    monkeypatch.setattr(tls, "time", SimpleNamespace(monotonic=lambda: now))
    made = certs.make_set(tmp_path, ["alice", "bob"])
    alice, bob = (der(made.clients[name]) for name in ("alice", "bob"))
    context = config(made.server, made.trusted_clients).create_server_context()
    assert (context.minimum_version, context.source) == (ssl.TLSVersion.TLSv1_2, str(made.trusted_clients))

    def current() -> PinnedContext | None:
        return context.current

    def of_a_new_connection(*, on_a_loop: bool) -> ssl.SSLContext:
        if on_a_loop:
            return context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True).context
        sock, other = socket.socketpair()
        with (
            sock,
            other,
            context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False) as wrapped,
        ):
            return wrapped.context

    assert context.still_trusts(alice)
    assert not context.still_trusts(None)
    for on_a_loop in (True, False):
        assert of_a_new_connection(on_a_loop=on_a_loop) is context
    assert current() is None
    certs.revoke_client(tmp_path, "alice")
    now += 0.75
    assert context.still_trusts(alice)  # the files are looked at once a second
    now += 0.25
    assert (context.still_trusts(alice), context.still_trusts(bob)) == (False, True)
    second = of_a_new_connection(on_a_loop=True)
    assert second is of_a_new_connection(on_a_loop=False)
    assert isinstance(second, PinnedContext)
    assert (second is current(), second.first is context) == (True, True)
    assert (second.still_trusts(alice), second.still_trusts(bob)) == (False, True)
    with pytest.raises(ssl.SSLCertVerificationError, match=re.escape(str(made.trusted_clients))):
        context.check_peer(alice)
    made.trusted_clients.write_text("")
    third = of_a_new_connection(on_a_loop=False)
    assert (third is current(), third is second) == (True, False)
    assert third.verify_mode is ssl.CERT_REQUIRED
    for one in (context, second):  # what a connection began with does not matter
        assert not one.still_trusts(bob)
        with pytest.raises(ssl.SSLCertVerificationError):
            one.check_peer(bob)
    for broken in ("no certificate", None):
        if broken is None:
            made.trusted_clients.unlink()
        else:
            made.trusted_clients.write_text(broken)
        for on_a_loop in (True, False):
            assert of_a_new_connection(on_a_loop=on_a_loop) is third
        assert not context.still_trusts(bob)
    said = [each.getMessage() for each in caplog.records]
    assert said[:2] == [f"{made.trusted_clients}: certificates read again"] * 2
    assert len(said) == 3
    assert said[2].startswith("the TLS files cannot be read again, the last ones stay: ")


def test_a_side_that_begins_trusts_somebody(tmp_path: Path) -> None:
    made = certs.make_set(tmp_path, ["alice"])
    notes, empty = "Clients of the M\u00fcller laboratory\n", tmp_path / "empty.pem"
    empty.write_text(" \n")
    for make in (
        config(made.server, empty).create_server_context,
        config(made.server, empty).create_client_context,
    ):
        with pytest.raises(ssl.SSLError, match="holds no certificate in PEM form"):
            make()
    made.trusted_clients.write_text(notes + made.trusted_clients.read_text() + notes, encoding="utf-8")
    context = config(made.server, made.trusted_clients).create_server_context()
    assert context.pins == {der(made.clients["alice"])}


def test_a_handshake_waits_for_the_peer_only_where_its_socket_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = certs.make_set(tmp_path, ["alice"])
    context = config(made.server, made.trusted_clients).create_server_context()
    blocks: list[bool] = []
    real = ssl.SSLSocket.do_handshake

    def handshake(self: ssl.SSLSocket, block: bool = False) -> None:
        blocks.append(block)
        real(self)

    monkeypatch.setattr(ssl.SSLSocket, "do_handshake", handshake)
    sock, other = socket.socketpair()
    with sock, other:
        sock.setblocking(False)
        with context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False) as wrapped:
            with pytest.raises(ssl.SSLWantReadError):
                wrapped.do_handshake()
    assert blocks == [False]


def test_a_connection_of_a_server_shakes_hands_step_by_step_and_ends_where_it_is_revoked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = certs.make_set(tmp_path, ["alice"])
    ours, theirs = socket.socketpair()
    for each in (ours, theirs):
        each.setblocking(False)
    accepting = config(made.server, made.trusted_clients).create_server_context()
    connecting = config(made.clients["alice"], made.server.cert).create_client_context()
    with (
        accepting.wrap_socket(ours, server_side=True, do_handshake_on_connect=False) as sock,
        connecting.wrap_socket(theirs, do_handshake_on_connect=False) as peer,
    ):
        reader = FrameReader()
        connection = ServerConnection(sock, "lab:1", reader, ServerHandshake(reader, ["drv"]), 0.0)
        with monkeypatch.context() as patch:

            def full(_: object) -> None:
                raise ssl.SSLWantWriteError

            patch.setattr(type(sock), "do_handshake", full)
            assert connection.handshake_tls() == WRITE
        steps = [connection.handshake_tls()]
        while steps[-1]:
            with contextlib.suppress(ssl.SSLWantReadError):
                peer.do_handshake()
            assert any(select.select([sock, peer], [], [], 30))
            steps.append(connection.handshake_tls())
        assert set(steps) == {READ, 0}
        assert connection.handshake_tls() == 0
        assert connection.is_trusted()
        peer.sendall(b"one\ntwo\n")
        select.select([sock], [], [], 30)
        assert (
            connection.receive_soon(10_000, float("inf")) is None
        )  # poll does not see what is decrypted already
        assert [bytes(frame.line) for frame in (connection.receive(), connection.receive()) if frame] == [
            b"one",
            b"two",
        ]
        made.trusted_clients.write_text("")
        accepting.refresh()
        assert not connection.is_trusted()
        with pytest.raises(EOFError, match="its certificate was revoked"):
            connection.receive()


@pytest.mark.skipif(os.name == "nt", reason="permissions are of another kind there")
def test_a_key_that_others_can_use_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = certs.make_set(tmp_path, ["alice"])
    key, ours = made.server.key, config(made.server, made.trusted_clients)
    for mode, own, of_root in (
        (0o600, True, True),
        (0o400, True, True),
        (0o700, True, True),
        (0o640, False, True),
        (0o620, False, True),
        (0o610, False, True),
        (0o604, False, False),
        (0o602, False, False),
        (0o601, False, False),
    ):
        key.chmod(mode)
        for user, allowed in ((os.geteuid(), own), (os.geteuid() + 1, of_root)):
            with monkeypatch.context() as patch:
                patch.setattr(os, "geteuid", lambda user=user: user)
                if allowed:
                    ours.create_server_context()
                else:
                    with pytest.raises(PermissionError, match=re.escape(f"chmod 600 {key}")):
                        ours.create_server_context()
