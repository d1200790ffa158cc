"""The journal: what it holds after any accident is a beginning of what was acknowledged."""

import os
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rexec.datasets.values import same
from rexec.results import open as open_run
from rexec.results import recover
from rexec.results.errors import JournalDamaged, ResultsError, ResultsNotWritable
from rexec.results.fold import RunState
from rexec.results.journal._encode import Buffer
from rexec.results.journal._record_file import _LARGE, RecordFile
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.records import HEADER, SHORT_SIZE, Kind, Record, header
from rexec.results.journal.salvage import SalvageReader
from rexec.results.journal.writer import Journal
from tests.clock import set_clock
from tests.results.strategies import values
from tests.waiting import within


def written(path: Path) -> list[tuple[int, Record]]:
    """Write a journal with a record of each sort; return the size of the file after each, and the record."""
    records = [
        Record(Kind.IDENTITY, time=1.0, value={"rid": 3}),
        Record(Kind.SET, "x", 2.0, [1.5], {"unit": "V"}, broadcast=True, persist=True),
        Record(Kind.APPEND, "x", 3.0, 2.5, archive=False),
        Record(Kind.MUTATE, "x", 4.0, [7.5], index=slice(0, 1), origin="client"),
        Record(Kind.ARCHIVE, "calibration", 5.0, "é", {}),
        Record(Kind.SET, "image", 6.0, np.arange(12.0).reshape(3, 4), {}),
        Record(Kind.DELETE, "x", 7.0),
        Record(Kind.END, time=8.0, value={"status": "completed"}),
    ]
    journal = Journal(path, sync_interval=0)
    sizes = []
    for record in records:
        journal.put(record)
        sizes.append(journal.size)
    journal.close()
    numbered = [record._replace(number=number) for number, record in enumerate(records, start=1)]
    return list(zip(sizes, numbered, strict=True))


def read(path: Path) -> list[Record]:
    with JournalReader(path) as reader:
        return list(reader.records())


def equal(one: Record, other: Record) -> bool:
    return all(map(same, one, other))


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    kept = written(tmp_path / "j")
    back = read(tmp_path / "j")
    assert len(back) == len(kept)
    assert all(equal(one, other) for one, (_, other) in zip(back, kept, strict=True))


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(["a", "b/c", ""]), values), max_size=6))
def test_any_value_can_be_kept(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "j"
    journal = Journal(path, sync_interval=0)
    for key, value in changes:
        journal.append(key, value)
    journal.close()
    assert same([(record.key, record.value) for record in read(path)], changes)


def test_cut_at_every_byte_it_holds_the_whole_records_before(tmp_path: Path) -> None:
    kept = written(tmp_path / "j")
    data = (tmp_path / "j").read_bytes()
    for length in range(len(data)):
        (tmp_path / "cut").write_bytes(data[:length])
        if length < HEADER.size:
            with pytest.raises(JournalDamaged):
                JournalReader(tmp_path / "cut")
            continue
        with JournalReader(tmp_path / "cut") as reader:
            back = list(reader.records())
            assert len(back) == sum(size <= length for size, _ in kept)
            # A whole record of which only the name is left is no damage; anything else that is left over is said.
            assert reader.remaining() == 0 or reader.torn


def test_a_flipped_bit_anywhere_never_gives_another_record(tmp_path: Path) -> None:
    kept = written(tmp_path / "j")
    data = bytearray((tmp_path / "j").read_bytes())
    for position in range(len(data)):
        data[position] ^= 1 << position % 8
        (tmp_path / "bad").write_bytes(data)
        data[position] ^= 1 << position % 8
        try:
            reader = JournalReader(tmp_path / "bad")
        except JournalDamaged:
            assert position < HEADER.size
            continue
        with reader:
            back = list(reader.records())
            assert reader.damage is not None
            assert not reader.torn
        assert len(back) == sum(size <= position for size, _ in kept)
        assert all(equal(one, other) for one, (_, other) in zip(back, kept, strict=False))


def test_a_reader_follows_a_journal_that_grows(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", sync_interval=0)
    with JournalReader(tmp_path / "j") as reader:
        for number in range(3):
            journal.append("x", number)
            assert [record.value for record in reader.records()] == [number]
        assert (list(reader.records()), reader.offset, reader.damage) == ([], journal.size, None)
    journal.close()


def test_records_larger_than_a_block_are_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", sync_interval=0)
    journal.append("x", 1)
    journal.append("x", np.arange(10**6))
    journal.append("x", 2)
    journal.close()
    one, array, two = (record.value for record in read(tmp_path / "j"))
    assert (one, int(array.sum()), two) == (1, 499999500000, 2)


def test_threads_never_mix_their_records(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", sync_interval=0.001)

    def write(name: str) -> None:
        for number in range(500):
            journal.append(name, number)

    threads = [threading.Thread(target=write, args=(f"t{index}",)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    back = read(tmp_path / "j")
    for index in range(4):
        assert [record.value for record in back if record.key == f"t{index}"] == list(range(500))


def test_what_was_synced_on_demand_or_by_the_timer_is_known(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", sync_interval=0)
    journal.append("x", 1)
    assert journal.synced < journal.size
    journal.sync()
    assert journal.synced == journal.size
    journal.close()
    timed = Journal(tmp_path / "k", sync_interval=0.01)
    timed.append("x", 1)
    assert within(150.0, lambda: timed.synced == timed.size)
    timed.close()


def test_a_record_that_does_not_fit_is_refused_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "j", sync_interval=0)
    journal.append("x", 1)
    real, left = os.write, [10]

    def full(descriptor: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(28, "No space left on device")
        count = real(descriptor, bytes(data)[: left[0]])
        left[0] -= count
        return count

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(
        ResultsError, match="No space left on device; free space on it, the run's data so far are"
    ):
        journal.append("x", 2)
    monkeypatch.undo()
    journal.append("x", 3)
    journal.close()
    assert [record.value for record in read(tmp_path / "j")] == [1, 3]


@pytest.mark.parametrize("left", [0, 1000, 5 * 2**20, -2])
def test_a_large_record_that_does_not_fit_is_refused_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    journal = Journal(tmp_path / "j", sync_interval=0)
    journal.append("x", 1)
    # A negative number is short of the whole record: only its checksum does not fit.
    whole = Journal(tmp_path / "whole", sync_interval=0)
    whole.append("x", 1)
    before = whole.size
    whole.append("x", np.arange(10**6))
    room = [left if left >= 0 else whole.size - before + left]
    whole.close()

    def full(descriptor: int, parts: Any) -> int:
        parts = parts if isinstance(parts, list) else [parts]
        data = b"".join(map(bytes, parts))[: room[0]]
        if not data:
            raise OSError(28, "No space left on device")
        room[0] -= len(data)
        return real(descriptor, data)

    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        patch.setattr(os, "writev", full, raising=False)
        with pytest.raises(ResultsError, match="No space left on device"):
            journal.append("x", np.arange(10**6))
    journal.append("x", 3)
    journal.close()
    assert [record.value for record in read(tmp_path / "j")] == [1, 3]


def test_the_position_grows_with_changes_of_datasets_only(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", sync_interval=0)
    journal.put(Record(Kind.SET, "x", value=[1]))
    for kind in (Kind.SET, Kind.APPEND, Kind.MUTATE, Kind.ARCHIVE, Kind.DELETE, Kind.NOTE):
        before = journal.position
        journal.put(Record(kind, "x", value=0, index=0 if kind is Kind.MUTATE else None))
        assert (journal.position > before) == (kind is not Kind.NOTE)
    journal.close()


VALUES = pytest.mark.parametrize(
    "value", [2, "a text", np.zeros(_LARGE, np.uint8)], ids=["short", "any", "large"]
)


@VALUES
def test_what_an_interrupted_write_has_left_is_cut_off_before_the_next_record(
    value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "j", sync_interval=0)
    journal.append("x", 1)
    real = os.write

    def interrupted(descriptor: int, data: Any) -> int:
        real(descriptor, b"".join(data)[:5] if isinstance(data, list) else data[:5])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", interrupted)
        patch.setattr(os, "writev", interrupted, raising=False)
        with pytest.raises(KeyboardInterrupt):
            journal.append("x", value)
    journal.append("x", value)
    assert journal.size == journal.path.stat().st_size
    journal.close()
    first, second = (record.value for record in read(tmp_path / "j"))
    assert first == 1
    assert np.array_equal(second, value)


@VALUES
def test_after_a_failed_sync_nothing_more_is_acknowledged(
    value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "j", sync_interval=0)
    journal.append("x", 1)

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync" if hasattr(os, "fdatasync") else "fsync", broken)
        with pytest.raises(ResultsError, match="the disk failed to keep"):
            journal.sync()
    size = journal.size
    for _ in range(2):
        with pytest.raises(ResultsError, match="the disk failed to keep"):
            journal.append("x", value)
        with pytest.raises(ResultsError, match="the disk failed to keep"):
            journal.sync()
    assert journal.size == size
    journal.close()
    assert [record.value for record in read(tmp_path / "j")] == [1]


def test_a_journal_that_exists_is_never_written_over(tmp_path: Path) -> None:
    Journal(tmp_path / "j", sync_interval=0).close()
    with pytest.raises(ResultsNotWritable, match="rexec results recover"):
        Journal(tmp_path / "j")


def test_another_version_is_named(tmp_path: Path) -> None:
    data = bytearray(header(bytes(16)))
    data[8] = 99
    import zlib

    data[-4:] = zlib.crc32(data[:-4]).to_bytes(4, "little")
    (tmp_path / "j").write_bytes(data)
    with pytest.raises(JournalDamaged, match="version 99, this release reads up to version 2"):
        JournalReader(tmp_path / "j")


def test_the_state_is_that_of_the_changes_in_their_order(tmp_path: Path) -> None:
    written(tmp_path / "j")
    state = RunState()
    for record in read(tmp_path / "j")[:-2]:
        state.apply(record)
    assert state.identity == {"rid": 3}
    assert state.datasets["x"].value == [7.5, 2.5]
    assert state.datasets["x"].metadata == {"unit": "V"}
    assert state.archive["calibration"].value == "é"
    assert list(state.datasets) == ["x", "image"]


NUMBERS: list[Any] = [0.5, 7, np.float64(2.5), np.int64(-3), float("nan"), -(2**63)]
"""Those that a short record holds."""


def with_short_records(path: Path) -> list[int]:
    """Write a journal of mostly short records; return the size of the file after each record."""
    journal = Journal(path, sync_interval=0)
    journal.put(Record(Kind.SET, "x", value=[], metadata={}))
    sizes = [journal.size]
    for value in [*NUMBERS, 2**63]:
        journal.append("x", value)
        sizes.append(journal.size)
    journal.append("x", 1.5, origin="client")
    sizes.append(journal.size)
    journal.append("x", 2.5)
    sizes.append(journal.size)
    journal.close()
    return sizes


def test_an_appended_number_takes_19_bytes_and_comes_back_with_its_class_and_time(tmp_path: Path) -> None:
    before = time.time()
    sizes = with_short_records(tmp_path / "j")
    after = time.time()
    assert {two - one for one, two in pairwise(sizes[: len(NUMBERS) + 1])} == {SHORT_SIZE} == {19}
    back = read(tmp_path / "j")
    expected = [*NUMBERS, 2**63, 1.5, 2.5]
    assert same([record.value for record in back[1:]], expected)
    assert [type(record.value) for record in back[1:]] == list(map(type, expected))
    assert all(before <= record.time <= after for record in back)
    assert [record.time for record in back] == sorted(record.time for record in back)
    assert [record.number for record in back] == list(range(1, 11))
    assert [record.origin for record in back].count("client") == 1
    with JournalReader(tmp_path / "j") as reader:
        assert reader.count() == 10


def test_a_clock_that_is_set_makes_a_record_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "j", sync_interval=0)
    times = [1e9, 1e9 + 4000.25, 1e9 + 4300.5, 1e9 - 7, 1e9 - 6.5]
    for moment in times:
        set_clock(monkeypatch, "rexec.ground.clock", time=lambda moment=moment: moment)
        journal.append("x", moment)
    journal.close()
    assert [record.time for record in read(tmp_path / "j")] == pytest.approx(times, rel=0, abs=1e-5)


def test_short_records_cut_at_every_byte_and_flipped_in_every_byte(tmp_path: Path) -> None:
    sizes = with_short_records(tmp_path / "j")
    whole = read(tmp_path / "j")
    data = bytearray((tmp_path / "j").read_bytes())
    for position in range(HEADER.size, len(data)):
        (tmp_path / "cut").write_bytes(data[:position])
        with JournalReader(tmp_path / "cut") as reader:
            assert all(map(equal, list(reader.records()), whole))
            assert reader.offset == max([HEADER.size, *(size for size in sizes if size <= position)]) or (
                position < sizes[0]
            )
            assert reader.remaining() == 0 or reader.torn
        data[position] ^= 1 << position % 8
        (tmp_path / "bad").write_bytes(data)
        data[position] ^= 1 << position % 8
        with JournalReader(tmp_path / "bad") as reader:
            back = list(reader.records())
            assert reader.damage is not None
            assert not reader.torn
        assert len(back) == sum(size <= position for size in sizes)
        assert all(map(equal, back, whole))


def test_an_interrupt_between_a_record_and_its_time_costs_no_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", sync_interval=0)
    journal.put(Record(Kind.SET, "x", value=[], metadata={}))
    write = RecordFile.write

    def interrupted(self: RecordFile, kind: Kind, parts: list[Buffer]) -> None:
        write(self, kind, parts)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RecordFile, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            journal.put(Record(Kind.SET, "x", 1000.0, [], {}))
    journal.append("x", 1)
    journal.append("x", 2)
    journal.close()
    assert [round(time.time() - record.time) < 100 for record in read(tmp_path / "j")] == [
        True,
        False,
        True,
        True,
    ]


def test_a_journal_of_version_1_is_read_and_recovered(tmp_path: Path) -> None:
    """Written by the code before short records."""
    data = (Path(__file__).parent / "data" / "version1.journal").read_bytes()
    path = tmp_path / "r.h5.journal"
    path.write_bytes(data)
    back = read(path)
    assert [(record.kind.name, record.time) for record in back] == [
        ("IDENTITY", 1.0), ("SET", 2.0), ("APPEND", 3.0), ("APPEND", 3.0), ("APPEND", 3.0), ("MUTATE", 4.0),
        ("SET", 5.0), ("APPEND", 3.0),
    ]  # fmt: skip
    assert recover(path).outcome == "recovered"
    with open_run(tmp_path / "r.h5") as run:
        assert dict(run) == {"x": [9.5, 2.5, 7, 4.5, 8.5], "text": "a" * 243}
    for hit in (8, 20, 40, 130):  # the version, the identifier, the identity, an append
        (tmp_path / "s.h5.journal.damaged").write_bytes(data[:hit] + bytes([data[hit] ^ 3]) + data[hit + 1 :])
        with SalvageReader(tmp_path / "s.h5.journal.damaged") as reader:
            kinds = [record.kind.name for record in reader.records()]
        assert kinds.count("UNREADABLE") == (hit > HEADER.size), hit
        assert len(kinds) - kinds.count("UNREADABLE") >= 7, hit


def test_what_is_between_damaged_places_is_found_among_short_records(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", sync_interval=0)
    journal.put(Record(Kind.SET, "x", value=[], metadata={}))
    for number in range(500):
        journal.append("x", number)
    journal.put(Record(Kind.NOTE, "plot", value={}))
    journal.append("x", 500)
    journal.close()
    data = bytearray((tmp_path / "j").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = os.urandom(40)
    (tmp_path / "j").write_bytes(data)
    with SalvageReader(tmp_path / "j") as reader:
        back = list(reader.records())
    values = [record.value for record in back if record.kind is Kind.APPEND]
    assert values == sorted(values)
    assert 497 <= len(values) <= 498
    place = [record.kind for record in back].index(Kind.UNREADABLE)
    # Behind the damage no time is told until a record has one of its own.
    assert all(record.time for record in back[:place])
    assert {record.time for record in back[place + 1 : -2]} == {0.0}
    assert back[-1].time


def test_a_journal_may_be_the_first_file_of_a_process(tmp_path: Path) -> None:
    """Whoever closes the standard input gets its number for the next file."""
    code = """
import os, sys
from pathlib import Path
from rexec.results.errors import ResultsError
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.records import Kind, Record
from rexec.results.journal.writer import Journal
path = Path(sys.argv[1])
os.close(0)
journal = Journal(path, sync_interval=0)
journal.put(Record(Kind.SET, "x", value=1, metadata={}))
said = [journal.claim, journal.is_whole]
if os.name != "nt":
    os.write(0, b"torn")
    journal.file._is_writing = True
    said += [os.fstat(0).st_size > journal.size, os.fstat(0).st_size == journal.size]
journal.sync()
pid = 1 if os.name == "nt" else os.fork()
if not pid:
    os._exit(journal.claim + 5)
said += [] if os.name == "nt" else [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]
journal.close()
said += [journal.claim]
with JournalReader(path) as reader:
    said += [reader.descriptor, [each.value for each in reader.records()], reader.descriptor]
said += [reader.descriptor]
os.unlink(path)
journal = Journal(path, sync_interval=0)
real = os.write, getattr(os, "writev", None)
def refused(*_):
    raise OSError(5, "refused")
os.write = os.writev = refused
try:
    journal.put(Record(Kind.SET, "x", value=1, metadata={}))
except ResultsError as error:
    said += [journal.claim, str(error).endswith("j: refused")]
os.write, os.writev = real
if os.name != "nt":
    os.unlink(path)
    journal.heal()
    said += [journal.claim > 0, path.exists()]
journal.remove()
said += [journal.claim, path.exists()]
print(said)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "j")], capture_output=True, text=True, check=True
    )
    on_posix = [] if os.name == "nt" else [True, True, 4]
    healed = [] if os.name == "nt" else [True, True]
    expected = [0, True, *on_posix, -1, 0, [1], 0, -1, 0, True, *healed, -1, False]
    assert done.stdout == f"{expected}\n"
