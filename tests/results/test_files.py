"""Files that appear whole, lock files, and what is left beside a result file."""

import errno
import os
import threading
from functools import partial
from pathlib import Path

import pytest

from devicedb.whole_file import sync_file
from rexec.ground import locks
from rexec.ground.locks import try_lock
from rexec.results import _files
from rexec.results._files import (
    is_locked,
    leftovers,
    locked,
    pread,
    remove,
    remove_leftovers,
    temporary_beside,
)
from rexec.results.errors import hint
from rexec.results.hdf5.reserve import reserve
from rexec.results.journal._file import Orphan
from tests.clock import set_clock


def test_a_file_is_locked_while_somebody_has_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "x"
    assert is_locked(path) is False  # there is none
    path.touch()
    with path.open("r+b") as file:
        assert is_locked(path) is False
        assert try_lock(file.fileno())
        assert is_locked(path) is True
    with path.open("r+b") as file:
        assert try_lock(file.fileno(), shared=True)
        assert is_locked(path) is False  # as another process that looks


def test_a_file_system_without_locks_has_no_locked_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.touch()

    def refuse(*_: object, **__: object) -> bool:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(_files, "try_lock", refuse)
    assert is_locked(path) is False


@pytest.mark.parametrize("last", [b"\x1a", b"\n"])
def test_a_file_that_is_synced_locked_or_given_room_keeps_its_last_byte(tmp_path: Path, last: bytes) -> None:
    content = b"HDF" + last
    for number, used in enumerate((sync_file, is_locked, partial(reserve, size=100))):
        path = tmp_path / str(number)
        path.write_bytes(content)
        used(path)  # type: ignore[operator]
        assert path.read_bytes()[: len(content)] == content
    with locked(tmp_path / "0"):
        pass
    _files.publish(tmp_path / "0", tmp_path / "published")
    assert (tmp_path / "published").read_bytes() == content
    with Orphan(tmp_path / "published"):
        pass
    assert (tmp_path / "published").read_bytes() == content


def test_looking_at_a_lock_leaves_no_file_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.touch()
    opened: list[int] = []

    def lock(descriptor: int, **_: object) -> bool:
        opened.append(descriptor)
        return True

    monkeypatch.setattr(_files, "try_lock", lock)
    monkeypatch.setattr(locks, "try_lock", lock)
    is_locked(path)
    with locked(path):
        os.fstat(opened[1])
    for descriptor in opened:
        with pytest.raises(OSError, match=r"Bad file descriptor|Invalid handle|handle is invalid"):
            os.fstat(descriptor)


def test_a_lock_file_has_one_holder_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path):
        assert is_locked(path)
        with (
            pytest.raises(TimeoutError, match=r"lock is locked by another process for over 0 s"),
            locked(path, 0),
        ):
            pass
        begun, held = threading.Event(), threading.Event()

        def wait() -> None:
            begun.set()
            with locked(path, 600):
                held.set()

        thread = threading.Thread(target=wait)
        thread.start()
        assert begun.wait(600)
        assert not held.is_set()
    assert held.wait(600)
    thread.join()
    assert not is_locked(path)
    assert os.name == "nt" or not path.stat().st_mode & 0o111  # it is nobody's program


def test_a_file_that_cannot_be_removed_is_an_error_and_none_at_all_is_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove(tmp_path / "none")
    (tmp_path / "x").touch()
    remove(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []

    def unlink(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, "it is in use", str(path))

    waited: list[float] = []
    monkeypatch.setattr(Path, "unlink", unlink)
    set_clock(monkeypatch, "devicedb.opening", sleep=waited.append)
    with pytest.raises(PermissionError, match="in use"):
        remove(tmp_path / "x")
    assert bool(waited) == (os.name == "nt")  # elsewhere nobody's open file hinders


def test_what_is_left_beside_a_result_file_goes_and_what_is_not_of_it_stays(tmp_path: Path) -> None:
    result = tmp_path / "r.h5"
    left = [".r.h5.working", ".r.h5.previous", ".r.h5.123.tmp", ".r.h5.journal.45.tmp"]
    others = ["r.h5", "r.h5.journal", ".r.h5.lock", ".q.h5.working", "r.h5.working", ".r.h5.x.tmp"]
    for name in (*left, *others):
        (tmp_path / name).touch()
    found = leftovers(tmp_path)
    assert {name: {each.name for each in paths} for name, paths in found.items()} == {
        "r.h5": set(left),
        "q.h5": {".q.h5.working"},
    }
    assert leftovers(tmp_path / "none") == {}
    remove_leftovers(result, found={})
    assert {each.name for each in tmp_path.iterdir()} == {*left[2:], *others}
    temporary_beside(result).touch()
    remove_leftovers(result, found)
    assert {each.name for each in tmp_path.iterdir()} == set(others)
    (tmp_path / left[2]).touch()
    remove_leftovers(result)
    assert {each.name for each in tmp_path.iterdir()} == set(others)


def test_bytes_are_read_from_an_offset_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_bytes(b"0123456789")
    with (tmp_path / "x").open("rb") as file:
        for _ in range(2):
            assert pread(file.fileno(), 3, 4) == b"456"
            assert pread(file.fileno(), 30, 8) == b"89"
            assert pread(file.fileno(), 3, 0) == b"012"
            monkeypatch.delattr(os, "pread", raising=False)  # as on Windows


def test_what_windows_refuses_is_explained_by_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.touch()
    refused = PermissionError(errno.EACCES, "Access denied", str(tmp_path / "new"), None, str(path))
    held = "; close the program that has it open" if os.name == "nt" else ""
    locked_away = "; it is read-only (`attrib -R` changes that), or a program has it open"
    assert hint(refused) == held
    path.chmod(0o444)
    assert hint(refused) == (locked_away if os.name == "nt" else "")
    assert hint(OSError(errno.ENOSPC, "full", str(path))) == ""
    path.chmod(0o666)
    assert hint(PermissionError(errno.EACCES, "Access denied")) == held
