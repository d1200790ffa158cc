"""What strangers send to a guarded server, and do to its files."""

import os
import socket
import sys
from builtins import exec as run_anything
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

import rexec.remote
from rexec.access import identity, kernel_user
from rexec.access.audit_check import verify
from rexec.access.audit_log import AuditLog
from rexec.access.chain import FIRST, head_text, make_line
from rexec.access.guard import AccessGuard
from rexec.access.identity import Introduction
from rexec.access.kernel_user import user_of_peer
from rexec.access.record_budget import network_of
from rexec.access.rights import RightsFile, device_rights
from rexec.cli.audit import main
from rexec.devices.uses import DeviceUser
from rexec.wire import pyon
from rexec.wire.pc_rpc import Client
from tests.access.test_audit import said, told
from tests.access.test_rights import rights_text, targets
from tests.serving import running

LOCAL = "127.0.0.1"
ON_LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel tells users on Linux")


class Lamp:
    def set_mode(self, mode: str) -> None:
        raise PermissionError(f"{mode} is no mode")


class RunsAnything:
    """A controller's own remote execution, which takes what Python runs."""

    def add_code(self, code: Any) -> None:
        exec(code, {})

    def call(self) -> None: ...


def test_an_error_that_reads_like_a_refusal_is_recorded_as_a_call(tmp_path: Path) -> None:
    path = tmp_path / "lamp.jsonl"
    guard = AccessGuard(None, AuditLog(path), calls=True)
    with running({"lamp": Lamp()}, guard=guard) as server, Client(LOCAL, server.port) as client:
        with pytest.raises(PermissionError):
            client.set_mode("refused: nobody")
    assert said(told(path))[-1] == "call set_mode PermissionError"


def test_code_that_is_no_text_is_recorded_whole(tmp_path: Path) -> None:
    path = tmp_path / "lamp.jsonl"
    source = b"x = 1\n" + b"#" * 2000
    with (
        running({"lamp": RunsAnything()}, guard=AccessGuard(None, AuditLog(path))) as server,
        Client(LOCAL, server.port) as client,
    ):
        client.add_code(np.frombuffer(source, np.uint8))
    assert told(path)[-1]["source"] == source.decode()


def runs(text: str) -> None:
    run_anything(text)


def test_what_remote_code_imports_is_recorded(tmp_path: Path) -> None:
    """A function that runs its argument needs no code of its own."""
    path = tmp_path / "camera.jsonl"
    with (
        running(targets(), guard=AccessGuard(None, AuditLog(path))) as server,
        Client(LOCAL, server.port, "camera_rexec") as client,
        rexec.remote.wrap(client) as remote,
    ):
        remote.function(runs)("x = 1")
    assert "import builtins.exec as run_anything" in [line.get("source") for line in told(path)]


@pytest.mark.parametrize("odd", [np.array(["call", "lease"]), np.zeros(3), ["call"], None])
def test_a_request_whose_action_is_no_text_gets_an_answer(
    odd: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "rights.json").write_text(rights_text())
    rights = RightsFile(tmp_path / "rights.json", "camera")
    guard = AccessGuard(rights, AuditLog(tmp_path / "lamp.jsonl"), calls=True)
    with (
        running({"lamp": Lamp()}, guard=guard) as server,
        socket.create_connection((LOCAL, server.port), 150) as sock,
        sock.makefile("rb") as lines,
    ):
        sock.sendall(b"ARTIQ pc_rpc\n")
        lines.readline()
        sock.sendall(b"lamp pyon_v2\n")
        lines.readline()
        for _ in range(2):
            sock.sendall(pyon.encode({"action": odd, "name": odd, "args": []}).encode() + b"\n")
            assert pyon.decode(lines.readline().decode())["status"] == "failed"
    assert "error" not in caplog.text


def test_the_audit_says_that_its_end_was_cut_off_while_the_server_ran(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    log = AuditLog(path)
    log.append_code({}, "x = 1")
    os.truncate(path, 0)
    log.append_code({}, "x = 1")
    log.append("call", {})
    log.close()
    problems = " ".join(verify(path).problems)
    assert "bytes were cut off while the server ran" in problems
    assert "line 1 before it missing" in problems
    assert path.read_text().count('"source":"x = 1"') == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no open file")
def test_an_audit_that_was_removed_goes_on_in_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    log = AuditLog(path)
    log.append("call", {})
    path.rename(tmp_path / "away")
    log.append("code", {})
    path.unlink()
    path.write_text('{"n":7}\n')
    log.append("code", {})
    log.close()
    assert [line[:7] for line in path.read_text().splitlines()] == ['{"n":7}', '{"n":3,']
    problems = " ".join(verify(path).problems)
    assert "the file with line 2 was removed while the server ran" in problems


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no open file")
def test_an_audit_whose_folder_was_removed_refuses_remote_code(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    folder.mkdir()
    guard = AccessGuard(None, AuditLog(folder / "a.jsonl"))
    for name in ("a.jsonl", "a.head"):
        (folder / name).unlink()
    folder.rmdir()
    with pytest.raises(PermissionError, match=r"it cannot be recorded .*\. Make it writable, or"):
        guard.admit_code(None, "x = 1", "add_code")


def test_garbage_and_pipes_in_place_of_the_rights_leave_the_last_ones_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rexec.access.rights._LOOK", -1.0)
    path = tmp_path / "rights.json"
    path.write_text(rights_text())
    rights = RightsFile(path, "camera")
    first = rights.now()
    path.write_text("[" * 100_000)
    assert rights.now() is first
    with pytest.raises(ValueError, match="nested too deeply"):
        device_rights("[" * 100_000, "camera")
    if hasattr(os, "mkfifo"):
        path.unlink()
        os.mkfifo(path)
        assert rights.now() is first
        assert "no regular file" in caplog.text
        path.unlink()
    path.write_text(rights_text({"*": []}))
    assert rights.now().allow == {"*": 0}


def test_half_characters_of_a_client_reach_no_file() -> None:
    found = Introduction.from_word('{"user":"\\ud800","run":"run 1\\udfff"}')
    assert (found.user, found.run) == ("?", "run 1?")
    assert DeviceUser.of_lease({"what": "run 1\ud800"}).what == "run 1?"


def test_addresses_that_a_client_can_choose_share_one_budget() -> None:
    assert network_of("127.8.9.10:1") == network_of("127.0.0.1:2") == network_of("::ffff:127.9.9.9:3")
    assert network_of("2001:db8::1:5") == network_of("2001:db8::2:7") != network_of("2001:db9::1:5")
    assert network_of("fe80::1%eth0:5") == network_of("fe80::2:5")
    assert network_of("10.0.0.1:5") == "10.0.0.1"


@ON_LINUX
@pytest.mark.parametrize(
    ("listen", "connect"), [(LOCAL, LOCAL), ("::", LOCAL), ("::", "::ffff:127.0.0.1"), ("::1", "::1")]
)
def test_netlink_and_the_tables_of_the_kernel_say_the_same(listen: str, connect: str) -> None:
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    try:
        listener = socket.create_server((listen, 0), family=family, dualstack_ipv6=listen == "::")
    except (OSError, ValueError) as error:
        pytest.skip(str(error))
    with listener, socket.socket(socket.AF_INET6 if ":" in connect else socket.AF_INET) as client:
        client.connect((connect, listener.getsockname()[1]))
        accepted, _ = listener.accept()
        with accepted:
            ends = accepted.getsockname(), accepted.getpeername()
            try:
                asked = kernel_user._asked(*ends)
            except OSError as error:
                pytest.skip(f"no netlink: {error}")
            assert asked == kernel_user._looked_up(*ends) == os.getuid()
            client.close()
            accepted.settimeout(150)
            assert accepted.recv(1) == b""
            assert kernel_user._asked(*ends) is kernel_user._looked_up(*ends) is None


@ON_LINUX
def test_who_listens_at_the_address_of_a_client_is_not_taken_for_it() -> None:
    with socket.create_server((LOCAL, 0)) as listener:
        assert user_of_peer((LOCAL, 9), listener.getsockname()) is None


@ON_LINUX
def test_a_kernel_without_netlink_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> int:
        raise OSError("Protocol not supported")

    monkeypatch.setattr(kernel_user, "socket_user", none)
    with socket.create_server((LOCAL, 0)) as listener:
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert identity.identity_of(accepted, Introduction("mallory")).known_by == "kernel"


HOSTILE: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "nested": ("call", {"x": "[]"}),
    "kinds": ("call", {"run": ["a"], "seconds": 10**400, "known_by": {}, "person": 3, "device": [1]}),
    "texts": (
        "connect",
        {"person": "\x1b[2J\u202e", "known_by": "kernel", "program": "\ud800", "cut": "\x1b"},
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_line_of_a_stranger_with_a_valid_hash_is_shown_and_not_obeyed(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, facts = HOSTILE[name]
    line, digest = make_line(1, FIRST, kind, facts, 0.0)
    if name == "nested":
        body = line[: line.index(b',"hash"')].replace(b'"[]"', b"[" * 100_000 + b"]" * 100_000)
        line = b'%b,"hash":"%b"}\n' % (body, sha256(body + b"}").hexdigest().encode())
    path = tmp_path / "a.jsonl"
    path.write_bytes(line)
    path.with_suffix(".head").write_bytes(head_text(1, digest))
    for words in (["show"], ["show", "--run", "3"], ["show", "--json"], ["verify"]):
        assert main([words[0], str(path), *words[1:]]) == (
            1 if words == ["verify"] and name == "nested" else 0
        )
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    AuditLog(path).close()


def test_lines_of_another_century_are_shown_and_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line, _ = make_line(1, FIRST, "start", {"device": "camera"}, 0.0)
    body = line[: line.index(b',"hash"')].replace(b"1970-01-01T00:00:00.000000Z", b"1960-01-02T03:04:05")
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'%b,"hash":"%b"}\n' % (body, sha256(body + b"}").hexdigest().encode()))
    assert main(["show", str(path)]) == 0
    assert "1960-01-02 03:04:05" in capsys.readouterr().out
    assert main(["show", str(path), "--since", "1960-01-01", "--until", "1960-01-02"]) == 0
    assert "1960-01-02" not in capsys.readouterr().out


def test_an_audit_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(OSError, match="no regular file"):
        AuditLog(tmp_path / "a.jsonl")
