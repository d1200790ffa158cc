"""What is written down of a run beside its data: the repository, the sources, the devices, the versions."""

import hashlib
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from devicedb import from_dict
from rexec.access.identity import Identity, own_identity
from rexec.experiment import NumberValue, RangeScan, Scannable, git
from rexec.experiment.argument_manager import ArgumentManager
from rexec.experiment.git import git_state
from rexec.experiment.identity import artiq_version, encodable, expid, identity, local_sources, versions
from rexec.wire import pyon
from schemas.run import GitState
from tests.ground.forking import ends

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def commanded(folder: Path, *command: str) -> str:
    who = ["-c", "user.name=Nobody", "-c", "user.email=nobody@example.org", "-c", "init.defaultBranch=trunk"]
    done = subprocess.run(["git", *who, *command], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def repository(folder: Path) -> Path:
    """Make a repository with one committed experiment, and return that."""
    commanded(folder, "init", "-q")
    file = folder / "sub" / "scan.py"
    file.parent.mkdir()
    file.write_text("n = 1\n")
    commanded(folder, "add", ".")
    commanded(folder, "commit", "-q", "-m", "first")
    return file


@needs_git
def test_a_clean_tree_is_its_commit(tmp_path: Path) -> None:
    state = git_state(repository(tmp_path))
    assert state is not None
    assert state.commit == commanded(tmp_path, "rev-parse", "HEAD")
    assert Path(state.root).samefile(tmp_path)
    assert (state.branch, state.dirty, state.diff, state.tracked) == ("trunk", False, "", True)
    assert state.untracked == []


@needs_git
def test_a_changed_tree_has_its_diff_and_the_files_that_are_in_none(tmp_path: Path) -> None:
    file = repository(tmp_path)
    file.write_text("n = 2\n")
    (file.parent / "new.py").write_text("")
    commanded(tmp_path, "checkout", "-q", "--detach")
    state = git_state(file)
    assert state is not None
    assert (state.branch, state.dirty, state.diff_cut) == (None, True, False)
    assert "-n = 1\n+n = 2\n" in state.diff
    assert state.untracked == ["new.py"]
    untracked = git_state(file.parent / "new.py")
    assert untracked is not None
    assert untracked.tracked is False


@needs_git
def test_a_repository_without_a_commit_has_what_is_staged(tmp_path: Path) -> None:
    commanded(tmp_path, "init", "-q")
    (tmp_path / "scan.py").write_text("n = 1\n")
    commanded(tmp_path, "add", ".")
    state = git_state(tmp_path / "scan.py")
    assert state is not None
    assert (state.commit, state.dirty, state.tracked) == (None, True, True)
    assert "+n = 1" in state.diff


@needs_git
def test_a_huge_diff_is_kept_in_part(tmp_path: Path) -> None:
    file = repository(tmp_path)
    file.write_text("x = 1\n" * 1_000_000)
    state = git_state(file)
    assert state is not None
    assert (state.dirty, state.diff_cut, len(state.diff)) == (True, True, 2**20)


def test_outside_a_repository_and_without_git_there_is_no_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path / "scan.py") is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path / "scan.py") is None
    assert caplog.records == []


@pytest.mark.skipif(os.name == "nt", reason="a script stands for git")
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("sleep 600 & sleep 600", "git rev-parse did not answer within 0.3 s"),
        ("echo 'fatal: detected dubious ownership' >&2; exit 128", "fatal: detected dubious ownership"),
        ("printf 'fatal: %03000d' 1 >&2; exit 128", "fatal: " + "0" * 1993 + "\n"),
        ("printf 'fatal: \\377' >&2; exit 2", "fatal: \ufffd\n"),
        ("echo fatal: $LC_ALL $GIT_OPTIONAL_LOCKS $GIT_TERMINAL_PROMPT >&2; exit 128", "fatal: C 0 0\n"),
        ("", "git cannot be started: Permission denied\n"),
    ],
)
def test_a_git_that_hangs_or_refuses_is_said_and_the_run_goes_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    script: str,
    reason: str,
) -> None:
    monkeypatch.setattr(git, "PATIENCE", 0.3 if "sleep" in script else 30.0)
    stand_in(tmp_path, monkeypatch, script)
    if not script:
        (tmp_path / "git").chmod(0o600)
        monkeypatch.setenv("PATH", str(tmp_path))
    with caplog.at_level(logging.WARNING):
        assert git_state(tmp_path / "scan.py") is None
    assert f"the state of the repository of scan.py is not recorded: {reason}" in caplog.text


@pytest.mark.skipif(os.name == "nt", reason="a script stands for git")
@pytest.mark.parametrize("script", ["echo fatal: of no interest >&2; exit 1", "echo warning >&2; exit 128"])
def test_a_git_that_finds_nothing_is_not_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, script: str
) -> None:
    stand_in(tmp_path, monkeypatch, script)
    assert git_state(tmp_path / "scan.py") is None
    assert caplog.records == []


@pytest.mark.skipif(os.name == "nt", reason="a script stands for git")
def test_a_git_that_says_too_much_is_ended_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(git, "PATIENCE", 150.0)
    monkeypatch.setattr(git, "MOST_DIFF", 65536)
    stand_in(tmp_path, monkeypatch, "printf %070000d 1; exec sleep 600")
    state = git_state(tmp_path / "scan.py")
    assert state is not None
    assert {len(each or "") for each in (state.root, state.commit, state.branch, state.diff)} == {65536}
    assert state.tracked
    assert caplog.records == []


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Have a script found as `git`."""
    fake = folder / "git"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.skipif(os.name == "nt", reason="a script stands for git")
def test_ctrl_c_while_git_works_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "PATIENCE", 150.0)
    started = tmp_path / "started"

    class Timer(threading.Timer):
        def start(self) -> None:
            super().start()
            started.touch()

    monkeypatch.setattr("rexec.experiment.git.threading.Timer", Timer)
    wait = f"while [ ! -e {started} ]; do sleep 0.01; done"
    stand_in(tmp_path, monkeypatch, f"echo $$ >{tmp_path}/pid; {wait}; kill -INT $PPID; exec sleep 600")
    with pytest.raises(KeyboardInterrupt):
        git_state(tmp_path / "scan.py")
    assert ends(int((tmp_path / "pid").read_text()))
    timers = [each for each in threading.enumerate() if isinstance(each, Timer)]
    assert all(each.finished.is_set() for each in timers)


def test_sources_are_those_of_the_experiments_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "helper_of_test_identity.py").write_text("x = 1\n")
    (tmp_path / "scan.py").write_text("import helper_of_test_identity\n")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("helper_of_test_identity")
    try:
        found = local_sources(tmp_path / "scan.py")
    finally:
        del sys.modules["helper_of_test_identity"]
    assert sorted(found.values()) == ["import helper_of_test_identity\n", "x = 1\n"]
    assert all(hashlib.sha256(text.encode()).hexdigest() == digest for digest, text in found.items())


def test_a_source_in_another_encoding_is_kept_as_far_as_it_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "scan.py").write_bytes(b"# coding: latin-1\nunit = '\xb5s'\n")
    assert list(local_sources(tmp_path / "scan.py").values()) == ["# coding: latin-1\nunit = '\ufffds'\n"]


def test_what_pyon_cannot_encode_is_kept_as_its_repr_and_nothing_else_is() -> None:
    function = object()
    assert encodable(function) == repr(function)
    assert encodable({1: [function, 2], "a": (function, 3.0), "b": {"c": function}, "d": (1, 2)}) == {
        "1": [repr(function), 2],
        "a": [repr(function), 3.0],
        "b": {"c": repr(function)},
        "d": (1, 2),
    }
    assert encodable({1: (1, 2)}) == {1: (1, 2)}


def test_the_device_database_is_kept_as_it_was_with_its_hash(tmp_path: Path) -> None:
    (tmp_path / "scan.py").write_text("")
    entries = {"core": {"type": "local", "module": "m", "class": "C", "arguments": {}}, "alias": "core"}
    expid = {"class_name": "Scan", "arguments": {"n": 5}}
    made = identity(
        3, expid, {}, from_dict(entries, "device_db.py"), 1.0, tmp_path / "scan.py", ("rexec", "run")
    )
    assert made.device_db == entries
    assert made.device_db_origin == "device_db.py"
    assert made.device_db_sha256 == hashlib.sha256(pyon.encode(entries).encode()).hexdigest()
    assert {"python", "numpy", "h5py", "artiq-rexec"} <= made.versions.keys()
    assert (made.expid, made.user_arguments, made.command) == (expid, {}, ["rexec", "run"])
    who = own_identity()
    assert (made.person, made.person_known_by) == (who.name, who.known_by)
    assert (made.machine, made.program) == (socket.gethostname(), who.program)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {
            "exposures": {
                "ty": "RangeScan",
                "start": 1,
                "stop": 3,
                "npoints": 3,
                "randomize": False,
                "seed": None,
            }
        },
    ],
)
def test_a_scan_is_kept_as_what_can_be_given_again(given: dict[str, object]) -> None:
    arguments = ArgumentManager(given)
    scan = arguments.get("exposures", Scannable(RangeScan(0, 1, 5)))
    arguments.get("frames", NumberValue(5))
    kept = encodable(expid(Path("e.py"), "E", arguments, given, 30))["arguments"]
    assert kept == {"exposures": scan.describe(), "frames": 5}
    assert list(ArgumentManager(kept).get("exposures", Scannable())) == list(scan)


def test_the_identity_of_a_run_has_each_of_its_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = GitState("/repository", "abc")
    who = Identity("", "claimed", "bench", "rexec run")
    monkeypatch.setattr("rexec.experiment.identity.git_state", lambda file: state)
    monkeypatch.setattr("rexec.experiment.identity.own_identity", lambda: who)
    monkeypatch.chdir(tmp_path)
    Path("scan.py").write_text("n = 1")
    camera = {"type": "controller", "simulated": True}
    made = identity(
        3,
        {"class_name": "Scan", "arguments": {"n": who}},
        {"n": who},
        from_dict({"camera": camera, "stage": {"type": "controller"}}, "device_db.py"),
        1.5,
        Path("scan.py"),
        ("rexec", "run"),
    )
    found = {name: getattr(made, name) for name in FACTS}
    assert found == FACTS | {
        "file": str(tmp_path / "scan.py"),
        "artiq_version": artiq_version(),
        "expid": {"class_name": "Scan", "arguments": {"n": repr(who)}},
        "user_arguments": {"n": repr(who)},
        "versions": versions(),
        "sources": {hashlib.sha256(b"n = 1").hexdigest(): "n = 1"},
        "git": state,
    }
    assert (made.device_db or {}).keys() == {"camera", "stage"}
    assert "artiq" not in made.versions


FACTS = {
    "rid": 3, "class_name": "Scan", "file": "", "start_time": 1.5, "artiq_version": "", "expid": {},
    "user_arguments": {}, "device_db_origin": "device_db.py", "simulated": ["camera"], "versions": {}, "sources": {},
    "git": None, "host": "bench", "person": None, "person_known_by": "claimed", "machine": "bench",
    "program": "rexec run", "command": ["rexec", "run"],
}  # fmt: skip


def test_sources_are_texts_that_are_still_there_and_of_no_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    (folder / "site-packages").mkdir(parents=True)
    names = (
        "folder/removed.py",
        "folder/stays.py",
        "folder/fast.so",
        "folder/site-packages/fit.py",
        "other.py",
    )
    for number, name in enumerate(names):
        (tmp_path / name).write_text(name)
        module = ModuleType(f"module{number}_of_test_identity")
        module.__file__ = str(tmp_path / name)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    (folder / "removed.py").unlink()
    (folder / "scan.py").write_text("scan")
    assert sorted(local_sources(folder / "scan.py").values()) == ["folder/stays.py", "scan"]


@pytest.mark.skipif(os.name == "nt", reason="a script stands for git")
@pytest.mark.parametrize(("command", "tracked"), [("ls-files", None), ("diff", True)])
def test_changes_that_git_cannot_tell_are_said_and_the_commit_is_kept(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    command: str,
    tracked: bool | None,
) -> None:
    script = f"""case "$*" in
        *" {command} "*) echo fatal: no disk >&2; exit 128;;
        *--show-toplevel*) echo /top;;
        *--verify*) echo abc;;
        *symbolic-ref*) echo trunk;;
    esac"""
    monkeypatch.setattr(git, "PATIENCE", 150.0)
    stand_in(tmp_path, monkeypatch, script)
    assert git_state(tmp_path / "scan.py") == GitState("/top", "abc", "trunk", tracked=tracked)
    assert caplog.messages == [
        "the changes in the repository of scan.py are recorded in part: fatal: no disk"
    ]


@pytest.mark.skipif(os.name == "nt", reason="a script stands for git")
def test_git_reads_nothing_of_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(git, "PATIENCE", 150.0)
    stand_in(tmp_path, monkeypatch, 'read -r line; echo "fatal: [$line]" >&2; exit 128')
    reading, writing = os.pipe()
    os.write(writing, b"typed\n")
    before = os.dup(0)
    try:
        os.dup2(reading, 0)
        assert git_state(tmp_path / "scan.py") is None
    finally:
        os.dup2(before, 0)
        for descriptor in (reading, writing, before):
            os.close(descriptor)
    assert "is not recorded: fatal: []" in caplog.text
