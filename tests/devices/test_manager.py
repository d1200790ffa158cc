"""A device manager gives out each device once, says why one cannot be had, and closes all of them."""

import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devicedb import SIMULATED, DeviceDBError, UnknownDeviceError, from_dict
from rexec.devices import (
    DeviceLoopError,
    DeviceManager,
    DeviceProtocolError,
    DeviceTargetError,
    DeviceUnreachable,
    DummyDevice,
    LocalDeviceError,
    MasterUnreachable,
)
from rexec.wire.errors import ConnectionFailed
from tests.serving import free_port, serving, silent


class Camera:
    def name(self) -> str:
        return "camera"


class PerConnection:
    """Stands for remote execution: a target that is made anew for every connection."""

    def __call__(self) -> "Namespace":
        return Namespace()


class Namespace:
    def __init__(self) -> None:
        self.kept = 0

    def keep(self, value: int) -> int:
        before, self.kept = self.kept, value
        return before


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving({"camera": Camera(), "camera_rexec": PerConnection()}) as port:
        yield port


def manager(raw: dict[str, Any], **options: Any) -> DeviceManager:
    return DeviceManager(from_dict(raw, "device_db.py"), **options)


def controller(port: int, **further: Any) -> dict[str, Any]:
    return {"type": "controller", "host": "127.0.0.1", "port": port, "target_name": "camera", **further}


def local(class_name: str, module: str = "lab_drivers", **arguments: Any) -> dict[str, Any]:
    return {"type": "local", "module": module, "class": class_name, "arguments": arguments}


class Driver:
    """A local driver that keeps what it was made with, and notes its end."""

    closed: list[str]

    def __init__(
        self, device_mgr: Any, label: str = "", needs: str | None = None, fail: bool = False
    ) -> None:
        self.label = label
        self.other = device_mgr.get(needs) if needs else None
        if fail:
            raise ZeroDivisionError("no reference clock")
        self.fail_at_end = label == "bad"
        self.notified = 0

    def close(self) -> None:
        Driver.closed.append(self.label)
        if self.fail_at_end:
            raise RuntimeError("stuck")

    def notify_run_end(self) -> None:
        self.notified += 1
        if self.fail_at_end:
            raise RuntimeError("late")


@pytest.fixture(autouse=True)
def lab_drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType("lab_drivers")
    module.Driver = Driver
    module.__file__ = "lab_drivers.py"
    Driver.closed = []
    monkeypatch.setitem(sys.modules, "lab_drivers", module)


def test_a_controller_is_a_connected_client_and_aliases_share_it(port: int) -> None:
    with manager({"camera": controller(port), "eye": "camera"}) as devices:
        assert devices.get("eye").name() == "camera"
        assert devices.get("camera") is devices.get("eye")


def test_a_notebook_shows_the_devices_and_which_are_in_use(port: int) -> None:
    with manager({"camera": controller(port), "eye": "camera", "lamp": controller(port)}) as devices:
        devices.get("eye")
        assert repr(devices) == "<DeviceManager of device_db.py: 3 names, 1 in use>"
        assert devices._repr_html_().count(f"&lt;Client of camera at 127.0.0.1:{port}&gt;") == 1
        assert devices._repr_html_().count(">controller</td>") == 2


def test_controllers_that_differ_in_a_comment_share_a_connection(port: int) -> None:
    with manager({"a": controller(port, comment="x"), "b": controller(port, comment="y")}) as devices:
        assert devices.get("a") is devices.get("b")


def test_aux_targets_of_equal_description_have_a_namespace_each(port: int) -> None:
    aux = {"type": "controller_aux_target", "controller": "camera", "target_name": "camera_rexec"}
    raw = {"camera": controller(port), "one": dict(aux), "two": dict(aux), "also_one": "one"}
    with manager(raw) as devices:
        devices.get("one").keep(5)
        assert devices.get("two").keep(6) == 0
        assert devices.get("also_one").keep(7) == 5


def test_a_best_effort_entry_gives_a_best_effort_client(port: int) -> None:
    raw = {"camera": controller(port, best_effort=True), "dead": controller(free_port(), best_effort=True)}
    with manager(raw) as devices:
        assert devices.get("camera").name() == "camera"
        assert type(devices.get("camera")).__name__ == "BestEffortClient"
        assert devices.get("dead").name() is None


def test_descriptions_are_never_changed(port: int) -> None:
    raw = {"camera": controller(port), "d": local("Driver", label="x")}
    before = repr(raw)
    with manager(raw) as devices:
        devices.get("camera")
        devices.get("d")
        assert devices.get_desc("camera") is devices.get_device_db()["camera"]
    assert repr(raw) == before


def test_virtual_devices_come_before_the_database() -> None:
    devices = manager({"scheduler": "nowhere"}, virtual_devices={"scheduler": "stand-in"})
    assert devices.get("scheduler") == "stand-in"


def test_a_local_device_gets_the_manager_and_its_arguments() -> None:
    devices = manager({"a": local("Driver", label="x", needs="b"), "b": local("Driver", label="y")})
    device = devices.get("a")
    assert (device.label, device.other.label) == ("x", "y")
    assert devices.get("b") is device.other


def test_local_devices_of_equal_description_are_one_object() -> None:
    devices = manager({"a": local("Driver", label="x"), "b": local("Driver", label="x")})
    assert devices.get("a") is devices.get("b")


def test_a_local_device_has_nobody_who_could_use_it_too() -> None:
    devices = manager({"a": local("Driver", label="x"), "d": {"type": "dummy"}})
    for name in ("a", "d"):
        assert devices.get(name, exclusive=True) is devices.get(name, exclusive=True)
    assert devices.asked == {"a": None, "d": None}


def test_a_stand_in_is_described_as_the_driver_that_it_stands_for() -> None:
    def stand_in(**arguments: Any) -> dict[str, Any]:
        return {**local("StandIn", module="rexec.simulate.local", **arguments), SIMULATED: True}

    raw: dict[str, Any] = {
        "a": stand_in(driver="lab.drivers.Lamp", arguments={"port": 1}),
        "b": stand_in(driver="Lamp"),
        "c": stand_in(other=1),
        "d": {**local("Driver", driver="lab.drivers.Lamp")},
        "e": "a",
    }
    devices = manager(raw)
    shown = devices.get_device_db()
    for name, module, class_name, arguments in (
        ("a", "lab.drivers", "Lamp", {"port": 1}),
        ("b", "", "Lamp", {}),
    ):
        assert shown[name] == {**raw[name], "module": module, "class": class_name, "arguments": arguments}
        assert devices.get_desc(name) == shown[name]
    assert [shown[name] for name in "cde"] == [raw[name] for name in "cde"]
    assert devices.get_desc("e") == shown["a"]


class Noting:
    """A controller of which clients might call what is meant for local drivers."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def notify_run_end(self) -> None:
        self.called.append("notify_run_end")

    def close(self) -> None:
        self.called.append("close")


def test_no_controller_is_told_of_the_end_of_a_run_or_closed() -> None:
    noting = Noting()
    with serving({"camera": noting}) as port:
        with manager({"camera": controller(port), "d": {"type": "dummy"}}) as devices:
            camera = devices.get("camera")
            devices.get("d")
            devices.notify_run_end()
        assert noting.called == []
        with pytest.raises(ConnectionFailed, match="is closed"):
            camera.close()
        assert noting.called == []


def test_a_driver_is_closed_once_whatever_its_names() -> None:
    with manager({"a": local("Driver", label="x"), "b": local("Driver", label="x"), "c": "a"}) as devices:
        for name in "abc":
            devices.get(name)
        assert list(devices.active()) == ["a", "b"]
        devices.notify_run_end()
        assert devices.get("a").notified == 1
    assert Driver.closed == ["x"]
    assert devices.active() == {}
    assert devices.get("a").notified == 0  # made anew


def test_only_a_controller_can_be_started(port: int) -> None:
    seen: list[str] = []
    devices = manager(
        {"camera": controller(port), "d": {"type": "dummy"}},
        before_connect=lambda e: seen.append(e.controller),
    )
    devices.ensure_started("camera")
    assert seen == ["camera"]
    with pytest.raises(DeviceDBError):
        devices.ensure_started("d")
    manager({"camera": controller(port)}).ensure_started("camera")


def test_a_dummy_is_an_object_without_methods() -> None:
    assert isinstance(manager({"d": {"type": "dummy"}}).get("d"), DummyDevice)


def test_devices_close_in_reverse_order_and_an_error_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    raw = {name: local("Driver", label=name) for name in ("one", "bad", "three")}
    with manager(raw) as devices:
        given = [devices.get(name) for name in raw]
        devices.notify_run_end()
        assert [each.notified for each in given] == [1, 1, 1]
    assert Driver.closed == ["three", "bad", "one"]
    assert "device 'bad': closing failed: RuntimeError: stuck" in caplog.text
    assert "device 'bad': notify_run_end failed" in caplog.text
    devices.close_devices()
    assert len(Driver.closed) == 3


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (local("Driver", module="absent_module"), "no module 'absent_module'; install it"),
        (local("Driver", module="artiq.absent"), "no module 'artiq"),
        (local("Drivr"), "lab_drivers.py has no 'Drivr'. Did you mean 'Driver'?"),
        (local("Driver", fail=True), "its constructor raised ZeroDivisionError: no reference clock ("),
        (local("Driver", wrong=1), "unexpected keyword argument 'wrong'"),
    ],
)
def test_a_driver_that_cannot_be_made_is_named_with_the_cause(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(LocalDeviceError) as caught:
        manager({"alias": "dev", "dev": entry}).get("alias")
    assert said in str(caught.value)
    assert "device 'alias' (entry 'dev'" in str(caught.value)


def test_a_device_that_a_driver_lacks_is_the_error() -> None:
    with pytest.raises(UnknownDeviceError, match="'absent'"):
        manager({"a": local("Driver", needs="absent")}).get("a")


def test_drivers_that_need_each_other_are_a_loop() -> None:
    raw = {"a": local("Driver", needs="b"), "b": local("Driver", needs="a")}
    with pytest.raises(DeviceLoopError, match="a -> b -> a"):
        manager(raw).get("a")


def test_nobody_listening_names_device_address_target_and_command() -> None:
    port = free_port()
    raw = {"eye": "camera", "camera": controller(port, command="aqctl_camera -p {port} --bind {bind}")}
    with pytest.raises(DeviceUnreachable) as caught:
        manager(raw).get("eye")
    said = str(caught.value)
    assert f"device 'eye' (entry 'camera') at 127.0.0.1:{port}, target 'camera': connection refused" in said
    assert f"Start it with: aqctl_camera -p {port} --bind 127.0.0.1" in said
    assert "\n" not in said


def test_a_command_that_cannot_be_used_is_said() -> None:
    with pytest.raises(DeviceUnreachable, match="Did you mean 'port'"):
        manager({"camera": controller(free_port(), command="x {prot}")}).get("camera")
    with pytest.raises(DeviceUnreachable, match="has no command"):
        manager({"camera": controller(free_port())}).get("camera")


def test_silence_is_bounded_and_said() -> None:
    with silent() as port, pytest.raises(DeviceUnreachable, match=r"no answer .* in 0.3 s"):
        manager({"camera": controller(port)}, connect_timeout=0.3).get("camera")


def test_another_protocol_is_said() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
                connection.recv(100)

        thread = threading.Thread(target=speak)
        thread.start()
        with pytest.raises(DeviceProtocolError, match="does a controller listen there"):
            manager({"camera": controller(listener.getsockname()[1])}).get("camera")
        thread.join(150)


def test_a_wrong_target_says_what_is_there(port: int) -> None:
    with pytest.raises(DeviceTargetError, match=r"it has 'camera', 'camera_rexec'\. Did you mean 'camera'\?"):
        manager({"camera": controller(port, target_name="camra")}).get("camera")
    raw = {"camera": controller(port)}
    del raw["camera"]["target_name"]
    with pytest.raises(DeviceTargetError, match="has 2 targets"):
        manager(raw).get("camera")


def test_tls_files_that_are_missing_are_named(port: int) -> None:
    tls = {"client_cert": "/absent/c", "client_key": "/absent/k", "server_cert": "/absent/s"}
    with pytest.raises(DeviceUnreachable, match="/absent/c"):
        manager({"camera": controller(port, simple_ssl_config=tls)}).get("camera")


def test_the_hook_comes_before_each_connection(port: int) -> None:
    seen: list[str] = []
    with manager(
        {"camera": controller(port), "eye": "camera"}, before_connect=lambda e: seen.append(e.controller)
    ) as m:
        m.get("eye")
        m.get("camera")
    assert seen == ["camera"]


def test_a_database_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "device_db.py").write_text('device_db = {"d": {"type": "dummy"}}')
    with DeviceManager.from_file(tmp_path / "device_db.py") as devices:
        assert isinstance(devices.get("d"), DummyDevice)
    with pytest.raises(DeviceDBError, match="no such file"):
        DeviceManager.from_file(tmp_path / "absent.py")
    with DeviceManager(str(tmp_path / "device_db.py")) as devices:
        assert isinstance(devices.get("d"), DummyDevice)
    with pytest.raises(DeviceDBError, match="no such file"):
        DeviceManager(tmp_path / "absent.py")


def test_a_database_may_be_a_dict() -> None:
    with DeviceManager({"d": {"type": "dummy"}, "alias": "d"}) as devices:
        assert isinstance(devices.get("alias"), DummyDevice)
        with pytest.raises(DeviceDBError, match="'e' is not in the dict that was given"):
            devices.get("e")


class MasterDB:
    def get_device_db(self) -> dict[str, Any]:
        return {"d": {"type": "dummy"}}


@pytest.mark.parametrize("name", ["device_db", "master_device_db"])
def test_a_database_comes_from_a_master_of_any_age(name: str) -> None:
    with serving({name: MasterDB(), "other": Camera()}) as port:
        devices = DeviceManager.from_master("127.0.0.1", port)
        assert devices.get_device_db() == {"d": {"type": "dummy"}}
        assert devices.database.origin == f"master 127.0.0.1:{port}"


def test_a_master_that_is_none_is_said(port: int) -> None:
    with pytest.raises(MasterUnreachable, match="is not a master; its targets are 'camera', 'camera_rexec'"):
        DeviceManager.from_master("127.0.0.1", port)
    dead = free_port()
    with pytest.raises(MasterUnreachable, match=f"127.0.0.1:{dead}.*artiq_master"):
        DeviceManager.from_master("127.0.0.1", dead)
