"""The wheel: what is in it, and that its programs and entry points work from nothing but it.

Dependencies come from this environment; `python -m tests.campaigns.packaging` installs them into an empty one.
"""

import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import BytesParser
from importlib.metadata import PathDistribution, entry_points
from pathlib import Path
from typing import Final

import pytest

import rexec
from tests.ports import copy_examples, free_ports

ROOT: Final = Path(__file__).resolve().parents[2]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

for needed in ("build", "hatchling"):
    pytest.importorskip(needed, reason="needs the extra dev")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder into which pip has installed the wheel, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    command += ["--disable-pip-version-check", "--target", str(folder), str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def program(installed: Path, folder: Path, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a program of the wheel in a folder."""
    (script,) = (
        path for path in installed.glob("*/*") if path.name in {name, f"{name}.exe"} and path.is_file()
    )
    # A Python for Windows that is not where its build put it has programs that look for python.exe on the path.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        [sys.executable, str(script), *arguments] if script.suffix != ".exe" else [str(script), *arguments],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(installed), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def test_the_wheel_holds_the_packages_and_their_data_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"schemas", "devicedb", "rexec", f"artiq_rexec-{rexec.__version__}.dist-info"}
    for package in ("schemas", "devicedb", "rexec"):
        tree = {
            path.relative_to(ROOT).as_posix()
            for path in (ROOT / package).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts and path.suffix not in {".pyc", ".swp"}
        }
        assert tree == {name for name in names if name.startswith(f"{package}/")}
        assert f"{package}/py.typed" in names
    assert {"devicedb/catalogue/artiq_coredevice.json", "schemas/device_db.schema.json"} <= names


def test_the_metadata_say_what_pyproject_says(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = BytesParser().parsebytes(
            archive.read(f"artiq_rexec-{rexec.__version__}.dist-info/METADATA")
        )
    assert metadata["Version"] == rexec.__version__
    assert metadata["License-Expression"] == "MIT"
    assert set(metadata.get_all("Provides-Extra", [])) == set(PROJECT["optional-dependencies"])
    assert {"plot", "xarray", "tls", "docs", "dev", "all"} <= set(PROJECT["optional-dependencies"])
    assert str(metadata.get_payload()).startswith("# artiq-rexec\n")


@pytest.mark.parametrize("name", ["rexec", "devicedb"])
def test_its_programs_say_their_version(installed: Path, tmp_path: Path, name: str) -> None:
    done = program(installed, tmp_path, name, "--version")
    assert (done.stdout, done.stderr, done.returncode) == (f"artiq-rexec {rexec.__version__}\n", "", 0)


def test_a_device_database_is_checked_and_an_experiment_run_from_it(installed: Path, tmp_path: Path) -> None:
    copy_examples(tmp_path, free_ports())
    done = program(installed, tmp_path, "devicedb", "check", "examples/host_monitor/device_db.py")
    assert (done.stdout, done.returncode) == ("1 file checked: nothing found\n", 0), done.stderr
    done = program(
        installed,
        tmp_path,
        "rexec",
        "run",
        "examples/host_monitor/experiment.py",
        "--up",
        "points=2",
        "samples=2",
    )
    assert done.returncode == 0, done.stderr
    assert "run 0 of RecordHost: " in done.stdout


def test_its_entry_points_load(installed: Path) -> None:
    (info,) = installed.glob("*.dist-info")
    found = {(each.group, each.name): each for each in PathDistribution(info).entry_points}
    assert set(found) == {
        ("console_scripts", "devicedb"),
        ("console_scripts", "rexec"),
        ("pytest11", "devicedb"),
        ("xarray.backends", "rexec"),
    }
    for (group, _), each in found.items():
        if group != "xarray.backends":
            assert each.load() is not None


def test_xarray_finds_the_backend() -> None:
    xarray = pytest.importorskip("xarray", reason="needs the extra xarray")
    assert any(each.name == "rexec" for each in entry_points(group="xarray.backends"))
    assert "rexec" in xarray.backends.list_engines()


@pytest.fixture(autouse=True, scope="module")
def no_trace_in_the_tree() -> Iterator[None]:
    """Building must leave nothing in the repository."""
    before = {path.name for path in ROOT.iterdir()}
    yield
    assert {path.name for path in ROOT.iterdir()} - before <= {".pytest_cache", ".hypothesis", "results"}
