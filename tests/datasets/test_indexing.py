"""`mutate_dataset` with any index: as NumPy does it, and the same in memory, journal, file, database and followers."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from rexec.datasets import DatasetDB, DatasetManager, Mod, Origin
from rexec.datasets.indexing import canonical_index
from rexec.datasets.values import own_copy, same
from rexec.results.writer import ResultsWriter
from rexec.wire import pyon, pyon_v1
from rexec.wire.sync_struct import process_mod
from schemas.run import RunIdentity


class Follower:
    """Keeps a copy of a database by what is sent: PYON of either version."""

    def __init__(self, db: DatasetDB, codec: Any) -> None:
        self._codec = codec
        self.present: dict[str, Any] = {key: [*entry] for key, entry in db.snapshot().items()}
        db.subscribe(self._changed)

    def _changed(self, mod: Mod, _: Origin) -> None:
        received = self._codec.decode(self._codec.encode(dict(mod)))
        if not received["path"]:
            received["value"] = list(received["value"])
        process_mod(self.present, received)


@st.composite
def changes(draw: st.DrawFn) -> tuple[np.ndarray[Any, Any], Any]:
    shape = draw(npst.array_shapes(min_dims=1, max_dims=3, max_side=4))
    array: np.ndarray[Any, Any] = np.arange(
        np.prod(shape), dtype=draw(st.sampled_from([np.int64, np.float64, np.complex128]))
    )
    basic = npst.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True)
    masks = npst.arrays(bool, shape)
    lists = st.lists(st.integers(-shape[0], shape[0] - 1), max_size=5)
    others = st.sampled_from([
        Ellipsis, None, True, False, (), np.int32(0), np.uint8(0), range(shape[0]), [], np.array(0), (Ellipsis, 0),
        [True] * shape[0], "x", 1.5, [0.5], object(), {0: 1}, b"x", (Ellipsis, Ellipsis), (0, 0, 0, 0, 0),
        [[0, 0], [0, 0]], np.array([0], np.uint64), slice(np.int64(0), np.int8(2)),
    ])  # fmt: skip
    return array.reshape(shape), draw(st.one_of(basic, masks, lists, lists.map(np.array), others))


def means(index: Any) -> Any:
    """What ARTIQ makes of an index, by its documentation: a tuple of integers is a slice."""
    is_slice = isinstance(index, tuple) and index and all(each is None or type(each) is int for each in index)
    return slice(*index) if is_slice else index


@settings(max_examples=120)
@given(changes(), st.sampled_from([5, 2.5, np.float32(3), [7], np.array(9), np.array([[1]])]))
def test_an_index_means_in_an_array_what_it_means_to_numpy(
    change: tuple[np.ndarray[Any, Any], Any], value: Any
) -> None:
    array, index = change
    expected: Any = array.copy()
    # A list is put at one element behind an ellipsis as the array that it makes: NumPy takes only that one there.
    put = np.array(value) if isinstance(index, tuple) and any(part is ... for part in index) else value
    try:
        expected[means(index)] = put
    except (IndexError, TypeError, ValueError, OverflowError):
        expected = None
    db = DatasetDB(pyon_v1=True)
    manager = DatasetManager(db)
    manager.set("a", array, broadcast=True)
    followers = [Follower(db, pyon), Follower(db, pyon_v1)]
    try:
        manager.mutate("a", index, value)
    except (IndexError, TypeError, ValueError, OverflowError):
        assert expected is None or (index is means(index) is not None and not _plain(index))
        expected = array
    else:
        assert expected is not None
    for found in (manager.get("a"), db.get("a"), *(each.present["a"][1] for each in followers)):
        assert same(found, expected)


def _plain(index: Any) -> bool:
    """Whether an index is one that a dataset takes: all but what NumPy only happens to accept."""
    return not isinstance(index, str | bytes | dict | float)


INDEXES = [
    (Ellipsis, np.full((3, 4), 5.0)),
    ((Ellipsis, slice(0, 2)), 7.0),
    (((0, 2), (1, 3)), 4.0),
    (np.arange(12).reshape(3, 4) % 2 == 0, 3.0),
    ([2, 0], [[1.0], [2.0]]),
    (range(2), 8.0),
    (None, 1.0),
    (-1, np.ma.array([1.0, 2.0, 3.0, 4.0], mask=[False, True, False, False])),
    (0, (each for each in [1.0])),
]


def test_memory_file_and_database_agree(tmp_path: Path) -> None:
    path = tmp_path / "results.h5"
    writer = ResultsWriter.create(
        path, RunIdentity(rid=1, class_name="Test", start_time=1.0), refresh_interval=0
    )
    db = DatasetDB()
    manager = DatasetManager(db, sink=writer)
    for number, (index, value) in enumerate(INDEXES):
        manager.set(f"a{number}", np.zeros((3, 4)), broadcast=True)
        try:
            manager.mutate(f"a{number}", index, value)
        except TypeError:
            assert number == 8
    expected = {key: own_copy(dataset.value) for key, dataset in manager.local.items()}
    assert all(same(db.get(key), value) for key, value in expected.items())
    manager.close()
    writer.close()
    with h5py.File(path) as file:
        for key, value in expected.items():
            assert np.array_equal(file["datasets"][key][()], value), key


@pytest.mark.parametrize("index", ["x", 1.5, Ellipsis, None, [0], np.array([0])])
def test_a_list_takes_integers_and_slices(index: Any) -> None:
    manager = DatasetManager(DatasetDB())
    manager.set("l", [1, 2])
    with pytest.raises(TypeError, match="an index is an integer or a slice, not"):
        manager.mutate("l", index, 5)
    manager.mutate("l", np.int64(-1), 5)
    manager.mutate("l", (0, 1), iter([7, 8]))
    assert manager.get("l") == [7, 8, 5]


def test_a_masked_array_keeps_its_mask() -> None:
    manager = DatasetManager(DatasetDB())
    manager.set("m", np.ma.array([1.0, 2.0, 3.0], mask=[True, False, False]))
    manager.mutate("m", 1, np.ma.masked)
    manager.mutate("m", 0, 5.0)
    assert np.ma.getmaskarray(manager.get("m")).tolist() == [False, True, False]


def test_fields_of_records_are_indexes() -> None:
    manager = DatasetManager(DatasetDB())
    manager.set("r", np.zeros(2, [("x", float), ("y", int)]))
    manager.mutate("r", "x", [1.5, 2.5])
    manager.mutate("r", 0, (9.0, 3))
    assert manager.get("r").tolist() == [(9.0, 3), (2.5, 0)]
    with pytest.raises(IndexError, match="no field 'z'"):
        manager.mutate("r", "z", 1)


def test_keys_of_dicts_are_plain() -> None:
    assert canonical_index({}, np.int64(1)) == 1
    assert canonical_index({}, (1, "a")) == (1, "a")
    with pytest.raises(TypeError, match="not a frozenset"):
        canonical_index({}, frozenset({1}))
