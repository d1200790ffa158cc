"""A run is named by its number, or as the last one, wherever a file can be given."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import rexec.results
from rexec.catalogue import run_path
from rexec.cli.results import main
from rexec.results import ResultsError
from tests.catalogue.laboratories import made, made_by_artiq


@pytest.fixture
def paths(results: Path) -> list[Path]:
    """Return the files of runs 0 to 3; the last but one is of another class."""
    return [made(results, rid, "Rabi" if rid == 2 else "Ramsey") for rid in range(4)]


def test_each_form(paths: list[Path]) -> None:
    relative = [path.relative_to(Path.cwd()) for path in paths]
    assert run_path(2) == run_path("2") == run_path("02") == relative[2]
    assert run_path("last") == run_path("-1") == run_path(-1) == relative[3]
    assert run_path("-2") == run_path(-2) == relative[2]
    assert run_path("last:Ramsey") == relative[3]
    assert run_path("last:Rabi") == relative[2]
    assert run_path("a/b.h5") == Path("a/b.h5")
    assert run_path(paths[0]) == paths[0]


@pytest.mark.skipif(os.name != "nt", reason="other systems open a file by its own name alone")
@pytest.mark.parametrize("typed", [str.upper, str.lower, "{}.".format, "{} ".format])
def test_on_windows_a_file_has_its_own_name_however_it_is_typed(
    paths: list[Path], typed: Callable[[str], str]
) -> None:
    path = paths[0].relative_to(Path.cwd())
    assert run_path(path.with_name(typed(path.name))).name == path.name


def test_a_file_of_that_name_comes_first(paths: list[Path]) -> None:
    shutil.copy(paths[0], "2")
    assert run_path("2") == Path("2")


@pytest.mark.parametrize(
    ("which", "said"),
    [
        (9, "there is no run 9 in results; its last run is 3"),
        ("-9", "there is no run -9 in results: it has 4 runs"),
        ("-0", "there is no run -0"),
        ("last:Rambo", r"there is no run of 'Rambo' in results; its classes are Rabi, Ramsey"),
    ],
)
def test_a_run_that_is_not_there(paths: list[Path], which: str | int, said: str) -> None:
    with pytest.raises(ResultsError, match=said):
        run_path(which)


def test_a_run_whose_file_cannot_be_read_is_not_called_absent(paths: list[Path]) -> None:
    paths[1].write_bytes(b"garbage")
    name = re.escape(str(paths[1].relative_to(Path.cwd())))
    with pytest.raises(ResultsError, match=f"run 1: {name} cannot be read: "):
        run_path(1)


def test_one_number_twice_says_which(paths: list[Path], results: Path) -> None:
    (results / "copy").mkdir()
    shutil.copy(paths[1], results / "copy")
    with pytest.raises(ResultsError) as raised:
        run_path(1)
    assert "2 files in results are of run 1" in str(raised.value)
    assert str(paths[1].relative_to(Path.cwd())) in str(raised.value)
    assert os.path.join("results", "copy", paths[1].name) in str(raised.value)
    assert run_path(1, results / "copy") == results / "copy" / paths[1].name


def test_what_was_saved_of_a_damaged_journal_is_no_second_run(paths: list[Path]) -> None:
    shutil.copy(paths[1], paths[1].with_name(f"{paths[1].stem}.damaged.h5"))
    assert run_path(1).name == paths[1].name


def test_the_last_run_is_no_bridges_file_and_no_garbage(paths: list[Path], results: Path) -> None:
    (results / "later.h5").write_bytes(b"garbage")
    made_by_artiq(results / "old.h5", 7, start=1.0)
    assert run_path("last").name == paths[3].name


def test_without_a_folder_of_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ResultsError, match=r"there is no folder results here; .* --in FOLDER"):
        run_path(42)


def test_below_a_folder_of_results(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(paths[2].parent)
    assert run_path(2).samefile(paths[2])


def test_open_takes_a_number(paths: list[Path], results: Path) -> None:
    with rexec.results.open(2) as run:
        assert run.rid == 2
    with rexec.results.open("last:Ramsey", folder=results) as run:
        assert run.rid == 3


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["show", "2"], 0, "run 2 of Rabi"),
        (["show", "-2", "signal"], 0, "[0. 1. 2. 3.]"),
        (["show", "last:Ramsey", "--in", "results"], 0, "run 3 of Ramsey"),
        (["diff", "-2", "last"], 1, "class_name: Rabi -> Ramsey"),
        (["diff", "0", "0"], 0, "the same"),
        (["verify", "0", "last"], 0, "000000003-Ramsey.h5: whole"),
    ],
)
def test_commands_take_numbers(
    paths: list[Path], capsys: pytest.CaptureFixture[str], words: list[str], status: int, said: str
) -> None:
    assert main(words) == status
    assert said in capsys.readouterr().out


def test_plot_and_tail_take_numbers(paths: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    assert main(["plot", "2", "-o", str(tmp_path / "a.svg")]) == 0
    with pytest.raises(
        ResultsError, match=r"000000003-Ramsey.h5.journal: .* only a run that goes on has a journal"
    ):
        main(["tail", "last", "--no-follow"])
