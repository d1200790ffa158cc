"""An experiment's error is shown from its own file inward, without the frames of the runner."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from rexec.experiment.stand_ins import Scheduler, Termination
from rexec.experiment.tracebacks import place, user_traceback

TEXT = """
def outer(scheduler):
    inner(scheduler)

def inner(scheduler):
    scheduler.submit()

def chained(scheduler):
    try:
        inner(scheduler)
    except Exception as error:
        raise ValueError("mine") from error
"""


def load(path: Path) -> Any:
    path.write_text(TEXT)
    spec = importlib.util.spec_from_file_location("experiment_of_tracebacks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def raised(path: Path, name: str) -> Exception:
    scheduler = Scheduler(1, {}, Termination())
    try:
        getattr(load(path), name)(scheduler)
    except Exception as error:
        return error
    raise AssertionError


def test_only_frames_of_the_experiment_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "experiment.py"
    shown = user_traceback(raised(path, "outer"), path)
    assert shown.count("File ") == 2
    assert "in outer" in shown
    assert "    scheduler.submit()" in shown
    assert "stand_ins.py" not in shown
    assert __file__ not in shown
    assert "needs a master" in shown.splitlines()[-1]


def test_causes_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "experiment.py"
    shown = user_traceback(raised(path, "chained"), path)
    assert "NeedsMasterError" in shown
    assert shown.splitlines()[-1] == "ValueError: mine"
    assert "stand_ins.py" not in shown


def test_the_place_is_the_innermost_line_of_the_experiment(tmp_path: Path) -> None:
    path = tmp_path / "experiment.py"
    assert place(raised(path, "outer"), path) == "experiment.py:6"
    assert place(ValueError(), path) is None


def raised_in(path: Path, statement: str) -> Exception:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"def run():\n    {statement}\n")
    namespace: dict[str, Any] = {}
    exec(compile(path.read_text(), str(path), "exec"), namespace)
    try:
        namespace["run"]()
    except Exception as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("experiment.py", "experiment.py:2"),
        ("helpers/fits.py", "fits.py:2"),
        ("venv/site-packages/scipy/fits.py", None),
        ("../elsewhere/experiment.py", None),
    ],
)
def test_the_place_is_in_the_experiments_folder_and_in_no_library(
    tmp_path: Path, where: str, found: str | None
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    assert place(raised_in((folder / where).resolve(), "1 / 0"), folder / "experiment.py") == found


def test_an_experiment_among_libraries_is_a_place_itself(tmp_path: Path) -> None:
    path = tmp_path / "site-packages" / "experiment.py"
    assert place(raised_in(path, "1 / 0"), path) == "experiment.py:2"


def test_an_error_from_elsewhere_keeps_all_frames_that_are_not_ours(tmp_path: Path) -> None:
    shown = user_traceback(raised_in(tmp_path / "elsewhere.py", "1 / 0"), tmp_path / "experiment.py")
    assert (shown.count("File "), __file__ in shown, "elsewhere.py" in shown) == (2, True, True)


def test_the_errors_of_a_group_are_shown_without_our_frames_too(tmp_path: Path) -> None:
    path = tmp_path / "experiment.py"
    shown = user_traceback(ExceptionGroup("both", [raised(path, "outer"), raised(path, "inner")]), path)
    assert (shown.count("scheduler.submit()"), "stand_ins.py" in shown, __file__ in shown) == (
        2,
        False,
        False,
    )
    assert shown.count("    needs a master") == 0
