"""A master that speaks TLS: every command that takes --master works with it, and is refused without the right files."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest

from rexec.datasets import DatasetDB
from rexec.wire.certs import make_set
from tests.cli.program import Lab
from tests.cli.test_master import LOCAL, Running, ended, master
from tests.ending import interrupt

EXPERIMENT = """
def run(self):
    assert self.get_device_db()["camera"]["target_name"] == "camera"
    self.set_dataset("shown", self.get_dataset("level") + 1, broadcast=True, persist=True)
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_set(folder, ["client"])
    make_set(folder / "foreign", ["client"])
    return folder


@pytest.fixture
def secured(lab: Lab, certificates: Path) -> Iterator[Running]:
    entry = {"type": "controller", "host": LOCAL, "port": 1, "target_name": "camera"}
    lab.devices({"camera": entry})
    with DatasetDB(lab.folder / "dataset_db.mdb") as datasets:
        datasets.set("level", 2.5, persist=True)
    files = [str(certificates / name) for name in ("server.pem", "server.key", "clients.pem")]
    with master(lab, "--ssl", *files) as running:
        (lab.folder / "device_db.py").unlink()  # clients have the master's, or none
        yield running


def client(folder: Path, server: Path | None = None) -> list[str]:
    """Return the files of a client, and the certificate of the server that it trusts."""
    return [
        *(str(folder / name) for name in ("client.pem", "client.key")),
        str((server or folder) / "server.pem"),
    ]


def at(running: Running, *names: str) -> list[str]:
    """Return the options that lead to a master."""
    words = ["--master", LOCAL]
    for name in names:
        option = "--master-port" if name == "control" else f"--master-port-{name}"
        words += [option, str(running.ports[name])]
    return words


def test_an_experiment_uses_the_datasets_and_devices_of_a_master_with_tls(
    lab: Lab, secured: Running, certificates: Path
) -> None:
    lab.experiment(EXPERIMENT)
    done = lab.run("experiment.py", "-o", "x.h5", *at(secured, "control"), "--ssl", *client(certificates))
    assert (done.status, done.err) == (0, "")
    with h5py.File(lab.folder / "x.h5") as file:
        assert file["datasets/shown"][()] == 3.5
        assert file["archive/level"][()] == 2.5
    interrupt(secured.process, signal.SIGTERM)
    assert ended(secured.process) == (0, "")
    with DatasetDB(lab.folder / "dataset_db.mdb") as datasets:
        assert datasets.get("shown") == 3.5


def test_the_other_commands_take_devices_and_datasets_of_a_master_with_tls(
    lab: Lab, secured: Running, certificates: Path
) -> None:
    files = client(certificates)
    with lab.start("doctor", *at(secured, "control"), "--ssl", *files, "--format", "json") as doctor:
        out, err = doctor.communicate(timeout=150)
        assert (doctor.returncode, err) == (1, "")
        assert [each["cause"] for each in json.loads(out)] == ["refused"]
    with lab.start(
        "simulate", *at(secured, "control"), "--master-ssl", *files, "--loopback", "--json"
    ) as simulate:
        assert simulate.stdout is not None
        assert list(json.loads(simulate.stdout.readline())["controllers"]) == ["camera"]
        interrupt(simulate)
        assert ended(simulate) == (0, "")
    with lab.start("bridge", *at(secured, "notify"), "--ssl", *files) as bridge:
        assert bridge.stdout is not None
        assert "1 datasets" in bridge.stdout.readline()
        interrupt(bridge)
        assert ended(bridge) == (0, "")
    with h5py.File(lab.folder / "bridge" / "datasets.h5") as file:
        assert file["datasets/level"][()] == 2.5
    with lab.start("up", *at(secured, "control", "notify"), "--ssl", *files, "--export", "compose") as up:
        status, err = ended(up)
    assert (status, err) == (0, "camera: not run here: it has no command\n")


@pytest.mark.parametrize("given", ["none", "foreign client", "foreign server"])
def test_without_the_right_files_a_master_with_tls_refuses_in_one_line(
    given: str, lab: Lab, secured: Running, certificates: Path
) -> None:
    foreign = certificates / "foreign"
    files = {
        "none": [],
        "foreign client": ["--ssl", *client(foreign, server=certificates)],
        "foreign server": ["--ssl", *client(certificates, server=foreign)],
    }[given]
    lab.experiment(EXPERIMENT)
    done = lab.run("experiment.py", *at(secured, "control"), *files)
    assert done.status == 2
    done.one_line(f"{LOCAL}:{secured.ports['control']}")
    assert lab.results() == []
