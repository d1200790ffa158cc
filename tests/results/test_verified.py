"""The last look at a result file: whatever is not as the run has kept it is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rexec.results import ResultsWriter, item, journal_path, keeper
from rexec.results.errors import ResultsMismatch
from rexec.results.fold import RunState
from rexec.results.hdf5.checksums import checksum
from rexec.results.journal.reader import JournalReader
from rexec.results.keeper import Keeper, state_of
from rexec.results.verified import verify_against
from schemas import RunIdentity

VALUES: dict[str, Any] = {
    "number": 0,
    "float": 1.5,
    "flag": True,
    "small": np.int16(3),
    "typed": 1.5,
    "huge": 10**30,
    "array": np.arange(6.0).reshape(2, 3),
    "list": [1, 2, 3],
    "text": "a",
    "odd": {"a": [1, None]},
    "empty": [],
}


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Path, RunState]:
    """Return a finished file, and the state that it was made of."""
    writer = ResultsWriter.create(
        tmp_path / "r.h5", RunIdentity(rid=1, class_name="A", start_time=1.0), refresh_interval=0
    )
    writer.set_storage("typed", dtype="f4")
    for key, value in VALUES.items():
        writer.set(key, value, {})
    writer.archive("read", 7, {})
    state = state_of(journal_path(writer.path), writer.journal_size)
    return writer.close(), state


def refusal(path: Path, state: RunState) -> str:
    with pytest.raises(ResultsMismatch) as caught:
        verify_against(path, state)
    text = str(caught.value)
    assert text.startswith(f"{path} does not hold what the run has kept: ")
    return text.partition("kept: ")[2]


def test_a_file_as_it_was_written_is_right(kept: Any) -> None:
    verify_against(*kept)


def remade(value: Any) -> Callable[[h5py.File, str], None]:
    """Return what puts another value in the place of a dataset, with a checksum that is right for it."""

    def put(file: h5py.File, name: str) -> None:
        attributes = dict(file[name].attrs)
        del file[name]
        file[name] = value
        for key, attribute in attributes.items():
            file[name].attrs[key] = attribute
        file[name].attrs["rexec_crc32"] = np.uint32(checksum(file[name][()]))

    return put


def changed(value: Any) -> Callable[[h5py.File, str], None]:
    """Return what changes the content of a dataset and nothing else."""

    def put(file: h5py.File, name: str) -> None:
        file[name][...] = value

    return put


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("number", changed(1), "has other content"),
        ("number", remade(np.int64(1)), "has other content"),
        ("number", remade(np.zeros(1, np.int64)), "has shape (1,), not ()"),
        ("float", changed(2.5), "has other content"),
        ("float", remade(2.5), "has other content"),
        ("small", remade(np.int16(4)), "has other content"),
        ("typed", remade(1.5), "has other content"),
        ("huge", remade("1"), "has other content"),
        ("array", changed(0.0), "has other content"),
        ("array", remade(np.zeros((2, 3))), "has other content"),
        ("array", remade(np.arange(6.0)), "has shape (6,), not (2, 3)"),
        ("list", remade(np.array([1, 2, 3, 4])), "has shape (4,), not (3,)"),
        ("list", remade(np.array([1, 2, 4])), "has other content"),
        ("text", remade("b"), "has other content"),
        ("odd", remade('{"a": [1, true]}'), "has other content"),
        ("empty", remade(np.zeros(1)), "has shape (1,), not (0,)"),
    ],
)
def test_another_content_is_told_with_and_without_a_right_checksum(
    kept: Any, name: str, change: Callable[[h5py.File, str], None], said: str
) -> None:
    path, state = kept
    with h5py.File(path, "a") as file:
        change(file, f"datasets/{name}")
    assert refusal(path, state) == f"datasets/{name} {said}"


def test_what_is_missing_is_told_up_to_five(kept: Any) -> None:
    path, state = kept
    with h5py.File(path, "a") as file:
        del file["archive"]
    assert refusal(path, state) == "archive/read is missing"
    with h5py.File(path, "a") as file:
        del file["rid"]
        del file["datasets/list"]
        file.create_group("datasets/list")
    assert refusal(path, state) == "rid is missing; datasets/list is missing; archive/read is missing"
    with h5py.File(path, "a") as file:
        del file["datasets"]
    assert refusal(path, state).count(" is missing") == 5


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "absent.h5", RunState())
    (tmp_path / "notes").write_text("my notes")
    assert "file signature not found" in refusal(tmp_path / "notes", RunState())


@pytest.fixture(params=[0, 2])
def released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Keeper:
    """Return the keeper of a finished file some or all of whose rows, of so many dimensions, it holds no more."""
    dimensions: int = request.param
    monkeypatch.setattr(keeper, "SPILL_EVERY", 2**12)
    monkeypatch.setattr(item, "RELEASE_FROM", 2**12)
    writer = ResultsWriter.create(
        tmp_path / "alive.h5", RunIdentity(rid=1, class_name="A", start_time=1.0), refresh_interval=0
    )
    writer.set("x", [], {})
    for number in range(4000):
        writer.append("x", np.full((1,) * dimensions, number * 0.5) if dimensions else number * 0.5)
    kept = Keeper(JournalReader(journal_path(writer.path)), tmp_path / "r.h5")
    kept.finish(writer.journal_size, {"status": "recovered"})
    kept.close()
    writer.discard()
    assert kept.state.datasets["x"].released
    if dimensions:
        kept.state.datasets["x"].release(4000)
    verify_against(kept.path, kept.state)
    return kept


def test_rows_that_are_not_in_memory_are_compared_by_number_and_checksum(released: Keeper) -> None:
    with h5py.File(released.path, "a") as file:
        rows = file["datasets/x"]
        last = rows[-1]
        rows[7] = -1.0
    assert refusal(released.path, released.state) == "datasets/x has other content"
    with h5py.File(released.path, "a") as file:
        rows = file["datasets/x"]
        rows[7] = 3.5
        rows.resize(3999, axis=0)
    row = (1,) * last.ndim
    assert (
        refusal(released.path, released.state)
        == f"datasets/x has shape {(3999, *row)}, not 4000 rows of {row}"
    )
    with h5py.File(released.path, "a") as file:
        file["datasets/x"].resize(4000, axis=0)
        file["datasets/x"][-1] = last
    verify_against(released.path, released.state)


def test_large_rows_that_only_the_journal_has_are_compared_by_shape_and_checksum(tmp_path: Path) -> None:
    for count in (1, 2):
        writer = ResultsWriter.create(
            tmp_path / f"alive{count}.h5",
            RunIdentity(rid=1, class_name="A", start_time=1.0),
            refresh_interval=0,
        )
        writer.set("frames", [], {})
        for number in range(count):
            writer.append("frames", np.full((256, 257), float(number)))
        kept = Keeper(JournalReader(journal_path(writer.path)), tmp_path / f"r{count}.h5")
        kept.finish(writer.journal_size, {"status": "recovered"})
        kept.close()
        writer.discard()
        with h5py.File(kept.path, "a") as file:
            assert file["datasets/frames"].shape == (count, 256, 257)
            file["datasets/frames"][0, 3, 4] = 7.0
        assert refusal(kept.path, kept.state) == "datasets/frames has other content"
        with h5py.File(kept.path, "a") as file:
            remade(np.zeros((count, 256, 256)))(file, "datasets/frames")
        assert (
            refusal(kept.path, kept.state)
            == f"datasets/frames has shape ({count}, 256, 256), not {count} rows of (256, 257)"
        )
