"""What each value looks like in HDF5 (the table of ARTIQ's), and that all of them come back."""

import io
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings

from rexec.results.hdf5.checksums import checksum
from rexec.results.hdf5.datasets import GroupWriter
from rexec.results.hdf5.forms import form_of
from rexec.results.hdf5.names import hdf5_names
from rexec.results.hdf5.rows import same
from rexec.results.hdf5.values import Attributes, metadata_of, value_of
from rexec.results.item import Item
from rexec.wire import pyon
from tests.results.strategies import objects, values


def equal(one: Any, other: Any) -> bool:
    """Equality at every depth where 1 == 1.0 == True, and NaN is itself."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        # HDF5 has the rows of a list of arrays in the byte order of the machine.
        native = other.astype(other.dtype.newbyteorder("="))
        return (
            type(one) is type(other)
            and one.shape == other.shape
            and one.astype(one.dtype.newbyteorder("=")).tobytes() == native.tobytes()
        )
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, dict):
        return dict(one).keys() == dict(other).keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, complex) and isinstance(other, complex):
        return equal(one.real, other.real) and equal(one.imag, other.imag)
    return bool(one == other) or bool(one != one and other != other)


def written(items: dict[str, Any], **metadata: Any) -> h5py.File:
    file = h5py.File(io.BytesIO(), "w")
    problems = GroupWriter("datasets").update(
        file, {key: Item(value, metadata) for key, value in items.items()}
    )
    assert problems == []
    return file


@settings(max_examples=70)
@given(values)
def test_every_value_reads_back_to_the_same_value(value: Any) -> None:
    with written({"x": value}) as file:
        assert equal(value_of(file["datasets/x"]), value)


@settings(max_examples=70)
@given(objects)
def test_every_object_has_a_form_that_hdf5_takes_and_that_is_read_again(value: Any) -> None:
    with written({"before": 1, "x": value, "after": 2}) as file:
        value_of(file["datasets/x"])
        assert file["datasets/before"][()] + file["datasets/after"][()] == 3
        for name in ("datasets/x", "rexec/beside/datasets/x"):
            node = file.get(name)
            if isinstance(node, h5py.Dataset):
                assert node.attrs["rexec_crc32"] == checksum(node[()])


@pytest.mark.parametrize(
    "items",
    [
        ["a", "é"],
        [b"a", b"\xff"],
        [["a", "b"], ["c", ""]],
        [1.5, 2.5],
        [[1, 2], [3, 4]],
        [True, False],
        ["a", b"a", None],
    ],
    ids=repr,
)
def test_an_array_of_objects_comes_back_with_the_same_objects(items: list[Any]) -> None:
    value = np.array(items, dtype=object)
    with written({"x": value}) as file:
        found = value_of(file["datasets/x"])
    assert (found.dtype, found.shape) == (value.dtype, value.shape)
    assert [(type(item), item) for item in found.flat] == [(type(item), item) for item in value.flat]


@pytest.mark.parametrize(
    ("value", "dtype", "shape"),
    [
        (5, np.int64, ()),
        (0.5, np.float64, ()),
        (1j, np.complex128, ()),
        (np.float32(1), np.float32, ()),
        (True, np.bool_, ()),
        ([1, 2], np.int64, (2,)),
        ((1.0, 2.0), np.float64, (2,)),
        ([1, 2.5], np.float64, (2,)),
        ([[1, 2], [3, 4]], np.int64, (2, 2)),
        ([np.zeros(3), np.ones(3)], np.float64, (2, 3)),
        (np.zeros((2, 3), np.uint8), np.uint8, (2, 3)),
        ([], np.float64, (0,)),
    ],
)
def test_artiqs_forms_are_used_where_they_hold_the_value(
    value: Any, dtype: Any, shape: tuple[int, ...]
) -> None:
    with written({"x": value}) as file:
        assert (file["datasets/x"].dtype, file["datasets/x"].shape) == (dtype, shape)
        assert "rexec_form" not in file["datasets/x"].attrs


def test_strings_are_strings() -> None:
    with written({"s": "é", "b": b"x", "l": ["a", "b"]}) as file:
        group = file["datasets"]
        assert group["s"].asstr()[()] == "é"
        assert h5py.check_string_dtype(group["b"].dtype).encoding == "ascii"
        assert group["l"].asstr()[()].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (None, "pyon"),
        ({"a": 1}, "pyon"),
        ({1, 2}, "pyon"),
        (2**70, "pyon"),
        ([1, "a"], "pyon"),
        ([[1], [2, 3]], "pyon"),
        ("a\0b", "pyon"),
        ([np.arange(2), np.arange(3)], "vlen"),
        ({"__jsonclass__": 1}, "journal"),
        (object, "repr"),
        (np.zeros((1,) * 40), "pyon"),
    ],
)
def test_what_hdf5_cannot_take_is_marked_and_costs_nothing_else(value: Any, form: str) -> None:
    with written({"before": 1, "x": value, "after": 2}) as file:
        assert file["datasets/x"].attrs["rexec_form"] == form
        assert file["datasets/before"][()] == 1
        assert file["datasets/after"][()] == 2


def test_metadata_are_attributes_with_artiqs_types() -> None:
    with written({"x": 1}, unit="V", scale=2, precision=3, comment="odd") as file:
        attributes = file["datasets/x"].attrs
        assert (attributes["unit"], attributes["scale"], attributes["precision"]) == ("V", 2.0, 3)
        assert (attributes["scale"].dtype, attributes["precision"].dtype) == (np.float64, np.int64)
        assert metadata_of(Attributes(file["datasets/x"])) == {
            "unit": "V",
            "scale": 2.0,
            "precision": 3,
            "comment": "odd",
        }


def test_a_name_that_is_also_a_group_keeps_both() -> None:
    with written(
        {"a": 1, "a/b": 2, "a/b/c": 3, "x.y": 4, "": 5, "p//q": 6, "p/q": 7, "/abs": 8, "n\0": 9}
    ) as file:
        group = file["datasets"]
        assert group["a/b/c"][()] == 3
        assert group["a (value)"][()] == 1
        assert group["a%2Fb (value)"][()] == 2
        assert group["x.y"][()] == 4
        assert group["p/q"][()] == 7
        assert group["p%2F%2Fq (value)"][()] == 6
        found: list[int] = []
        group.visititems(lambda _, node: found.append(node[()]) if isinstance(node, h5py.Dataset) else None)
        assert sorted(found) == [1, 2, 3, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("order", [["a", "a/b"], ["a/b", "a"]])
def test_names_do_not_depend_on_the_order(order: list[str]) -> None:
    assert hdf5_names(order) == {"a": "a (value)", "a/b": "a/b"}


def test_large_arrays_are_compressed_small_ones_and_complex_ones_are_not_shuffled() -> None:
    items = {
        "big": np.zeros(1000),
        "small": np.zeros(10),
        "complex": np.zeros(1000, complex),
        "list": [0.5] * 1000,
    }
    with written(items) as file:
        group = file["datasets"]
        assert (group["big"].compression, group["big"].compression_opts, group["big"].shuffle) == (
            "gzip",
            4,
            True,
        )
        assert group["small"].chunks is None
        assert (group["complex"].compression, group["complex"].shuffle) == ("gzip", False)
        assert group["list"].maxshape == (None,)


def test_storage_settings_of_a_dataset_are_used() -> None:
    item = Item(np.zeros((64, 64)), {})
    with h5py.File(io.BytesIO(), "w") as file:
        GroupWriter("datasets").update(file, {"x": item}, {"x": {"compression": None, "chunks": (8, 64)}})
        assert (file["datasets/x"].compression, file["datasets/x"].chunks) == (None, (8, 64))


def test_a_list_of_python_and_numpy_numbers_grows_row_by_row() -> None:
    item = Item([], {})
    with h5py.File(io.BytesIO(), "w") as file:
        writer = GroupWriter("datasets")
        for changed in range(1, 5):
            item.value += [0.5, np.float64(1.5), 2, np.float32(2.5)] * 300
            item.changed = changed
            if changed > 2:
                file["datasets/x"].attrs["kept"] = changed  # gone where the whole is written anew
            writer.update(file, {"x": item})
        assert file["datasets/x"].attrs["kept"] == 4
        assert file["datasets/x"].dtype == np.float64
        assert file["datasets/x"][()].tolist() == item.value
        assert file["datasets/x"].attrs["rexec_crc32"] == checksum(file["datasets/x"][()])


@pytest.mark.parametrize(
    "row",
    [0.5, 7, True, 2j, "é", np.float32(0.5), np.int8(-3), np.arange(3.0), np.ones((2, 2), "i2")],
    ids=repr,
)
@pytest.mark.parametrize("is_kept", [False, True])
def test_of_a_list_only_the_rows_that_are_new_or_changed_are_written(row: Any, is_kept: bool) -> None:
    other = row * 2 if not isinstance(row, bool) else not row
    item = Item([row] * 5000, {})
    with h5py.File(io.BytesIO(), "w") as file:
        writer = GroupWriter("datasets")
        writer.update(file, {"x": item})
        file["datasets/x"].attrs["kept"] = True  # gone where the whole is written anew
        file["datasets/x"][7] = other  # as nobody has set it
        item.value += [other, row]
        item.value[3] = other
        item.edit(0, 3, 4)
        if not is_kept:
            item.value.append({})  # no row of the same kind
        item.changed = 1
        assert writer.update(file, {"x": item}) == []
        assert ("kept" in file["datasets/x"].attrs) == is_kept
        if is_kept:
            item.value[7] = other
            assert same(list(value_of(file["datasets/x"])), item.value)
            item.value[7] = row
            assert file["datasets/x"].attrs["rexec_crc32"] == checksum(form_of(item.value).data)
        else:
            assert len(value_of(file["datasets/x"])) == 5003


@pytest.mark.parametrize(
    ("array", "row", "is_patched"),
    [
        *((np.zeros((6, 2), kind), 1, True) for kind in ("?", "i1", "u8", ">f4", "c8")),
        (np.zeros(6, [("a", "i4"), ("b", "f8")]), (1, 2.0), True),
        (np.zeros(6, [(("title", "a"), "i4")]), (1,), False),
        (np.zeros(6, "U3"), "abc", False),
        (np.zeros(6, "M8[s]"), np.datetime64("2026-01-02"), False),
        (np.array(["a", b"b"] * 3, object), 5, False),
        (np.array(["a"] * 6, object), 5, False),
        (np.zeros((6, *(1,) * 32)), 1.0, False),
        (np.array(0.5), 1.5, False),
    ],
)
def test_of_an_array_only_the_rows_that_were_changed_are_written(
    array: Any, row: Any, is_patched: bool
) -> None:
    item = Item(array.copy(), {})
    with h5py.File(io.BytesIO(), "w") as file:
        writer = GroupWriter("datasets")
        writer.update(file, {"x": item})
        file["datasets/x"].attrs["kept"] = True  # gone where the whole is written anew
        if is_patched:
            file["datasets/x"][5] = row  # as nobody has set it
        if array.ndim:
            item.value[2:4] = [row] * 2 if array.dtype.names else row
        else:
            item.value[()] = row
        item.edit(0, 2, 4)
        item.changed = 1
        assert writer.update(file, {"x": item}) == []
        assert ("kept" in file["datasets/x"].attrs) == is_patched
        assert file["datasets/x"].attrs["rexec_crc32"] == checksum(form_of(item.value).data)
        if is_patched:
            item.value[5] = row
        assert same(value_of(file["datasets/x"]), item.value)


def test_what_is_beside_a_dataset_goes_and_comes_with_it() -> None:
    masked = np.ma.array([1.0, 2.0], mask=[True, False])
    with h5py.File(io.BytesIO(), "w") as file:
        writer = GroupWriter("datasets")
        for changed, value in enumerate((masked, [1.0, 2.0], masked, None), start=1):
            items = {} if value is None else {"a/x": Item(value, {}, generation=changed, changed=changed)}
            assert writer.update(file, items) == []
            found = "rexec/beside/datasets/a/x" in file
            assert found == (value is masked)
            if value is masked:
                assert value_of(file["datasets/a/x"]).tolist() == [None, 2.0]


def test_metadata_of_any_sort_never_cost_their_dataset() -> None:
    odd = {
        "unit": "\udcb0C",
        "scale": 10**400,
        "precision": 2**70,
        "comment": "x" * 100_000,
        "other": object(),
    }
    with written({"x": 1}, **odd) as file:
        assert file["datasets/x"][()] == 1
        found = metadata_of(Attributes(file["datasets/x"]))
        assert found["unit"] == "\\udcb0C"
        assert (
            found["comment"] == odd["comment"]
        )  # a text may be longer than 64 KiB, whatever a number may be


def test_a_metadatum_with_a_long_name_and_a_long_number_never_costs_its_dataset() -> None:
    with written({"x": 1}, **{"n" * 70_000: 10**5000}) as file:
        assert file["datasets/x"][()] == 1
        assert metadata_of(Attributes(file["datasets/x"])) == {"n" * 70_000: hex(10**5000)}


def test_an_object_of_a_class_that_is_registered_for_pyon_comes_back_where_it_is_registered() -> None:
    class Angle:
        def __init__(self, degrees: float) -> None:
            self.degrees = degrees

    pyon.register([Angle], name="Angle", encode=lambda angle: [angle.degrees], decode=Angle)
    try:
        with written({"x": Angle(30.0), "l": [Angle(1.0)]}) as file:
            assert value_of(file["datasets/x"]).degrees == 30.0
            assert value_of(file["datasets/l"])[0].degrees == 1.0
            pyon.deregister([Angle], "Angle")
            assert value_of(file["datasets/x"]) == '{"__jsonclass__":["Angle",[30.0]]}'
    finally:
        if pyon.is_registered(Angle):
            pyon.deregister([Angle], "Angle")


@pytest.mark.parametrize(
    ("value", "held"),
    [([0.5] * 1000, 1000), ([0.5] * 10, None), ([], 0), (np.zeros(1000), None), ({"a": 1}, 0), (5, 0)],
)
def test_rows_can_be_released_that_are_in_a_dataset_that_grows(value: Any, held: int | None) -> None:
    item = Item(value, {})
    writer = GroupWriter("datasets")
    with h5py.File(io.BytesIO(), "w") as file:
        assert writer.held_rows("x", item, 0) is None
        writer.update(file, {"x": item})
        assert writer.held_rows("x", item, 0) == held
        item.edit(3, 0, 1)
        assert writer.held_rows("x", item, since=4) == held
        assert writer.held_rows("x", item, since=3) == (0 if held else held)
        item.generation += 1
        assert writer.held_rows("x", item, 0) is None
