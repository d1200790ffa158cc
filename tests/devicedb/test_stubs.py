"""Stubs: the devices of a database as a class that type checkers and editors understand."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicedb.cli import main
from devicedb.drivers.sources import SourceFinder
from devicedb.stubs import stub
from tests.devicedb.test_cli_check import ENTRIES

DATABASE = """device_db = {
    "core": {"type": "local", "module": "lab_core", "class": "Core", "arguments": {}},
    "ttl": {"type": "local", "module": "nowhere", "class": "TTL", "arguments": {}},
    "camera": {"type": "controller", "host": "::1", "port": 3290, "target_name": "camera",
               "command": "python controller.py -p {port}"},
    "camera_rexec": {"type": "controller_aux_target", "controller": "camera", "target_name": "camera_rexec"},
    "cam": "camera", "two words": "camera", "run": "camera", "class": "ttl", "ghost": "nobody",
}
"""
CONTROLLER = """
from somewhere import simple_server_loop
class Base:
    async def temperature(self) -> float: ...
class Camera(Base):
    def snap(self, count: int, exposure=0.1, *rest, gain: "Gain" = 1, **more) -> list[float]: ...
    def region(self, box: tuple[int, int], /, name: str | None = None) -> dict: ...
    @staticmethod
    def ping() -> bool: ...
    @property
    def hidden(self): ...
    def _private(self): ...
raise SystemExit("imported")
simple_server_loop({"camera": Camera()}, "::1", 3290)
"""
EXPERIMENT = """
from lab import LabExperiment
class E(LabExperiment):
    def build(self) -> None:
        self.setattr_device("camera")
        self.setattr_device("anything")
        reveal_type(self.camera.snap(3))
        reveal_type(self.cam.temperature())
        reveal_type(self.get_device("two words").region((1, 2), name="x"))
        reveal_type(self.camera.ping())
        reveal_type(self.get_device("camera_rexec"))
        reveal_type(self.core.reset())
        self.camera.close_rpc()
        self.camera.snpa()
        self.ghost
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "device_db.py").write_text(DATABASE)
    (tmp_path / "controller.py").write_text(CONTROLLER)
    (tmp_path / "lab_core.py").write_text("class Core:\n    def reset(self) -> int:\n        return 1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def checked(folder: Path, *files: str) -> str:
    """What mypy --strict says."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--follow-imports=silent", *files],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    return done.stdout + done.stderr


def test_mypy_knows_devices_and_methods_and_finds_what_is_not_there(folder: Path) -> None:
    (folder / "lab_base.py").write_text(
        "from typing import Any\nclass EnvExperiment:\n    def build(self) -> None: ...\n"
        "    def get_device(self, key: str) -> Any: ...\n    def setattr_device(self, key: str) -> None: ...\n"
    )
    assert main(["stubs", "--output", "lab.pyi", "--base", "lab_base.EnvExperiment"]) == 0
    (folder / "e.py").write_text(EXPERIMENT)
    said = checked(folder, "lab.pyi", "e.py")
    notes = [line.split('"')[1] for line in said.splitlines() if "Revealed type" in line]
    plain = [note.replace("builtins.", "") for note in notes]
    assert plain == ["list[float]", "float", "Any", "bool", "Any", "int"]
    errors = [line for line in said.splitlines() if ": error:" in line]
    assert len(errors) == 2, said
    assert 'e.py:14: error: "_CameraClient" has no attribute "snpa"' in errors[0]
    assert 'e.py:15: error: "E" has no attribute "ghost"' in errors[1]


def test_mypy_accepts_the_stub_of_our_own_base_class(folder: Path) -> None:
    assert main(["stubs", "--output", "lab.pyi"]) == 0
    said = checked(folder, "lab.pyi")
    assert "Success: no issues found in 1 source file" in said


@pytest.mark.usefixtures("folder")
def test_signatures_are_those_of_the_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stubs", "--class", "Lab", "--base", "artiq.experiment.EnvExperiment"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert any(line.startswith("from artiq.experiment import EnvExperiment as _Parent") for line in lines)
    assert any(line.startswith("class Lab(_Parent):") for line in lines)
    wanted = (
        "def snap(self, count: int, exposure: _t.Any=..., *rest: _t.Any, gain: _t.Any=..., **more: _t.Any)"
    )
    assert f"{wanted} -> list[float]: ..." in lines
    assert "def region(self, box: tuple[int, int], /, name: str | None=...) -> _t.Any: ..." in lines
    assert not any(word in line for word in ("hidden", "_private", "imported", "ghost") for line in lines)
    assert not any(line.startswith(("run:", "class:", "two words:")) for line in lines)


def test_methods_of_a_base_that_is_not_there_are_left_open(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "controller.py").write_text(CONTROLLER.replace("class Camera(Base)", "class Camera(Elsewhere)"))
    assert main(["stubs"]) == 0
    assert "def __getattr__(self, name: _t.Any) -> _t.Any: ..." in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv", [["--base", "EnvExperiment"], ["--class", "two words"], ["--device-db", "x.py"]]
)
@pytest.mark.usefixtures("folder")
def test_bad_input_is_one_line(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stubs", *argv]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@given(st.dictionaries(st.text(max_size=6), ENTRIES, max_size=6))
def test_any_database_makes_a_stub_that_parses(raw: dict[str, object]) -> None:
    tree = ast.parse(stub(raw, ".", SourceFinder(), "a.B", "Lab"))
    assert isinstance(tree.body[-1], ast.ClassDef)


def test_a_base_class_without_types_is_accepted(folder: Path) -> None:
    assert main(["stubs", "--output", "lab.pyi", "--base", "a_laboratory.without.Types"]) == 0
    (folder / "e.py").write_text(EXPERIMENT.split("        self.camera.snpa")[0])
    said = checked(folder, "lab.pyi", "e.py")
    assert "Success: no issues found in 2 source files" in said
