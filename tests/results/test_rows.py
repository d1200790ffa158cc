"""What can be a row of an array, how rows are written a few at a time, and the checksum of what was written."""

import io
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h5py
import numpy as np
import pytest

from rexec.ground.kept import KeptArray
from rexec.results.hdf5 import checksums, rows
from rexec.results.hdf5.checksums import checksum, checksum_in_file
from rexec.results.hdf5.growing import Written, append_rows, patch_rows
from rexec.results.hdf5.names import hdf5_names
from rexec.results.hdf5.rows import (
    back_from_rows,
    container,
    fits_row,
    is_storable,
    is_storable_type,
    list_row,
    row_of,
    rows_array,
    rows_at_once,
    same,
    storable,
)
from rexec.results.hdf5.settings import stored

NAN = float("nan")


def kept(array: Any) -> KeptArray:
    return KeptArray(array.dtype, array.shape, lambda: array)


def deep(dimensions: int) -> Any:
    return np.zeros((1,) * dimensions)


@pytest.mark.parametrize(
    ("value", "row"),
    [
        (2**63 - 1, "int"),
        (-(2**63), "int"),
        (2**63, None),
        (-(2**63) - 1, None),
        (True, "bool"),
        (0.5, "float"),
        (1j, "complex"),
        ("é", "str"),
        ("a\0", None),
        ("\ud800", None),
        (np.zeros((2, 3), "<f4"), "ndarray <f4 (2, 3)"),
        (deep(0), None),
        (deep(31), f"ndarray <f8 {(1,) * 31}"),
        (deep(32), None),
        (np.zeros(2, "S3"), None),
        (np.zeros(2, "O"), None),
        (np.float32(1), "npscalar <f4"),
        (np.str_("a"), None),
        (np.datetime64(0, "s"), None),
        (kept(np.zeros((2, 3), "<i2")), "ndarray <i2 (2, 3)"),
        (kept(deep(0)), None),
        (kept(deep(31)), f"ndarray <f8 {(1,) * 31}"),
        (kept(deep(32)), None),
        (None, None),
        ([1], None),
    ],
)
def test_what_a_row_is_goes_by_class_type_and_shape(value: Any, row: str | None) -> None:
    assert row_of(value) == row
    assert list_row([value]) == list_row([value, value]) == row
    assert row is None or fits_row(row, [value, value])
    assert row is None or not fits_row(row, [value, None])
    assert list_row([value, {}]) is list_row([{}, value]) is None


@pytest.mark.parametrize(
    "items", [[], [1, 2.0], [1.0, True], [1j, 1.0], [1, 2**63], [np.zeros(2), np.zeros(3)], ["a", "a\0"]]
)
def test_items_of_two_kinds_are_no_rows(items: list[Any]) -> None:
    assert list_row(items) is None
    assert list_row(items[::-1]) is None


@pytest.mark.parametrize(
    ("row", "items", "fits"),
    [
        ("number <f8", [1, 2.5, np.float32(0.1)], True),
        ("number <f8", [NAN], True),
        ("number <f8", [2**53 + 1], False),
        ("number <f8", [1j], False),
        ("number <f8", ["a"], False),
        ("number <f8", [1.0, np.zeros(2)], False),
        ("number <f8", [2**70], False),
        ("number <f8", [10**400], False),
        ("number <i8", [1, 2], True),
        ("number <i8", [2.0], False),
        ("number <i8", [2**63], False),
        ("number <c16", [1j, 2.0], True),
        ("number <f4", [np.float32(2.5)], True),
        ("number <f4", [2.5], False),
    ],
)
def test_a_number_fits_where_nothing_of_it_is_lost(row: str, items: list[Any], fits: bool) -> None:
    assert fits_row(row, items) is fits


@pytest.mark.parametrize(
    ("row", "items", "dtype"),
    [
        ("int", [1, 2], np.dtype("int64")),
        ("float", [1.5], np.dtype("float64")),
        ("bool", [True], np.dtype("bool")),
        ("ndarray >i2 (2,)", [np.array([1, 2], ">i2")], np.dtype("=i2")),
        ("ndarray <i2 (2,)", [kept(np.array([1, 2], "<i2"))] * 2, np.dtype("<i2")),
        ("npscalar <f4", [np.float32(2.5)], np.dtype("<f4")),
        ("number <f4", [2.5], np.dtype("<f4")),
    ],
)
def test_rows_are_one_array_of_their_type(row: str, items: list[Any], dtype: Any) -> None:
    data, text = rows_array(row, items)
    assert (text, data.dtype, len(data)) == (None, dtype, len(items))
    assert np.array_equal(data, [getattr(item, "load", lambda item=item: item)() for item in items])


def test_rows_of_texts_are_one_array_of_texts() -> None:
    data, text = rows_array("str", ["a", "é"])
    assert (data.tolist(), data.dtype, text) == (["a", "é"], np.dtype(object), h5py.string_dtype())


@pytest.mark.parametrize(
    ("items", "count"),
    [
        ([1.5] * 7, 7),
        ([np.zeros(8)] * 7, 7),
        ([kept(np.zeros(8))] * 7, 3),
        ([kept(np.zeros(8))], 3),
        ([kept(np.zeros(24))] * 7, 1),
        ([kept(np.zeros(25))] * 7, 1),
        ([kept(np.zeros(0))] * 7, 200),
    ],
)
def test_arrays_that_are_not_in_memory_are_there_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch, items: list[Any], count: int
) -> None:
    monkeypatch.setattr(rows, "_AT_ONCE", 200)
    assert rows_at_once(items) == count


@pytest.mark.parametrize(
    ("dtype", "is_one"),
    [
        *((kind, True) for kind in ("?", "i1", ">u8", "f2", "c8", "S3", "V2", "f4,i2")),
        *((kind, False) for kind in ("O", "U3", "S0", "V0", "M8[s]", "m8[s]", "f4,O")),
        (h5py.string_dtype(), False),
    ],
)
def test_which_types_hdf5_has(dtype: Any, is_one: bool) -> None:
    is_storable_type.cache_clear()  # it takes a type of texts for one of any objects
    assert is_storable_type(np.dtype(dtype)) is is_one


@pytest.mark.parametrize(
    ("text", "found"),
    [("a", "a"), ("é", "é"), ("a\0", "a\\0"), ("é\0", "é\\0"), ("\ud800", "\\ud800"), ("", "")],
)
def test_which_texts_hdf5_has_and_what_it_gets_for_others(text: str, found: str) -> None:
    assert is_storable(text) is (found == text)
    assert storable(text) == found


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        (1, True, True),
        (1, 1.0, True),
        (1, 2, False),
        (NAN, NAN, True),
        (NAN, 1.0, False),
        (1.0, NAN, False),
        ([1, NAN], [1, NAN], True),
        ([1, 2], (1, 2), False),
        ([1, 2], [1, 2, 3], False),
        ([1, 2, 3], [1, 2], False),
        ([1, [NAN, "a"]], [1, [NAN, "a"]], True),
        ([1, [NAN, "a"]], [1, [NAN, "b"]], False),
        ((), (), True),
        ([], (), False),
        (np.array([1.0]), np.array([1.0]), True),
        (np.array([NAN]), np.array([NAN]), True),
        (np.array([NAN, 1.0]), np.array([NAN, 2.0]), False),
        (np.array([1.0]), np.array([1]), False),
        (np.array([1.0]), np.array([[1.0]]), False),
        (np.array([1.0]), [1.0], False),
        ([1.0], np.array([1.0]), False),
        ([np.array([1.0])], [np.array([1.0])], True),
        ([np.array([1.0])], [np.array([2.0])], False),
    ],
)
def test_equal_is_what_leads_back_to_the_same(one: Any, other: Any, are_same: bool) -> None:
    assert same(one, other) is are_same


@pytest.mark.parametrize(
    ("words", "data", "value"),
    [
        ("list number", [1, 2], [1, 2]),
        ("tuple list number", [[1, 2], [3, 4]], ([1, 2], [3, 4])),
        ("list tuple float", [[1.5]], [(1.5,)]),
        ("list", np.empty(0), []),
        ("list tuple", np.empty((2, 0)), [(), ()]),
        ("list number", [[1, 2]], [[1, 2]]),  # the items are what the array has beyond its containers
        ("tuple ndarray", [[1, 2]], (np.array([1, 2]),)),
        ("list ndarray", [[1, 2], [3, 4]], [np.array([1, 2]), np.array([3, 4])]),
        ("list npscalar", np.array([1.5], np.float32), [np.float32(1.5)]),
        ("list list npscalar", np.array([[1.5]], np.float32), [[1.5]]),
    ],
)
def test_lists_come_back_from_arrays(words: str, data: Any, value: Any) -> None:
    found = back_from_rows(words.split(), np.asarray(data))
    assert same(found, value)
    assert not words.startswith("list npscalar") or type(found[0]) is np.float32


def test_a_sequence_is_a_list_or_a_tuple() -> None:
    assert (container("list"), container("tuple")) == (list, tuple)
    with pytest.raises(ValueError, match="not 'set'"):
        container("set")


# Checksums.


class Noted:
    """A dataset that notes how much is read at a time."""

    def __init__(self, data: Any) -> None:
        self.data, self.shape, self.dtype = data, data.shape, data.dtype
        self.read: list[int] = []

    def __getitem__(self, index: Any) -> Any:
        found = self.data[index]
        self.read.append(found.nbytes)
        return found


@pytest.mark.parametrize(
    ("shape", "read"),
    [
        ((), [8]),
        ((0,), [0]),
        ((10,), [80]),
        ((11,), [80, 8]),
        ((3, 4), [64, 32]),
        ((2, 10), [80, 80]),
        ((2, 11), [80, 8] * 2),
        ((2, 3, 4), [64, 32] * 2),
        ((2, 5, 2), [80, 80]),
    ],
)
def test_a_checksum_is_made_of_pieces(monkeypatch: pytest.MonkeyPatch, shape: Any, read: list[int]) -> None:
    monkeypatch.setattr(checksums, "_PIECE", 80)
    node: Any = Noted(np.arange(float(math.prod(shape))).reshape(shape))
    assert checksum_in_file(node) == checksum(node.data)
    assert node.read == read


def objects(*items: Any) -> Any:
    array = np.empty(len(items), object)
    array[:] = items
    return array


NUMBERS = np.arange(6.0).reshape(3, 2)
RAGGED = objects(np.arange(3, dtype="<i2"), np.arange(2, dtype="<i2"), np.zeros(0, "<i2"))


@pytest.mark.parametrize(
    ("data", "content"),
    [
        ("é", b"\xc3\xa9\0"),
        (b"a", b"a\0"),
        (np.void(b"a\0"), b"a\0"),
        (True, b"\1"),
        (np.int16(258), b"\2\1"),
        (np.array([258], ">i2"), b"\1\2"),
        (NUMBERS, NUMBERS.tobytes()),
        (NUMBERS.T, NUMBERS.T.copy().tobytes()),
        (NUMBERS[::2], NUMBERS[::2].copy().tobytes()),
        (np.zeros((2, 0)), b""),
        (objects(), b""),
        (objects("a", "é"), b"a\0\xc3\xa9\0"),
        (objects("a", "b").reshape(2, 1), b"a\0b\0"),
        (RAGGED, b"".join(len(each).to_bytes(8, "little") + each.tobytes() for each in RAGGED)),
    ],
)
def test_a_checksum_is_that_of_the_bytes_and_of_a_list_that_of_its_rows(data: Any, content: bytes) -> None:
    assert checksum(data) == zlib.crc32(content)
    assert checksum(data, 5) == zlib.crc32(content, 5)
    if isinstance(data, np.ndarray):
        assert checksum(data) == checksum(data[1:], checksum(data[:1]))


def test_what_has_no_data_has_no_checksum() -> None:
    with h5py.File(io.BytesIO(), "w") as file:
        file["x"] = h5py.Empty("f8")
        assert checksum_in_file(file["x"]) == 0


# Rows that are written.


class Pace:
    """Allows so many bytes; notes what was asked, and how much was compressed."""

    def __init__(self, most: int = 10**9) -> None:
        self.most = most
        self.asked: list[int] = []
        self.compressed: list[int] = []

    def allows(self, count: int) -> bool:
        self.asked.append(count)
        return count <= self.most

    @contextmanager
    def measured(self, count: int) -> Iterator[None]:
        yield
        self.compressed.append(count)


@pytest.fixture
def file() -> Iterator[h5py.File]:
    with h5py.File(io.BytesIO(), "w") as file:
        yield file


def dataset_of(file: h5py.File, value: list[Any], chunk: int = 4, **options: Any) -> tuple[Any, Written]:
    """Return a dataset of rows and what is known of it."""
    row = list_row(value)
    assert row is not None
    data, text = rows_array(row, value)
    dataset = file.create_dataset(
        "x",
        data=data,
        dtype=text,
        chunks=(chunk, *data.shape[1:]),
        maxshape=(None, *data.shape[1:]),
        **options,
    )
    return dataset, Written("x", 1, len(value), row, True, checksum(data), 1, {})


FRAMES = [np.full(3, float(number)) for number in range(8)]


@pytest.mark.parametrize(
    ("value", "more"),
    [
        ([0.5], [1.5, 2.5]),
        ([1], [2]),
        (["a"], ["é", "c"]),
        (FRAMES[:2], FRAMES[2:]),
        (FRAMES[:2], list(map(kept, FRAMES[2:]))),
        ([0.5], []),
    ],
)
@pytest.mark.parametrize("chunk", [1, 2])
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_new_rows_come_behind_the_old_ones(
    file: h5py.File,
    monkeypatch: pytest.MonkeyPatch,
    value: list[Any],
    more: list[Any],
    chunk: int,
    compression: str | None,
) -> None:
    monkeypatch.setattr(rows, "_AT_ONCE", 48)  # two frames
    dataset, old = dataset_of(file, value, chunk, compression=compression)
    pace: Any = Pace()
    is_text = type(value[0]) is str
    if is_text and chunk == 1 and compression is None:
        more = []  # nobody lays out texts like that
    assert append_rows(dataset, old, more, pace)
    expected, _ = rows_array(old.row or "", value + more)
    found = dataset.asstr()[()] if is_text else dataset[()]
    assert np.array_equal(found, expected)
    assert (old.rows, old.crc) == (len(value + more), checksum(expected))
    steps = [2, 2, 2] if more and type(more[0]) is KeptArray else [len(more)] if more else []
    is_raw = chunk == 1 and compression is None
    size = expected.nbytes // len(expected)
    assert pace.compressed == ([] if is_raw else [step * size if compression else 0 for step in steps])


@pytest.mark.parametrize(
    ("shape", "most", "settings", "raw"),
    [
        ((1, 3), 0, {}, True),
        ((1, 3), 10**9, {}, False),
        ((1, 3), 0, {"level": 1}, False),
        ((2, 3), 0, {}, False),
    ],
)
def test_what_there_is_no_time_to_compress_is_written_past_the_filters(
    file: h5py.File, shape: tuple[int, int], most: int, settings: dict[str, Any], raw: bool
) -> None:
    dataset, old = dataset_of(file, FRAMES[:2], shape[0], compression="gzip", shuffle=True)
    old.settings = settings
    pace: Any = Pace(most)
    assert append_rows(dataset, old, FRAMES[2:], pace)
    assert np.array_equal(dataset, FRAMES)
    assert dataset.id.get_chunk_info(dataset.id.get_num_chunks() - 1).filter_mask == (0b11 if raw else 0)
    assert pace.asked == ([6 * 24] if shape[0] == 1 and not settings else [])


def test_rows_that_the_file_cannot_hold_are_refused(file: h5py.File) -> None:
    dataset, old = dataset_of(file, [0.5, 1.5])
    pace: Any = Pace()
    before = (old.rows, old.crc)
    for row, settings in ((None, {}), ("int", {}), ("float", {"dtype": "<f4"})):
        old.row, old.settings = row, settings
        assert append_rows(dataset, old, [1], pace) is False
        assert row == "float" or patch_rows(dataset, old, [1, 2], (0, 1)) is False
    assert (old.rows, old.crc, dataset[()].tolist()) == (*before, [0.5, 1.5])


@pytest.mark.parametrize("edited", [(1, 2), (0, 3), (2, 9), (3, 3), (8, 9), (7, 8)])
@pytest.mark.parametrize("make", [list, lambda frames: list(map(kept, frames))])
def test_only_rows_that_were_changed_are_written(
    file: h5py.File, monkeypatch: pytest.MonkeyPatch, edited: tuple[int, int], make: Any
) -> None:
    monkeypatch.setattr(rows, "_AT_ONCE", 72)  # three frames
    dataset, old = dataset_of(file, FRAMES)
    changed = [frame + 100 for frame in FRAMES]
    crc = old.crc
    assert patch_rows(dataset, old, make([*changed, FRAMES[0]]), edited)
    first, last = edited
    assert np.array_equal(dataset, [*FRAMES[:first], *changed[first:last], *FRAMES[last:]][:8])
    assert old.crc == (checksum(np.array(changed)) if first < min(last, 8) else crc)
    assert old.rows == 8


def test_a_row_of_another_shape_is_no_change_in_place(file: h5py.File) -> None:
    dataset, old = dataset_of(file, FRAMES)
    assert patch_rows(dataset, old, [*FRAMES[:7], np.zeros(2)], (7, 8)) is False
    assert np.array_equal(dataset, FRAMES)


# Names and settings.


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        (["a", "b/c"], ["a", "b/c"]),
        (["a", "a/b"], ["a (value)", "a/b"]),
        (["a/b/c", "a/b", "a"], ["a/b/c", "a%2Fb (value)", "a (value)"]),
        (["a", "a/b", "a (value)"], ["a (value)'", "a/b", "a (value)"]),
        (["a", "a/b", "a (value)/c"], ["a (value)'", "a/b", "a (value)/c"]),
        (["a", "a/b", "a (value)", "a (value)'"], ["a (value)''", "a/b", "a (value)", "a (value)'"]),
        (["", ".", "..", "..."], [" (value)", "%2E (value)", "..", "..."]),
        (["a//b", "./a", "a/", "/a"], [f"{each} (value)" for each in ("a%2F%2Fb", ".%2Fa", "a%2F", "%2Fa")]),
        (["a\0", "\ud800", "é"], ["a%00 (value)", "%ED%A0%80 (value)", "é"]),
        (
            ["a//b", "a%2F%2Fb", "a%2F%2Fb/x"],
            ["a%2F%2Fb (value)", "a%2F%2Fb (value)'", "a%2F%2Fb/x"],
        ),
        (["a b!", "a//b!"], ["a b!", "a%2F%2Fb! (value)"]),
    ],
)
def test_no_two_names_are_the_same_nor_one_the_group_of_another(keys: list[str], names: list[str]) -> None:
    assert hdf5_names(keys) == dict(zip(keys, names, strict=True))
    assert hdf5_names(iter(keys)) == hdf5_names(keys)


@pytest.mark.parametrize(
    ("data", "wanted", "found"),
    [
        (np.array([1.5]), None, "<f8"),
        (np.array([1.5]), "<f4", "<f4"),
        (np.array([0.1, np.inf, NAN]), "<f4", "<f4"),
        (np.array([1e39]), "<f4", None),
        (np.array([1.5]), "<i4", None),
        (np.array([2.0]), "<i4", "<i4"),
        (np.array([NAN]), "<i4", None),
        (np.array([1, 300]), "<u1", None),
        (np.array([1, 200]), "<u1", "|u1"),
        (np.array([2**53 + 1]), "<f8", None),
        (np.array([1j]), "<f8", None),
        (np.array([1j]), "<c8", "<c8"),
        (np.array([1e39j]), "<c8", None),
        (np.array([1.5]), "<c16", "<c16"),
        (np.array([True]), "<i2", "<i2"),
        (np.array([b"a"]), "<f4", "|S1"),
        (np.float64(1.5), "<f4", "<f4"),
    ],
)
def test_a_type_that_was_asked_for_is_used_where_it_holds_the_numbers(
    data: Any, wanted: str | None, found: str | None
) -> None:
    result = stored(data, {"dtype": wanted} if wanted else {})
    assert (None if result is None else result.dtype.str) == found
    assert result is None or result.shape == data.shape
    assert stored("text", {"dtype": "<f4"}) == "text"
