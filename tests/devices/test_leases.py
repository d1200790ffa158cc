"""Leases: two clients of one device know of each other, and an exclusive device has one at a time."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from devicedb import DeviceDatabase, Endpoint, from_dict
from rexec.access.identity import introduction
from rexec.devices import DeviceBusy, DeviceManager, DeviceUnreachable
from rexec.devices._lease_agent import GRACE, SILENT, Liveness
from rexec.devices._lease_files import FileLease, file_users
from rexec.devices.leases import DeviceLeases
from rexec.doctor import Audit, diagnose
from rexec.ground.lease_table import LeaseTable
from rexec.ground.locks import try_lock
from rexec.laboratory import LiveSnapshot
from rexec.laboratory.examined import examine
from rexec.laboratory.supervised import users_at
from rexec.remote_exec import rexec_targets
from rexec.wire.pc_rpc import Client
from tests.clock import set_clock
from tests.remote_exec.peers import NO_REFERENCE, REFERENCE, REFERENCE_CONTROLLER, reference_process
from tests.serving import free_port, running, serving
from tests.waiting import within

KNOWN = "kernel" if hasattr(os, "getuid") else "claimed"
"""How a person of this machine is known: Windows tells no users of connections."""


class Camera:
    def ping(self) -> bool:
        return True


def database(port: int, **further: Any) -> DeviceDatabase:
    base = {"type": "controller", "host": "127.0.0.1", "port": port, "target_name": "camera"}
    return from_dict({"camera": {**base, **further}}, "device_db.py")


@contextmanager
def leases(database: DeviceDatabase, *holders: str, **options: Any) -> Iterator[list[DeviceLeases]]:
    made = [DeviceLeases(database, holder=each, **options) for each in holders]
    try:
        yield made
    finally:
        for each in made:
            each.close()


def test_two_that_share_a_device_know_of_each_other() -> None:
    with serving({"camera": Camera()}) as port:
        raw = database(port)
        endpoint = raw.endpoint("camera")
        with leases(raw, "a", "b", "c") as (first, second, third):
            first.take(endpoint, False)
            assert first.shared() == {}
            second.take(endpoint, False)
            (found,) = second.shared()["camera"]
            assert (found.is_exclusive, found.known) == (False, KNOWN)
            second.close()  # before the first looks
            assert len(first.shared()["camera"]) == 1
            third.take(endpoint, False)
            assert len(third.shared()["camera"]) == 1


def test_an_exclusive_device_is_refused_and_free_again_after_its_user() -> None:
    with serving({"camera": Camera()}) as port:
        raw = database(port)
        endpoint = raw.endpoint("camera")
        with leases(raw, "a", "b") as (first, second):
            first.take(endpoint, True)
            for exclusive in (True, False):
                with pytest.raises(DeviceBusy, match=r"used (alone )?by .*since \d+ s.*--wait-for-devices"):
                    second.take(endpoint, exclusive)
            first.close()
            taken_at_last(second, endpoint, attempts=500)
            second.take(endpoint, True)


def test_one_that_is_shared_is_not_to_be_had_alone() -> None:
    with serving({"camera": Camera()}) as port:
        raw = database(port)
        endpoint = raw.endpoint("camera")
        with leases(raw, "a", "b") as (first, second):
            first.take(endpoint, False)
            first.take(endpoint, True)  # nobody else uses it
            with pytest.raises(DeviceBusy):
                second.take(endpoint, False)


def test_a_process_does_not_wait_for_itself() -> None:
    with serving({"camera": Camera()}) as port:
        with DeviceManager(database(port, exclusive=True)) as one, DeviceManager(database(port)) as two:
            assert one.get("camera").ping()
            assert two.get("camera", exclusive=True).ping()
            assert one.shared_controllers() == {}
            two.close_devices()
            with leases(database(port), "other") as (other,):
                for _ in range(20):  # also when the server has noticed that `two` is closed
                    with pytest.raises(DeviceBusy):
                        other.take(database(port).endpoint("camera"), False)
                    time.sleep(0.01)


@pytest.fixture(params=["agent", "file", "reference with remote execution", "reference without"])
def stock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[int]:
    """Run a controller that keeps no leases of its own; yields its port."""
    monkeypatch.setenv("REXEC_LEASES", str(tmp_path / "leases"))
    kind: str = request.param
    if kind.startswith("reference"):
        if not REFERENCE:
            pytest.skip(NO_REFERENCE)
        program = PLAIN_REFERENCE if kind.endswith("without") else REFERENCE_CONTROLLER
        with reference_process(REFERENCE[0], program) as port:
            yield port
        return
    monkeypatch.setattr(Client, "rpc_has_leases", False)
    with serving(rexec_targets("camera", Camera()) if kind == "agent" else {"camera": Camera()}) as port:
        yield port


PLAIN_REFERENCE = """
import sys
from sipyco.pc_rpc import simple_server_loop
class Driver:
    def ping(self): return True
simple_server_loop({"camera": Driver()}, "127.0.0.1", int(sys.argv[1]))
"""


def test_stock_controllers_are_shared_and_refused_in_the_same_way(stock: int) -> None:
    raw = database(stock)
    endpoint = raw.endpoint("camera")
    with leases(raw, "a" * 12, "b" * 12, "c" * 12, wait=0.0) as (first, second, third):
        first.take(endpoint, False)
        second.take(endpoint, False)
        (user,) = second.shared()["camera"]
        assert (user.pid, user.person, user.what) == (
            os.getpid(),
            introduction().user,
            introduction().program,
        )
        second.close()
        with pytest.raises(DeviceBusy, match=f"used by .*@{socket.gethostname()}, since"):
            taken_at_last(third, endpoint, attempts=1)
        assert len(first.shared()["camera"]) == 1
        first.close()
        # A stock server notices the end of a connection a moment later.
        taken_at_last(third, endpoint, attempts=500)
        with pytest.raises(DeviceBusy, match="used alone by"):
            DeviceLeases(raw, holder="d" * 12).take(endpoint, False)


def taken_at_last(mine: DeviceLeases, endpoint: Endpoint, attempts: int) -> None:
    for left in reversed(range(attempts)):
        try:
            mine.take(endpoint, True)
        except DeviceBusy:
            if not left:
                raise
            time.sleep(0.02)


def test_a_lease_of_a_lost_connection_is_taken_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rexec.devices.leases.RENEW", 0.05)
    with running({"camera": Camera()}) as server:
        raw = database(server.port)
        endpoint = raw.endpoint("camera")
        with leases(raw, "a", "b") as (first, second):
            first.take(endpoint, True)
            connections = server._io.connections  # type: ignore[union-attr]
            (connection,) = connections()
            connection.sock.shutdown(socket.SHUT_RDWR)
            assert within(150, lambda: connection.closed)  # and with it the lease that was
            assert within(150, lambda: [each["exclusive"] for each in server.leases.present()] == [True])
            with pytest.raises(DeviceBusy):
                second.take(endpoint, False)
            # Another one is quicker after the next loss.
            monkeypatch.setattr(server.leases, "take", lambda *_: [holder()])
            monkeypatch.setattr(server.leases, "shared", lambda *_: None)
            assert within(150, lambda: first.troubles)
            for _ in range(2):
                assert first.shared()["camera"][0].what == "run 1"
    (trouble,) = first.troubles
    assert "the lease of camera was lost" in trouble
    assert caplog.text.count("run 1 of alice@pc3 has it now") == 1


FORKS = """
import os, sys
from pathlib import Path
from rexec.devices._lease_files import FileLease, file_users
from tests.devices.test_leases import holder

mine, other = (FileLease(Path(sys.argv[1]), "1 camera", each, holder()) for each in ("a" * 12, "b" * 12))
assert mine.take(True, None) == []
if os.fork() == 0:
    mine.close()
    os._exit(0)
os.wait()
assert [user.pid for user in other.take(False, None)] == [os.getpid()]
child = os.fork()
if child == 0:
    os.read(0, 1)
    os._exit(0)
mine.close()
assert other.take(True, None) == []
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_neither_ends_nor_keeps_the_lease_of_its_parent(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKS, str(tmp_path / "leases")],
        input="x",
        capture_output=True,
        text=True,
        timeout=150,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout == "done\n", done.stderr


def holder() -> dict[str, Any]:
    return {
        "what": "run 1",
        "person": "alice",
        "known": "claimed",
        "machine": "pc3",
        "pid": os.getpid(),
    }


def test_files_of_ended_processes_and_rubbish_are_no_leases(tmp_path: Path) -> None:
    folder = tmp_path / "leases"
    mine = FileLease(folder, "1 camera", "a" * 12, holder())
    place = next(folder.iterdir())
    (place / "7-x.lease").write_text(json.dumps({**holder(), "exclusive": True, "began": 1.0}))
    held = (place / "8-y.lease").open("w+")
    held.write("[]\nnonsense\n")
    held.flush()
    assert try_lock(held.fileno())
    assert mine.take(True, None) == []
    assert not (place / "7-x.lease").exists()
    assert mine.shared() == []
    mine.close()
    held.close()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_links_and_pipes_among_the_leases_are_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "leases"
    mine = FileLease(folder, "1 camera", "a" * 12, holder())
    place = next(folder.iterdir())
    victim = tmp_path / "victim"
    victim.write_text(json.dumps({**holder(), "exclusive": False, "began": 1.0}) + "\n")
    with victim.open("rb") as locked:
        assert try_lock(locked.fileno())
        (place / "1-x.lease").symlink_to(victim)
        os.mkfifo(place / "2-x.lease")
        (place / "3-x.lease").mkdir()
        before = victim.read_text()
        assert mine.take(False, None) == []
        assert file_users(folder, "1 camera")[0].pid == os.getpid()
        mine.close()
    assert victim.read_text() == before


def test_a_holder_that_is_not_heard_of_is_dropped_only_after_a_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    set_clock(monkeypatch, "rexec.devices._lease_agent", monotonic=lambda: now[0])
    alive = Liveness({"machine": "far away", "pid": os.getpid()})
    now[0] = 1000.0  # the controller was in a call
    assert alive()
    alive.renew()
    now[0] += SILENT + 1
    assert alive()
    now[0] += GRACE - 1
    assert alive()
    now[0] += 2
    assert not alive()
    here = Liveness({"machine": socket.gethostname(), "pid": os.getpid()})
    now[0] += 10_000
    assert here() == os.path.isdir("/proc/self")


def test_nobody_learns_the_id_that_ends_a_lease() -> None:
    with running({"camera": Camera()}) as server, Client("127.0.0.1", server.port, "camera") as client:
        raw = database(server.port)
        with leases(raw, "secret") as (mine,):
            mine.take(raw.endpoint("camera"), True)
            (said,) = client.rpc_lease("present", "")
            assert "secret" not in repr(said)
            assert "secret" not in repr(client.rpc_lease("take", "camera", "other", False))
            for wrong in (("take", 1, 2, 3), ("nothing",), ("present",), ("take", "camera", "x", 1)):
                with pytest.raises(ValueError, match="no request about leases"):
                    client.rpc_lease(*wrong)


def test_the_leases_of_a_server_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rexec.ground.lease_table.MOST_LEASES", 3)
    table = LeaseTable()
    for number in range(3):
        assert table.take(f"d{number}", "a", False, lambda: True, holder) == []
    with pytest.raises(ValueError, match="3 leases, which is too many"):
        table.take("d3", "a", False, lambda: True, holder)
    assert table.take("d1", "a", True, lambda: True, holder) == []


def test_who_uses_a_controller_is_in_the_snapshot_until_it_ends() -> None:
    with serving({"camera": Camera(), "other": Camera()}) as port:
        raw = database(port)
        endpoint = raw.endpoint("camera")
        laboratory = LiveSnapshot()
        writer = laboratory.writer()
        with leases(raw, "a") as (mine,):
            mine.take(endpoint, True)
            examine(writer, Audit(raw, 20.0))
            fact = laboratory.snapshot()["controllers"]["camera"]
            (user,) = fact.users
            assert (user.pid, user.known, user.is_exclusive) == (os.getpid(), KNOWN, True)
            assert (fact.state, fact.cause, fact.message, fact.address) == ("up", "ok", "", endpoint.address)
            assert laboratory.snapshot()["entries"]["camera"].target == "camera"
            assert users_at({"camera": endpoint})["camera"][0][0].pid == os.getpid()
            assert json.loads(json.dumps(fact.as_dict()))["users"][0]["pid"] == os.getpid()
        examine(writer, Audit(raw, 20.0))
        assert laboratory.snapshot()["controllers"]["camera"].users == ()


BUSY_REFERENCE = """
import sys, time
from sipyco.remote_exec import simple_rexec_server_loop
class Driver:
    def ping(self): return True
    def work(self, seconds): time.sleep(seconds)
simple_rexec_server_loop("camera", Driver(), "127.0.0.1", int(sys.argv[1]), "a controller")
"""


@pytest.mark.skipif(not REFERENCE, reason=NO_REFERENCE)
def test_a_stock_controller_in_a_call_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[str | None] = []
    monkeypatch.setattr(DeviceManager, "_wait_for", lambda self, text: waited.append(text), raising=True)
    with reference_process(REFERENCE[0], BUSY_REFERENCE) as port:
        raw = database(port)
        with Client("127.0.0.1", port, "camera") as other:
            calling = threading.Thread(target=other.work, args=(4.0,))
            calling.start()
            assert within(150, lambda: other.rpc_pending)
            with DeviceManager(raw, connect_timeout=0.5, wait=60.0) as manager:
                assert manager.get("camera", exclusive=True).ping()
            with DeviceManager(raw, connect_timeout=0.5) as manager:
                assert manager.get("camera").ping()
            calling.join(150)
    assert "waits for camera: it is in a call, or hung" in waited


def test_rubbish_of_a_server_is_no_user_and_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    rubbish: list[Any] = [
        3, {}, {"device": "camera", "what": 5, "pid": "x", "seconds": "long", "person": "\x1b[2J" * 99}
    ]  # fmt: skip
    with running({"camera": Camera()}) as server:
        raw = database(server.port)
        for name in ("take", "present", "shared"):
            monkeypatch.setattr(server.leases, name, lambda *_: rubbish)
        (found,) = diagnose(Audit(raw, 20.0), "camera").users
        assert (found.what, found.pid, found.since, len(found.person)) == ("a process", None, None, 120)
        with leases(raw, "a") as (mine,), pytest.raises(DeviceBusy, match="a process"):
            mine.take(raw.endpoint("camera"), True)
        for name in ("take", "present", "shared"):
            monkeypatch.setattr(server.leases, name, lambda *_: 7)
        assert diagnose(Audit(raw, 20.0), "camera").users == ()
        with DeviceManager(raw) as manager:
            assert manager.get("camera").ping()


def test_a_best_effort_controller_that_is_away_is_no_error_even_where_it_is_exclusive() -> None:
    with DeviceManager(database(free_port(), best_effort=True, exclusive=True)) as manager:
        assert manager.get("camera") is not None
        assert manager.shared_controllers() == {}
    with pytest.raises(DeviceUnreachable), DeviceManager(database(free_port(), exclusive=True)) as manager:
        manager.get("camera")
