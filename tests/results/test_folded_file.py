"""A file that is kept equal to a run's state: also after it was removed, or could not be written."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rexec import results
from rexec.results import ResultsNotWritable, write_results
from rexec.results.fold import RunState
from rexec.results.hdf5 import file as module
from rexec.results.hdf5.file import FoldedFile
from rexec.results.journal.records import Kind, Record
from schemas import RunIdentity


class Kept:
    """A state and its file."""

    def __init__(self, path: Path) -> None:
        self.state, self.file = RunState(), FoldedFile(path, b"i" * 16)
        self.apply(Record(Kind.IDENTITY, value={"rid": 5}))

    def apply(self, record: Record) -> None:
        self.state.apply(record._replace(number=self.state.records + 1))

    def set(self, key: str, value: Any) -> None:
        self.apply(Record(Kind.SET, key, value=value, metadata={}, archive=True))

    def update(self, **options: Any) -> dict[str, Any]:
        """Bring the file up to date; return what it holds."""
        self.file.update(self.state, **options)
        with h5py.File(self.file.path) as file:
            assert file["rid"][()] == 5
            return {name: each[()].tolist() for name, each in file["datasets"].items()}


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "x.h5")


def test_a_file_that_was_removed_comes_back_whole(kept: Kept) -> None:
    kept.set("a", 1)
    assert (kept.file.is_begun, kept.update(), kept.file.is_begun) == (False, {"a": 1}, True)
    kept.file.path.unlink()
    kept.set("b", 2)
    assert kept.update() == {"a": 1, "b": 2}


def test_what_could_not_be_written_is_written_anew_with_what_is_refused_then(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.apply(Record(Kind.NOTE, "storage", value={"x": {"chunks": [8]}}))
    kept.set("x", np.zeros((64, 64)))
    kept.set("a", 1)
    kept.update()
    (problem,) = kept.file.problems
    assert "datasets/x: HDF5 refused it" in problem
    kept.update()
    assert kept.file.problems == [problem]  # once
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(module, "reserve", full)
        with pytest.raises(OSError, match="No space left"):
            kept.update()
    assert (kept.file.is_begun, kept.file.problems) == (False, [])
    kept.apply(Record(Kind.NOTE, "storage", value={}))
    assert set(kept.update()) == {"a", "x"}
    assert kept.file.problems == []


def test_a_twin_goes_on_with_a_copy_of_the_file(kept: Kept, tmp_path: Path) -> None:
    kept.set("a", [1.0])
    kept.update()
    other = tmp_path / "y.h5"
    other.write_bytes(kept.file.path.read_bytes())
    twin = kept.file.twin(other)
    before = kept.file.path.read_bytes()
    kept.set("b", 2)
    twin.update(kept.state)
    assert kept.file.path.read_bytes() == before
    with h5py.File(other) as file:
        assert set(file["datasets"]) == {"a", "b"}
    assert kept.update() == {"a": [1.0], "b": 2}


def test_of_a_part_of_the_datasets_the_others_stay_as_they_are(kept: Kept) -> None:
    kept.set("a", 1)
    kept.set("b", 1)
    kept.update()
    epoch = kept.state.epoch
    kept.set("a", 2)
    kept.set("b", 2)
    assert kept.update(only=["b"]) == {"a": 1, "b": 2}
    assert kept.state.epoch == epoch
    assert kept.update() == {"a": 2, "b": 2}
    assert kept.state.epoch == epoch + 1


def test_holes_that_are_worth_it_are_closed_at_the_end(kept: Kept) -> None:
    noise = np.frombuffer(np.random.default_rng(1).bytes(700_000), np.uint8)
    for size in (700_000, 300_000, 100_000):
        kept.set("x", noise[:size])
        assert len(kept.update()["x"]) == size
    assert kept.file.path.stat().st_size > 700_000
    assert kept.update(compact=True)["x"] == noise[:100_000].tolist()
    assert kept.file.path.stat().st_size < 150_000
    assert list(kept.file.path.parent.iterdir()) == [kept.file.path]


@pytest.mark.parametrize(
    ("size", "final", "least"),
    [
        (0, True, 2**16),
        (10 * 2**16 + 10, True, 2**16 + 1),
        (0, False, 2**20),
        (2**21 + 2, False, 2**20 + 1),
    ],
)
def test_holes_are_worth_it_from_a_part_of_the_file_on(size: int, final: bool, least: int) -> None:
    assert module._worth_compacting(size, final) == least


def test_a_whole_file_is_written_at_once_and_replaced_only_where_that_is_asked_for(tmp_path: Path) -> None:
    path, identity = tmp_path / "r.h5", RunIdentity(rid=1, class_name="A", start_time=1.0)
    assert write_results(path, identity, {"x": [1.0], "y": 2}, {"z": 3}, plot=("x", ["y"])) == path
    with pytest.raises(ResultsNotWritable, match="exists already"):
        write_results(path, identity, {"x": 2})
    with results.open(path) as run:
        assert (run["x"], run.archive["z"].value, run.default_plot) == ([1.0], 3, ("x", ["y"]))
    write_results(path, identity, {"x": 2}, overwrite=True)
    with results.open(path) as run:
        assert (dict(run), dict(run.archive), run.default_plot) == ({"x": 2}, {}, None)
