"""Comments and tags are kept beside a file, and never in it."""

import errno
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rexec.catalogue import find, notes
from rexec.catalogue.notes import MOST_READ, RunNotes, comment, notes_of, notes_path, tag
from rexec.cli.results import main
from rexec.ground import locks
from rexec.ground.locks import try_lock
from rexec.results import ResultsError
from tests.catalogue.laboratories import made, settled


def test_the_last_comment_holds_and_tags_add_up(results: Path) -> None:
    path = made(results, 1)
    before = hashlib.sha256(path.read_bytes()).digest()
    comment(path, "first")
    comment(path, "good\ncontrast \udcff\x1b[31m")
    tag(path, ["paper", "good"])
    tag(path, ["paper"], remove=True)
    tag(path, ["good"])
    assert notes_of(path) == RunNotes("good\ncontrast \udcff\x1b[31m", ("good",))
    assert hashlib.sha256(path.read_bytes()).digest() == before
    comment(path, "")
    assert notes_of(path).comment == ""


def test_they_are_found_at_once_even_in_an_old_folder(results: Path) -> None:
    path = made(results, 1)
    settled(results)
    assert not find("tag=paper")
    tag(path, ["paper"])
    assert len(find("tag=paper")) == 1
    settled(results)
    find()
    comment(path, "Drift of the laser")
    assert len(find('comment~"drift of"')) == len(find("laser")) == len(find("tag=p*")) == 1
    assert find("comment!=x")[0].tags == ("paper",)
    notes_path(path).unlink()
    assert not find("tag=paper")


@pytest.mark.parametrize("text", ["", "two words", "a,b", " a", "x" * 101])
def test_a_tag_is_one_word(results: Path, text: str) -> None:
    path = made(results, 1)
    with pytest.raises(ResultsError, match="a tag is one word without commas"):
        tag(path, ["good", text])
    assert not notes_path(path).exists()


def test_a_comment_has_a_length(results: Path) -> None:
    with pytest.raises(ResultsError, match="at most 10000 characters, this one has 10001"):
        comment(made(results, 1), "x" * 10_001)


def test_a_torn_line_costs_no_other(results: Path) -> None:
    path = made(results, 1)
    comment(path, "kept")
    with notes_path(path).open("ab") as file:
        file.write(b'{"tag": "to')
    tag(path, ["good"])
    assert notes_of(path) == RunNotes("kept", ("good",))


def test_whatever_is_in_the_notes_costs_little(results: Path) -> None:
    path = made(results, 1)
    notes_path(path).write_bytes(
        b"[" * MOST_READ + b"\n\xff\n[]\n3\n" + b'{"tag": 3, "comment": null}\n{"tag": "a"}\n'
    )
    assert notes_of(path) == RunNotes("", ("a",))
    assert len(find("tag=a")) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no FIFOs in folders")
def test_notes_that_are_no_file_are_refused(results: Path) -> None:
    path = made(results, 1)
    os.mkfifo(notes_path(path))
    assert notes_of(path) == RunNotes()
    with pytest.raises(ResultsError, match="is no regular file"):
        comment(path, "x")


def test_notes_are_appended_under_a_lock(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(results, 1)
    comment(path, "first")
    with open(notes_path(path), "rb") as other:
        assert try_lock(other.fileno())
        monkeypatch.setattr(notes, "_PATIENCE", 0.0)
        with pytest.raises(ResultsError, match=r"cannot write .*notes: it is locked by a process"):
            comment(path, "second")
    assert notes_of(path).comment == "first"

    def ends_in_its_line(*_: Any, **__: Any) -> bool:
        monkeypatch.setattr(locks, "try_lock", try_lock)
        with open(notes_path(path), "ab") as other:
            other.write(b'{"comment": "th')
        return False

    monkeypatch.setattr(notes, "_PATIENCE", 150.0)
    monkeypatch.setattr(locks, "try_lock", ends_in_its_line)
    comment(path, "second")
    assert notes_of(path).comment == "second"


def test_many_at_once_lose_nothing(results: Path) -> None:
    path = made(results, 1)
    code = (
        "import sys, pathlib; from rexec.catalogue.notes import tag\n"
        "for n in range(20): tag(pathlib.Path(sys.argv[1]), [f'{sys.argv[2]}-{n}'])"
    )
    command = [sys.executable, "-c", code, str(path)]
    running = [subprocess.Popen([*command, str(number)]) for number in range(3)]
    assert [process.wait(150) for process in running] == [0, 0, 0]
    assert set(notes_of(path).tags) == {f"{who}-{number}" for who in range(3) for number in range(20)}


def refuse(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Have the system refuse to read the notes of a result file, as where another program keeps them."""

    def lines(target: Path) -> Any:
        if target == notes_path(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))
        return read(target)

    read = notes._lines
    monkeypatch.setattr(notes, "_lines", lines)
    monkeypatch.setattr("devicedb.opening.PATIENCE", 0.0)


def test_notes_that_the_system_refuses_are_not_said_to_be_none(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = made(results, 1)
    comment(path, "good")
    tag(path, ["paper"])
    with monkeypatch.context() as patch:
        refuse(patch, path)
        for command in (["tag"], ["comment"], ["tag", "--remove", "paper"], ["export", "-o", "a.csv"]):
            said = re.escape(f"cannot read the notes {notes_path(path)}: {os.strerror(errno.EACCES)}")
            with pytest.raises(ResultsError, match=said):
                main([command[0], str(path), *command[1:]])
            assert capsys.readouterr().out == ""
        assert main(["show", str(path)]) == 0
        assert "noted        (cannot read the notes" in capsys.readouterr().out
    assert notes_of(path) == RunNotes("good", ("paper",))
    assert not Path("a.csv").exists()
