"""Single numbers and texts are in the file as h5py writes them."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5g

from rexec.results.hdf5.lean import create_dataset, is_lean, set_attribute, stored_number

TEXT = h5py.string_dtype()


@pytest.mark.parametrize(
    "value", [np.float64(1.5), np.int64(-3), np.bool_(True), np.uint8(3), np.float16(0.5), ">i4", "grüß", ""]
)
@pytest.mark.parametrize("name", ["x", "é", "a/b/c"])
def test_it_is_as_h5py_writes_it(tmp_path: Path, value: Any, name: str) -> None:
    if value == ">i4":
        value = np.array(7, ">i4")[()]
    dtype = TEXT if isinstance(value, str) else None
    assert is_lean(value, dtype)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        theirs, ours = file.create_group("theirs"), file.create_group("ours")
        one = theirs.create_dataset(name, data=value, dtype=dtype)
        two = create_dataset(ours, name, value)
        for attribute, given in (("crc", np.uint32(7)), ("time", 1.25), ("text", "täxt")):
            one.attrs[attribute] = given
            set_attribute(two, attribute, "other" if attribute == "text" else 0 * given)
            set_attribute(two, attribute, given)
    with h5py.File(tmp_path / "x.h5") as file:
        one, two = file["theirs"][name], file["ours"][name]
        assert two.dtype == one.dtype
        assert two.id.get_type() == one.id.get_type()
        assert (two.shape, two[()]) == (one.shape, one[()])
        assert list(two.attrs) == list(one.attrs)
        for attribute in one.attrs:
            assert two.attrs[attribute] == one.attrs[attribute]
            assert two.attrs.get_id(attribute).get_type() == one.attrs.get_id(attribute).get_type()
        assert (
            h5g.get_objinfo(file.id, f"ours/{name}".encode()).mtime == 0
        )  # no time: its bytes are the same always


def test_an_attribute_keeps_its_type_for_numbers_and_may_become_a_text(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = create_dataset(file, "x", np.float64(1.5))
        set_attribute(dataset, "a", np.uint32(7))
        set_attribute(dataset, "a", 8.0)
        assert (dataset.attrs["a"], dataset.attrs["a"].dtype) == (8, np.uint32)
        set_attribute(dataset, "a", "text")
        assert dataset.attrs["a"] == "text"


@pytest.mark.parametrize("value", [np.uint64(2**63 + 1), np.int8(-3), np.float32(0.1), np.bool_(True)])
def test_each_number_is_read_in_its_own_type(tmp_path: Path, value: Any) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        set_attribute(create_dataset(file, "x", value), "rexec_crc32", np.uint32(2**32 - 1))
        found = stored_number(file, "x")
        assert found == (value, 2**32 - 1)
        assert type(found[0]) is type(value)


def test_a_number_is_read_with_its_checksum(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = create_dataset(file, "x", np.float64(1.5))
        assert stored_number(file, "x") is None
        set_attribute(dataset, "rexec_crc32", np.uint32(7))
        assert stored_number(file, "x") == (1.5, 7)
        assert stored_number(file, "y") is None
        set_attribute(dataset, "rexec_form", "pyon")
        assert stored_number(file, "x") is None
        file["rows"] = [1, 2]
        file["text"] = "x"
        assert stored_number(file, "rows") is None
        assert stored_number(file, "text") is None


@pytest.mark.parametrize(
    ("value", "dtype"),
    [([1], None), (np.void(b"x"), None), ("x", None), (np.array(["x"], object), TEXT), (b"x", TEXT)],
)
def test_anything_else_is_left_to_h5py(value: Any, dtype: Any) -> None:
    assert not is_lean(value, dtype)
