"""What servers record: connections, remote code, refusals, calls; and that nothing runs unrecorded."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rexec.remote
from rexec.access import identity
from rexec.access.audit_check import records, verify
from rexec.access.audit_log import AuditLog
from rexec.access.guard import AccessGuard
from rexec.access.rights import RightsFile
from rexec.cli.audit import main
from rexec.cli.errors import CommandError
from rexec.ground.client_label import labelled
from rexec.wire._protocol import FEATURES
from rexec.wire.pc_rpc import Client
from tests.access.test_rights import Camera, rights_text, targets
from tests.clock import set_clock
from tests.serving import free_port, running
from tests.supervise.running import states, up
from tests.supervise.running import write as write_database
from tests.waiting import within

LOCAL = "127.0.0.1"


def told(path: Path) -> list[dict[str, Any]]:
    found = []
    for place, fields in records(path):
        assert isinstance(fields, dict), (place, fields)
        found.append(fields)
    assert verify(path).problems == []
    return found


def said(lines: list[dict[str, Any]]) -> list[str]:
    parts = ("kind", "method", "what", "outcome")
    return [" ".join(str(line[part]) for part in parts if part in line) for line in lines]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "camera.jsonl"


class Failing(Camera):
    def fail(self) -> None:
        raise LookupError("no lamp")

    async def later(self) -> bytes:
        return b"x" * 5000


def test_each_call_is_recorded_without_its_arguments(path: Path) -> None:
    guard = AccessGuard(None, AuditLog(path), calls=True, device="camera")
    with running({"camera": Failing(), "made": Camera}, guard=guard) as server:
        with labelled("run 41"), Client(LOCAL, server.port, "camera") as client:
            client.expose("secret-argument", b"x" * 100_000)
            client.status()
            client.later()
            with pytest.raises(LookupError):
                client.fail()
            client.get_rpc_method_list()
        with Client(LOCAL, server.port, "made") as client:
            client.ping()
    lines = told(path)
    assert said(lines) == [
        "start",
        "connect",
        "call expose ok",
        "call status ok",
        "call later ok",
        "call fail LookupError",
        "call get_rpc_method_list ok",
        "connect",
        "call ping ok",
    ]
    assert "secret-argument" not in path.read_text()
    first = lines[2]
    assert (first["device"], first["target"], first["run"], first["pid"]) == (
        "camera",
        "camera",
        "run 41",
        os.getpid(),
    )
    assert first["person"] == identity.own_identity().name
    assert first["bytes_in"] > 100_000
    assert lines[4]["bytes_out"] > 5000
    assert all(0 <= line["seconds"] < 150 for line in lines if line["kind"] == "call")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no user of a connection is proven")
def test_connections_of_the_supervisor_are_counted_and_no_others(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(port: int, pid: int) -> None:
        monkeypatch.setattr(os, "getpid", lambda: pid)
        with Client(LOCAL, port, "camera") as client:
            client.status()

    guard = AccessGuard(None, AuditLog(path), supervisor=7)
    with running({"camera": Camera()}, guard=guard) as server:
        for pid in (7, 7, 7, 8):
            connect(server.port, pid)
        monkeypatch.setattr(identity, "user_of_peer", lambda *_: None)
        connect(server.port, 7)  # one that only says that it is the supervisor
    lines = told(path)
    assert [(line["kind"], line.get("pid"), line.get("probes")) for line in lines[1:]] == [
        ("connect", 8, 3),
        ("connect", 7, None),
    ]


@pytest.mark.parametrize("features", [(), FEATURES[:1], FEATURES])
def test_an_outcome_is_recorded_whatever_the_client_speaks(path: Path, features: tuple[str, ...]) -> None:
    with running({"camera": Failing()}, guard=AccessGuard(None, AuditLog(path), calls=True)) as server:
        with Client(LOCAL, server.port, features=features) as client:
            client.ping()
            with pytest.raises(LookupError):
                client.fail()
            client.later()
    assert said(told(path))[2:] == ["call ping ok", "call fail LookupError", "call later ok"]


def test_refusals_are_recorded(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "user_of_peer", lambda *_: "bob")
    (tmp_path / "rights.json").write_text(rights_text({"bob": ["read"]}))
    guard = AccessGuard(RightsFile(tmp_path / "rights.json", "camera"), AuditLog(path))
    with running(targets(), guard=guard) as server, Client(LOCAL, server.port, "camera") as client:
        client.temperature()
        with pytest.raises(PermissionError):
            client.expose()
        with pytest.raises(PermissionError):
            client.get_rpc_method_list() and client.stop()
    lines = told(path)
    assert said(lines) == ["start", "connect", "refused call expose()", "refused call stop()"]
    assert {name: lines[2][name] for name in ("person", "known_by", "needs", "entry")} == {
        "person": "bob", "known_by": "kernel", "needs": "call", "entry": "device_db.py:12"
    }  # fmt: skip


def brightness(factor: int) -> int:
    return 7 * factor


def darkness() -> int:
    return 0


def test_remote_code_is_recorded_by_hash_and_its_source_once(path: Path) -> None:
    with running(targets(), guard=AccessGuard(None, AuditLog(path))) as server:
        for _ in range(2):
            with Client(LOCAL, server.port, "camera_rexec") as client, rexec.remote.wrap(client) as remote:
                assert remote.function(brightness)(6) == 42
                client.add_code("x = 1")
                assert remote.function(darkness)() == 0
    lines = [line for line in told(path) if line["kind"] == "code"]
    sources = {line["sha256"]: line["source"] for line in lines if "source" in line}
    assert {line["sha256"] for line in lines} == set(sources)
    assert sum("def brightness" in source for source in sources.values()) == 1
    assert sum(source == "x = 1" for source in sources.values()) == 1
    named = [line["code"] for line in lines]
    assert named.count("add_code") == 4  # the agent and x = 1, on each connection
    assert sum(name.startswith(f"{__file__}:") for name in named) == 4
    assert all(line["person"] == identity.own_identity().name for line in lines)


class Full:
    """An audit on a disk that is full, now and then."""

    def __init__(self, path: Path) -> None:
        self.log = AuditLog(path)
        self.path = path
        self.is_full = False

    def append(self, kind: str, facts: Any) -> None:
        if self.is_full:
            raise OSError(28, "No space left on device")
        self.log.append(kind, facts)

    def append_code(self, facts: Any, source: str) -> None:
        self.append("code", {**facts, "source": source})


@pytest.mark.parametrize("best_effort", [False, True])
def test_a_full_disk_refuses_remote_code_and_nothing_else(path: Path, best_effort: bool) -> None:
    audit: Any = Full(path)
    with running(targets(), guard=AccessGuard(None, audit, calls=True, best_effort=best_effort)) as server:
        with (
            Client(LOCAL, server.port, "camera") as driver,
            Client(LOCAL, server.port, "camera_rexec") as client,
            rexec.remote.wrap(client) as remote,
        ):
            assert remote.function(brightness)(6) == 42
            audit.is_full = True
            driver.expose()
            if best_effort:
                client.add_code("x = 1")
                assert remote.function(darkness)() == 0
            else:
                for ask in (functools.partial(client.add_code, "x = 1"), remote.function(darkness)):
                    with pytest.raises(
                        PermissionError, match=r"it cannot be recorded in .*No space left.*--audit-best"
                    ):
                        ask()
                assert client.call("_rexec_request", "s", "clock", None, None) == {"unknown": "session"}
            audit.is_full = False
            assert remote.function(darkness)() == 0


def run(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    status = main(words)
    out, err = capsys.readouterr()
    return status, out, err


def test_show_and_verify(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(targets(), guard=AccessGuard(None, AuditLog(path), calls=True, device="camera")) as server:
        with labelled("run 41"), Client(LOCAL, server.port, "camera_rexec") as client:
            client.add_code("def f(): return 1\n")
            client.call("f")
        with Client(LOCAL, server.port, "camera") as client:
            client.ping()
    own = identity.own_identity().name
    status, out, _ = run("show", str(path), capsys=capsys)
    assert status == 0
    table = out
    assert out.splitlines()[0].split() == ["time", "device", "person", "run", "what"]
    assert {"remote", "code", "ping()", "(camera):", "ok"} <= set(out.split())
    _, out, _ = run(
        "show", str(path.parent), "--run", "41", "--person", own, "--kind", "code", "--json", capsys=capsys
    )
    (line,) = map(json.loads, out.splitlines())
    assert (line["device"], line["run"], line["source"]) == ("camera", "run 41", "def f(): return 1\n")
    assert (
        run("show", str(path), "--source", line["sha256"][:10], capsys=capsys)[1] == "def f(): return 1\n\n"
    )
    for nothing in (
        ["--device", "x"],
        ["--person", "x"],
        ["--until", "2000-01-01"],
        ["--since", "2999-01-01"],
    ):
        assert run("show", str(path), *nothing, capsys=capsys)[1] == "no records\n"
    for everything in (["--since", "yesterday"], ["--since", "2d"], ["--since", "2000"]):
        assert run("show", str(path), *everything, capsys=capsys)[1] == table
    for wrong, said in (
        ("tommorow", "no time: 'tommorow'; known are 2026-11-30"),
        ("999999w", "'999999w' is before the year 1"),
    ):
        with pytest.raises(SystemExit):
            run("show", str(path), "--since", wrong, capsys=capsys)
        assert said in capsys.readouterr().err
    status, out, _ = run("verify", str(path.parent), capsys=capsys)
    assert (status, out.startswith(f"{path} verifies: 7 lines, the last one 7:")) == (0, True)
    mark = out.split()[-1]
    assert run("verify", str(path), "--expect", mark, capsys=capsys)[0] == 0
    path.write_bytes(path.read_bytes().replace(b"ping", b"pong"))
    status, out, err = run("verify", str(path), capsys=capsys)
    assert (status, "was changed" in out) == (1, True)
    assert f"{path}:7: it was changed: its hash is another" in err
    with pytest.raises(CommandError, match="there is no audit"):
        main(["verify", str(path.parent / "other.jsonl")])
    with pytest.raises(CommandError, match="cannot be read"):
        main(["verify", str(path.parent / "nowhere" / "other.jsonl")])


CONTROLLER = """
import argparse
from rexec.common_args import bind_address_from_args, simple_network_args
from rexec.remote_exec import simple_rexec_server_loop

class Camera:
    def ping(self):
        return True

parser = argparse.ArgumentParser()
simple_network_args(parser, 0)
args = parser.parse_args()
simple_rexec_server_loop("camera", Camera(), bind_address_from_args(args), args.port)
"""


def test_options_and_up_begin_an_audit(tmp_path: Path) -> None:
    (tmp_path / "controller.py").write_text(CONTROLLER)
    ports = free_port(), free_port()
    entry = {"type": "controller", "host": LOCAL}
    command = "python controller.py -p {port}"
    own = f"{command} --audit own.jsonl --audit-calls"
    by_up, by_option = (
        {**entry, "port": ports[0], "command": command},
        {**entry, "port": ports[1], "command": own},
    )
    write_database(tmp_path, {"by.up": by_up, "by option": by_option})
    with up(tmp_path, "--audit", "audit") as running_up:
        assert within(150, lambda: states(running_up) == {"by.up": "up", "by option": "up"})
        for port in ports:
            with Client(LOCAL, port, "camera_rexec") as client:
                client.add_code("x = 1")
        assert within(150, lambda: (tmp_path / "audit" / "by%2Eup.jsonl").exists())
    lines = told(tmp_path / "audit" / "by%2Eup.jsonl")
    assert {line["device"] for line in lines} == {"by.up"}
    assert "x = 1" in {line.get("source") for line in lines}
    assert "call" not in {line["kind"] for line in lines}
    assert sys.platform != "linux" or [line["kind"] for line in lines].count("connect") == 1, (
        "rexec up is counted"
    )
    assert "add_code" in {line.get("method") for line in told(tmp_path / "own.jsonl")}


def test_a_controller_without_its_audit_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "controller.py").write_text(CONTROLLER)
    command = [sys.executable, "controller.py", "-p", str(free_port()), "--audit", "nowhere/a.jsonl"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode != 0
    assert repr(str(Path("nowhere/a.jsonl")))[1:-1] in done.stderr


def test_who_is_refused_again_and_again_does_not_fill_the_disk(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("rexec.access.record_budget._BURST", 5.0)
    set_clock(monkeypatch, "rexec.access.record_budget", monotonic=lambda: clock[0])
    monkeypatch.setattr(identity, "user_of_peer", lambda *_: "bob")
    (tmp_path / "rights.json").write_text(rights_text({"bob": []}))
    guard = AccessGuard(RightsFile(tmp_path / "rights.json", "camera"), AuditLog(path), calls=True)
    with running(targets(), guard=guard) as server, Client(LOCAL, server.port, "camera") as client:
        for count in (20, 2):
            for _ in range(count):
                with pytest.raises(PermissionError, match="refused: bob"):
                    client.expose()
            clock[0] += 0.2
    lines = told(path)
    assert said(lines) == ["start", "connect", *["refused call expose()"] * 6]
    assert [line.get("dropped") for line in lines[-3:]] == [None, 16, None]
