"""`rexec simulate`, `rexec record` and `rexec run --simulate`, as programs."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import h5py
import psutil
import pytest

from rexec.datasets import DatasetDB
from rexec.wire.errors import WireError
from rexec.wire.pc_rpc import Client
from tests.cli.program import CONTROLLER, Lab
from tests.ending import interrupt

LOCAL = "127.0.0.1"
BEHAVIOURS = """
class camera:
    def frame(self):
        return [7, 8, 9]
"""
MEASURE = """
def build(self):
    self.setattr_device("camera")
    self.setattr_device("rexec")
def run(self):
    self.rexec.add_code("def total(): return sum(controller_driver.frame())")
    self.set_dataset("total", self.rexec.call("total"))
    self.set_dataset("frame", self.camera.frame())
    self.set_dataset("kept", self.get_dataset("kept", 0) + 1, persist=True)
"""
ENTRIES: dict[str, Any] = {
    "camera": {
        "type": "controller", "host": "192.0.2.1", "port": 3000, "target_name": "camera",
        "command": "python controller.py {port}",
    },
    "rexec": {"type": "controller_aux_target", "controller": "camera", "target_name": "camera_rexec"},
}  # fmt: skip


@pytest.fixture
def camera(lab: Lab) -> Lab:
    lab.write("controller.py", CONTROLLER)
    lab.write("behaviours.py", BEHAVIOURS)
    lab.devices(ENTRIES)
    lab.experiment(MEASURE)
    return lab


@contextlib.contextmanager
def simulating(lab: Lab, *arguments: str) -> Iterator[list[str]]:
    """Run `rexec simulate` while the context lasts; yields what it printed at its start."""
    process = lab.start("simulate", *arguments)
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip())
            if line.startswith(("Ctrl-C", "{")):
                break
        else:
            raise AssertionError(process.communicate()[1])
        yield lines
        interrupt(process, signal.SIGTERM)
        out, err = process.communicate(timeout=150.0)
        assert process.returncode == 0, err
        assert "Traceback" not in out + err
    finally:
        process.kill()
        process.communicate()


def test_a_run_with_simulated_controllers_says_so_in_its_file_and_at_its_end(camera: Lab) -> None:
    result = camera.run("experiment.py", "--simulate", "--behaviours", "behaviours.py")
    assert result.status == 0, result.err
    datasets = camera.datasets()
    assert datasets["total"] == 24
    assert list(datasets["frame"]) == [7, 8, 9]
    assert "warning: SIMULATED devices (camera, rexec): these data were not measured" in result.err
    assert not (camera.folder / "dataset_db.mdb").exists()
    with h5py.File(camera.results()[-1]) as file:
        assert file.attrs["simulated"]
        assert json.loads(file["rexec/simulated"].asstr()[()]) == ["camera", "rexec"]


def test_what_is_wrong_is_one_line_before_anything_runs(camera: Lab) -> None:
    result = camera.run("experiment.py", "--simulate", "--fault", "camera.frme:delay=1")
    assert result.status == 2
    result.one_line("camera has no method 'frme'. Did you mean 'frame'?")
    assert not camera.results()


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is of POSIX")
def test_no_process_is_left_when_a_run_is_killed(camera: Lab) -> None:
    camera.experiment(MEASURE + "    print('running', flush=True)\n    import time; time.sleep(60)\n")
    process = camera.start("run", "experiment.py", "--simulate", "--behaviours", "behaviours.py", "-q")
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    children = psutil.Process(process.pid).children(recursive=True)
    assert any("rexec.simulate.child" in " ".join(each.cmdline()) for each in children)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(children, timeout=150.0)
    assert not alive


def test_a_written_database_serves_the_unchanged_experiment(camera: Lab) -> None:
    with DatasetDB(camera.folder / "dataset_db.mdb") as kept:
        kept.set("kept", 41, persist=True)
    with simulating(camera, "--write-db", "simulated.py", "--behaviours", "behaviours.py") as lines:
        assert lines[0].startswith(f"SIMULATED camera at {LOCAL}:")
        assert lines[0].endswith("targets camera, camera_rexec")
        assert lines[1] == "    camera: frame from behaviours.py; ping from controller.py"
        result = camera.run("experiment.py", "--device-db", "simulated.py")
        assert result.status == 0, result.err
        assert camera.datasets()["total"] == 24
        assert "SIMULATED devices (camera, rexec)" in result.err
        assert camera.datasets()["kept"] == 42
        with DatasetDB(camera.folder / "dataset_db.mdb") as kept:
            assert kept.get("kept") == 41
        with h5py.File(camera.results()[-1]) as file:
            assert file.attrs["simulated"]


def test_it_is_told_what_to_do_while_it_runs(camera: Lab) -> None:
    with simulating(camera, "--loopback", "--json", "--behaviours", "behaviours.py") as lines:
        found = json.loads(lines[0])
        address = found["controllers"]["camera"]
        assert found["methods"]["camera"]["camera"] == "frame from behaviours.py; ping from controller.py"
        host, port = found["control"]
        with Client(host, port, "simulation") as control:
            control.die("camera")
            with pytest.raises(WireError, match="refused"):
                Client(address["host"], address["port"], "camera")
            control.revive("camera")
            with Client(address["host"], address["port"], "camera") as client:
                assert client.frame() == [7, 8, 9]
            assert control.calls("camera") == [("frame", (), {})]


def test_an_address_that_is_not_of_this_machine_is_one_line(camera: Lab) -> None:
    with camera.start("simulate") as process:
        try:
            err = process.communicate(timeout=150.0)[1]
        finally:
            process.kill()
    assert process.returncode == 2
    assert "camera: cannot listen on 192.0.2.1:3000" in err
    assert "--loopback" in err
    assert "Traceback" not in err


def test_a_program_with_a_simulation_of_its_own_is_started_with_it(lab: Lab) -> None:
    program = CONTROLLER.replace(
        'simple_rexec_server_loop("camera"',
        'import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument("port")\n'
        'parser.add_argument("--simulation", action="store_true")\n'
        'assert parser.parse_args().simulation\nsimple_rexec_server_loop("camera"',
    )
    lab.write("controller.py", program)
    lab.devices(
        {**ENTRIES, "lamp": {"type": "controller", "host": "::1", "port": 3001, "target_name": "lamp"}}
    )
    with simulating(lab, "--write-db", "simulated.py", "--own-simulation") as lines:
        own = next(line for line in lines if line.endswith("its own program with --simulation"))
        host, _, port = own.split()[2].rstrip(":").rpartition(":")
        with Client(host, int(port), "camera") as client:
            assert client.frame() == [1, 2, 3]
            assert not str(client.get_rpc_id()[1]).startswith("SIMULATED")
        namespace: dict[str, Any] = {}
        exec((lab.folder / "simulated.py").read_text(), namespace)
        assert namespace["device_db"]["camera"]["port"] == int(port)
        assert namespace["device_db"]["camera"]["simulated"] is True
        assert namespace["device_db"]["lamp"]["simulated"] is True
    deadline = time.monotonic() + 150.0
    while time.monotonic() < deadline:
        try:
            Client(host, int(port), None, handshake_timeout=1.0).close_rpc()
        except WireError:
            return
        time.sleep(0.05)
    raise AssertionError("the controller's own program still runs")


KERNELS = '''
from artiq.experiment import *

class Blink(EnvExperiment):
    """Blink."""

    def build(self):
        self.setattr_device("core")
        self.setattr_device("led")
        self.setattr_argument("pulses", Scannable(RangeScan(1, 3, 3)))

    @kernel
    def blink(self, n):
        self.core.break_realtime()
        start = now_mu()
        for _ in range(n):
            with parallel:
                self.led.pulse(2*us)
                delay(5*us)
        return now_mu() - start

    def run(self):
        self.set_dataset("lengths", [self.blink(int(n)) for n in self.pulses])
'''
CORE: dict[str, Any] = {
    "core": {
        "type": "local", "module": "artiq.coredevice.core", "class": "Core",
        "arguments": {"host": "192.0.2.2", "ref_period": 1e-9},
    },
    "led": {"type": "local", "module": "artiq.coredevice.ttl", "class": "TTLOut", "arguments": {"channel": 0}},
}  # fmt: skip


def test_an_experiment_with_kernels_runs_without_hardware_and_without_artiq(lab: Lab) -> None:
    lab.devices(CORE)
    lab.experiment(KERNELS)
    result = lab.run("experiment.py", "--simulate", "-v")
    assert result.status == 0, result.err
    assert list(lab.datasets()["lengths"]) == [5000, 10000, 15000]
    listed = lab.run("experiment.py", "--simulate", "--list")
    assert listed.status == 0, listed.err
    assert "pulses" in listed.out
    assert "rexec.simulate.led:at " in result.err
    assert "SIMULATED devices (core, led)" in result.err


def test_a_session_with_a_real_controller_is_recorded_and_replayed(camera: Lab) -> None:
    with simulating(camera, "--write-db", "real.py", "--behaviours", "behaviours.py"):
        # To the recorder this one is as real as any.
        command = ["record", "camera", "--device-db", "real.py", "-o", "day.rec", "--write-db", "through.py"]
        recorder = camera.start(*command)
        try:
            assert recorder.stdout is not None
            assert recorder.stdout.readline().startswith("recording camera: clients connect to ")
            recorder.stdout.readline()
            result = camera.run("experiment.py", "--device-db", "through.py", "-o", "first.h5")
            assert result.status == 0, result.err
            interrupt(recorder, signal.SIGTERM)
            out, err = recorder.communicate(timeout=150.0)
            assert recorder.returncode == 0, err
            assert out.startswith("kept ")
        finally:
            recorder.kill()
            recorder.communicate()
    result = camera.run("experiment.py", "--simulate", "--recording", "day.rec", "-o", "second.h5")
    assert result.status == 0, result.err
    with h5py.File(camera.folder / "second.h5") as file:
        assert file["datasets/total"][()] == 24
        assert list(file["datasets/frame"]) == [7, 8, 9]


def test_a_controller_that_does_not_run_cannot_be_recorded(camera: Lab) -> None:
    camera.devices({"camera": {**ENTRIES["camera"], "host": LOCAL, "port": 1}})
    with camera.start("record", "camera", "-o", "day.rec") as process:
        try:
            err = process.communicate(timeout=150.0)[1]
        finally:
            process.kill()
    assert process.returncode == 2
    assert "connection refused. Start it with: python controller.py 1" in err
    assert not (camera.folder / "day.rec").exists()


def test_a_simulated_run_without_devices_has_artiqs_language(lab: Lab) -> None:
    lab.devices({})
    lab.experiment(
        "from artiq.experiment import *\nclass Plain(EnvExperiment):\n"
        "    def run(self):\n        self.set_dataset('x', 2 * ms)\n"
    )
    result = lab.run("experiment.py", "--simulate")
    assert (result.status, result.err) == (0, "")
    assert lab.datasets() == {"x": 2e-3}
