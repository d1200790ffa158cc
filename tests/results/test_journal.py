"""The journal: what it holds after any accident is a beginning of what was acknowledged."""

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rexec.datasets.values import same
from rexec.results.errors import JournalDamaged, ResultsError, ResultsNotWritable
from rexec.results.fold import RunState
from rexec.results.journal import Journal
from rexec.results.reader import JournalReader
from rexec.results.records import HEADER, Kind, Record, header
from tests.results.strategies import values


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
    return list(zip(sizes, records, strict=True))


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


@settings(max_examples=50, deadline=None)
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
    for _ in range(500):
        if timed.synced == timed.size:
            break
        threading.Event().wait(0.01)
    assert timed.synced == timed.size
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


def test_after_a_failed_sync_nothing_more_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "j", sync_interval=0)
    journal.append("x", 1)

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        with pytest.raises(ResultsError, match="the disk failed to keep"):
            journal.sync()
    with pytest.raises(ResultsError, match="the disk failed to keep"):
        journal.append("x", 2)
    journal.close()


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
    with pytest.raises(JournalDamaged, match="version 99, this release reads version 1"):
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
