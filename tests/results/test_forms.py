"""What each value looks like in HDF5 (the table of ARTIQ's), and that all of them come back."""

import io
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings

from rexec.results.h5datasets import GroupWriter
from rexec.results.item import Item
from rexec.results.names import hdf5_names
from rexec.results.values import metadata_of, value_of
from tests.results.strategies import values


def equal(one: Any, other: Any) -> bool:
    """Equality at every depth where 1 == 1.0 == True, and NaN is itself."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return type(one) is type(other) and one.dtype == other.dtype and one.tobytes() == other.tobytes()
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


@settings(max_examples=150, deadline=None)
@given(values)
def test_every_value_reads_back_to_the_same_value(value: Any) -> None:
    with written({"x": value}) as file:
        assert equal(value_of(file["datasets/x"]), value)


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
        ([2**63, 1], "pyon"),
        ([1, "a"], "pyon"),
        ([[1], [2, 3]], "pyon"),
        ("a\0b", "pyon"),
        ([np.arange(2), np.arange(3)], "vlen"),
        ({"__jsonclass__": 1}, "journal"),
        (object, "journal"),
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
        assert metadata_of(file["datasets/x"]) == {
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
