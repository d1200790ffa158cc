"""Which copy of a result file is worked on next, and which bytes are copied."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rexec.results import copies
from rexec.results.copies import Copies, copy_bytes
from rexec.results.hdf5.file import FoldedFile

SIZE = 1000


NEEDS_LEASES = pytest.mark.skipif(
    not copies._CAN_TELL_UNUSED, reason="needs leases on files, which are Linux's"
)


class Kept:
    """The copies of a file of `SIZE` bytes, which is refreshed as the keeper does it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "r.h5"
        self.copies = Copies(self.path, b"i" * 16)

    def refresh(self, number: int, *, final: bool = False) -> FoldedFile:
        working = self.copies.next()
        working.path.write_bytes(bytes([number]) * SIZE)
        self.copies.keep(working)
        self.copies.publish(working, final=final)
        assert self.path.read_bytes() == bytes([number]) * SIZE
        return working

    def names(self) -> set[str]:
        return {each.name for each in self.path.parent.iterdir()}


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    monkeypatch.setattr(copies, "_clone", lambda *_: False)
    monkeypatch.setattr(copies, "_CAN_TELL_UNUSED", True)
    monkeypatch.setattr(copies, "TWO_COPIES_FROM", SIZE)
    return Kept(tmp_path)


def cloned(old: int, new: int) -> bool:
    copy_bytes(old, new, SIZE)
    return True


@pytest.mark.parametrize(
    ("name", "value", "is_copied"),
    [
        pytest.param("TWO_COPIES_FROM", SIZE, False, marks=NEEDS_LEASES),
        ("TWO_COPIES_FROM", SIZE + 1, True),
        ("_CAN_TELL_UNUSED", False, True),
        ("_clone", cloned, True),
    ],
)
def test_a_small_file_is_copied_a_large_one_has_two_copies(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, name: str, value: object, is_copied: bool
) -> None:
    monkeypatch.setattr(copies, name, value)
    assert (kept.copies.is_one, kept.copies.are_two, kept.copies.all) == (True, False, [])
    first = kept.refresh(1)
    assert kept.names() == ({"r.h5", ".r.h5.working"} if is_copied else {"r.h5"})
    assert (kept.copies.is_one, kept.copies.are_two, kept.copies.all) == (is_copied, False, [first])
    second = kept.refresh(2)
    assert kept.names() == ({"r.h5", ".r.h5.working"} if is_copied else {"r.h5", ".r.h5.previous"})
    assert (second is first) == is_copied
    assert (kept.copies.is_one, kept.copies.are_two) == (is_copied, not is_copied)
    assert kept.copies.all == ([first] if is_copied else [second, first])
    kept.refresh(3, final=True)
    assert ".r.h5.working" not in kept.names()


def changed(path: Path) -> None:
    path.write_bytes(b"x")


@NEEDS_LEASES
@pytest.mark.parametrize("how", [changed, Path.unlink])
@pytest.mark.parametrize("what", [".working", ".previous", ""])
def test_a_copy_that_was_changed_or_removed_is_not_worked_on(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, how: Callable[[Path], None], what: str
) -> None:
    if what == ".working":
        monkeypatch.setattr(copies, "TWO_COPIES_FROM", SIZE + 1)
    used = [kept.refresh(1), *([kept.refresh(2)] if what == ".previous" else [])]
    how(kept.path.with_name(f".r.h5{what}" if what else "r.h5"))
    working = kept.copies.next()
    assert all(working is not each for each in used)
    assert working.path == kept.path.with_name(".r.h5.working")
    assert not working.path.exists() or working.path.read_bytes() == kept.path.read_bytes()


@NEEDS_LEASES
def test_a_copy_that_is_open_or_has_another_name_is_not_worked_on(kept: Kept) -> None:
    first = kept.refresh(1)
    kept.refresh(2)
    previous = kept.path.with_name(".r.h5.previous")
    with previous.open("rb"):
        assert kept.copies.next() is not first
    other = kept.path.with_name("other")
    other.hardlink_to(previous)
    assert kept.copies.next() is not first
    other.unlink()
    assert kept.copies.next() is first


@NEEDS_LEASES
def test_a_copy_that_may_not_be_written_is_not_worked_on(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    first = kept.refresh(1)
    kept.refresh(2)
    real = os.open

    def refuse(path: Path, flags: int, *others: Any, **more: Any) -> int:
        if flags & os.O_RDWR and Path(path).name == ".r.h5.previous":
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, flags, *others, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        assert kept.copies.next() is not first
    assert kept.copies.next() is first


def test_a_file_system_without_links_has_one_copy(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links")

    kept.refresh(1)
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    second = kept.refresh(2)
    assert kept.copies.all == [second]
    assert kept.names() == {"r.h5"}


def test_what_is_forgotten_is_not_worked_on(kept: Kept) -> None:
    used = [kept.refresh(1), kept.refresh(2)]
    kept.copies.forget()
    assert kept.copies.all == []
    assert kept.copies.next() not in used


@pytest.mark.parametrize(
    "by_kernel",
    [
        pytest.param(
            True,
            marks=pytest.mark.skipif(
                not hasattr(os, "copy_file_range"), reason="this kernel copies no files"
            ),
        ),
        False,
    ],
)
def test_so_many_bytes_are_copied_as_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_kernel: bool
) -> None:
    if by_kernel:
        copy = os.copy_file_range  # type: ignore[attr-defined, unused-ignore]
        monkeypatch.setattr(os, "copy_file_range", lambda old, new, size: copy(old, new, min(size, 3)))
    else:
        monkeypatch.delattr(os, "copy_file_range", raising=False)
        write = os.write
        monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:3]))  # short writes
    (tmp_path / "old").write_bytes(b"0123456789")
    for size in (10, 20):  # the file may be shorter than it was
        with (tmp_path / "old").open("rb") as old, (tmp_path / "new").open("wb") as new:
            copy_bytes(old.fileno(), new.fileno(), size)
        assert (tmp_path / "new").read_bytes() == b"0123456789"
