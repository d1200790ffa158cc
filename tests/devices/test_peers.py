"""Who is connected to a port of this machine: named with its process, as far as the system lists it."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from rexec.devices.peers import UNKNOWN, Connections, memories, program
from rexec.supervise.liveness import ServingProcess
from tests.serving import free_port

CONNECT = "import socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2]))); "
ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def python(code: str, *words: object) -> Iterator["subprocess.Popen[str]"]:
    """Run a program that waits for a line; yields the process, which has its line and ends after the context."""
    command = [sys.executable, "-c", code, *map(str, words)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True, cwd=ROOT) as process:
        try:
            yield process
            process.communicate("\n", timeout=150)
        finally:
            process.kill()


@contextlib.contextmanager
def listening(host: str = "127.0.0.1") -> Iterator[tuple[socket.socket, int]]:
    with socket.create_server(
        (host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET
    ) as listener:
        yield listener, listener.getsockname()[1]


def test_a_client_on_this_machine_is_named_with_its_process() -> None:
    with listening() as (listener, port), python(CONNECT + "input()", "127.0.0.1", port) as client:
        connection, address = listener.accept()
        with connection:
            (found,) = Connections().clients(port) or []
            own = socket.create_connection(("127.0.0.1", port))
            with own:
                assert Connections().clients(port) == [found]  # this process itself is left out
            assert found.startswith(f"127.0.0.1:{address[1]} (pid {client.pid}: python")


def test_the_process_that_listens_is_the_owner_of_a_port() -> None:
    with listening() as (listener, port), python(CONNECT + "input()", "127.0.0.1", port):
        with listener.accept()[0]:
            assert Connections().owner(port) == f"pid {os.getpid()} ({program(os.getpid())})"
    assert Connections().owner(free_port()) is None


def test_an_ipv6_client_is_named_as_in_a_url_and_a_mapped_one_by_its_ipv4_address() -> None:
    with listening("::1") as (listener, port), python(CONNECT + "input()", "::1", port) as client:
        connection, address = listener.accept()
        with connection:
            (found,) = Connections().clients(port) or []
            assert found.startswith(f"[::1]:{address[1]} (pid {client.pid}: ")
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        port = listener.getsockname()[1]
        with python(CONNECT + "input()", "127.0.0.1", port) as client:
            connection, address = listener.accept()
            with connection:
                (found,) = Connections().clients(port) or []
                assert found.startswith(f"127.0.0.1:{address[1]} (pid {client.pid}: ")


GRANDPARENT = """
import subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[1], *sys.argv[2:]])
"""
SERVE = """
import socket, sys
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("listens", flush=True)
kept = [listener.accept()]
print("accepted", flush=True)
input()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs several loopback addresses")
def test_clients_of_another_server_at_the_same_port_are_left_out() -> None:
    with listening() as (listener, port), python(GRANDPARENT, SERVE, "127.0.0.2", port) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "listens\n"
        with (
            python(CONNECT + "input()", "127.0.0.1", port) as ours,
            python(CONNECT + "input()", "127.0.0.2", port) as theirs,
            listener.accept()[0],
        ):
            assert server.stdout.readline() == "accepted\n"
            found = Connections()

            def pids(server: int | None) -> set[int]:
                clients = found.clients(port, server) or []
                return {int(each.partition("(pid ")[2].partition(":")[0]) for each in clients}

            assert pids(None) == {ours.pid, theirs.pid}
            assert pids(server.pid) == {theirs.pid}  # whose child serves it
            assert pids(ours.pid) == set()
        (child,) = psutil.Process(server.pid).children()
        server.kill()
        server.wait(150)
        child.kill()
        assert Connections().clients(port, server.pid) == []


OTHERS = """
import json, socket, subprocess, sys
from rexec.devices.peers import Connections
mine = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
code = [sys.argv[2], sys.argv[3], "127.0.0.1", sys.argv[1]]
child = subprocess.Popen([sys.executable, "-c", *code], stdin=-1, stdout=-1)  # which starts another one
assert child.stdout.readline() == b"connected\\n"
print(json.dumps(Connections().others()), flush=True)
child.communicate(b"\\n")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="sends an open socket to nobody")
def test_others_at_the_servers_that_a_process_uses_are_named_once_and_its_children_are_not() -> None:
    left, right = socket.socketpair(socket.AF_UNIX)
    with listening() as (listener, port), listening() as (unrelated, elsewhere), left, right:
        ours = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        ours.append(socket.create_connection(("127.0.0.1", elsewhere)))
        accepted = [listener.accept()[0] for _ in range(3)] + [unrelated.accept()[0]]
        socket.send_fds(left, [b"x"], [ours[0].fileno()])
        ours.pop(0).close()  # it is under way now, and no process has it
        connect = CONNECT + "print('connected', flush=True); input()"
        with python(OTHERS, port, GRANDPARENT, connect) as process:
            assert process.stdout is not None
            found = json.loads(process.stdout.readline())
        me = f"pid {os.getpid()} ({program(os.getpid())})"
        assert {key: sorted(value) for key, value in found.items()} == {str(port): sorted([UNKNOWN, me])}
        for each in (*ours, *accepted):
            each.close()


@pytest.mark.skipif(sys.platform != "linux", reason="where psutil reads /proc")
def test_where_the_system_lists_nothing_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as (_, port), socket.create_connection(("127.0.0.1", port)):
        monkeypatch.setattr(psutil, "PROCFS_PATH", "/absent")
        found = Connections()
        monkeypatch.undo()
        assert (found.owner(port), found.others(), found.clients(port)) == (None, {}, None)


def test_a_list_that_cannot_be_had_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("GetExtendedTcpTable failed")

    monkeypatch.setattr(psutil, "net_connections", fails)
    monkeypatch.setattr(psutil.Process, "net_connections", fails)
    found = Connections()
    assert (found.owner(1), found.others(), found.clients(1)) == (None, {}, None)
    serving = ServingProcess(os.getpid(), 1)
    serving.find()
    assert not serving.has_ended()


def test_a_connection_whose_process_the_system_does_not_know_counts_for_each_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with listening() as (listener, port), python(CONNECT + "input()", "127.0.0.1", port):
        connection, address = listener.accept()
        with connection:
            known = psutil.net_connections(kind="tcp")
            for unknown in (None, 0):  # Windows says 0
                monkeypatch.setattr(
                    psutil,
                    "net_connections",
                    lambda kind, pid=unknown: [each._replace(pid=pid) for each in known],
                )
                assert Connections().clients(port, os.getpid()) == [f"127.0.0.1:{address[1]}"]


def test_a_long_command_line_is_cut() -> None:
    begin = f"{Path(sys.executable).name} -c print(flush=True);input()#"
    for length, end in ((60, ""), (61, "...")):
        line = begin.ljust(length, "x")
        with python(line.partition(" -c ")[2]) as process:
            assert process.stdout is not None
            process.stdout.readline()
            assert program(process.pid) == line[:60] + end


def test_a_process_that_has_ended_has_no_program() -> None:
    with python("") as process:
        process.wait(150)
    assert program(process.pid) == "?"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell of POSIX")
def test_the_memory_of_a_process_includes_its_children() -> None:
    command = ["sh", "-c", '"$0" -c "print(flush=True); input()"; true', sys.executable]
    with subprocess.Popen(command, stdin=-1, stdout=-1) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        (child,) = psutil.Process(shell.pid).children()
        found = memories([shell.pid, child.pid, 1 << 30])
        assert set(found) == {shell.pid, child.pid}
        assert found[shell.pid] > found[child.pid] > 1 << 20
        shell.communicate(b"\n")
