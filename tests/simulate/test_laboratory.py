"""Simulated laboratories: what clients of their controllers see."""

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devicedb import InvalidEntryError, from_dict
from rexec.devices import DeviceManager, DeviceTargetError
from rexec.simulate import BehaviourError, FaultError, SimulationError, laboratory
from rexec.wire import certs
from rexec.wire.errors import ConnectionBroken, ConnectionFailed
from rexec.wire.packed_exceptions import GenericRemoteException
from rexec.wire.pc_rpc import AutoTarget, Client
from rexec.wire.tls import SimpleSSLConfig
from tests.ports import EXAMPLES
from tests.serving import free_port, silent

CAMERA = EXAMPLES / "camera" / "device_db.py"
LOCAL = "127.0.0.1"

PROGRAM = '''
from rexec.wire.pc_rpc import simple_server_loop

class Laser:
    """A laser."""
    def set_power(self, watts: float) -> None: ...
    def get_power(self) -> float: ...
    def status(self) -> dict[str, float]: ...
    async def settle(self) -> int: ...

class Shutter:
    def open(self) -> bool: ...

simple_server_loop({"laser": Laser(), "shutter": Shutter()}, "::1", 3000)
'''


class camera:  # noqa: N801  # named after the device
    """A camera that counts."""

    def __init__(self) -> None:
        self.frames = 0
        self.release = threading.Event()

    def get_frame(self) -> Any:
        self.frames += 1
        return np.full((2, 3), self.frames, np.uint16)

    def set_exposure(self, seconds: float) -> None:
        self.release.wait(seconds)


def entry(port: int = 3000, **more: Any) -> dict[str, Any]:
    return {"type": "controller", "host": "::1", "port": port, **more}


def test_a_target_that_no_controller_can_serve_costs_no_other(caplog: pytest.LogCaptureFixture) -> None:
    entries = {
        "good": entry(target_name="good"),
        "spaced": entry(target_name="a b"),
        "alone": entry(3001, target_name="µ"),
        "cam 1": entry(3002),
    }
    with laboratory(entries, {"good": camera, "cam 1": camera}) as lab:
        assert lab.get_device("good").get_frame()[0, 0] == lab.get_device("cam 1").get_frame()[0, 0] == 1
        with pytest.raises(DeviceTargetError, match="no such target"):
            lab.get_device("alone")
        with pytest.raises(InvalidEntryError, match="target_name"):
            lab.get_device("spaced")
    refused = [each.getMessage() for each in caplog.records if "not simulated" in each.getMessage()]
    assert [each.partition(":")[0] for each in refused] == ["spaced", "alone"]


def test_targets_methods_signatures_and_documentation_are_those_of_the_driver() -> None:
    with laboratory(CAMERA) as lab:
        client = lab.get_device("camera")
        targets, description = client.get_rpc_id()
        assert targets == ["camera", "camera_rexec"]
        assert description.startswith("SIMULATED")
        listed = client.get_rpc_method_list()
        spec, doc = listed["methods"]["set_exposure"]
        assert spec["args"] == ["self", "seconds"]
        assert spec["annotations"] == {"seconds": "float", "return": "None"}
        assert doc.startswith("Set the time that light is collected")
        assert listed["docstring"].startswith("A camera of 640 by 480 pixels")
        assert client.get_size() == (0, 0)
        assert client.get_frame().dtype == np.uint16
        assert client.ping() is True
        with pytest.raises(TypeError, match=r"set_exposure\(\): missing a required argument: 'seconds'"):
            client.set_exposure()
        with pytest.raises(AttributeError):
            client.get_fram()


def test_remote_execution_runs_beside_the_simulated_driver() -> None:
    with laboratory(CAMERA, {"camera": camera}) as lab:
        remote = lab.get_device("rexec")
        remote.add_code(
            "def brightest(n): return [int(controller_driver.get_frame().max()) for _ in range(n)]"
        )
        assert remote.call("brightest", 3) == [1, 2, 3]
        assert lab.driver("camera").frames == 3
        assert [each.method for each in lab.calls("camera")] == ["get_frame"] * 3
        assert list(lab.get_device("camera").get_frame()[0]) == [4, 4, 4]


def test_ping_is_answered_while_a_call_runs() -> None:
    with laboratory(CAMERA, {"camera": camera}) as lab:
        endpoint = lab.database.endpoint("camera")
        busy = threading.Thread(target=lambda: lab.get_device("camera").set_exposure(30.0))
        busy.start()
        try:
            with Client(endpoint.host, endpoint.port, "camera", timeout=150.0) as other:
                assert other.ping() is True
            assert busy.is_alive()
        finally:
            lab.driver("camera").release.set()
            busy.join(150.0)


def test_several_drivers_behind_one_server_are_its_targets(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "device_db.py").write_text(
        f"""device_db = {{
            "laser": {entry(target_name="laser", command="python program.py -p {port}")!r},
            "shutter": {{"type": "controller_aux_target", "controller": "laser", "target_name": "shutter"}},
            "mirror": {entry(target_name="mirror")!r},
            "alias": "shutter",
        }}"""
    )
    with laboratory(tmp_path / "device_db.py") as lab:
        laser = lab.get_device("laser")
        assert laser.get_rpc_id()[0] == ["laser", "shutter"]
        assert laser.get_power() == 0.0
        laser.set_power(2.5)
        assert laser.get_power() == 2.5
        assert laser.status() == {}
        assert laser.settle() == 0
        assert lab.get_device("alias").open() is False
        with pytest.raises(DeviceTargetError, match="no such target"):
            lab.get_device("mirror")


def test_the_only_target_has_the_name_that_the_program_gives_it(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM.replace(', "shutter": Shutter()', ""))
    (tmp_path / "device_db.py").write_text(f"device_db = {{'lamp': {entry(command='python program.py')!r}}}")
    with laboratory(tmp_path / "device_db.py") as lab:
        endpoint = lab.database.endpoint("lamp")
        with Client(endpoint.host, endpoint.port, AutoTarget) as client:
            assert client.get_rpc_id()[0] == ["laser"]
            assert client.get_power() == 0.0


def test_a_controller_of_which_nothing_is_known_has_what_experiments_call(tmp_path: Path) -> None:
    database = {"laser": entry(), "laser_rexec": {"type": "controller_aux_target", "controller": "laser",
                "target_name": "laser_rexec"}}  # fmt: skip
    experiment = tmp_path / "experiment.py"
    experiment.write_text(
        "class Measure(EnvExperiment):\n    def build(self):\n        self.setattr_device('laser')\n"
        "    def run(self):\n        self.laser.fire(3)\n"
    )
    with laboratory(database, experiments=[experiment]) as lab:
        endpoint = lab.database.endpoint("laser")
        with Client(endpoint.host, endpoint.port, None) as client:
            assert client.get_rpc_id()[0] == ["laser", "laser_rexec"]
            client.select_rpc_target("laser")
            assert client.fire(3) is None
            assert client.ping() is True
            with pytest.raises(AttributeError):
                client.explode()


def test_an_experiment_that_cannot_be_parsed_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    experiment = tmp_path / "experiment.py"
    experiment.write_text("self.laser.fire(3)\n", encoding="utf-16")
    with laboratory({"laser": entry()}, experiments=[experiment]):
        assert f"{experiment} cannot be parsed" in caplog.text


def test_errors_and_delays_come_as_they_were_asked_for() -> None:
    with laboratory(CAMERA, {"camera": camera}, faults=["camera.get_frame:error=1"]) as lab:
        client = lab.get_device("camera")
        with pytest.raises(RuntimeError, match=r"simulated fault: camera\.get_frame .* seed 0"):
            client.get_frame()
        control = lab.get_device("simulation")
        control.clear("camera.get_frame")
        client.get_frame()
        control.fault("rexec", delay=0.2)
        began = time.monotonic()
        client.get_frame()
        assert time.monotonic() - began >= 0.2
        assert control.status()["camera"]["faults"]["camera.*"]["delay"] == 0.2
        assert [name for name, _, _ in control.calls("camera")] == ["get_frame"] * 3


def test_remote_code_meets_the_faults_of_the_driver() -> None:
    with laboratory(CAMERA, {"camera": camera}, faults=["camera:error=1"]) as lab:
        remote = lab.get_device("rexec")
        remote.add_code("def take(): return controller_driver.get_frame()")
        with pytest.raises(RuntimeError, match="simulated fault"):
            remote.call("take")


def test_a_dead_controller_refuses_until_it_is_revived_with_a_fresh_driver() -> None:
    with laboratory(CAMERA, {"camera": camera}, faults=["camera:death=2"]) as lab:
        client = lab.get_device("camera")
        client.get_frame()
        with pytest.raises(ConnectionBroken):
            client.get_frame()
        endpoint = lab.database.endpoint("camera")
        with pytest.raises(ConnectionFailed, match="refused"):
            Client(endpoint.host, endpoint.port, "camera")
        control = lab.get_device("simulation")
        assert control.status()["camera"]["state"] == "dead"
        control.revive("camera")
        assert client.get_frame()[0, 0] == 1
        control.die("camera_rexec")
        with pytest.raises(ConnectionFailed, match="refused"):
            Client(endpoint.host, endpoint.port, "camera")


def test_a_silent_controller_accepts_and_says_nothing() -> None:
    with laboratory(CAMERA, {"camera": camera}) as lab:
        client, control = lab.get_device("camera"), lab.get_device("simulation")
        endpoint = lab.database.endpoint("camera")
        control.fault("camera", silence=0)
        with pytest.raises(ConnectionFailed, match="sent no answer"):
            Client(endpoint.host, endpoint.port, "camera", handshake_timeout=0.3)
        control.revive("camera")
        control.fault("camera", silence=1)
        caught: list[BaseException] = []

        def ask() -> None:
            try:
                client.get_frame()
            except ConnectionError as error:
                caught.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        deadline = time.monotonic() + 150.0
        while control.status()["camera"]["state"] != "silent":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert asking.is_alive()
        control.revive("camera")
        asking.join(150.0)
        assert isinstance(caught[0], ConnectionBroken)
        assert client.get_frame()[0, 0] == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("camra:delay=1", "Did you mean 'camera'?"),
        ("camera.get_fram:delay=1", "has no method 'get_fram'. Did you mean 'get_frame'?"),
        ("camera.ping:silence", "ping is answered beside all calls"),
    ],
)
def test_a_fault_of_nothing_is_refused(fault: str, words: str) -> None:
    with pytest.raises(FaultError) as found, laboratory(CAMERA, faults=[fault]):
        pass
    assert words in str(found.value)


def test_a_behaviour_that_does_not_fit_is_refused_before_anything_starts() -> None:
    class wrong:  # noqa: N801
        def get_image(self) -> int:
            return 1

    with (
        pytest.raises(BehaviourError, match="the driver has no such method"),
        laboratory(CAMERA, {"camera": wrong}),
    ):
        pass


def test_an_address_in_use_is_named_and_nothing_is_left() -> None:
    with silent() as port:
        database = {"laser": entry(port, host=LOCAL), "other": entry(port, host=LOCAL, target_name="other")}
        before = threading.active_count()
        said = r"(Address already|The network address is) in use"
        with pytest.raises(SimulationError, match=rf"laser, other: .*{LOCAL}:{port}: {said}"):
            with laboratory(database, loopback=False):
                pass
        assert threading.active_count() <= before


def test_an_error_of_a_behaviour_is_that_of_the_call() -> None:
    class Failing(camera):
        def get_frame(self) -> Any:
            raise LookupError("no light")

    with laboratory(CAMERA, {"camera": Failing}) as lab, pytest.raises(LookupError, match="no light"):
        lab.get_device("camera").get_frame()


def test_a_name_that_the_driver_has_not_is_told_to_remote_code() -> None:
    with laboratory(CAMERA, {"camera": camera}) as lab:
        remote = lab.get_device("rexec")
        remote.add_code("def f(): return controller_driver.get_fram()")
        with pytest.raises(AttributeError, match="Did you mean 'get_frame'"):
            remote.call("f")


def test_a_database_of_fifty_controllers_is_simulated_and_every_one_answers(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        PROGRAM.replace('{"laser": Laser(), "shutter": Shutter()}', '"laser", Laser()').replace(
            "simple_server_loop", "simple_rexec_server_loop"
        )
    )
    entries: dict[str, Any] = {}
    for index in range(50):
        entries[f"laser{index}"] = entry(
            3000 + index, target_name="laser", command="python program.py -p {port}"
        )
        entries[f"rexec{index}"] = {
            "type": "controller_aux_target", "controller": f"laser{index}", "target_name": "laser_rexec",
        }  # fmt: skip
    path = tmp_path / "device_db.py"
    path.write_text(f"device_db = {entries!r}")
    with laboratory(path) as lab:
        for index in range(50):
            lab.get_device(f"laser{index}").set_power(float(index))
        for index in range(50):
            remote = lab.get_device(f"rexec{index}")
            remote.add_code("def power(): return controller_driver.get_power()")
            assert remote.call("power") == float(index)
        assert len(lab.status()) == 50


def test_the_written_database_leads_to_the_simulation_and_says_so(tmp_path: Path) -> None:
    database = {
        "laser": entry(target_name="laser", command="program -p {port}", comment="keep"),
        "broken": {"type": "controller"},
        "elsewhere": entry(3001),
        "core": {
            "type": "local",
            "module": "artiq.coredevice.core",
            "class": "Core",
            "arguments": {"host": None},
        },
        "own": {"type": "local", "module": "mylab.devices", "class": "Wheel", "arguments": {}},
    }
    with laboratory(database, names=["laser"]) as lab:
        namespace: dict[str, Any] = {}
        exec(lab.write(tmp_path / "simulated.py").read_text(), namespace)
        written = namespace["device_db"]
        assert written == lab.database.raw
        assert "SIMULATED" in namespace["__doc__"]
        laser = written["laser"]
        assert laser["host"] == LOCAL
        assert laser["comment"] == "keep"
        assert "command" not in laser
        assert written["elsewhere"] == entry(3001)
        assert written["own"]["module"] == "mylab.devices"
        assert written["core"]["module"] == "rexec.simulate.local"
        assert lab.database.simulated() == ["laser", "core"]
        with Client(laser["host"], laser["port"], "laser") as client:
            assert client.ping() is True


def test_only_a_database_that_rexec_has_made_is_replaced(tmp_path: Path) -> None:
    own, made, through = (tmp_path / name for name in ("own.py", "made.py", "through.py"))
    own.write_text("device_db = {}  # rexec simulate\n")
    through.write_text('"""Devices of db.py, through the proxies of rexec record."""\n')
    with laboratory({"laser": entry(target_name="laser")}) as lab:
        with pytest.raises(SimulationError, match=r"own\.py is not replaced"):
            lab.write(own)
        lab.write(made)
        for path in (made, through):
            path.write_text(path.read_text() + "# edited\n")
            assert "# edited" not in lab.write(path).read_text()
    assert own.read_text() == "device_db = {}  # rexec simulate\n"


def test_an_unpicklable_error_class_travels_by_its_name() -> None:
    class OutOfLight(Exception):
        pass

    class Failing(camera):
        def get_frame(self) -> Any:
            raise OutOfLight("dark")

    with (
        laboratory(CAMERA, {"camera": Failing}) as lab,
        pytest.raises(GenericRemoteException, match="OutOfLight: dark"),
    ):
        lab.get_device("camera").get_frame()


def test_attributes_that_remote_code_sets_are_those_of_the_behaviour() -> None:
    with laboratory(CAMERA, {"camera": camera}) as lab:
        remote = lab.get_device("rexec")
        remote.add_code("def jump():\n    controller_driver.frames = 41\n    return controller_driver.frames")
        assert remote.call("jump") == 41
        assert lab.get_device("camera").get_frame()[0, 0] == 42


def test_a_behaviour_whose_constructor_fails_is_named_with_its_line() -> None:
    class Broken(camera):
        def __init__(self) -> None:
            raise OSError("no table of dark counts")

    class Needy(camera):
        def __init__(self, gain: int) -> None:
            self.gain = gain

    for behaviour, words in ((Broken, "OSError: no table of dark counts"), (Needy, "takes no arguments")):
        with pytest.raises(
            BehaviourError, match=r"test_laboratory\.py:\d+: the behaviour of camera"
        ) as found:
            with laboratory(CAMERA, {"camera": behaviour}):
                pass
        assert words in str(found.value)


def test_a_controller_behind_tls_is_simulated_with_its_servers_files(tmp_path: Path) -> None:
    made = certs.make_set(tmp_path, ["alice"])
    alice = made.clients["alice"]
    files = {
        "client_cert": str(alice.cert),
        "client_key": str(alice.key),
        "server_cert": str(made.server.cert),
    }
    database = {"laser": entry(free_port(), host=LOCAL, target_name="laser", simple_ssl_config=files)}
    with pytest.raises(SimulationError, match=r"laser at 127\.0\.0\.1:\d+ speaks TLS"):
        with laboratory(database, loopback=False):
            pass
    server = SimpleSSLConfig(str(made.server.cert), str(made.server.key), str(made.trusted_clients))
    with laboratory(database, loopback=False, tls=server):
        manager = DeviceManager(from_dict(database, "device_db.py"))
        assert manager.get("laser").ping() is True
        manager.close_devices()
    with laboratory(database) as lab:
        assert lab.get_device("laser").ping() is True


def test_faults_from_the_start_add_up_and_silence_is_there_at_once() -> None:
    faults = ["camera.get_frame:delay=0.1", "camera.get_frame:error=1", "camera.get_size:silence"]
    with laboratory(CAMERA, {"camera": camera}, faults=faults) as lab:
        endpoint = lab.database.endpoint("camera")
        with pytest.raises(ConnectionFailed, match="sent no answer"):
            Client(endpoint.host, endpoint.port, "camera", handshake_timeout=0.3)
        lab.revive("camera")
        began = time.monotonic()
        with pytest.raises(RuntimeError, match="simulated fault"):
            lab.get_device("camera").get_frame()
        assert time.monotonic() - began >= 0.1
        assert lab.get_device("camera").get_size() == (0, 0)
