"""How each kind of value is stored in HDF5, to the last attribute, so that files of all releases look alike.

`python -m tests.results.test_form_table` records it anew, and a diff shows what has changed.
"""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rexec.results.hdf5.datasets import GroupWriter
from rexec.results.hdf5.reserve import upper_size
from rexec.results.item import Item

RECORDED = Path(__file__).with_name("data") / "forms.json"


def values() -> Iterator[Any]:
    """Yield values of all kinds, at the edges of what has a form of its own."""
    yield from (None, True, 0, -1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 0.5, float("nan"), 1j)
    yield from ("", "é", "a\0b", "\ud800", b"", b"x", b"a\0b", b"\xff", {"a": 1}, {1, 2}, object)
    yield from map(np.dtype("f2").type, (1, 2))
    yield from (np.float32(1), np.int8(1), np.bool_(True), np.complex64(1j), np.str_("a"), np.bytes_(b"a"))
    yield from (np.datetime64("2026-01-02"), np.timedelta64(3, "s"), np.void(b"ab"))
    yield from (
        [],
        (),
        [[]],
        [[], []],
        [1],
        (1,),
        [True],
        [1, True],
        [1, 2.5],
        [1, 2**63],
        [2**70],
        [1, 1j],
        [1, None],
    )
    yield from (
        ["a"],
        ("a",),
        ["a", b"b"],
        [b"a"],
        [b"a\0"],
        ["a\0"],
        [["a", "b"], ["c", "d"]],
        [["a"], ["b", "c"]],
        [""],
    )
    yield from (
        [[1, 2], [3, 4]],
        [(1, 2), (3, 4)],
        [[1], (2,)],
        ([1], [2]),
        [[1], [2, 3]],
        [[[1]], [[2]]],
        [1, "a"],
    )
    yield from (
        [np.float64(1), 2.0],
        [np.float32(1), np.float32(2)],
        [np.int8(1), 300],
        [np.bool_(True), False],
    )
    yield from (
        [np.arange(2), np.arange(2)],
        [np.arange(2), np.arange(3)],
        [np.arange(2), np.arange(2.0)],
        [np.arange(2), [0, 1]],
    )
    yield from (
        [np.array(1), np.array(2)],
        [np.zeros((2, 2)), np.zeros((2, 2))],
        [np.zeros((2, 2)), np.zeros(2)],
    )
    yield from (
        [np.datetime64("2026-01-02")] * 2,
        [np.datetime64("2026-01-02"), None],
        [{"a": 1}],
        [None, None],
    )
    for kind in ("i1", "u8", ">i4", "f2", ">f8", "c8", "?", "M8[ns]", "m8[s]", "U3", "S3", "V4", "O"):
        yield from (np.zeros(3, kind), np.zeros((), kind), np.zeros((0, 2), kind), np.zeros((2, 1), kind))
    yield np.array([1, "a", None], dtype=object)
    yield np.array(["a", "b"], dtype=object)
    yield np.array([b"a", b"b"], dtype=object)
    yield np.array([1.5, 2.5], dtype=object)
    yield np.array([True, 2], dtype=object)
    yield np.array([[1, 2], [3, 4]], dtype=object)
    ragged = np.empty(2, object)
    ragged[:] = [np.arange(2), np.arange(3)]
    yield ragged
    yield np.array(["a\0b", "c"], dtype=object)
    yield np.ma.array([1.0, 2.0], mask=[True, False])
    yield np.ma.array([1, 2], mask=False, fill_value=7)
    yield np.zeros(2, [("a", "i4"), ("b", "f8", 2)])
    yield np.zeros(2, {"names": ["a", "b"], "formats": ["i1", "f8"], "offsets": [0, 8]})
    yield np.zeros(2, [(("title", "a"), "i4")])
    yield np.zeros(2, [("a", "O")])
    yield from (np.zeros((1,) * 32), np.zeros((1,) * 33), np.zeros((1,) * 40))
    yield from (
        np.zeros(127),
        np.zeros(128),
        np.zeros(129),
        np.zeros(1000),
        np.zeros(1000, complex),
        np.zeros((300, 400)),
    )
    yield from (
        [0.5] * 127,
        [0.5] * 1000,
        ["a"] * 1000,
        [[1, 2]] * 1000,
        ["a" * 100] * 100,
        np.zeros(10**6, "u1"),
    )


NAMES = [
    "a",
    "a/b",
    "a/b/c",
    "/",
    "//",
    "a//b",
    "/a",
    "a/",
    ".",
    "..",
    "a/./b",
    "",
    "é",
    "a\0b",
    "\ud800",
    "a" * 300,
    "datasets",
]
METADATA: list[dict[str, Any]] = [
    {"unit": "V", "scale": 2, "precision": 3},
    {"unit": "", "scale": 0.5},
    {"comment": "odd", "list": [1, 2], "none": None, "text\0": "a\0b", "huge": 2**70, "nested": {"a": 1}},
    {"rexec_type": "mine", "rexec_form": "mine", "CLASS": "IMAGE", "x" * 300: 1, "long": "y" * 70_000},
]
SETTINGS: list[dict[str, Any]] = [
    {"compression": None},
    {"compression": "lzf"},
    {"compression": "gzip", "level": 9},
    {"shuffle": False},
    {"chunks": (8, 64)},
    {"chunks": (8,)},
    {"chunks": (1000, 1000)},
    {"dtype": "float32"},
    {"dtype": "uint8"},
    {"dtype": "float16"},
]


def looks(item: Any, name: str = "x", settings: dict[str, Any] | None = None) -> list[str]:
    """Return lines of everything in a file that holds a dataset."""
    lines = []
    with h5py.File(io.BytesIO(), "w") as file:
        lines += GroupWriter("datasets").update(file, {name: item}, {name: settings} if settings else {})

        def show(path: str, node: Any) -> None:
            words = [path]
            if isinstance(node, h5py.Dataset):
                words += [str(node.dtype), str(node.shape), f"max {node.maxshape}", f"chunks {node.chunks}"]
                words += [str(node.compression), str(node.compression_opts), f"shuffle {node.shuffle}"]
            words += [f"{key}={_shown(value)}" for key, value in sorted(node.attrs.items())]
            lines.append(" | ".join(words))

        file.visititems(show)
    return lines


def _shown(value: Any) -> str:
    text = f"{type(value).__name__} {value!r}"
    return text if len(text) < 200 else f"{text[:200]}... {len(text)}"


def table() -> dict[str, list[str]]:
    """Return what there is to record."""
    found = {
        f"value {n}": [f"{upper_size(value)} bytes at the most", *looks(Item(value, {}))]
        for n, value in enumerate(values())
    }
    found |= {f"name {n}": looks(Item(1, {}), name) for n, name in enumerate(NAMES)}
    found |= {f"metadata {n}": looks(Item(1, metadata)) for n, metadata in enumerate(METADATA)}
    data = np.arange(64 * 640.0).reshape(64, 640) * 3
    for n, settings in enumerate(SETTINGS):
        found[f"settings {n}"] = looks(Item(data, {}), settings=settings)
        found[f"settings {n} of a list"] = looks(Item([0.5] * 1000, {}), settings=settings)
        found[f"settings {n} of a number"] = looks(Item(5, {}), settings=settings)
    return found


@pytest.fixture(scope="module")
def made() -> dict[str, list[str]]:
    return table()


RECORD: dict[str, list[str]] = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}


def test_the_same_is_recorded(made: dict[str, list[str]]) -> None:
    assert made.keys() == RECORD.keys()


@pytest.mark.parametrize("name", RECORD)
def test_a_value_looks_as_it_was_recorded(made: dict[str, list[str]], name: str) -> None:
    assert made[name] == RECORD[name]


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(table(), indent=1) + "\n")
