"""Single numbers and texts are in the file as h5py writes them."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

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
        assert not is_lean([1], None)
        assert not is_lean(np.void(b"x"), None)
