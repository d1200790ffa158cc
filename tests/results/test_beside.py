"""What belongs to a dataset and is no part of its array: under names that HDF5 takes, each in its own form."""

import io
from typing import Any

import h5py
import numpy as np
import pytest

from rexec.results.hdf5.beside import form_of_part, remove_beside, write_beside
from rexec.results.hdf5.checksums import checksum
from rexec.results.hdf5.forms import EXACT
from rexec.results.hdf5.values import value_of


@pytest.mark.parametrize(
    ("name", "value", "form"),
    [
        ("m", {"a": 1}, "group"),
        ("m", {"a": 1, "é b": 2}, "group"),
        ("m", {}, "pyon"),
        *(("m", {key: 1}, "pyon") for key in ("", ".", "a/b", "a (beside)")),
        ("m", {"a\0": 1}, "pyon"),
        ("m", {5: 1}, "pyon"),
        ("m", 5, None),
        (EXACT, 5, "journal"),
    ],
)
def test_a_dict_of_names_is_a_group_of_parts(name: str, value: Any, form: str | None) -> None:
    found = form_of_part(name, value)
    if form == "group":
        assert found is None
    else:
        assert found is not None
        assert found.attributes.get("rexec_form") in ({form} if form != "pyon" else {"pyon", "journal"})


PARTS: dict[str, Any] = {
    "mask": np.array([True, False]),
    "text": "é",
    "inner": {"a": 1, "deep": {"b": ["x", "é"]}},
    "nested": [(1.0,), [2.0]],
}


def test_parts_come_back_and_go_with_their_dataset() -> None:
    with h5py.File(io.BytesIO(), "w") as file:
        for name in ("datasets/x", "datasets/y"):
            file[name] = 1
            write_beside(file[name], PARTS)
        group = file["rexec/beside/datasets/x"]
        assert {name: value_of(group[name]) for name in ("text", "nested")} == {
            name: PARTS[name] for name in ("text", "nested")
        }
        assert "rexec_beside" in group["nested"].attrs
        assert value_of(group["mask"]).tolist() == [True, False]
        assert (value_of(group["inner/a"]), value_of(group["inner/deep/b"])) == (1, ["x", "é"])
        assert all(group[name].attrs["rexec_part"] for name in ("inner", "inner/deep"))
        assert group["text"].attrs["rexec_crc32"] == checksum("é")
        remove_beside(file["datasets/x"])
        remove_beside(file["datasets/x"])
        assert list(file["rexec/beside/datasets"]) == ["y"]
        file["datasets/z"] = 1
        remove_beside(file["datasets/z"])
