"""The examples run by their one command, and their result files are read back with h5py alone."""

import ast
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import pytest

from devicedb import load_file
from tests.ports import EXAMPLES, copy_examples, free_ports

PORTS: Final = {"camera": ["3290"], "host_monitor": ["3291"], "scpi_bench": ["3293", "3294"]}
CONTROLLERS: Final = sorted(
    path.relative_to(EXAMPLES).as_posix()
    for path in EXAMPLES.glob("*/*.py")
    if "get_argparser" in path.read_text(encoding="utf-8")
)


def run(
    example: str, folder: Path, *arguments: str, database: str | None = None
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Run an example as its README says; returns what it printed, and its result file."""
    ports = free_ports()
    copy = copy_examples(folder, ports)
    experiment = copy / example / "experiment.py"
    if database is not None:
        arguments = (*arguments, "--device-db", str(copy / database))
    command = [sys.executable, "-m", "rexec", "run", str(experiment), *arguments, "--up", "-v"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    for port in PORTS[example]:
        with socket.socket(socket.AF_INET6) as probe:
            assert probe.connect_ex(("::1", int(ports[port]))) != 0, f"{example} left its controller behind"
    (result,) = folder.rglob("results/*/*/*.h5")
    return done, result


def identity(result: h5py.File) -> dict[str, Any]:
    """Return the expid of a file, after a look at the rest of its identity."""
    assert result["rid"][()] >= 0
    assert result["start_time"][()] <= result["run_time"][()]
    expid: dict[str, Any] = json.loads(result["expid"][()].decode())
    return expid


def test_the_camera_example_fits_spots_there_and_here(tmp_path: Path) -> None:
    done, path = run("camera", tmp_path, "frames=12")
    with h5py.File(path, "r") as result:
        expid = identity(result)
        assert expid["class_name"] == "FitSpot"
        assert expid["arguments"]["frames"] == 12
        data = result["datasets"]
        phase = 2 * np.pi * np.arange(12) / 100
        assert np.allclose(data["x"], 320 + 120 * np.sin(2 * phase), atol=0.2)
        assert np.allclose(data["y"], 240 + 90 * np.sin(3 * phase), atol=0.2)
        assert np.allclose(data["size_x"], 24, atol=0.3)
        assert np.allclose(data["size_y"], 16, atol=0.3)
        assert np.allclose(data["amplitude"], 2000, rtol=0.02)
        assert {name: data[name].attrs["unit"] for name in ("x", "size_y", "amplitude")} == {
            "x": "px",
            "size_y": "px",
            "amplitude": "counts",
        }
        for mode in ("remote", "local"):
            assert data[f"rate_{mode}"][()] > 0
            assert data[f"rate_{mode}"].attrs["unit"] == "frames/s"
        if sys.platform.startswith("linux"):
            assert data["bytes_remote"][()] < 10_000 < 614_400 <= data["bytes_local"][()]
    assert "remote: " in done.stderr
    assert "frames/s" in done.stderr


def test_the_camera_example_can_go_one_way_only(tmp_path: Path) -> None:
    _, path = run("camera", tmp_path, "frames=3", "remote=false", "compare=false")
    with h5py.File(path, "r") as result:
        assert identity(result)["arguments"]["remote"] is False
        assert result["datasets/x"].shape == (3,)
        assert "rate_local" in result["datasets"]
        assert "rate_remote" not in result["datasets"]


def test_the_host_monitor_records_this_machine(tmp_path: Path) -> None:
    _, path = run("host_monitor", tmp_path, "points=3", "samples=4")
    with h5py.File(path, "r") as result:
        assert identity(result)["class_name"] == "RecordHost"
        data = result["datasets"]
        assert data["host_monitor.cpu"].shape == (3,)
        assert np.all((data["host_monitor.cpu"][()] >= 0) & (data["host_monitor.cpu"][()] <= 100))
        assert np.all(data["host_monitor.memory"][()] > 1e6)
        assert data["host_monitor.memory"].attrs["unit"] == "B"
        # The last reading came by the dataset database that the controller is a client of.
        assert data["host_monitor.cpu_last"][()] == data["host_monitor.cpu_now"][()]


@pytest.mark.parametrize("database", [None, "device_db.py"])
def test_the_bench_measures_the_filter_between_its_instruments(tmp_path: Path, database: str | None) -> None:
    pytest.importorskip("pyvisa_sim", reason="needs the extra examples")
    _, path = run("scpi_bench", tmp_path, "points=13", "readings=4", database=database)
    with h5py.File(path, "r") as result:
        assert identity(result)["class_name"] == "FilterResponse"
        data = result["datasets"]
        assert data["frequency"].attrs["unit"] == data["cutoff"].attrs["unit"] == "Hz"
        assert np.allclose(data["frequency"], np.geomspace(50, 50e3, 13))
        cutoff = 1 / (2 * np.pi * 1e3 * 100e-9)
        assert np.allclose(data["gain"], 1 / np.hypot(1, data["frequency"][()] / cutoff), atol=5e-3)
        assert np.all((data["gain_error"][()] > 0) & (data["gain_error"][()] < 5e-3))
        assert data["cutoff"][()] == pytest.approx(cutoff, rel=0.02)


@pytest.mark.parametrize(("example", "dataset"), [("camera", "x"), ("host_monitor", "host_monitor.cpu")])
def test_the_laboratories_run_on_simulated_devices(example: str, dataset: str, tmp_path: Path) -> None:
    copy = copy_examples(tmp_path, free_ports())
    command = [sys.executable, "-m", "rexec", "run", f"{example}/experiment.py"]
    command += ["--simulate", "--behaviours", "behaviours.py"]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    assert "SIMULATED" in done.stderr
    (path,) = copy.glob("results/*/*/*.h5")
    with h5py.File(path, "r") as result:
        assert result[f"datasets/{dataset}"].size >= 5


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_every_controller_has_the_common_arguments_and_a_ping(controller: str) -> None:
    path = EXAMPLES / controller
    done = subprocess.run(
        [sys.executable, str(path), "--help"], capture_output=True, text=True, timeout=150, check=True
    )
    for option in ("--bind", "--no-localhost-bind", "--port", "--ssl", "--verbose", "--quiet"):
        assert option in done.stdout
    functions = {
        node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)
    }
    assert {"ping", "get_argparser", "main"} <= functions


def test_there_are_four_controllers() -> None:
    assert CONTROLLERS == [
        "camera/controller.py",
        "host_monitor/controller.py",
        "scpi_bench/generator.py",
        "scpi_bench/multimeter.py",
    ]


def test_one_device_database_holds_all_three_laboratories() -> None:
    merged = load_file(EXAMPLES / "device_db.py").raw
    for example in PORTS:
        single = load_file(EXAMPLES / example / "device_db.py").raw
        assert single.keys() <= merged.keys()
        for name, entry in single.items():
            if isinstance(entry, dict) and "command" in entry:
                script = merged[name]["command"].split()[1]
                assert (EXAMPLES / script).is_file()
