"""Holders that lie, lose their rights or their certificate, and clients without a lease."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rexec.access import identity
from rexec.access.guard import AccessGuard
from rexec.access.identity import Introduction
from rexec.access.rights import RightsFile
from rexec.laboratory.supervised import users_at
from rexec.wire import certs
from rexec.wire.pc_rpc import Client
from rexec.wire.tls import SimpleSSLConfig
from tests.devices.test_leases import Camera, database, leases
from tests.serving import running
from tests.waiting import within

LOCAL = "127.0.0.1"
OTHER = """
import sys
from rexec.wire.pc_rpc import Client
with Client("127.0.0.1", int(sys.argv[1]), "camera") as client:
    print("connected", flush=True)
    sys.stdin.read()
"""


def test_a_connection_has_one_holder_and_devices_that_there_are() -> None:
    with running({"camera": Camera()}) as server, Client(LOCAL, server.port, "camera") as client:
        assert client.rpc_lease("take", "camera", "a", False) == []
        for device, holder in (("camera", "b"), ("moon", "a")):
            with pytest.raises(ValueError, match=r"no device .* or the connection is that of another holder"):
                client.rpc_lease("take", device, holder, False)
        assert len(client.rpc_lease("present", "")) == 1


def test_a_lease_ends_with_the_right_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "user_of_peer", lambda *_: "bob")
    monkeypatch.setattr("rexec.access.rights._LOOK", -1.0)
    path = tmp_path / "rights.json"

    def allow(*words: str) -> None:
        entry = {"place": "device_db.py:1", "allow": {"bob": list(words)}}
        path.write_text(json.dumps({"devices": {"camera": entry}}))
        os.utime(path, (0, ord(words[0][0])))  # two texts of one length may be written in one tick

    allow("call")
    guard = AccessGuard(RightsFile(path, "camera"))
    with (
        running({"camera": Camera()}, guard=guard) as server,
        Client(LOCAL, server.port, "camera") as holder,
        Client(LOCAL, server.port, "camera") as other,
    ):
        assert holder.rpc_lease("take", "camera", "a", True) == []
        assert other.rpc_lease("take", "camera", "b", False)
        allow("read")
        with pytest.raises(PermissionError, match="may not ask about leases"):
            other.rpc_lease("take", "camera", "b", True)
        assert other.rpc_lease("take", "camera", "b", False) == []


def test_a_silent_holder_loses_its_lease_with_its_certificate(tmp_path: Path) -> None:
    made = certs.make_set(tmp_path, ["alice", "bob"])
    tls = SimpleSSLConfig(str(made.server.cert), str(made.server.key), str(made.trusted_clients))
    alice, bob = (
        SimpleSSLConfig(str(pair.cert), str(pair.key), str(made.server.cert))
        for pair in made.clients.values()
    )
    with (
        running({"camera": Camera()}, tls) as server,
        Client(LOCAL, server.port, "camera", ssl_config=alice) as holder,
        Client(LOCAL, server.port, "camera", ssl_config=bob) as other,
    ):
        assert holder.rpc_lease("take", "camera", "a", True) == []
        assert other.rpc_lease("take", "camera", "b", True)
        made.trusted_clients.write_text(made.clients["bob"].cert.read_text())
        assert within(150, lambda: other.rpc_lease("take", "camera", "b", True) == [])


def test_clients_without_a_lease_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rexec.laboratory.supervised.LIMIT", 150.0)
    with running({"camera": Camera()}) as server:
        endpoint = database(server.port).endpoint("camera")
        command = [sys.executable, "-c", OTHER, str(server.port)]
        with (
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other,
            leases(database(server.port), "a") as (mine,),
        ):
            assert other.stdout is not None
            assert other.stdout.readline().strip() == b"connected"
            mine.take(endpoint, False)
            users, clients = users_at({"camera": endpoint})["camera"]
            assert [user.pid for user in users] == [os.getpid()]
            assert [(each.pid, each.since is not None) for each in clients] == [(other.pid, True)]
            other.communicate(timeout=150)
        assert within(150, lambda: users_at({"camera": endpoint})["camera"] == ((), ()))


def test_a_client_that_lies_about_its_process_hides_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "user_of_peer", lambda *_: None)
    with running({"camera": Camera()}) as server, Client(LOCAL, server.port, "camera") as asking:
        here = asking.rpc_lease("connected")
        assert here == []
        liar = Introduction("mal\x1b[2J\nlory", "\u202emoon", "x" * 5000, "run 1\ud800", 1 << 40)
        monkeypatch.setattr("rexec.wire._handshake.introduction", lambda: liar)
        with Client(LOCAL, server.port, "camera"):
            (found,) = asking.rpc_lease("connected")
        assert found["known"] == "claimed"
        assert found["pid"] == 0
        assert len(found["what"]) < 200
