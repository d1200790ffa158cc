"""Large changes are written into the bytes of superseded ones, where that is safe, and read back as they were."""

import contextlib
import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rexec.results.errors import ResultsError
from rexec.results.fold import RunState
from rexec.results.journal import _reuse
from rexec.results.journal._reuse import PLACE_FROM
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.records import Kind, Record, change_parts
from rexec.results.journal.writer import Journal

LARGE = 2000


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Any]:
    with contextlib.closing(Journal(tmp_path / "j", sync_interval=0)) as journal:
        for key in "xyz":
            journal.put(Record(Kind.SET, key, value=[], metadata={}))
        yield journal


def put(journal: Any, key: str, letter: str, size: int = LARGE, kind: Kind = Kind.SET) -> None:
    journal.put(Record(kind, key, 5.0, letter * size, {}))


def free(journal: Any, count: int = 1) -> None:
    """Have the bytes of so many large values given back, which are not beside each other."""
    for number in range(count):
        put(journal, f"free{number}", "f", LARGE + 100)
        put(journal, f"apart{number}", "a")
    for number in range(count):
        put(journal, f"free{number}", "f", 1)


def placed(journal: Any, act: Callable[[], object]) -> int:
    """Return how many bytes of a change were placed."""
    before = journal._changes.placed
    act()
    return int(journal._changes.placed - before)


def state(journal: Any) -> RunState:
    found = RunState()
    with JournalReader(journal.path) as reader:
        for record in reader.records():
            found.apply(record)
        assert (reader.damage, reader.offset) == (None, journal.size)
    assert (found.problems, found.unreadable) == ([], 0)
    return found


@pytest.mark.parametrize("size", [PLACE_FROM - 1, PLACE_FROM])
def test_a_change_is_placed_from_some_size_on(journal: Any, size: int) -> None:
    free(journal)
    record = Record(Kind.SET, "y", 5.0, "", {})
    beside = sum(map(len, change_parts(record, 0)))
    assert placed(journal, lambda: put(journal, "y", "b", size - beside)) == (
        size if size >= PLACE_FROM else 0
    )
    assert state(journal).datasets["y"].value == "b" * (size - beside)


@pytest.mark.parametrize("by", ["pwrite", "lseek", "short writes"])
@pytest.mark.parametrize("large", [False, True])
def test_a_change_in_several_pieces_is_read_back(
    journal: Any, monkeypatch: pytest.MonkeyPatch, by: str, large: bool
) -> None:
    threads: list[str] = []

    class Noted(threading.Thread):
        def start(self) -> None:
            threads.append(self.name)
            super().start()

    monkeypatch.setattr(_reuse, "threading", SimpleNamespace(Thread=Noted))
    if large:
        monkeypatch.setattr(_reuse, "_LARGE", 3 * LARGE)
    free(journal, 3)
    size = journal.size
    if by == "lseek":
        monkeypatch.delattr(os, "pwrite", raising=False)
    elif by == "short writes":
        name = "pwrite" if hasattr(os, "pwrite") else "write"
        real = getattr(os, name)
        descriptor = journal.claim

        def short(to: int, data: Any, *offset: int) -> int:
            return int(real(to, data if to == descriptor else data[:7], *offset))

        monkeypatch.setattr(os, name, short)
    assert placed(journal, lambda: put(journal, "y", "b", 3 * LARGE)) > 3 * LARGE
    assert journal.size - size < 200
    assert state(journal).datasets["y"].value == "b" * 3 * LARGE
    assert threads == (["rexec-journal-crc"] if large else [])


@pytest.mark.parametrize(
    ("first", "second", "is_given_back"),
    [
        ((Kind.SET, "x"), (Kind.SET, "x"), True),
        ((Kind.SET, "x"), (Kind.DELETE, "x"), True),
        ((Kind.APPEND, "x"), (Kind.SET, "x"), True),
        ((Kind.ARCHIVE, "x"), (Kind.ARCHIVE, "x"), True),
        ((Kind.SET, "x"), (Kind.SET, "y"), False),
        ((Kind.SET, "x"), (Kind.APPEND, "x"), False),
        ((Kind.SET, "x"), (Kind.ARCHIVE, "x"), False),
        ((Kind.ARCHIVE, "x"), (Kind.SET, "x"), False),
        ((Kind.ARCHIVE, "x"), (Kind.DELETE, "x"), False),
        ((Kind.NOTE, "x"), (Kind.NOTE, "x"), False),
        ((Kind.NOTE, "x"), (Kind.ARCHIVE, "x"), False),
        ((Kind.NOTE, "x"), (Kind.SET, "x"), False),
        ((Kind.IDENTITY, ""), (Kind.IDENTITY, ""), False),
    ],
)
def test_which_change_supersedes_which(
    journal: Any, first: tuple[Kind, str], second: tuple[Kind, str], is_given_back: bool
) -> None:
    for kind, key in (first, second):
        value: Any = {"class_name": "a" * LARGE} if kind is Kind.IDENTITY else ["a" * LARGE]
        journal.put(Record(kind, key, 5.0, value if (kind, key) == first else [], {}))
    assert bool(placed(journal, lambda: put(journal, "z", "b", LARGE - 200))) == is_given_back


def test_what_is_kept_for_good_is_never_written_over(journal: Any) -> None:
    free(journal)
    journal.keep_all()
    for letter in "abc":
        assert placed(journal, lambda letter=letter: put(journal, "y", letter)) == 0  # type: ignore[misc]
    with JournalReader(journal.path) as reader:
        values = [each.value for each in reader.records() if each.key == "y"]
    assert values == [[], *(letter * LARGE for letter in "abc")]


def test_nothing_is_placed_in_a_journal_that_failed_or_was_closed(journal: Any) -> None:
    free(journal)
    before = journal.path.read_bytes()
    journal.file.failure = "the disk failed"
    with pytest.raises(ResultsError, match="the disk failed"):
        put(journal, "y", "b")
    journal.file.failure = None
    journal.close()
    with pytest.raises(ResultsError, match="this change came too late"):
        put(journal, "y", "b")
    assert journal.path.read_bytes() == before
    assert journal._changes.placed == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no open file")
@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize("put_there", [False, True])
def test_nothing_is_placed_in_another_file_of_that_name(journal: Any, put_there: bool, is_open: bool) -> None:
    free(journal, 2)
    journal.path.rename(journal.path.with_name("k"))
    if put_there:
        journal.path.write_bytes(b"mine")
    if not is_open:
        journal._changes.close()
    assert bool(placed(journal, lambda: put(journal, "z", "b"))) == is_open
    assert (journal._changes._descriptor >= 0) == is_open
    if put_there:
        assert journal.path.read_bytes() == b"mine"
        journal.path.unlink()
    journal.heal()
    assert placed(journal, lambda: put(journal, "x", "c")) > LARGE
    found = state(journal).datasets
    assert (found["x"].value, found["z"].value) == ("c" * LARGE, "b" * LARGE)


def test_a_change_that_was_placed_is_superseded_in_its_turn(journal: Any) -> None:
    free(journal)
    for letter in "abcd":
        assert placed(journal, lambda letter=letter: put(journal, "y", letter)) > LARGE  # type: ignore[misc]
        put(journal, "y", "e", 1)
    assert state(journal).datasets["y"].value == "e"


def refuse(*_: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_change_that_cannot_be_placed_is_refused_and_costs_nothing_else(
    journal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(journal)
    with monkeypatch.context() as patch:
        patch.setattr(type(journal._changes), "_write_at", refuse)
        with pytest.raises(ResultsError, match=r"cannot keep a change in .*j: No space left on device"):
            put(journal, "y", "b")
    assert state(journal).datasets["y"].value == []
    put(journal, "y", "c")
    assert state(journal).datasets["y"].value == "c" * LARGE


@pytest.mark.skipif(not hasattr(os, "pwrite"), reason="Windows has no pwrite")
def test_a_change_of_more_bytes_than_macos_takes_at_once_is_placed(
    journal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(journal)
    real, sizes = os.pwrite, list[int]()

    def writes(descriptor: int, data: Any, offset: int) -> int:
        sizes.append(len(data))
        return real(descriptor, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(_reuse, "MOST_AT_ONCE", 100)
        patch.setattr(os, "pwrite", writes)
        assert placed(journal, lambda: put(journal, "y", "b", LARGE - 100)) > 0
    assert max(sizes) == 100
    assert state(journal).datasets["y"].value == "b" * (LARGE - 100)


@pytest.mark.parametrize("what", ["_write_at", "pread", "_can_place"])
def test_what_cannot_be_marked_is_not_given_back(
    journal: Any, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    put(journal, "x", "a")
    with monkeypatch.context() as patch:
        if what == "pread":
            patch.setattr(_reuse, "pread", lambda *_: bytes(23))
        elif what == "_can_place":  # the file of that name is another one at the moment
            patch.setattr(type(journal._changes), "_can_place", lambda _: False)
        else:
            patch.setattr(type(journal._changes), "_write_at", refuse)
        put(journal, "x", "a", 1)
    assert placed(journal, lambda: put(journal, "y", "b", LARGE - 100)) == 0
    assert state(journal).datasets["x"].value == "a"


def test_the_second_descriptor_may_be_the_first_of_a_process_and_is_closed_once(
    journal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[int] = []
    journal._changes._descriptor = 0
    with monkeypatch.context() as patch:
        patch.setattr(os, "close", closed.append)
        for _ in range(2):
            journal._changes.close()
    assert (closed, journal._changes._descriptor) == ([0], -1)


@pytest.mark.parametrize("which", ["journal", "second"])
def test_changes_are_placed_in_a_process_without_standard_input(tmp_path: Path, which: str) -> None:
    code = """if True:
        import os, sys
        from pathlib import Path
        from rexec.results.journal.records import Kind, Record
        from rexec.results.journal.writer import Journal
        if sys.argv[2] == "journal":
            os.close(0)
        journal = Journal(Path(sys.argv[1]), sync_interval=0)
        if sys.argv[2] == "second":
            os.close(0)
        for number in range(6):
            journal.put(Record(Kind.SET, "x", value=str(number) * (2000 - number), metadata={}))
        print([journal.claim, journal._changes._descriptor].index(0), journal._changes.placed > 4000)
        journal.close()
    """
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "j", which], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{['journal', 'second'].index(which)} True\n"
    with JournalReader(tmp_path / "j") as reader:
        assert [each.value for each in reader.records()][-1] == "5" * 1995
        assert reader.damage is None
