"""Large arrays that are appended are in the journal, and not in the memory of the run, nor of what makes its file."""

import contextlib
import gc
import os
import pickle
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rexec import results
from rexec.datasets import DatasetDB, DatasetManager
from rexec.ground.kept import KeptArray
from rexec.results import ResultsWriter, journal_path, recover, verify
from rexec.results._kept_values import KeptValues
from rexec.results.errors import ValueSuperseded
from rexec.results.hdf5.pace import CompressionPace
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.records import Kind, Record
from rexec.results.journal.writer import Journal
from rexec.results.keeper import Keeper
from schemas import RunIdentity

FRAME = np.arange(300 * 250, dtype=np.float64).reshape(300, 250)
"""600 kB."""

IN_MEMORY = os.name == "nt"


def begun(folder: Path) -> tuple[ResultsWriter, DatasetManager]:
    identity = RunIdentity(rid=1, class_name="Test", start_time=1.0)
    writer = ResultsWriter.create(folder / "r.h5", identity, refresh_interval=0)
    return writer, DatasetManager(DatasetDB(), sink=writer)


def rows(path: Path) -> Any:
    with results.open(path) as run:
        return run["x"]


def same(one: Any, other: Any) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def test_a_run_reads_what_it_has_appended(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path)
    manager.set("x", [])
    expected = [FRAME + number for number in range(4)]
    for frame in expected:
        manager.append_to("x", frame)
    kinds = {type(item) for item in manager._local["x"].value}
    assert kinds == ({np.ndarray} if IN_MEMORY else {KeptArray})
    assert same(manager.get("x"), expected)
    assert same(manager.local["x"].value, expected)
    manager.mutate("x", 1, FRAME * 0)
    expected[1] = FRAME * 0
    manager.get("x")[0][0] = 7  # a copy
    assert same(manager.get("x"), expected)
    manager.close()
    local = dict(manager.local)
    path = writer.close()
    assert not journal_path(path).exists()
    assert same(local["x"].value, expected)
    assert same(pickle.loads(pickle.dumps(local["x"])).value, expected)
    assert same(rows(path), expected)


def test_a_broadcast_list_stays_in_memory(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path)
    manager.set("x", [], broadcast=True)
    manager.append_to("x", FRAME)
    assert type(manager._local["x"].value[0]) is np.ndarray
    manager.set("y", [])
    manager.append_to("y", FRAME)
    with pytest.raises(TypeError):
        manager.set("y", object(), broadcast=True)
    assert same(manager.get("y"), [FRAME])
    manager.set("y", 1, broadcast=True)
    writer.close()


def test_the_file_is_made_with_a_few_rows_in_memory(tmp_path: Path) -> None:
    peaks = []
    for count in (20, 60):
        (tmp_path / str(count)).mkdir()
        writer, manager = begun(tmp_path / str(count))
        manager.set("x", [])
        tracemalloc.start()
        for number in range(count):
            manager.append_to("x", FRAME + number)
        writer.snapshot()
        for number in range(count):
            manager.append_to("x", FRAME - number)
        path = writer.close()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert verify(path) == []
        with h5py.File(path) as file:
            assert np.array_equal(file["datasets/x"][count + 3], FRAME - 3)
    assert IN_MEMORY or peaks[1] < peaks[0] + 2 * FRAME.nbytes


@pytest.mark.parametrize("settings", [{}, {"dtype": "<f4"}, {"dtype": "<u1"}, {"compression": "lzf"}])
def test_storage_settings_are_used(tmp_path: Path, settings: dict[str, Any]) -> None:
    writer, manager = begun(tmp_path)
    manager.set_storage("x", **settings)
    manager.set("x", [])
    expected = [FRAME + number for number in range(12)]
    for number, frame in enumerate(expected):
        manager.append_to("x", frame)
        if number == 5:
            writer.snapshot()
    manager.mutate("x", slice(2, 4), [FRAME * 0, FRAME])
    expected[2:4] = [FRAME * 0, FRAME]
    path = writer.close()
    assert verify(path) == []
    assert same(rows(path), expected)


def test_frames_of_different_shapes_are_kept_too(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path)
    manager.set("x", [1])
    expected = [1, FRAME, FRAME[:200], "text", FRAME.astype(np.int32)]
    for item in expected[1:]:
        manager.append_to("x", item)
    path = writer.close()
    assert verify(path) == []
    assert same(rows(path), expected)


def test_a_list_of_one_frame_is_written(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path)
    manager.set("x", [])
    manager.append_to("x", FRAME)
    path = writer.close()
    assert verify(path) == []
    assert same(rows(path), [FRAME])


def test_a_killed_run_is_recovered(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path)
    manager.set("x", [])
    for number in range(12):
        manager.append_to("x", FRAME + number)
    (tmp_path / "killed").mkdir()
    recovery = recover(Path(shutil.copy(journal_path(writer.path), tmp_path / "killed")))
    assert recovery.path is not None
    assert same(rows(recovery.path), [FRAME + number for number in range(12)])
    writer.close()


def test_a_value_that_is_superseded_while_it_is_written_is_not_written(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path)
    manager.set("x", [])
    for number in range(3):
        manager.append_to("x", FRAME + number)
    keeper = Keeper(JournalReader(journal_path(writer.path)), tmp_path / "other.h5")
    keeper.read(writer.journal_size)
    kept = keeper.state.datasets["x"].value[0]
    assert np.array_equal(kept.load(), FRAME)
    manager.set("x", [FRAME * 2])
    for number in range(5):
        manager.set("y", FRAME * number)
    with pytest.raises(ValueSuperseded):
        kept.load()
    keeper.bring_up_to(keeper.state.size)
    assert same(rows(tmp_path / "other.h5"), [FRAME * 2])
    keeper.close()
    writer.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows replaces no open file")
def test_the_journal_is_open_as_long_as_an_array_in_it_is_needed(tmp_path: Path) -> None:
    with contextlib.closing(Journal(tmp_path / "j", sync_interval=0)) as journal:
        journal.put(Record(Kind.SET, "x", value=[], metadata={}))
        start = journal.size
        journal.put(Record(Kind.APPEND, "x", value=FRAME))
        values = KeptValues(journal)
        kept = values.kept(FRAME, start)
        assert values._reader is not None
        descriptor = values._reader.descriptor
        of_journal = os.fstat(descriptor)
        del values
        gc.collect()
        assert os.path.samestat(os.fstat(descriptor), of_journal)
        del kept
        gc.collect()
        with contextlib.suppress(OSError):  # or it is another file's
            assert not os.path.samestat(os.fstat(descriptor), of_journal)


@pytest.mark.parametrize(
    ("array", "is_kept"),
    [
        (np.zeros(2**15), True),
        (np.zeros(2**15 - 1), False),
        (np.zeros(2**15, "S8"), False),
        ([0.0] * 2**15, False),
        *((np.zeros(2**18, kind), True) for kind in ("?", "i1", "u2", "c8")),
    ],
)
def test_arrays_of_256_kib_are_left_in_the_journal(tmp_path: Path, array: Any, is_kept: bool) -> None:
    writer, manager = begun(tmp_path)
    manager.set("x", [])
    manager.append_to("x", array)
    assert (type(manager._local["x"].value[0]) is KeptArray) == (is_kept and not IN_MEMORY)
    with contextlib.closing(
        Keeper(JournalReader(journal_path(writer.path)), tmp_path / "other.h5")
    ) as keeper:
        keeper.read()
        assert (type(keeper.state.datasets["x"].value[0]) is KeptArray) == is_kept
    writer.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows replaces no open file")
def test_a_journal_that_was_replaced_costs_nothing(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path)
    manager.set("x", [])
    manager.append_to("x", FRAME)
    shutil.copy(journal_path(writer.path), tmp_path / "copy")
    (tmp_path / "copy").replace(journal_path(writer.path))
    writer.sync()
    manager.append_to("x", FRAME + 1)
    assert same(manager.get("x"), [FRAME, FRAME + 1])
    assert same(rows(writer.close()), [FRAME, FRAME + 1])


def test_what_cannot_be_compressed_in_time_is_written_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {}
    for allowed in (True, False):
        monkeypatch.setattr(CompressionPace, "allows", lambda *_: True)
        (tmp_path / str(allowed)).mkdir()
        writer, manager = begun(tmp_path / str(allowed))
        manager.set("x", [])
        for number in range(10):
            manager.append_to("x", np.tile(FRAME[:3], (100, 1)) + number)
            if number == 2:
                writer.snapshot()
                monkeypatch.setattr(CompressionPace, "allows", lambda *_, allowed=allowed: allowed)
        manager.set("whole", np.tile(FRAME, (4, 1)))
        path = writer.close()
        assert verify(path) == []
        with h5py.File(path) as file:
            assert np.array_equal(file["datasets/x"][9], np.tile(FRAME[:3], (100, 1)) + 9)
            assert file["datasets/x"].compression == "gzip"
            assert file["datasets/whole"].compression == ("gzip" if allowed else None)
            sizes[allowed] = file["datasets/x"].id.get_storage_size()
            # A bit for each of the two filters that the library has to leave out when it reads.
            assert file["datasets/x"].id.get_chunk_info(9).filter_mask == (0 if allowed else 0b11)
    # Three frames were written while there was time.
    assert 7 * FRAME.nbytes < sizes[False] < 8 * FRAME.nbytes
    assert sizes[True] < FRAME.nbytes


def test_an_array_is_compressed_while_there_is_time() -> None:
    pace = CompressionPace()
    pace.begin(hurry=True)
    assert pace.allows(10**6)
    assert not pace.allows(10**9)
    pace.begin(hurry=False)
    assert pace.allows(10**12)
