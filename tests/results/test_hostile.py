"""Odd values and names: each comes back, or is refused or warned of at its own line, and costs nothing else."""

import datetime
import enum
import logging
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rexec import results
from rexec.datasets import DatasetDB, DatasetManager
from rexec.datasets.values import same
from rexec.results import ResultsWriter, verify
from schemas import RunIdentity
from tests.clock import set_clock


def begun(path: Path) -> tuple[ResultsWriter, DatasetManager]:
    identity = RunIdentity(rid=1, class_name="A", start_time=1.0)
    writer = ResultsWriter.create(path, identity, refresh_interval=0)
    return writer, DatasetManager(DatasetDB(), sink=writer)


class Color(enum.Enum):
    RED = 1


class Unprintable:
    def __repr__(self) -> str:
        raise ValueError("no")


VALUES: dict[str, Any] = {
    "nan": float("nan"),
    "inf": float("-inf"),
    "complex": complex("nan+1j"),
    "no dimensions": np.array(3.5),
    "empty": np.empty((0, 3)),
    "no columns": np.empty((3, 0), np.int8),
    "long text": "é" * 3_000_000,
    "strided": np.arange(100).reshape(10, 10)[::2, ::-3],
    "Fortran order": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big-endian": np.arange(5, dtype=">i4"),
    "big-endian floats": np.array([1.5, np.nan], ">f8"),
    "structure": np.array([(1, 2.5, b"ab")], dtype=[("a", "<i4"), ("b", "<f8"), ("c", "S3")]),
    "structure in structure": np.array(
        [(1, (2.5, 3))], dtype=[("a", "<i4"), ("b", [("x", "<f8"), ("y", "<i2")])]
    ),
    "aligned structure": np.zeros(2, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    "moment": np.datetime64("2026-01-01"),
    "moments": np.array(["2026-01-01", "NaT"], "M8[ns]"),
    "int8": np.int8(3),
    "numpy bool": np.bool_(True),
    "float16": np.float16(1.5),
    "long double": np.longdouble(1) / 3,
    "complex long double": np.clongdouble(1j) / 3,
    "long doubles": [np.longdouble(1) / 3, np.longdouble(2)],
    "long double array": np.array([1, 2], np.longdouble) / 3,
    "texts": np.array(["a", "é"]),
    "bytes array": np.array([b"a", b"bc"]),
    "no text": "",
    "no bytes": b"",
    "lone surrogate": "\ud800",
    "NUL": "a\0b",
    "largest": np.uint64(2**64 - 1),
    "list of largest": [np.uint64(2**64 - 1), np.uint64(1)],
    "mixed": [1, "a", None, [2.5]],
    "huge int": [[2**63]],
    "list of nan": [float("nan"), 1.0],
    "lists of nothing": [[], []],
    "tuples in a list": [(1, 2), (3, 4)],
    "keys of ints": {1: 2},
    "arrays in a dict": {"a": np.arange(3)},
    "twenty dimensions": np.zeros((1,) * 20),
    "more dimensions than HDF5 has": np.zeros((1,) * 40),
    "looks like PYON": {"__jsonclass__": ["nparray", []]},
    "void": np.void(b"abc"),
    "None": None,
}


def by_size(value: Any) -> Any:
    """Return a value in which what has the size of a double is one: on Windows a long double has a class of its own."""
    if isinstance(value, list):
        return [by_size(item) for item in value]
    return np.asarray(value, value.dtype.str)[()] if isinstance(value, np.generic) else value


def test_odd_values_come_back(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path / "r.h5")
    for key, value in VALUES.items():
        manager.set(key, value)
    writer.close()
    assert verify(writer.path) == []
    with results.open(writer.path) as run:
        assert len(run) == len(VALUES)
        for key, value in VALUES.items():
            assert same(run[key], by_size(value)), key


def test_a_class_that_numpy_or_python_knows_is_kept_whole_without_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer, manager = begun(tmp_path / "r.h5")
    manager.set("date", datetime.datetime(2026, 1, 2))
    manager.set("color", Color.RED)
    manager.set("objects", np.array([1, None], object))
    manager.set("masked", np.ma.array([1, 2], mask=[False, True]))
    writer.close()
    assert not caplog.records
    with results.open(writer.path) as run:
        assert (run["date"], run["color"]) == (datetime.datetime(2026, 1, 2), 1)
        assert run["objects"].tolist() == [1, None]
        assert run["masked"].tolist() == [1, None]
        assert run.datasets["masked"].node[()].tolist() == [1, 2]
        assert run.file["rexec/beside/datasets/masked/mask"][()].tolist() == [False, True]


KEYS = [
    "a/b", "a", "./x", "..", "../up", ".", "", "a//b", "/abs", "abs/", "nul\0", "ünï côdé", " spaces in it ",
    "k" * 70000, "a%2Fb", "\ud800", "a\nb", "x" * 300 + "/" + "y" * 300, "😀", "datasets", "a (value)", "x:y*?",
    "rexec_key",
]  # fmt: skip


def test_odd_names_are_all_kept_apart(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path / "r.h5")
    for number, key in enumerate(KEYS):
        manager.set(key, number)
        writer.snapshot()
    writer.close()
    with results.open(writer.path) as run:
        assert dict(run) == {key: number for number, key in enumerate(KEYS)}


@pytest.mark.parametrize("key", [1, None, b"x", ("a",)])
def test_a_name_that_is_no_str_is_refused(tmp_path: Path, key: Any) -> None:
    writer, manager = begun(tmp_path / "r.h5")
    with pytest.raises(TypeError, match="the name of a dataset is a str, not "):
        manager.set(key, 1)
    manager.set("x", 1)
    writer.close()
    with h5py.File(writer.path) as file:
        assert list(file["datasets"]) == ["x"]


def test_a_value_that_holds_itself_is_refused(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path / "r.h5")
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="holds itself"):
        manager.set("x", endless)
    writer.close()


@pytest.mark.parametrize(
    ("value", "name", "text"),
    [
        (max, "builtin_function_or_method", "<built-in function max>"),
        (Color, "EnumType", "<enum 'Color'>"),
        (Unprintable(), "Unprintable", "<Unprintable whose repr failed: no>"),
    ],
)
def test_what_nothing_can_hold_is_kept_as_text_and_warned_of_once(
    tmp_path: Path, value: Any, name: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    writer, manager = begun(tmp_path / "r.h5")
    manager.set("x", value)
    manager.set("x", value)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert (
        f"dataset x: of a value of type {name}, or of what is in it, only the text is kept"
        in record.getMessage()
    )
    writer.close()
    with results.open(writer.path) as run:
        assert run["x"] == text


def test_array_classes_are_kept_as_arrays(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path / "r.h5")
    manager.set("records", np.rec.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]))
    manager.set("mapped", np.memmap(tmp_path / "m", np.int32, "w+", shape=(3,)))
    writer.close()
    with results.open(writer.path) as run:
        assert run["records"]["b"].tolist() == [2.5]
        assert run["mapped"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("step", [-3600.0, 0.0])
def test_a_clock_that_is_set_back_or_stands_still_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    writer, manager = begun(tmp_path / "r.h5")
    manager.set("x", [])
    now = time.time()
    for number in range(5):
        for module in ("rexec.ground.clock", "rexec.results.writer", "rexec.results.hdf5.file"):
            set_clock(monkeypatch, module, time=lambda number=number: now + step * number)
        manager.append_to("x", number)
        manager.mutate("x", 0, -number)
        writer.snapshot()
    writer.close()
    assert verify(writer.path) == []
    with results.open(writer.path) as run:
        assert run["x"] == [-4, 1, 2, 3, 4]
