"""Mutual TLS: with the right certificates everything works, with any other nothing does."""

import asyncio
import datetime
import re
import ssl
from pathlib import Path
from typing import Any

import pytest

from rexec.wire import certs, errors
from rexec.wire.pc_rpc import AsyncioClient, BestEffortClient, Client
from rexec.wire.sync_struct import Notifier, Publisher, Subscriber
from rexec.wire.tls import SimpleSSLConfig
from tests.serving import running
from tests.wire.driver import Drv

LOCAL = "127.0.0.1"
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


def config(local: certs.Pair, peer: Path) -> SimpleSSLConfig:
    return SimpleSSLConfig(str(local.cert), str(local.key), str(peer))


def test_a_set_made_for_a_laboratory_works_for_each_of_its_clients(tmp_path: Path) -> None:
    made = certs.make_set(tmp_path, ["alice", "bob"])
    assert made.server.key.stat().st_mode & 0o077 == 0
    with running({"drv": Drv()}, config(made.server, made.trusted_clients)) as server:
        for pair in made.clients.values():
            ours = config(pair, made.server.cert)
            with Client(LOCAL, server.port, ssl_config=ours) as client:
                assert client.echo(b"x" * 1_000_000) == b"x" * 1_000_000
            best_effort = BestEffortClient(LOCAL, server.port, "drv", 5.0, ssl_config=ours)
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
        notifier = Notifier({"a": 1})
        publisher = Publisher({"x": notifier})
        await publisher.start(LOCAL, 0, config(made.server, made.trusted_clients))
        got = asyncio.Event()
        subscriber = Subscriber("x", dict, lambda mod: got.set())
        await subscriber.connect(
            LOCAL, publisher.port, ssl_config=config(made.clients["alice"], made.server.cert)
        )
        async with asyncio.timeout(10):
            await got.wait()
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
            Client(LOCAL, server.port, ssl_config=client, handshake_timeout=2.0)


def test_what_a_trusted_certificate_has_signed_is_not_trusted(tmp_path: Path) -> None:
    made = certs.make_set(tmp_path, ["alice"])
    ours = config(made.clients["alice"], made.server.cert)
    ours.check_peer(ssl.PEM_cert_to_DER_cert(made.server.cert.read_text()))
    other = certs.make_pair(tmp_path, "other")
    for presented in (ssl.PEM_cert_to_DER_cert(other.cert.read_text()), None):
        with pytest.raises(ssl.SSLCertVerificationError, match="not one of those"):
            ours.check_peer(presented)


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
