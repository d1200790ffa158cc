"""What a file from anywhere says of its run: fields that are what they should be, and nothing else."""

import io
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import pytest

from rexec.results.reading.identity import identity_of, lines, scalar


@pytest.fixture
def file() -> Iterator[h5py.File]:
    with h5py.File(io.BytesIO(), "w") as file:
        yield file


@pytest.mark.parametrize(
    ("path", "data", "found"),
    [
        ("rid", np.int64(7), {"rid": 7}),
        ("rid", "seven", {}),
        ("rid", [7, 8], {}),
        ("start_time", 1.5, {"start_time": 1.5}),
        ("run_time", 2.5, {"run_time": 2.5}),
        ("artiq_version", "9", {"artiq_version": "9"}),
        ("artiq_version", b"9", {"artiq_version": "9"}),
        ("expid", '{"a": [1, null]}', {"expid": {"a": [1, None]}}),
        ("expid", b'{"a": 1}', {"expid": {"a": 1}}),
        ("expid", "no PYON", {}),
        ("expid", "[1]", {}),
        ("expid", 5, {}),
        ("class_name", "Scan", {}),  # it is not ARTIQ's
        ("rexec/class_name", "Scan", {"class_name": "Scan"}),
        ("rexec/class_name", 5, {}),
        ("rexec/odd", "kept", {"odd": "kept"}),
        ("rexec/simulated", '["camera"]', {"simulated": ["camera"]}),
        ("rexec/sources/d1", "text", {"sources": {"d1": "text"}}),
        ("rexec/sources/d1", 5, {"sources": {}}),
        ("rexec/rid", 9, {"rid": 9}),
        ("rexec/group/x", 1, {}),
    ],
)
def test_a_field_is_there_where_it_is_what_it_should_be(
    file: h5py.File, path: str, data: Any, found: dict[str, Any]
) -> None:
    file[path] = data
    assert identity_of(file) == found


def test_a_file_that_says_nothing_has_no_identity(file: h5py.File) -> None:
    assert identity_of(file) == {}
    file["rexec"] = 5
    assert identity_of(file) == {}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (5, 5),
        (np.float32(1.5), 1.5),
        ("é", "é"),
        (np.array([7]), 7),
        (np.array([7, 8]), None),
        (h5py.Empty("f8"), None),
    ],
)
def test_a_single_value_is_a_plain_one(file: h5py.File, data: Any, found: Any) -> None:
    file["x"] = data
    value = scalar(file, "x")
    assert value == found
    assert type(value) is type(found)
    assert scalar(file, "y") is None
    file.create_group("g")
    assert scalar(file, "g") is None


def test_a_value_in_another_file_is_none(file: h5py.File) -> None:
    file["link"] = h5py.ExternalLink("other.h5", "/x")
    file.create_dataset("x", shape=(1,), dtype="u1", external=[("elsewhere.bin", 0, 1)])
    assert (scalar(file, "link"), scalar(file, "x")) == (None, None)


@pytest.mark.parametrize(
    ("data", "found"), [("a\nb", ["a", "b"]), ("", []), (5, []), (b"a", ["a"]), (["a", "b"], [])]
)
def test_lines_are_those_of_a_text(file: h5py.File, data: Any, found: list[str]) -> None:
    file["x"] = data
    assert lines(file, "x") == found
    assert lines(file, "y") == []
