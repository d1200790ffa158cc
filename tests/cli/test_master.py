"""`rexec master`, the real program, and the programs of ours that use it."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rexec.datasets import DatasetDB
from rexec.wire.pc_rpc import Client
from tests.cli.program import Lab
from tests.ending import ORDERLY, interrupt
from tests.serving import free_port
from tests.waiting import within

LOCAL = "127.0.0.1"


@dataclass
class Running:
    """A master that is ready: its process, and its ports by name."""

    process: "subprocess.Popen[str]"
    ports: dict[str, int]

    def client(self, target: str) -> Client:
        """Return a client of one of its targets."""
        return Client(LOCAL, self.ports["control"], target)


@contextlib.contextmanager
def master(lab: Lab, *options: str) -> Iterator[Running]:
    """Run the program on ports of the system's choice until the context ends."""
    chosen = [f"--port-{name}=0" for name in ("notify", "control", "broadcast", "logging")]
    with lab.start("master", "--no-localhost-bind", "--bind", LOCAL, *chosen, *options) as process:
        try:
            assert process.stdout is not None
            ports = {}
            for line in process.stdout:
                name, _, address = line.strip().partition(": ")
                if address.startswith(LOCAL):
                    ports[name] = int(address.rpartition(":")[2])
                if line == "rexec master is now ready.\n":
                    break
            yield Running(process, ports)
        finally:
            process.kill()


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Return the exit status and standard error of a program that ends by itself."""
    _, err = process.communicate(timeout=150)
    return process.returncode, err


@pytest.mark.parametrize("number", ORDERLY)
def test_a_signal_ends_it_cleanly_and_frees_the_database(lab: Lab, number: int) -> None:
    with master(lab) as running:
        with running.client("dataset_db") as client:
            client.set("x", 3, True)
            interrupt(running.process, number)
            assert ended(running.process) == (0, "")
    with DatasetDB(lab.folder / "dataset_db.mdb") as db:
        assert db.get("x") == 3


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
def test_a_hangup_reads_the_device_database_again_and_a_bad_one_changes_nothing(lab: Lab) -> None:
    with master(lab, "-v") as running, running.client("device_db") as client:
        lab.devices({"lamp": {"type": "dummy"}})
        running.process.send_signal(signal.SIGHUP)
        assert within(150.0, lambda: set(client.get_device_db()) == {"lamp"})
        lab.write("device_db.py", "device_db = []\n")
        running.process.send_signal(signal.SIGHUP)
        assert running.process.stderr is not None
        lines: list[str] = []
        while len(lines) < 2:  # who has connected is said, too
            line = running.process.stderr.readline()
            lines += [line] if "device_db.py" in line else []
        assert set(client.get_device_db()) == {"lamp"}
    assert "device_db.py was read again: 1 new (lamp)" in lines[0]
    assert "device_db.py: `device_db` is of type list" in lines[1]
    assert "The 1 devices stay as they were" in lines[1]


def test_a_second_master_on_the_same_datasets_is_told_who_has_them(lab: Lab) -> None:
    with master(lab) as running:
        result = subprocess.run(
            [sys.executable, "-P", "-m", "rexec", "master"],
            cwd=lab.folder, capture_output=True, text=True, timeout=150, check=False,
        )  # fmt: skip
        assert result.returncode == 2
        assert f"dataset_db.mdb has a master already, process {running.process.pid} (" in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_a_bad_device_database_at_the_start_is_one_line(lab: Lab) -> None:
    lab.write("device_db.py", "device_db = {\n")
    with lab.start("master") as process:
        status, err = ended(process)
    assert status == 2
    assert (
        err.startswith("rexec master: error: device_db.py:1: syntax error") or "device_db.py:1: syntax" in err
    )
    assert len(err.splitlines()) == 1


def test_a_run_uses_its_datasets_and_devices_and_a_follower_sees_them(lab: Lab) -> None:
    lab.experiment(
        """
def run(self):
    self.set_dataset("shown", [], broadcast=True, unit="V")
    self.append_to_dataset("shown", 1.5)
    self.set_dataset("kept", self.get_dataset("given", archive=False) + 1, persist=True)
    self.set_dataset("own", 3)
    self.set_dataset("not filed", 4, broadcast=True, archive=False)
    self.get_dataset("read")
"""
    )
    with master(lab) as running:
        with running.client("dataset_db") as client:
            client.set("given", 41)
            client.set("read", "calibration")
            result = lab.run(
                "experiment.py", "--master", LOCAL, "--master-port", str(running.ports["control"])
            )
            assert (result.status, result.err) == (0, "")
            assert client.get("shown") == [1.5]
            assert client.get_metadata("shown") == {"unit": "V"}
            assert (client.get("kept"), client.get("not filed")) == (42, 4)
            with pytest.raises(KeyError):
                client.get("own")
        running.process.kill()
        running.process.wait(150)
    with DatasetDB(lab.folder / "dataset_db.mdb") as db:
        assert db.snapshot() == {"kept": (True, 42, {})}
    import h5py

    with h5py.File(lab.results()[-1]) as file:
        assert set(file["datasets"]) == {"shown", "kept", "own"}
        assert set(file["archive"]) == {"read"}


def test_a_run_goes_on_when_its_master_dies_and_shows_its_datasets_to_the_next_one(lab: Lab) -> None:
    lab.experiment(
        """
def run(self):
    import time, os
    self.set_dataset("first", 1, broadcast=True)
    self.set_dataset("points", [], broadcast=True)
    self.append_to_dataset("points", 0)
    for n in range(1, 3):
        while not os.path.exists(f"go{n}"):
            time.sleep(0.02)
        self.append_to_dataset("points", n)
        if n == 1:
            try:
                self.set_dataset("kept", n, persist=True)
            except ConnectionError:
                print("not kept", flush=True)
    while not os.path.exists("end"):
        time.sleep(0.1)
        self.set_dataset("alive", time.time(), broadcast=True)
"""
    )
    control = free_port()  # nobody else gets it between the two masters
    with master(lab, f"--port-control={control}") as running:
        with lab.start("run", "experiment.py", "--master", LOCAL, "--master-port", str(control)) as process:
            try:
                assert within(150.0, lambda: dataset(control, "points") == [0])
                running.process.kill()
                running.process.wait(150)
                (lab.folder / "go1").touch()
                assert process.stdout is not None
                assert process.stdout.readline() == "not kept\n"
                with master(lab, f"--port-control={control}"):
                    (lab.folder / "go2").touch()
                    assert within(150.0, lambda: dataset(control, "points") == [0, 1, 2])
                    assert dataset(control, "first") == 1
                    (lab.folder / "end").touch()
                    _, err = process.communicate(timeout=150)
            finally:
                process.kill()
    assert process.returncode == 1  # what was to persist is not kept
    assert "degraded: dataset kept was not kept by the database" in err, err
    assert err.count("is gone: ") == err.count("is back: ") == 1, err
    assert list(lab.datasets()["points"]) == [0, 1, 2]


def test_a_run_can_serve_its_own_datasets_as_a_master_does(lab: Lab) -> None:
    ports = [free_port() for _ in range(3)]
    options = [f"--port-{n}={p}" for n, p in zip(("notify", "control", "broadcast"), ports, strict=True)]
    lab.experiment(
        """
def run(self):
    import time, os
    self.set_dataset("level", 7, broadcast=True)
    while not os.path.exists("go"):
        time.sleep(0.02)
"""
    )
    with lab.start("run", "experiment.py", "--serve", *options, "-q") as process:
        try:
            assert within(
                150.0, lambda: (lab.folder / "results").exists() and dataset(ports[1], "level") == 7
            )
            with Client("::1", ports[1], "master_management") as management:
                with pytest.raises(Exception, match="belongs to a run"):
                    management.terminate()
            with (
                Client("::1", ports[1], "device_db") as devices,
                pytest.raises(Exception, match="does not change during the run"),
            ):
                devices.scan()
            (lab.folder / "go").touch()
            status, err = ended(process)
        finally:
            process.kill()
    assert (status, err) == (0, "")


def dataset(port: int, key: str) -> object:
    """Return a dataset of whoever serves on a port, None where there is none."""
    try:
        with Client(LOCAL, port, "dataset_db") as client:
            return client.get(key)
    except (OSError, KeyError):
        return None


def test_serving_does_not_go_with_another_master(lab: Lab) -> None:
    lab.experiment("def run(self):\n    pass\n")
    result = lab.run("experiment.py", "--serve", "--master", LOCAL, "--device-db", "device_db.py")
    assert result.status == 2
    result.one_line("--serve", "--master")


def test_rexec_up_follows_its_devices(lab: Lab, tmp_path: Path) -> None:
    from tests.supervise.controllers import entry, write_controller

    write_controller(lab.folder)
    port = free_port()
    with master(lab, "--watch") as running:
        arguments = ["--master", LOCAL, "--master-port", str(running.ports["control"])]
        arguments += ["--master-port-notify", str(running.ports["notify"]), "--port-control", "0"]
        with lab.start("up", *arguments) as process:
            try:
                lab.devices({"lamp": entry(port)})
                assert within(150.0, lambda: answers(port))
                lab.devices({"other": {"type": "dummy"}})
                assert within(150.0, lambda: not answers(port))
            finally:
                interrupt(process, ORDERLY[-1])
                process.communicate(timeout=150)


def answers(port: int) -> bool:
    """Whether a controller answers."""
    try:
        with Client(LOCAL, port, "lamp") as client:
            return bool(client.ping())
    except OSError:
        return False
