"""What a process does while it waits for a device, and when a lease is lost or not to be had."""

import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from devicedb import Endpoint
from rexec.devices import DeviceBusy, DeviceUnreachable
from rexec.devices.leases import DeviceLeases, users_of
from rexec.remote_exec import rexec_targets
from rexec.wire.pc_rpc import Client
from tests.devices.test_leases import Camera, database, leases
from tests.ground.forking import in_a_fork
from tests.serving import free_port, running, serving, silent
from tests.waiting import within

LOCAL = "127.0.0.1"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make all servers stock ones, and the lock files those of this test."""
    monkeypatch.setattr(Client, "rpc_has_leases", False)
    monkeypatch.setenv("REXEC_LEASES", str(tmp_path / "leases"))


def is_refused(mine: DeviceLeases, endpoint: Endpoint, exclusive: bool) -> bool:
    try:
        mine.take(endpoint, exclusive)
    except DeviceBusy:
        return True
    return False


def stays_refused(mine: DeviceLeases, endpoint: Endpoint, exclusive: bool) -> bool:
    """Whether a lease is refused also when the server has noticed what ended a moment ago."""
    for _ in range(20):
        if not is_refused(mine, endpoint, exclusive):
            return False
        time.sleep(0.01)
    return True


def test_one_that_waits_says_so_once_and_has_the_device_when_it_is_free(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rexec.devices.leases.LOOK", 0.05)
    said: list[str | None] = []
    begun: list[bool] = []
    with serving({"camera": Camera()}) as port:
        raw = database(port)
        endpoint = raw.endpoint("camera")
        with (
            leases(raw, "a", "c") as (first, third),
            leases(raw, "b", wait=150.0, waiting=said.append) as (second,),
        ):
            first.take(endpoint, True)
            taking = threading.Thread(target=second.take, args=(endpoint, True, lambda: begun.append(True)))
            taking.start()
            assert within(150, lambda: len(said) >= 4)
            assert within(150, lambda: first.shared() == {} and first.waiting() == {os.getpid()})
            first.close()
            taking.join(150)
            assert is_refused(third, endpoint, False)
        assert begun == [True]
        assert said.index(None) == len(said) - 1
        assert all("waits for camera: " in (text or "camera: ") for text in said[:-1])
        assert "it is in a call" not in said
        assert caplog.text.count("waits for camera: ") == 1


def test_the_time_to_wait_ends_between_two_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    now, slept = [1000.0], list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    clock = types.SimpleNamespace(monotonic=lambda: now[0], sleep=sleep, time=time.time)
    monkeypatch.setattr("rexec.devices.leases.time", clock)
    monkeypatch.setattr("rexec.devices.leases.LOOK", 150.0)
    said: list[str | None] = []
    with running({"camera": Camera()}) as server:
        raw = database(server.port)
        endpoint = raw.endpoint("camera")
        with leases(raw, "a") as (first,), leases(raw, "b", wait=0.2, waiting=said.append) as (second,):
            first.take(endpoint, False)
            with pytest.raises(DeviceBusy, match=r"is used by .* after 0\.2 s\. Wait for it with --wait"):
                second.take(endpoint, True)
            assert slept == [pytest.approx(0.2)]
            assert [text is None for text in said] == [False, True]
            # None is left of the one that was refused.
            assert within(150, lambda: len(server.connected()) == 1)


def test_the_lease_of_a_stopped_process_is_refused_with_the_remedy() -> None:
    code = (
        "import sys; from rexec.devices.leases import DeviceLeases; from tests.devices.test_leases import *\n"
        "raw = database(int(sys.argv[1])); DeviceLeases(raw).take(raw.endpoint('camera'), True)\n"
        "print('has it', flush=True); input()"
    )
    with serving({"camera": Camera()}) as port:
        command = [sys.executable, "-c", code, str(port)]
        root = Path(__file__).parents[2]
        with (
            subprocess.Popen(command, stdin=-1, stdout=-1, cwd=root) as holding,
            leases(database(port), "b") as (mine,),
            contextlib.ExitStack() as ending,
        ):
            ending.callback(holding.kill)
            assert holding.stdout is not None
            assert holding.stdout.readline().split() == [b"has", b"it"]
            endpoint = database(port).endpoint("camera")
            with pytest.raises(DeviceBusy, match=r"it is used alone by .* Wait for it"):
                mine.take(endpoint, False)
            psutil.Process(holding.pid).suspend()
            if hasattr(os, "WUNTRACED"):
                os.waitpid(holding.pid, os.WUNTRACED)
            if sys.platform == "linux":
                with pytest.raises(
                    DeviceBusy, match=rf"{holding.pid} is stopped.*kill -CONT {holding.pid}\)"
                ):
                    mine.take(endpoint, False)


def test_a_shared_lease_stays_where_one_alone_was_refused() -> None:
    with serving({"camera": Camera()}) as port:
        raw = database(port)
        endpoint = raw.endpoint("camera")
        with leases(raw, "a", "b", "c") as (first, second, third):
            first.take(endpoint, False)
            second.take(endpoint, False)
            assert is_refused(first, endpoint, True)
            assert stays_refused(second, endpoint, True)
            with pytest.raises(DeviceBusy, match="and 1 more"):
                third.take(endpoint, True)
            assert len(first.shared()["camera"]) == 1


def test_only_the_process_that_has_a_lease_ends_it_and_its_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rexec.devices.leases.RENEW", 1000.0)
    monkeypatch.setattr("rexec.devices.leases.LAST", 1000.0)
    with serving({"camera": Camera()}) as port:
        raw = database(port)
        endpoint = raw.endpoint("camera")
        with leases(raw, "a", "b") as (first, second):

            def close_first() -> str:
                first.close()
                return ""

            assert first.shared() == {}  # at once: there is nobody to ask
            first.take(endpoint, False)
            second.take(endpoint, False)
            assert len(first.shared()["camera"]) == 1
            if hasattr(os, "fork"):
                assert in_a_fork(lambda: str(len(first.shared()["camera"]))) == "1"
                assert in_a_fork(close_first) == ""
            assert stays_refused(second, endpoint, True)
            keeper = first._keeper
            first.close()
            assert keeper is not None
            assert (keeper.name, keeper.daemon) == ("leases", True)
            keeper.join(150)
            assert not keeper.is_alive()


def test_who_shares_a_device_while_its_lease_was_lost_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rexec.devices.leases.RENEW", 1000.0)
    with running({"camera": Camera()}) as server:
        raw = database(server.port)
        endpoint = raw.endpoint("camera")
        with leases(raw, "a", "b") as (first, second):
            first.take(endpoint, False)
            assert server._io is not None
            (connection,) = server._io.connections()
            # On Windows, the thread that waits for data would not see a shutdown from here.
            server._io._command(partial(server._io.drop, connection))
            assert within(150, lambda: not server.leases.present())
            second.take(endpoint, False)
            assert len(first.shared()["camera"]) == 1
            assert first.troubles == []


def test_a_controller_that_is_gone_hides_no_sharer_of_another() -> None:
    with serving({"camera": Camera()}) as port, contextlib.ExitStack() as ending:
        gone = ending.enter_context(serving({"camera": Camera()}))
        raw = database(port)
        raw.raw["gone"] = {**raw.raw["camera"], "port": gone}
        with leases(raw, "a", "b") as (first, second):
            first.take(raw.endpoint("gone"), False)
            first.take(raw.endpoint("camera"), False)
            ending.close()
            second.take(raw.endpoint("camera"), False)
            assert list(first.shared()) == ["camera"]


class BusyCamera(Camera):
    def __init__(self) -> None:
        self.begun, self.free = threading.Event(), threading.Event()

    def work(self) -> None:
        self.begun.set()
        self.free.wait(150)


@contextlib.contextmanager
def in_a_call(camera: BusyCamera, port: int) -> Iterator[None]:
    """Have a client call a method of the driver that lasts until `camera.free` is set, or until the end."""
    with Client(LOCAL, port, "camera") as other:
        calling = threading.Thread(target=other.work)
        calling.start()
        assert camera.begun.wait(150)
        try:
            yield
        finally:
            camera.free.set()
            calling.join(150)


@pytest.mark.usefixtures("here")
def test_a_stock_controller_in_a_call_is_told_of_a_sharer_after_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rexec.devices.leases.LAST", 0.1)
    monkeypatch.setattr("rexec.devices.leases.RENEW", 0.05)
    camera = BusyCamera()
    caplog.set_level(logging.INFO)
    with serving(rexec_targets("camera", camera)) as port:
        raw = database(port)
        endpoint = raw.endpoint("camera")
        with leases(raw, "a" * 12, "b" * 12) as (first, second):
            with in_a_call(camera, port):
                first.take(endpoint, False)
                assert "camera is in a call, and is told later who uses it" in caplog.text
            monkeypatch.setattr("rexec.devices.leases.LAST", 150.0)
            with Client(LOCAL, port, "camera_rexec") as looking:
                assert within(150, lambda: users_of(looking, endpoint, "camera"))
            assert is_refused(second, endpoint, True)


@pytest.mark.usefixtures("here")
def test_a_stock_controller_in_a_call_is_had_alone_after_it_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rexec.devices.leases.LAST", 0.1)
    monkeypatch.setattr("rexec.devices.leases.LOOK", 0.05)
    camera = BusyCamera()
    said: list[str | None] = []
    with serving(rexec_targets("camera", camera)) as port:
        raw = database(port)
        endpoint = raw.endpoint("camera")
        with (
            leases(raw, "a" * 12) as (first,),
            leases(raw, "b" * 12, wait=150.0, waiting=said.append) as (second,),
        ):
            with in_a_call(camera, port):
                with pytest.raises(
                    DeviceUnreachable, match="to be used alone, but there is no lease of camera: CallTimeout"
                ):
                    first.take(endpoint, True)
                taking = threading.Thread(target=second.take, args=(endpoint, True))
                taking.start()
                assert within(150, lambda: "waits for camera: it is in a call" in said)
                monkeypatch.setattr("rexec.devices.leases.LAST", 150.0)
            taking.join(150)
            assert is_refused(first, endpoint, False)


@pytest.mark.usefixtures("here")
def test_what_is_known_of_a_lease_is_known_while_its_controller_is_in_a_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rexec.devices.leases.RENEW", 1000.0)
    camera = BusyCamera()
    with serving(rexec_targets("camera", camera)) as port:
        raw = database(port)
        endpoint = raw.endpoint("camera")
        with leases(raw, "a" * 12, "b" * 12, "c" * 12) as (first, second, third):
            first.take(endpoint, False)
            second.take(endpoint, False)
            monkeypatch.setattr("rexec.devices.leases.LAST", 0.1)
            with in_a_call(camera, port):
                second.take(endpoint, False)
                assert len(second.shared()["camera"]) == 1
            first.close()
            second.close()
            monkeypatch.setattr("rexec.devices.leases.LAST", 150.0)
            assert within(150, lambda: not is_refused(third, endpoint, True))
            monkeypatch.setattr("rexec.devices.leases.LAST", 0.1)
            camera.begun.clear()
            camera.free.clear()
            with in_a_call(camera, port):
                third.take(endpoint, True)
                third.take(endpoint, False)


@pytest.mark.usefixtures("here")
def test_a_stock_controller_elsewhere_that_cannot_be_told_is_shared_at_most(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rexec.devices.hosts.is_this_machine", lambda host: False)
    with serving({"camera": Camera()}) as port:
        for best_effort in (False, True):
            raw = database(port, best_effort=best_effort)
            with leases(raw, "a") as (mine,), caplog.at_level(logging.INFO):
                mine.take(raw.endpoint("camera"), False)
                assert mine.shared() == {}
                said = "a stock controller without remote execution cannot be told"
                assert f"no lease of camera: {said}" in caplog.text
                if best_effort:
                    mine.take(raw.endpoint("camera"), True)
                else:
                    with pytest.raises(DeviceUnreachable, match=f"to be used alone, but .*{said}"):
                        mine.take(raw.endpoint("camera"), True)


def test_a_controller_that_does_not_answer_is_shared_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rexec.devices._lease_ways.LIMIT", 0.1)
    with silent() as hung:
        for port in (free_port(), hung):
            raw = database(port)
            with leases(raw, "a") as (mine,):
                mine.take(raw.endpoint("camera"), False)
                with pytest.raises(
                    DeviceUnreachable, match="to be used alone, but there is no lease of camera"
                ):
                    mine.take(raw.endpoint("camera"), True)


def test_a_controller_that_a_run_can_do_without_is_hardly_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rexec.devices._lease_ways._SHORT", 0.1)
    monkeypatch.setattr("rexec.devices._lease_ways.LIMIT", 1000.0)
    with silent() as hung:
        raw = database(hung, best_effort=True)
        with leases(raw, "a") as (mine,):
            mine.take(raw.endpoint("camera"), True)
            assert mine.shared() == {}


def test_a_server_that_does_not_answer_about_leases_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rexec.devices._lease_ways.LIMIT", 0.3)
    free = threading.Event()
    with running({"camera": Camera()}) as server:
        monkeypatch.setattr(server.leases, "take", lambda *_: free.wait(150))
        raw = database(server.port)
        try:
            with leases(raw, "a") as (mine,), pytest.raises(DeviceUnreachable, match="CallTimeout"):
                mine.take(raw.endpoint("camera"), True)
        finally:
            free.set()
