"""Bytes of superseded values hold later ones: the journal of a live image does not grow, and reads as before."""

import os
import shutil
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from rexec import results
from rexec.datasets import DatasetDB, DatasetManager
from rexec.results import ResultsWriter, journal_path, recover, status_of, verify
from rexec.results.errors import JournalDamaged
from rexec.results.fold import RunState
from rexec.results.journal._encode import encode
from rexec.results.journal._space import MOST_RECORDS, HeldRecord, Space
from rexec.results.journal._superseded import MARK, content_crc, mark_place, placed_parts
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.records import CHANGE, LONG, OVERHEAD, Kind, frame, header, key_parts
from rexec.results.journal.salvage import SalvageReader
from rexec.results.keeper import state_of
from schemas import RunIdentity

IMAGE = np.random.default_rng(1).integers(0, 2**16, (200, 100), dtype=np.uint16)


def begun(folder: Path, **identity: Any) -> tuple[ResultsWriter, DatasetManager]:
    writer = ResultsWriter.create(
        folder / "r.h5",
        RunIdentity(rid=1, class_name="Test", start_time=1.0, **identity),
        refresh_interval=0,
        sync_interval=0,
    )
    return writer, DatasetManager(DatasetDB(), sink=writer)


def killed(writer: ResultsWriter, folder: Path) -> Path:
    """Return a journal as a run leaves it that is killed now."""
    folder.mkdir()
    return Path(shutil.copy(journal_path(writer.path), folder))


@pytest.mark.parametrize(("more", "is_placed"), [(0, True), (1, False)])
def test_all_bytes_of_a_superseded_value_are_used(tmp_path: Path, more: int, is_placed: bool) -> None:
    writer, manager = begun(tmp_path)
    for key in ("x", "y"):
        manager.set(key, b"")
    start = writer.journal_size
    manager.set("x", bytes(10_000))
    length = writer.journal_size - start
    manager.set("x", b"")
    room = start + length - mark_place(start) - MARK
    beside = length - 10_000 - len(LONG) - OVERHEAD  # kind, head and length of the value
    before = writer.journal_size
    manager.set("y", bytes(room - beside + more))
    assert (writer.journal_size - before < 1000) == is_placed
    assert verify(writer.close()) == []


def test_a_live_image_takes_the_bytes_of_a_few(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path)
    for number in range(200):
        manager.set("image", IMAGE + np.uint16(number))
        if number % 20 == 0:
            writer.sync()
    size = journal_path(writer.path).stat().st_size
    assert size == writer.journal_size < 8 * IMAGE.nbytes
    recovery = recover(killed(writer, tmp_path / "killed"))
    assert recovery.outcome == "recovered"
    assert recovery.path is not None
    with results.open(recovery.path) as run:
        assert np.array_equal(run["image"], IMAGE + np.uint16(199))
        assert run.problems == []
    writer.close()
    assert verify(writer.path) == []


def test_an_array_that_grows_takes_the_bytes_of_a_few(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path)
    for number in range(1, 300):
        manager.set("x", np.arange(number * 100.0))
    assert journal_path(writer.path).stat().st_size < 5 * number * 800
    assert np.array_equal(
        state_of(journal_path(writer.path), writer.journal_size).datasets["x"].value, np.arange(29900.0)
    )
    writer.close()


def test_every_kind_of_change_reads_as_before(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path)
    chance = Random(5)
    reader = JournalReader(journal_path(writer.path))
    state = RunState()
    for number in range(600):
        kind, large = chance.randrange(8), [number * 0.5] * chance.randrange(100, 3000)
        if kind < 2:
            manager.set(chance.choice("ab"), large)
        elif kind == 2:
            manager.set("image", IMAGE + np.uint16(number))
        elif kind == 3 and "image" in manager.local:
            manager.mutate("image", slice(3, 9), np.full((6, 100), number, np.uint16))
        elif kind == 4 and "a" in manager.local:
            manager.append_to("a", number)
        elif kind == 5 and "b" in manager.local:
            manager.append_to("b", large)
        elif kind == 6:
            manager.set("a", [number], broadcast=True, archive=chance.random() < 0.7)
        elif chance.random() < 0.3:
            writer.sync()
        if number % 7 == 0:
            for record in reader.records():  # one that follows sees each change, or that it was superseded
                state.apply(record)
            assert reader.damage is None
        if number % 150 == 149:
            fresh = state_of(journal_path(writer.path), writer.journal_size)
            for record in reader.records():
                state.apply(record)
            for found in (fresh, state):
                assert found.problems == []
                assert not found.outdated
                assert found.records == fresh.records
                assert list(found.datasets) == list(fresh.datasets)
                assert found.datasets.keys() == manager.local.keys()
                for key, dataset in manager.local.items():
                    assert np.array_equal(found.datasets[key].value, dataset.value) or (
                        key == "b" and found.datasets[key].value == dataset.value
                    )
    reader.close()
    waiting = status_of(writer.path).waiting
    assert waiting is not None
    assert waiting > 400
    assert journal_path(writer.path).stat().st_size < 2_000_000
    writer.close()
    assert verify(writer.path) == []


def test_what_was_synced_stays_until_what_supersedes_it_is_synced(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path)
    manager.set("x", [1.5] * 1000)
    writer.sync()
    size = writer.journal_size
    for number in range(50):
        manager.set("x", [float(number)] * 1000)
    data = journal_path(writer.path).read_bytes()
    # The power may go now: whatever was written behind the synced bytes may be lost.
    (tmp_path / "lost").mkdir()
    lost = tmp_path / "lost" / "r.h5.journal"
    lost.write_bytes(data[:size])
    with JournalReader(lost) as reader:
        assert [record.value for record in reader.records() if record.kind is Kind.SET] == [[1.5] * 1000]
    for _ in range(3):
        manager.set("y", 1)
        writer.sync()
    with JournalReader(journal_path(writer.path)) as reader:
        kinds = [record.kind for record in reader.records() if record.key == "x"]
    assert kinds.count(Kind.SET) == 1
    assert kinds[-1] is Kind.SET
    writer.close()


def test_a_recording_keeps_every_change(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path, recording={"mode": "record"})
    for number in range(20):
        manager.set("image", IMAGE + np.uint16(number))
    assert journal_path(writer.path).stat().st_size > 20 * IMAGE.nbytes
    writer.close()
    with results.open(writer.path) as run:
        assert len(run["image/value"]) == 20


def test_a_reader_that_is_behind_shows_an_earlier_value(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path)
    manager.set("x", [1.0] * 1000)
    writer.sync()
    manager.set("x", [2.0] * 1000)
    manager.append_to("x", 2.5)
    behind = writer.journal_size
    manager.set("x", [3.0] * 1000)
    state = state_of(journal_path(writer.path), behind)
    assert state.datasets["x"].value == [1.0] * 1000
    assert state.outdated == {"x"}
    assert state.problems == []
    assert state_of(journal_path(writer.path), writer.journal_size).datasets["x"].value == [3.0] * 1000
    writer.close()


def test_a_value_whose_successor_was_lost_is_named(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path)
    manager.set("x", [1.0] * 1000)
    manager.set("x", [2.0] * 1000)
    size = writer.journal_size
    manager.set("x", [3.0] * 1000)
    journal = killed(writer, tmp_path / "killed")
    os.truncate(journal, size)
    recovery = recover(journal)
    assert recovery.path is not None
    with results.open(recovery.path) as run:
        assert dict(run) == {}
        assert run.problems == ["x: what it was set to last is lost; there is no earlier value"]
    writer.close()


def test_a_flipped_bit_is_noticed_or_hits_what_nobody_reads(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path)
    for number in range(4):
        manager.set("x", [float(number)] * 80)
        manager.set("y", [float(number)] * 70)
    journal = killed(writer, tmp_path / "killed")
    writer.close()
    data = journal.read_bytes()
    expected = {"x": [3.0] * 80, "y": [3.0] * 70}
    noticed = 0
    for place in range(0, len(data), 17):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        journal.write_bytes(changed)
        try:
            with JournalReader(journal) as reader:
                state = RunState()
                for record in reader.records():
                    state.apply(record)
        except JournalDamaged:
            noticed += 1
            continue
        is_noticed = reader.damage is not None or bool(state.problems)
        noticed += is_noticed
        if not is_noticed:
            assert {key: item.value for key, item in state.datasets.items()} == expected, place
            assert not state.outdated, place
    assert noticed > 50


@pytest.mark.parametrize("seed", range(3))
def test_pieces_are_never_given_twice(seed: int) -> None:
    chance, space = Random(seed), Space(16)
    held: list[HeldRecord] = []
    used: set[int] = set()
    end = 0
    for _ in range(3000):
        if chance.random() < 0.55:
            length = chance.randrange(16, 200)
            pieces = space.take(length)
            if pieces is None:
                pieces, end = [(end, length)], end + length
            assert sum(size for _, size in pieces) == length
            covered = {byte for start, size in pieces for byte in range(start, start + size)}
            assert len(covered) == length
            assert not covered & used
            used |= covered
            held.append(HeldRecord(0, tuple(pieces)))
        elif held:
            gone = held.pop(chance.randrange(len(held)))
            used -= {byte for start, size in gone.pieces for byte in range(start, start + size)}
            space.give_back(gone)
    assert end < 2.5 * 200 * 300


def test_the_bookkeeping_is_bounded() -> None:
    space = Space(16)
    for number in range(MOST_RECORDS + 10):
        space.hold((True, "x"), HeldRecord(number * 100, ((number * 100, 20),)))
    space.hold((True, "large"), HeldRecord(0, ((1, 10**6),)))
    assert len(space.supersede((True, "x"), 1)) < 10
    assert len(space.supersede((True, "large"), 1)) == 1


def journal_with(folder: Path, *records: tuple[Kind, list[Any]]) -> Path:
    """Write a journal of sound frames in which 0 is x, and 1 is y."""
    parts = [header(bytes(16)), *frame(Kind.KEY, key_parts(0, "x")), *frame(Kind.KEY, key_parts(1, "y"))]
    for kind, body in records:
        parts += frame(kind, body)
    path = folder / "r.h5.journal"
    path.write_bytes(b"".join(parts))
    return path


def change(value: Any, name: int = 0) -> list[Any]:
    return [CHANGE.pack(name, 1.0, 8), encode({}), encode(value)]


@pytest.mark.parametrize("piece", [(2**63, 8), (2**64 - 1, 1), (40, 2**62), (40, 0), (40, 8), None])
def test_a_content_that_is_nowhere_costs_its_record(tmp_path: Path, piece: tuple[int, int] | None) -> None:
    lost = change([2])
    crc = content_crc(Kind.SET, lost)
    placed = [b"\1"] if piece is None else placed_parts(Kind.SET, lost, [piece], crc)
    journal = journal_with(
        tmp_path, (Kind.SET, change([1])), (Kind.PLACED, placed), (Kind.SET, change("sound", name=1))
    )
    recovery = recover(journal)
    assert recovery.outcome == "damaged"
    assert recovery.path is not None
    with results.open(recovery.path) as run:
        assert dict(run) == {"x": [1], "y": "sound"}  # x as it was before
        said = "x: record 2 (SET) has lost its content" if piece else "record 2 (lost) is of no known dataset"
        assert run.problems[0].startswith(said)
        assert ("x: what it was set to last is lost; this is an earlier value" in run.problems) == bool(piece)


def test_a_value_that_was_the_only_one_and_is_lost_is_named(tmp_path: Path) -> None:
    lost = placed_parts(Kind.SET, change([2]), [(2**63, 8)], content_crc(Kind.SET, change([2])))
    recovery = recover(journal_with(tmp_path, (Kind.PLACED, lost), (Kind.SET, change("sound", name=1))))
    assert recovery.path is not None
    with results.open(recovery.path) as run:
        assert dict(run) == {"y": "sound"}
        assert run.problems[1:] == ["x: what it was set to last is lost; there is no earlier value"]


def test_a_content_that_many_records_claim_is_not_read_without_end(tmp_path: Path) -> None:
    value = change([None] * 1000)
    size = 1 + sum(map(len, value))
    start = journal_with(tmp_path).stat().st_size + 9
    placed = placed_parts(Kind.SET, value, [(start, size)], content_crc(Kind.SET, value))
    with JournalReader(journal_with(tmp_path, (Kind.SET, value), *[(Kind.PLACED, placed)] * 1000)) as reader:
        kinds = [record.kind for record in reader.records()]
        assert len(kinds) == 1001
        assert kinds.count(Kind.SET) <= 1 + 2 * reader.offset // size


def test_what_was_superseded_is_found_behind_damage(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path)
    manager.set("damaged", 1)
    manager.set("x", [1.0] * 1000)
    manager.set("x", [2.0] * 1000)
    size = writer.journal_size
    manager.set("x", [3.0] * 1000)
    journal = killed(writer, tmp_path / "killed")
    os.truncate(journal, size)
    data = journal.read_bytes()
    journal.write_bytes(data.replace(b"damaged", b"Damaged"))
    with SalvageReader(journal) as salvage:
        found = [record.index for record in salvage.records() if record.kind is Kind.SUPERSEDED]
    assert found == [Kind.SET, Kind.SET]
