"""File names with `*` and `?` mean the same on Windows, whose shells leave them to the program."""

import argparse
from pathlib import Path

import pytest

from devicedb.cli import wildcards
from devicedb.cli.main import main
from devicedb.cli.wildcards import NamedFiles, matching
from rexec.cli.port import main as port
from rexec.cli.results import main as results
from rexec.results import ResultsError
from tests.catalogue.laboratories import made


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(wildcards, "_IS_OURS", True)
    monkeypatch.chdir(tmp_path)
    for name in ("b.py", "a.py", "[x]a.py", "below/c.py"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("device_db = {}\n")
    return tmp_path


def test_a_pattern_is_the_files_that_match_it_in_order(files: Path) -> None:
    assert matching(["?.py", "z"]) == ["a.py", "b.py", "z"]
    assert matching([Path("*.py")]) == [Path("[x]a.py"), Path("a.py"), Path("b.py")]
    assert matching(["[x]*.py"]) == ["[x]a.py"]
    assert [Path(each) for each in matching(["*/?.py"])] == [Path("below/c.py")]
    assert matching(["\\\\?\\C:\\a.py"]) == ["\\\\?\\C:\\a.py"]
    assert matching(["*.txt", "-", "a.py"]) == ["*.txt", "-", "a.py"]


def test_a_shell_that_expands_them_is_not_second_guessed(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wildcards, "_IS_OURS", False)
    assert matching(["?.py"]) == ["?.py"]


def test_where_one_file_is_meant_several_are_an_error(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", action=NamedFiles)
    assert parser.parse_args(["a*"]).file == "a.py"
    with pytest.raises(SystemExit):
        parser.parse_args(["?.py"])
    assert "?.py names 2 files: a.py, b.py; name one of them" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["verify", "a.h5", "*.h5"], ["show", "?.h5"], ["diff", "a.h5", "*.h5"], ["plot", "*.h5"]]
)
def test_a_pattern_that_nothing_matches_is_said(
    files: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        results(words)
    assert f"no file matches {words[-1]}" in capsys.readouterr().err
    made(files / "results", 0)
    with pytest.raises(ResultsError, match=r"has no dataset 'sig\*'"):  # a dataset may be called so
        results(["plot", "0", "sig*"])


def test_each_program_takes_them(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "?.py", "--format", "json"]) == 0
    assert port(["?.py"]) == 0
    paths = [made(files / "results", rid) for rid in range(2)]
    assert results(["verify", "results/*/*/*.h5"]) == 0
    said = capsys.readouterr().out
    assert all(path.name in said for path in paths)
    assert results(["show", "results/*/*/*1-Ramsey.h5"]) == 0
    assert results(["tag", "results/*/*/*1-Ramsey.h5", "good"]) == 0
    assert "good" in capsys.readouterr().out
