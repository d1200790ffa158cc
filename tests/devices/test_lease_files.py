"""Leases in lock files: everybody of a machine sees them, and one ends with its process, however that ends."""

import contextlib
import json
import os
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from rexec.devices import _lease_files
from rexec.devices._lease_files import FileLease, file_users, lease_folder
from rexec.ground.locks import try_lock
from tests.ground.forking import in_a_fork, program, said

DEVICE = "1 camera"
POSIX = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")


def holder(what: str = "run 1", pid: int | None = None) -> dict[str, Any]:
    return {
        "what": what,
        "person": "alice",
        "known": "claimed",
        "machine": "pc3",
        "pid": pid or os.getpid(),
    }


def lease(folder: Path, name: str, device: str = DEVICE, pid: int | None = None) -> FileLease:
    return FileLease(folder, device, name * 12, holder(f"run {name}", pid))


def names(folder: Path, device: str = DEVICE) -> list[str]:
    return [user.what for user in file_users(folder, device)]


@contextlib.contextmanager
def held(path: Path) -> Iterator[int]:
    """Keep a file locked as another process would; yields its descriptor."""
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        assert try_lock(file)
        yield file
    finally:
        os.close(file)


def test_the_folder_is_the_same_for_all_users_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REXEC_LEASES", "/somewhere/else")
    assert lease_folder() == Path("/somewhere/else")
    monkeypatch.delenv("REXEC_LEASES")
    monkeypatch.setenv("TMPDIR", "/of/mine")
    monkeypatch.setenv("PROGRAMDATA", r"D:\Data")
    shared = {"win32": r"D:\Data", "darwin": "/var/tmp"}.get(sys.platform, "/tmp")
    assert lease_folder() == Path(shared) / "rexec-leases"


@POSIX
def test_every_user_may_add_leases_and_write_to_those_of_others(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        mine = lease(tmp_path / "leases", "a")
        assert mine.take(False, None) == []
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "leases").rglob("*")}
    finally:
        os.umask(before)
    folder = modes.pop(next(iter((tmp_path / "leases").iterdir())).name)
    assert (stat.S_IMODE((tmp_path / "leases").stat().st_mode), folder) == (0o1777, 0o1777)
    assert modes.pop(".guard") == 0o666
    assert list(modes.values()) == [0o666]
    mine.close()


def test_sharers_are_told_of_each_other_and_one_alone_is_refused_in_any_order(tmp_path: Path) -> None:
    first, second = lease(tmp_path, "a"), lease(tmp_path, "b")
    assert first.shared() is None
    assert first.take(False, None) == []
    before = time.time()
    assert second.take(False, None) == []
    for mine, other in ((first, "run b"), (second, "run a")):
        (found,) = mine.shared() or []
        assert (found.what, found.pid, found.is_stopped) == (other, os.getpid(), False)
        assert [user.what for user in mine.take(True, None)] == [other]
        assert len(mine.shared() or []) == 1
    (user,) = first.shared() or []
    assert user.since is not None
    assert before - 1 < user.since < time.time() + 1
    second.close()
    assert second.shared() is None
    assert first.take(True, None) == []
    (alone,) = second.take(False, None)
    assert (alone.what, alone.is_exclusive) == ("run a", True)
    first.close()
    first.close()
    assert second.take(False, None) == []
    second.close()
    assert names(tmp_path) == []


def test_who_shared_a_device_is_remembered_when_it_is_used_alone(tmp_path: Path) -> None:
    first, second = lease(tmp_path, "a"), lease(tmp_path, "b")
    assert first.take(False, None) == []
    assert second.take(False, None) == []
    second.close()
    assert first.take(True, None) == []
    assert [user.what for user in first.shared() or []] == ["run b"]
    (alone,) = file_users(tmp_path, DEVICE)
    assert alone.is_exclusive
    first.close()


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_the_longest_user_comes_first(tmp_path: Path, order: str) -> None:
    made = [lease(tmp_path, name) for name in order]
    for each in made:
        assert each.take(False, None) == []
    assert names(tmp_path) == [f"run {name}" for name in order]
    for each in made:
        each.close()


def test_looking_removes_nothing_and_taking_removes_what_is_left_of_ended_processes(tmp_path: Path) -> None:
    mine = lease(tmp_path, "a")
    dead = next(tmp_path.iterdir()) / "7-x.lease"
    dead.write_text(json.dumps({**holder(), "exclusive": True, "began": 1.0}) + "\n")
    for _ in range(2):
        assert names(tmp_path) == []
        assert dead.exists()
    assert mine.take(True, None) == []
    assert not dead.exists()
    mine.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no open file")
def test_a_lease_whose_file_somebody_has_removed_ends_without_an_error(tmp_path: Path) -> None:
    mine = lease(tmp_path, "a")
    assert mine.take(True, None) == []
    for path in tmp_path.rglob("*.lease"):
        path.unlink()
    mine.close()


def test_only_the_beginning_of_a_large_lease_is_read(tmp_path: Path) -> None:
    mine = lease(tmp_path, "a")
    assert mine.take(False, None) == []
    (path,) = tmp_path.rglob("*.lease")
    line = json.dumps({**holder(), "began": 1.0, "more": ""}).encode()
    line = line[:-2] + b"x" * (1023 - len(line)) + line[-2:] + b"\n"
    assert len(line) == 1024
    path.write_bytes(line * 1000)
    assert len(mine.shared() or []) == 255
    mine.close()


def test_who_takes_a_lease_waits_for_another_process_that_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = lease(tmp_path, "a"), lease(tmp_path, "b")
    assert other.take(False, None) == []
    guard = next(tmp_path.iterdir()) / ".guard"
    results: list[Any] = []
    monkeypatch.setattr(_lease_files, "_PATIENCE", 150.0)
    with held(guard):
        taking = threading.Thread(target=lambda: results.append(mine.take(False, None)))
        taking.start()
        taking.join(0.1)
        assert mine.shared() is None
    taking.join(150)
    assert results == [[]]
    monkeypatch.setattr(_lease_files, "_PATIENCE", 0.05)
    with (
        held(guard),
        pytest.raises(TimeoutError, match=r"\.guard is locked by a process that does not go on"),
    ):
        mine.take(True, None)
    other.close()
    assert mine.take(True, None) == []
    mine.close()


def number_of_files(folder: Path) -> int:
    """Return how many files of a folder this process has open, removed ones included; of all folders without /proc."""
    if not os.path.isdir("/proc/self/fd"):
        return psutil.Process().num_fds()
    found = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # it was that of the list, or of another thread
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return sum(each.startswith(f"{folder}/") for each in found)


@POSIX
def test_no_open_file_is_left_behind(tmp_path: Path) -> None:
    first, second = lease(tmp_path, "a"), lease(tmp_path, "b")
    os.mkfifo(next(tmp_path.iterdir()) / "2-x.lease")
    assert first.take(False, None) == []
    before = number_of_files(tmp_path)
    for _ in range(3):
        assert second.take(False, None) == []
        assert second.shared() != []
        assert names(tmp_path) == ["run a", "run b"]
        assert len(second.take(True, None)) == 1
        second.close()
    assert number_of_files(tmp_path) == before
    first.close()


@pytest.mark.parametrize("opened", [_lease_files._opened, os.open])
def test_a_lease_that_another_process_looks_at_is_taken_again(
    tmp_path: Path, opened: Callable[[Path, int], int]
) -> None:
    mine = lease(tmp_path, "a")
    assert mine.take(False, None) == []
    (path,) = tmp_path.rglob("*.lease")
    looking = opened(path, os.O_RDONLY)
    mine.close()
    assert names(tmp_path) == []
    threading.Timer(0.3, os.close, (looking,)).start()
    assert mine.take(True, None) == []
    assert names(tmp_path) == ["run a"]
    mine.close()
    assert list(tmp_path.rglob("*.lease")) == []


@pytest.mark.skipif(sys.platform != "win32", reason="a lease that somebody reads can be removed elsewhere")
def test_a_lease_that_another_program_keeps_open_is_a_plain_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_lease_files, "_PATIENCE", 0.1)
    mine = lease(tmp_path, "a")
    assert mine.take(False, None) == []
    (path,) = tmp_path.rglob("*.lease")
    with path.open("rb"):
        with pytest.raises(PermissionError, match="lease"):
            mine.take(True, None)
    assert mine.take(True, None) == []
    mine.close()


def test_somebody_who_looks_is_not_taken_for_the_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease of a process that has ended, while two look at once."""
    ended = lease(tmp_path, "a")
    assert ended.take(True, None) == []
    assert ended._file is not None
    (path,) = tmp_path.rglob("*.lease")
    left = path.read_bytes()
    ended.close()
    path.write_bytes(left)
    seen: list[list[str]] = []

    def looks_twice(file: int, **options: Any) -> bool:
        is_locked = try_lock(file, **options)
        monkeypatch.setattr(_lease_files, "try_lock", try_lock)
        seen.append(names(tmp_path))
        return is_locked

    monkeypatch.setattr(_lease_files, "try_lock", looks_twice)
    assert names(tmp_path) == []
    assert seen == [[]]


@POSIX
def test_a_stopped_holder_is_told(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        theirs = lease(tmp_path, "a", pid=process.pid)
        assert theirs.take(True, None) == []
        psutil.Process(process.pid).suspend()
        os.waitpid(process.pid, os.WUNTRACED)
        (user,) = file_users(tmp_path, DEVICE)
        assert user.is_stopped == os.path.isdir("/proc/self")
        psutil.Process(process.pid).resume()
        process.communicate(b"\n", timeout=150)
    theirs.close()


@POSIX
def test_a_lease_ends_with_a_killed_process_whose_fork_lives_on(tmp_path: Path) -> None:
    text = f"""
        import os, time
        from pathlib import Path
        from tests.devices.test_lease_files import lease
        mine = lease(Path({str(tmp_path)!r}), "a")
        assert mine.take(True, None) == []
        if os.fork():
            time.sleep(150)
        print("forked", flush=True)
        for _ in range(7500):
            if Path({str(tmp_path / "end")!r}).exists():
                break
            time.sleep(0.02)
        print("ends", flush=True)
    """
    with program(text) as holding:
        assert said(holding) == "forked"
        assert names(tmp_path) == ["run a"]
        holding.kill()
        holding.wait(150)
        assert names(tmp_path) == []
        mine = lease(tmp_path, "b")
        assert mine.take(True, None) == []
        mine.close()
        (tmp_path / "end").touch()
        assert said(holding) == "ends"
        assert said(holding) == ""


@POSIX
def test_a_forked_child_has_no_lease_and_ends_none(tmp_path: Path) -> None:
    mine = lease(tmp_path, "a")
    assert mine.take(True, None) == []

    def close() -> str:
        said = str(mine.shared())
        mine.close()
        return said

    assert in_a_fork(close) == "None"
    assert names(tmp_path) == ["run a"]
    mine.close()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be another user")
def test_a_lease_of_another_user_that_cannot_be_written_to_hinders_nobody() -> None:
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        folder = Path(name, "leases")
        theirs = lease(folder, "a")
        assert theirs.take(False, None) == []
        (path,) = folder.rglob("*.lease")
        path.chmod(0o644)
        text = f"""
            import os
            from pathlib import Path
            from tests.devices.test_lease_files import lease
            os.setuid(12345)
            mine = lease(Path({str(folder)!r}), "b")
            print([user.what for user in mine.take(True, None)], mine.take(False, None), flush=True)
            print([user.what for user in mine.shared()], flush=True)
            mine.close()
        """
        with program(text) as other:
            assert said(other) == "['run a'] []"
            assert said(other) == "['run a']"
        assert theirs.shared() == []
        theirs.close()
