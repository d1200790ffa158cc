"""A bridge from real ARTIQ masters."""

import signal
from pathlib import Path

import numpy as np
import pytest

import rexec.results
from rexec.results import recover_folder, verify
from rexec.results.reading.replay import changes, comparisons
from rexec.wire.pc_rpc import Client
from tests.bridge.bridges import bridging
from tests.interop.artiq import EACH, Program, client, release
from tests.serving import free_port
from tests.waiting import within

EXPERIMENT = """
from artiq.experiment import *
import numpy as np

class Scan(EnvExperiment):
    def build(self):
        pass

    def run(self):
        self.set_dataset("scan", [], broadcast=True)
        for n in range(20):
            self.append_to_dataset("scan", n * 0.5)
        self.set_dataset("image", np.zeros((2, 3)), broadcast=True, unit="counts")
        self.mutate_dataset("image", ((0, 1), (1, 3)), 7.0)
        self.set_dataset("done", True, broadcast=True)
"""


def master(python: str, folder: Path, ports: dict[str, int]) -> Program:
    """Start ARTIQ's master and wait until it is ready."""
    (folder / "repository").mkdir(exist_ok=True)
    (folder / "device_db.py").write_text(
        "device_db = {'core': {'type': 'local', 'module': 'artiq.coredevice.core', 'class': 'Core', "
        "'arguments': {'host': None, 'ref_period': 1e-9}}}\n"
    )
    options = [f"--port-{name}={port}" for name, port in ports.items()]
    started = Program(
        python,
        "artiq.frontend.artiq_master",
        "--no-localhost-bind",
        "--bind",
        "127.0.0.1",
        *options,
        folder=folder,
    )
    started.wait_for(lambda text: "now ready" in text)
    return started


def measure(python: str, control: int, experiment: Path) -> None:
    """Run the experiment; where an old release may lack what its compiler needs, do as its worker would."""
    if release(python) >= 9:
        client(python, control, "submit", str(experiment))
        return
    with Client("127.0.0.1", control, None) as datasets:
        datasets.select_rpc_target(
            "dataset_db" if "dataset_db" in datasets.get_rpc_id()[0] else "master_dataset_db"
        )
        datasets.set("scan", [])
        for n in range(20):
            datasets.update({"action": "append", "path": ["scan", 1], "x": n * 0.5})
        datasets.set("image", np.zeros((2, 3)))
        index = (slice(0, 1), slice(1, 3))
        datasets.update({"action": "setitem", "path": ["image", 1], "key": index, "value": 7.0})
        datasets.set("done", True)


def is_done(path: Path) -> bool:
    """Whether a file that is refreshed now and then has the last dataset of the measurement."""
    with rexec.results.open(path) as run:
        return "done" in run


@pytest.mark.parametrize("python", EACH)
def test_datasets_of_a_real_master_are_recorded_across_its_death(python: str, tmp_path: Path) -> None:
    ports = {name: free_port() for name in ("notify", "control", "logging", "broadcast")}
    (tmp_path / "scan.py").write_text(EXPERIMENT)
    running = master(python, tmp_path, ports)
    try:
        client(python, ports["control"], "set-dataset", "level", "1.5")
        with (
            bridging(tmp_path / "history", ports["notify"], "record") as bridge,
            bridging(tmp_path / "mirror", ports["notify"]) as mirror,
        ):
            client(python, ports["control"], "set-dataset", "level", "2.5")
            measure(python, ports["control"], tmp_path / "scan.py")
            bridge.caught_up(1 + 1 + 1 + 20 + 2 + 1)
            mirror.caught_up(1 + 1 + 1 + 20 + 2 + 1)
            assert within(150.0, lambda: is_done(tmp_path / "mirror" / "datasets.h5"))
            with rexec.results.open(tmp_path / "mirror" / "datasets.h5") as run:
                assert run["scan"] == [n * 0.5 for n in range(20)]
                assert run["image"].tolist() == [[0.0, 7.0, 7.0], [0.0, 0.0, 0.0]]
            running.end(signal.SIGKILL)
            bridge.told("the connection was lost")
            running = master(python, tmp_path, ports)
            bridge.told("reconnected")
            client(python, ports["control"], "set-dataset", "level", "3.5")
            bridge.caught_up(26 + 4 + 1)
    except AssertionError as error:
        error.add_note(running.output)
        raise
    finally:
        running.end()
    (path,) = bridge.files()
    assert verify(path) == []
    with rexec.results.open(path) as run:
        assert [each["reason"] for each in comparisons(run)] == ["connected", "reconnected"]
        level = [(each.what, each.value, each.is_found) for each in changes(run, "level")]
        assert level == [("set", 1.5, True), ("set", 2.5, False), ("delete", None, True), ("set", 3.5, False)]
        scan = [(each.what, each.value) for each in changes(run, "scan")]
        assert scan == [("set", []), *(("append", n * 0.5) for n in range(20)), ("delete", None)]
    assert list(recover_folder(tmp_path / "history")) == []
