"""ARTIQ's folders, and numbers that no two runs share."""

import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from rexec.results import ResultsNotWritable, next_rid, results_path
from tests.holding import READERS, held, windows


def test_the_path_is_artiqs() -> None:
    when = datetime(2026, 2, 3, 4, 5)
    assert results_path(Path("lab"), 42, "Scan", when) == Path("lab/results/2026-02-03/04/000000042-Scan.h5")


def test_numbers_follow_each_other_and_are_kept_in_artiqs_file(tmp_path: Path) -> None:
    assert [next_rid(tmp_path) for _ in range(3)] == [0, 1, 2]
    assert (tmp_path / "last_rid.pyon").read_text() == "2\n"


@pytest.mark.parametrize("content", [None, "", "oops", "\0\0\0"])
def test_a_lost_number_is_found_again_in_the_results(
    tmp_path: Path, content: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    hour = tmp_path / "results" / "2026-01-01" / "00"
    hour.mkdir(parents=True)
    for name in ("000000007-A.h5", "000000009-B.h5.journal", "readme.h5"):
        (hour / name).touch()
    if content is not None:
        (tmp_path / "last_rid.pyon").write_text(content)
    assert next_rid(tmp_path) == 10
    assert bool(caplog.records) == (content is not None)


def test_processes_never_get_the_same_number(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from rexec.results.layout import next_rid\n"
    code += "print(*[next_rid(Path(sys.argv[1])) for _ in range(40)])"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    numbers = [int(text) for process in processes for text in process.communicate(timeout=150)[0].split()]
    assert sorted(numbers) == list(range(120))


@windows
@pytest.mark.parametrize("share", [0, READERS])
def test_a_last_number_that_another_program_keeps_is_waited_for_and_then_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: int
) -> None:
    assert next_rid(tmp_path) == 0
    with held(tmp_path / "last_rid.pyon", share, seconds=1.0):
        assert next_rid(tmp_path) == 1
    monkeypatch.setattr("devicedb.opening.PATIENCE", 0.1)
    with (
        held(tmp_path / "last_rid.pyon", share),
        pytest.raises(ResultsNotWritable, match=r"\(last_rid.pyon\); close the program that has it open"),
    ):
        next_rid(tmp_path)
    assert next_rid(tmp_path) == 2


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResultsNotWritable, match=r"cannot number a run in .*file[/\\\\]lab"):
        next_rid(tmp_path / "file" / "lab")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
def test_a_pipe_in_the_place_of_the_last_number_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "last_rid.pyon")
    with pytest.raises(ResultsNotWritable, match=r"last_rid.pyon is no regular file; remove it"):
        next_rid(tmp_path)


@pytest.mark.parametrize(
    ("content", "rid", "is_told"),
    [
        (b"5", 6, False),
        (b" 7 \n", 8, False),
        (b"-1\n", 0, False),
        (b"9" * 18, 10**18, False),
        (b"9" * 19, 1, True),
        (b"1.5", 1, True),
        (b"--1", 1, True),
        (b"\xff" * 50, 1, True),
    ],
)
def test_the_last_number_is_that_in_the_file_or_the_highest_in_use(
    tmp_path: Path, content: bytes, rid: int, is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    hour = tmp_path / "results" / "2026-01-01" / "00"
    hour.mkdir(parents=True)
    for name in ("000000000-A.h5", "5-A.h5.other", "x7-A.h5", "8.h5", f"{'9' * 19}-A.h5"):
        (hour / name).touch()
    (hour.parent / "9-A.h5").touch()  # which is no hour
    (tmp_path / "last_rid.pyon").write_bytes(content)
    assert next_rid(tmp_path) == rid
    assert (tmp_path / "last_rid.pyon").read_text() == f"{rid}\n"
    shown = content.decode(errors="replace")[:40]
    told = f"{tmp_path / 'last_rid.pyon'} holds {shown!r}, not a number; going on after rid 0, the last in "
    assert [each.getMessage() for each in caplog.records] == (
        [told + str(tmp_path / "results")] if is_told else []
    )


def test_the_first_run_of_a_folder_has_number_0(tmp_path: Path) -> None:
    assert next_rid(tmp_path / "new" / "lab") == 0
    assert results_path(tmp_path, 0, "A/B", datetime(2026, 2, 3, 4, 5)).parent == (
        tmp_path / "results" / "2026-02-03" / "04"
    )
