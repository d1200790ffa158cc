"""The file of a journal: whole records only, with one claim on it, and made anew where it was removed."""

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rexec.ground import locks
from rexec.ground.system_calls import MOST_AT_ONCE
from rexec.results import _files
from rexec.results._files import temporary_beside
from rexec.results.errors import ResultsError, ResultsNotWritable
from rexec.results.journal import _file, _record_file
from rexec.results.journal._file import Orphan, copied, created
from rexec.results.journal._record_file import RecordFile
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.records import CHANGE, HEADER, Kind, Record, change_parts, short_append

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows removes no open file")


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Any]:
    file: Any = RecordFile(tmp_path / "j")
    yield file
    with contextlib.suppress(OSError):
        os.close(file.descriptor)


def small(file: Any) -> None:
    data = short_append(0, 1.0, 2.5)
    assert data is not None
    file.write_small(data)


def usual(file: Any) -> None:
    file.write(Kind.NOTE, change_parts(Record(Kind.NOTE, value="text"), 0))


def large(file: Any) -> None:
    file._write_large(Kind.NOTE, change_parts(Record(Kind.NOTE, value=b"x" * 1000), 0))


WRITES = pytest.mark.parametrize("write", [small, usual, large])


def count(file: Any) -> int:
    with JournalReader(file.path) as reader:
        found = reader.count()
        assert (reader.offset, reader.damage) == (file.size, None)
    return found


def fail(*_: Any, **__: Any) -> Any:
    raise OSError(errno.EIO, "Input/output error")


def test_a_new_journal_is_on_the_disk_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Any] = []
    monkeypatch.setattr(_record_file, "sync_descriptor", lambda each: synced.append(os.fstat(each).st_size))
    monkeypatch.setattr(_record_file, "sync_folder_of", synced.append)
    file = RecordFile(tmp_path / "j")
    assert synced == [HEADER.size, tmp_path / "j"]
    assert (file.size, file.is_whole, file.heal()) == (HEADER.size, True, "")
    with JournalReader(file.path) as reader:
        assert reader.identifier == file.identifier
    file.close()
    assert synced[2:] == [HEADER.size]


@pytest.mark.parametrize("is_gone", [False, pytest.param(True, marks=POSIX)])
@pytest.mark.parametrize("what", ["sync_descriptor", "sync_folder_of"])
def test_a_journal_that_cannot_be_put_on_the_disk_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, is_gone: bool
) -> None:
    def sync(_: Any) -> None:
        if is_gone:
            (tmp_path / "j").unlink()
        fail()

    opened: list[int] = []

    def noted(path: Path) -> int:
        opened.append(created(path))
        return opened[-1]

    monkeypatch.setattr(_record_file, "created", noted)
    monkeypatch.setattr(_record_file, what, sync)
    with pytest.raises(ResultsNotWritable, match=r"cannot write results beside .*Input/output error"):
        RecordFile(tmp_path / "j")
    assert os.listdir(tmp_path) == []
    with pytest.raises(OSError, match=r"Bad file descriptor|Invalid handle|handle is invalid"):
        os.fstat(opened[0])


@WRITES
def test_nothing_is_cut_after_a_sound_write(
    file: Any, monkeypatch: pytest.MonkeyPatch, write: Callable[[Any], None]
) -> None:
    file._is_writing = True  # as an interrupted write leaves it
    file.settle()
    monkeypatch.setattr(os, "ftruncate", fail)
    for number in range(3):
        write(file)
        file.settle()
        assert count(file) == number + 1


@WRITES
@pytest.mark.parametrize("lost", [None, "it was cut"])
def test_after_a_failure_nothing_is_written(
    file: Any, monkeypatch: pytest.MonkeyPatch, write: Callable[[Any], None], lost: str | None
) -> None:
    size = file.size
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail)
        patch.setattr(os, "writev", fail, raising=False)
        patch.setattr(os, "ftruncate", fail)
        with pytest.raises(ResultsError, match=r"cannot keep a change in .*j: Input/output error$"):
            write(file)
    # What could not be cut back is in the way of any other record.
    said = f"cannot write {file.path}: Input/output error, nor cut it back: Input/output error"
    assert (file.failure, file.is_whole, file.heal()) == (said, False, "")
    for each in (small, usual, large):
        with pytest.raises(ResultsError, match="nor cut it back"):
            each(file)
    assert (file.size, file.path.stat().st_size) == (size, size)


@WRITES
@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "; free space on it, the run's data so far are safe"),
        (errno.EDQUOT, "; free space on it, the run's data so far are safe"),
        (errno.EIO, ""),
    ],
)
def test_a_full_disk_is_told_with_its_remedy_and_costs_one_record(
    file: Any, monkeypatch: pytest.MonkeyPatch, write: Callable[[Any], None], number: int, hint: str
) -> None:
    def refuse(*_: Any) -> Any:
        raise OSError(number, "odd")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse)
        patch.setattr(os, "writev", refuse, raising=False)
        with pytest.raises(ResultsError) as caught:
            write(file)
    assert str(caught.value) == f"cannot keep a change in {file.path}: odd{hint}"
    write(file)
    assert count(file) == 1


@WRITES
def test_what_comes_after_the_end_of_the_run_is_refused_as_that(
    file: Any, write: Callable[[Any], None]
) -> None:
    file.close()
    with pytest.raises(ResultsError, match=r"j is closed: the run has ended, this change came too late"):
        write(file)
    assert (file.descriptor, file.heal()) == (-1, "")


@WRITES
def test_a_record_that_the_system_takes_in_parts_is_whole(
    file: Any, monkeypatch: pytest.MonkeyPatch, write: Callable[[Any], None]
) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:5]))
    monkeypatch.setattr(
        os, "writev", lambda descriptor, parts: real(descriptor, b"".join(parts)[:7]), raising=False
    )
    for _ in range(2):
        write(file)
    monkeypatch.undo()
    assert count(file) == 2


@WRITES
def test_a_record_of_more_bytes_than_macos_takes_at_once_is_whole(
    file: Any, monkeypatch: pytest.MonkeyPatch, write: Callable[[Any], None]
) -> None:
    assert MOST_AT_ONCE < 2**31
    monkeypatch.setattr(_record_file, "MOST_AT_ONCE", 5)
    monkeypatch.setattr(_files, "MOST_AT_ONCE", 5)
    real, read = os.write, getattr(os, "pread", None)

    def reads(descriptor: int, size: int, start: int) -> bytes:
        assert read is not None
        assert size <= 5
        return bytes(read(descriptor, size, start))

    def writes(descriptor: int, parts: list[bytes]) -> int:
        assert sum(map(len, parts)) <= 5
        return real(descriptor, b"".join(parts))

    monkeypatch.setattr(os, "writev", writes, raising=False)
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:5]))
    if read is not None:
        monkeypatch.setattr(os, "pread", reads)
    write(file)
    assert count(file) == 1


def test_a_record_of_more_parts_than_the_system_takes_is_whole(file: Any) -> None:
    head = CHANGE.pack(0, 1.0, 8)
    file.write(Kind.NOTE, [head, *[bytes(64)] * 2000])
    assert count(file) == 1
    assert file.size > 64 * 2000


def test_a_checksum_is_waited_for(file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Late:
        """A thread that is done only when it is waited for."""

        def __init__(self, *, target: Callable[[], None], name: str) -> None:
            self.join = target

        def start(self) -> None:
            pass

    monkeypatch.setattr(_record_file, "threading", SimpleNamespace(Thread=Late))
    large(file)
    assert count(file) == 1


def test_a_record_is_large_from_some_size_on(file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []

    class Noted(threading.Thread):
        def start(self) -> None:
            threads.append(self.name)
            super().start()

    monkeypatch.setattr(_record_file, "threading", SimpleNamespace(Thread=Noted))
    monkeypatch.setattr(_record_file, "_LARGE", 100)
    head = CHANGE.pack(0, 1.0, 8)
    for size in (99, 99, 100):
        file.write(Kind.NOTE, [head, bytes(size - len(head))])
    assert threads == ["rexec-journal-crc"]
    assert count(file) == 3


def replaced(path: Path) -> None:
    path.unlink()
    path.write_text("my notes")


@POSIX
@pytest.mark.parametrize(
    ("put", "said", "lost"),
    [
        (lambda _: None, "", ""),
        (Path.unlink, "j was removed or replaced while the run went on; it is written anew", ""),
        (lambda path: path.rename(path.with_name("k")), "it is written anew", ""),
        (replaced, "", "was replaced by a file that is not of this run"),
        (lambda path: os.truncate(path, HEADER.size), "", "was cut by another program"),
    ],
)
def test_a_journal_that_was_taken_away_is_written_anew(
    file: Any, put: Callable[[Path], object], said: str, lost: str
) -> None:
    path, claim = file.path, file.descriptor
    usual(file)
    put(path)
    found = file.heal()
    assert found.endswith(said) if said else found == ""
    assert (file.failure, bool(file.failure)) == (file.lost, bool(lost))
    assert lost in (file.failure or "")
    assert (file.path == path) == ("replaced" not in lost)
    if not lost:
        assert file.is_whole
        small(file)
        assert count(file) == 2
    assert file.heal() == ""
    if file.descriptor != claim:
        assert os.path.samestat(os.fstat(file.descriptor), file.path.stat())


@POSIX
def test_a_journal_that_is_gone_already_can_be_removed(file: Any) -> None:
    file.path.unlink()
    assert not file.is_whole
    file.remove()
    assert file.descriptor == -1


def test_a_claim_is_given_up_also_where_the_disk_fails(file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor = file.descriptor
    monkeypatch.setattr(_record_file, "sync_descriptor", fail)
    with pytest.raises(OSError, match="Input/output error"):
        file.close()
    assert file.descriptor == -1
    with pytest.raises(OSError, match=r"Bad file descriptor|Invalid handle|handle is invalid"):
        os.fstat(descriptor)


# What is made and claimed.


@pytest.mark.skipif(os.name == "nt", reason="there are no such permissions")
def test_a_journal_is_no_program(file: Any) -> None:
    assert file.path.stat().st_mode & 0o111 == 0


@POSIX
@pytest.mark.parametrize("times", [4, 5])
def test_a_file_that_a_recovery_takes_away_is_made_again_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    opened: list[int] = []

    def lock(descriptor: int) -> bool:
        if len(opened) < times:
            (tmp_path / "j").unlink()
        opened.append(descriptor)
        return True

    monkeypatch.setattr(_file, "try_lock", lock)
    if times == 5:
        with pytest.raises(ResultsNotWritable, match=r"is taken away by another process again and again"):
            created(tmp_path / "j")
        assert len(opened) == times
    else:
        descriptor = created(tmp_path / "j")
        assert os.path.samestat(os.fstat(descriptor), (tmp_path / "j").stat())
        os.close(descriptor)
        assert len(opened) == times + 1
    assert len(set(opened)) == 1  # each was closed: the next one got its number


@pytest.mark.parametrize("is_gone", [False, pytest.param(True, marks=POSIX)])
def test_without_locks_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_gone: bool
) -> None:
    tried: list[int] = []

    def lock(descriptor: int) -> bool:
        tried.append(descriptor)
        if is_gone:
            (tmp_path / "j").unlink()
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(_file, "try_lock", lock)
    with pytest.raises(ResultsNotWritable, match=r"has no locks \(no locks\)"):
        created(tmp_path / "j")
    assert os.listdir(tmp_path) == []
    with pytest.raises(OSError, match=r"Bad file descriptor|Invalid handle|handle is invalid"):
        os.fstat(tried[0])


@pytest.mark.parametrize(
    ("free_after", "is_claimed", "slept"),
    [(0, True, 0), (2, True, 2), (3, True, 3), (4, False, 3)],
)
def test_what_a_killed_run_has_left_behind_has_a_moment_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_after: int, is_claimed: bool, slept: int
) -> None:
    now, tries = [0.0], iter([False] * free_after)
    clock = SimpleNamespace(monotonic=lambda: now[-1], sleep=lambda _: now.append(now[-1] + 0.15))
    monkeypatch.setattr(locks, "time", clock)
    monkeypatch.setattr(locks, "try_lock", lambda *_, **__: next(tries, True))
    (tmp_path / "j").touch()
    with Orphan(tmp_path / "j") as orphan:
        assert orphan.is_claimed() is is_claimed
    assert len(now) - 1 == slept


@pytest.mark.parametrize("what", ["remove", "rename"])
def test_what_becomes_of_a_journal_that_was_left_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(_file, "sync_folder_of", synced.append)
    claims: list[int] = []

    def claimed(real: Any) -> Any:
        def act(*arguments: Any, **options: Any) -> None:
            if os.name != "nt":
                claims.append(os.fstat(descriptor).st_ino)
            real(*arguments, **options)

        return act

    for name in ("remove", "put_in_place"):
        monkeypatch.setattr(_file, name, claimed(getattr(_file, name)))
    (tmp_path / "j").touch()
    with Orphan(tmp_path / "j") as orphan:
        assert os.write(orphan._descriptor, b"") == 0  # it is open for writing
        assert orphan.is_in_place()
        descriptor = orphan._descriptor
        if what == "remove":
            orphan.remove()
        else:
            orphan.rename(tmp_path / "k")
        assert os.name == "nt" or not orphan.is_in_place()
    assert os.listdir(tmp_path) == ([] if what == "remove" else ["k"])
    assert synced == [tmp_path / "j"]
    assert len(claims) == (os.name != "nt")
    with pytest.raises(OSError, match=r"Bad file descriptor|Invalid handle|handle is invalid"):
        os.fstat(descriptor)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are none")
def test_a_pipe_is_no_journal_of_a_killed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "j")
    closed: list[int] = []
    real = os.close

    def close(descriptor: int) -> None:
        closed.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(os, "close", close)
    with pytest.raises(OSError, match="it is no regular file"):
        Orphan(tmp_path / "j")
    assert len(closed) == 1


def test_a_journal_may_have_the_first_number_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "j").touch()
    orphan = Orphan(tmp_path / "j")
    os.close(orphan._descriptor)
    orphan._descriptor = 0
    closed: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "close", closed.append)
        for _ in range(2):
            orphan._close()
    assert closed == [0]


def nothing(_: Path) -> None:
    pass


def same(path: Path) -> None:
    path.write_bytes(HEADER.pack(b"RXJRNL\r\n", 2, 0, b"i" * 16, 0) + b"older")


def other(path: Path) -> None:
    path.write_bytes(HEADER.pack(b"RXJRNL\r\n", 2, 0, b"i" * 15 + b"j", 0))


def text(path: Path) -> None:
    path.write_text("my notes")


def pipe(path: Path) -> None:
    os.mkfifo(path)


IN_THE_WAY = [
    (nothing, True),
    (same, True),
    (other, False),
    (text, False),
    (Path.mkdir, False),
    pytest.param(pipe, False, marks=pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are none")),
]


@pytest.mark.skipif(os.name == "nt", reason="Windows renames no open file, and removes none")
@pytest.mark.parametrize(("put", "is_replaced"), IN_THE_WAY)
def test_a_copy_takes_the_place_of_an_older_one_and_of_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, put: Callable[[Path], None], is_replaced: bool
) -> None:
    monkeypatch.setattr(_file, "_BLOCK", 10)
    synced: list[int] = []
    monkeypatch.setattr(_file, "sync_descriptor", lambda each: synced.append(os.fstat(each).st_size))
    (tmp_path / "old").write_bytes(bytes(range(40)))
    wanted = tmp_path / "folder" / "r.h5.journal"
    wanted.parent.mkdir()
    put(wanted)
    before = wanted.stat().st_ino if wanted.exists() else None
    (left := temporary_beside(wanted)).write_text("of a killed run")
    with (tmp_path / "old").open("rb") as old:
        path, new = copied(old.fileno(), 33, wanted, b"i" * 16)
    assert path == (wanted if is_replaced else wanted.with_name("r-69696969.h5.journal"))
    assert (path.read_bytes(), synced) == (bytes(range(33)), [33])
    assert os.path.samestat(os.fstat(new), path.stat())
    assert is_replaced or wanted.stat().st_ino == before
    assert not left.exists()
    os.close(new)


@pytest.mark.parametrize("size", [41, 400])
def test_a_copy_of_what_is_not_there_any_more_is_none(tmp_path: Path, size: int) -> None:
    (tmp_path / "old").write_bytes(bytes(40))
    with (
        (tmp_path / "old").open("rb") as old,
        pytest.raises(ResultsError, match=r"cannot be written anew: what was written cannot be read back"),
    ):
        copied(old.fileno(), size, tmp_path / "j", b"i" * 16)
    assert os.listdir(tmp_path) == ["old"]


def test_a_copy_that_is_interrupted_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_file, "sync_descriptor", interrupted)
    (tmp_path / "old").write_bytes(bytes(40))
    with (tmp_path / "old").open("rb") as old, pytest.raises(KeyboardInterrupt):
        copied(old.fileno(), 40, tmp_path / "j", b"i" * 16)
    assert os.listdir(tmp_path) == ["old"]


@POSIX
def test_a_copy_that_is_taken_away_at_once_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(temporary: Path, _: Path) -> None:
        temporary.unlink()
        fail()

    monkeypatch.setattr(_file, "put_in_place", taken)
    (tmp_path / "old").write_bytes(bytes(40))
    with (
        (tmp_path / "old").open("rb") as old,
        pytest.raises(ResultsError, match=r"cannot be written anew: Input/output error"),
    ):
        copied(old.fileno(), 40, tmp_path / "j", b"i" * 16)


def test_where_no_copy_can_be_made_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(bytes(40))
    # Windows says of a file in the place of a folder that it exists.
    said = (
        r"old is no folder; choose"
        if os.name == "nt"
        else r"j was removed or replaced, and cannot be written anew: "
    )
    with (tmp_path / "old").open("rb") as old, pytest.raises(ResultsError, match=said):
        copied(old.fileno(), 40, tmp_path / "old" / "j", b"i" * 16)
