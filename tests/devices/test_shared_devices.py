"""A device manager waits for devices that others use, and says who has used its own meanwhile."""

import contextlib
import json
import os
import threading
from typing import Any

import pytest

from rexec.devices import DeviceBusy, DeviceManager, DeviceUnreachable
from rexec.wire.pc_rpc import Client
from tests.devices.test_lease_waits import BusyCamera, in_a_call
from tests.devices.test_leases import Camera, database, leases
from tests.devices.test_manager import PerConnection
from tests.devices.test_peers import CONNECT, python
from tests.serving import free_port, running, serving, silent
from tests.waiting import within

LOCAL = "127.0.0.1"
AUX = {"type": "controller_aux_target", "controller": "camera", "target_name": "beside"}


def getting(devices: DeviceManager, name: str, **further: Any) -> tuple[threading.Thread, list[Any]]:
    """Get a device in a thread; return the thread, and the list that the device comes into."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(devices.get(name, **further)))
    thread.start()
    return thread, found


def test_a_controller_that_answers_nobody_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rexec.devices.manager.LOOK", 0.05)
    camera = BusyCamera()
    with serving({"camera": camera, "beside": PerConnection()}) as port:
        raw = database(port)
        raw.raw["beside"] = AUX
        with DeviceManager(raw, connect_timeout=0.2) as hasty:
            with in_a_call(camera, port), DeviceManager(raw, connect_timeout=0.2, wait=150.0) as devices:
                with pytest.raises(DeviceUnreachable, match="it is running, but hung or in a call") as caught:
                    hasty.get("beside")
                assert caught.value.in_a_call
                thread, found = getting(devices, "beside")
                assert within(150, lambda: devices.waiting == "waits for camera: it is in a call, or hung")
                assert found == []
                camera.free.set()
                thread.join(150)
                assert found[0].keep(1) == 0
                assert devices.waiting is None

            def is_had() -> bool:  # not at once by one that has so little patience with a busy machine
                with contextlib.suppress(DeviceUnreachable):
                    hasty.get("beside")
                return "beside" in hasty.active()

            assert within(150, is_had)
            assert hasty.get("beside").keep(1) == 0


def test_a_controller_that_is_not_there_is_not_waited_for() -> None:
    with DeviceManager(database(free_port()), wait=1000.0) as devices:
        with pytest.raises(DeviceUnreachable, match="connection refused") as caught:
            devices.get("camera")
        assert not caught.value.in_a_call
        assert devices.waiting is None


def test_the_clients_of_a_hung_controller_are_named() -> None:
    with silent() as port, python(CONNECT + "print(flush=True); input()", LOCAL, port) as client:
        assert client.stdout is not None
        client.stdout.readline()
        with (
            DeviceManager(database(port), connect_timeout=0.2) as devices,
            pytest.raises(DeviceUnreachable, match=rf"in a call \(clients: .*\(pid {client.pid}: python"),
        ):
            devices.get("camera")


def test_one_that_waits_for_a_device_keeps_no_connection_of_its_driver() -> None:
    with running({"camera": Camera()}) as server:
        raw = database(server.port)
        endpoint = raw.endpoint("camera")
        with leases(raw, "other") as (other,), DeviceManager(raw, wait=150.0) as devices:
            other.take(endpoint, True)
            thread, found = getting(devices, "camera")
            assert within(150, lambda: devices.waiting)
            assert within(150, lambda: len(server.connected()) == 2)  # the other lease, and ours
            other.close()
            thread.join(150)
            assert found[0].ping()
            assert devices.waiting is None
            assert devices.get("camera") is found[0]


def test_a_device_that_is_refused_leaves_no_connection() -> None:
    with running({"camera": Camera()}) as server:
        raw = database(server.port)
        with leases(raw, "other") as (other,), DeviceManager(raw) as devices:
            other.take(raw.endpoint("camera"), False)
            with pytest.raises(DeviceBusy):
                devices.get("camera", exclusive=True)
            assert within(150, lambda: len(server.connected()) == 1)
            assert devices.get("camera").ping()
            with pytest.raises(DeviceBusy):
                devices.get("camera", exclusive=True)
            assert devices.get("camera").ping()
            assert devices.active().keys() == {"camera"}


def test_every_way_to_a_controller_alone_takes_it_alone() -> None:
    with running({"camera": Camera(), "beside": PerConnection()}) as server:
        raw = database(server.port)
        raw.raw.update({"beside": AUX, "same": dict(raw.raw["camera"]), "eye": "camera"})
        for name in ("camera", "eye", "same", "beside"):
            with leases(raw, "other") as (other,), DeviceManager(raw) as devices:
                assert devices.get("camera") is not None
                devices.get(name, exclusive=True)
                with pytest.raises(DeviceBusy):
                    other.take(raw.endpoint("camera"), False)
            assert within(150, lambda: not server.leases.present())


def test_what_is_being_connected_to_is_known_meanwhile() -> None:
    seen: list[Any] = []
    with serving({"camera": Camera()}) as port:
        with DeviceManager(
            database(port), before_connect=lambda endpoint: seen.append(devices.connecting)
        ) as devices:
            devices.get("camera")
            assert devices.connecting is None
            devices.ensure_started("camera")
        assert seen[0][0].controller == "camera"
        assert seen[1] is None


LOOKING = """
import json, sys
from tests.devices.test_leases import database
from rexec.devices import DeviceManager, leases
leases.LAST = 150.0
raw = database(int(sys.argv[1]))
raw.raw["lamp"] = {"type": "dummy"}
with DeviceManager(raw) as devices:
    devices.get("lamp")  # which nobody can share
    devices.get("camera")
    for line in sys.stdin:
        print(json.dumps([devices.shared_controllers(), devices.lease_troubles()]), flush=True)
"""


@pytest.mark.parametrize("has_lease", [True, False])
def test_who_shares_a_controller_is_told_once_with_a_lease_or_without(has_lease: bool) -> None:
    with running({"camera": Camera()}) as server, python(LOOKING, server.port) as process:

        def shared() -> Any:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            found, troubles = json.loads(process.stdout.readline())
            assert troubles == []
            return found

        assert shared() == {}
        raw = database(server.port)
        with Client(LOCAL, server.port, "camera"), leases(raw, "a") as (mine,):
            if has_lease:
                mine.take(raw.endpoint("camera"), False)
            found = shared()
            assert found.keys() == {"camera"}
            assert ", " not in found["camera"]
            assert found["camera"].startswith(f"pid {os.getpid()} (") != has_lease
        assert within(150, lambda: len(server.connected()) == 2)
        assert (shared() == {}) != has_lease  # who had a lease is remembered


WAITING = """
import sys
from tests.devices.test_leases import database
from rexec.devices import DeviceManager
with DeviceManager(database(int(sys.argv[1])), wait=150.0) as devices:
    devices.get("camera")
"""


def test_a_process_that_waits_for_a_device_does_not_share_it() -> None:
    with running({"camera": Camera()}) as server, DeviceManager(database(server.port)) as devices:
        devices.get("camera", exclusive=True)
        with python(WAITING, server.port):
            assert within(150, lambda: len(server.leases.present()) == 2)
            assert devices.shared_controllers() == {}
            devices.close_devices()
