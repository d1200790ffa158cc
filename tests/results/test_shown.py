"""What people see of a value: one line, whatever it is."""

from collections import deque
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rexec import results
from rexec.ground.plain import Unreadable
from rexec.results.reading import shown as module
from rexec.results.reading.shown import WIDTH, corners, moment, range_of, short, shown, stored_shown
from rexec.results.reading.stored import StoredDataset

NAN = float("nan")


class Bad:
    def __repr__(self) -> str:
        raise RuntimeError("never")


class Odd:
    def __repr__(self) -> str:
        return "odd\n" + "x" * 100


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "True"),
        (np.bool_(False), "False"),
        (5, "5"),
        (np.float32(0.5), "0.5"),
        (np.int8(3), "3"),
        (1j, "1j"),
        (np.complex64(1.1 + 2j), "(1.1+2j)"),
        (np.array(0.5j), "0.5j"),
        (b"ab", "b'ab'"),
        (None, "None"),
        ("a\x1bb", "'a\\x1bb'"),
        ("x" * 100, "'" + "x" * (WIDTH - 2) + "…"),
        ("x" * (WIDTH - 2), repr("x" * (WIDTH - 2))),
        (np.arange(3.0), "float64 3, 0 to 2"),
        (np.array([2, -1, 3]), "int64 3, -1 to 3"),
        (np.array([NAN, 1.0, NAN, 3.0]), "float64 4, 2 of 4 points, 1 to 3"),
        (np.array([NAN]), "float64 1, 0 of 1 points"),
        (np.zeros(0), "float64 0"),
        (np.array(2.5), "2.5"),
        (np.array([1j]), "complex128 1"),
        (np.array(["a"]), "<U1 1"),
        (np.array([None, 1]), "object 2"),
        (np.zeros((2, 3), bool), "bool 2 x 3"),
        ([1, 2, 3], "int64 3, 1 to 3"),
        ((1.5, NAN), "float64 2, 1 of 2 points, 1.5 to 1.5"),
        ([], "[]"),
        ([True, False], "bool 2"),
        ([1, "a"], "[1, 'a']"),
        ([[1], [2, 3]], "[[1], [2, 3]]"),
        ([2**70], "[1180591620717411303424]"),
        ([[[[[[[[1, "a"]]]]]]]], "[[[[[[[...]]]]]]]"),
        ([*range(100), "a"], "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, …"),
        (np.ma.array([1, 2, 900], mask=[False, False, True]), "int64 3, 2 of 3 points, 1 to 2"),
        (np.ma.array([1, 2]), "int64 2, 1 to 2"),
        (np.ma.array(5, mask=True), "int64, 0 of 1 points"),
        (np.ma.masked, "masked"),
        ([np.ma.masked, "a"], "[masked, 'a']"),
        (deque([1]), "int64 1, 1 to 1"),
        ({"a": 1}, "{'a': 1}"),
        (np.timedelta64(3, "s"), "np.timedelta64(3,'s')"),
        (Bad(), "<Bad whose repr failed: never>"),
        (Odd(), f"odd {'x' * 55}…"),
        ([Odd()], f"[odd {'x' * 54}…"),
        (Unreadable("a\nb" * 100, "t"), "a" + " ba" * 19 + " …"),
    ],
)
def test_a_value_is_one_line(value: Any, text: str) -> None:
    assert shown(value, {}) == (text, "")
    assert len(text) <= WIDTH


def test_numbers_are_in_the_unit_of_their_metadata() -> None:
    assert shown(5e-3, {"unit": "ms"}) == ("5", "ms")
    assert shown(np.array([1e-3, 2e-3]), {"unit": "ms"}) == ("float64 2, 1 to 2", "ms")
    assert shown("text", {"unit": "V\n"}) == ("'text'", "V\\n")


@pytest.mark.parametrize(
    ("value", "width", "text"),
    [
        ("x" * 9, 8, "'xxxxxx…"),
        ("x" * 6, 8, "'xxxxxx'"),
        (np.zeros((2, 3)), 8, "float64 2 x 3"),
        ([1] * 20, 20, "[1, 1, 1, 1, 1, 1, …"),
        ([1] * 4, 6, "[1, 1…"),
        (10**30, 10, "100000000…"),
        ({n: n for n in range(9)}, 8, "{0: 0, …"),
    ],
)
def test_a_value_is_cut_to_a_width(value: Any, width: int, text: str) -> None:
    assert short(value, width) == text


def test_a_time_that_no_calendar_has_is_a_number() -> None:
    assert moment(1e20) == "1e+20 s"
    assert moment(NAN) == "nan s"
    assert len(moment(86400.0)) == len("1970-01-02 00:00:00")
    assert len(moment(86400.0, "minutes")) == len("1970-01-02 00:00")


def test_of_long_axes_the_ends_are_read() -> None:
    assert corners(np.arange(7), (7,)).tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert corners(np.arange(8), (8,)).tolist() == [0, 1, 2, 3, 5, 6, 7]
    assert corners(np.arange(18).reshape(2, 9), (2, 9)).tolist() == [
        [0, 1, 2, 3, 6, 7, 8],
        [9, 10, 11, 12, 15, 16, 17],
    ]
    assert corners(np.array(5), ()).tolist() == 5


STORED: dict[str, tuple[Any, str]] = {
    "null": (h5py.Empty("f8"), "no data"),
    "number": (2.5, "2.5"),
    "flag": (True, "True"),
    "complex": (1j, "1j"),
    "text": ("é", "'é'"),
    "one": ([7.0], "float64 1, 7 to 7"),
    "two": ([7.0, 5.0], "float64 2, 5 to 7"),
    "flags": ([True, False], "bool 2"),
    "waves": ([1j, 2.0], "complex128 2"),
    "48 bytes": ([3.0, 1.0, 2.0, 6.0, 4.0, 5.0], "float64 6, 1 to 6"),
    "56 bytes": ([3.0, 1.0, 2.0, 6.0, 4.0, 5.0, 0.0], "float64 7"),
    "falling": (np.arange(6)[::-1].reshape(3, 2), "int64 3 x 2, 0 to 5"),
    "gaps": ([NAN, 1.0, NAN, 3.0, NAN, 2.0], "float64 6, 3 of 6 points, 1 to 3"),
    "nothing yet": ([NAN, NAN], "float64 2, 0 of 2 points"),
    "three texts": (["a", "b", "c"], "['a', 'b', 'c']"),
    "four texts": (["a", "b", "c", "d"], "object 4"),
    "long texts": (np.array([b"x" * 30] * 2), "|S30 2"),
}


@pytest.mark.parametrize("piece", [1, 16, 24, 10**6])
def test_a_dataset_of_a_file_is_one_line_and_a_large_one_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(module, "MOST_READ", 48)
    monkeypatch.setattr(module, "_MOST_ITEMS", 3)
    monkeypatch.setattr(module, "_PIECE", piece)
    with h5py.File(tmp_path / "r.h5", "w") as file:
        for key, (value, _) in STORED.items():
            file[f"datasets/{key}"] = value
            file[f"datasets/{key}"].attrs["unit"] = "V\n"
    sizes: list[int] = []
    numbers = StoredDataset.numbers

    def noted(stored: StoredDataset, index: Any) -> Any:
        part = numbers(stored, index)
        sizes.append(part.nbytes)
        return part

    monkeypatch.setattr(StoredDataset, "numbers", noted)
    with results.open(tmp_path / "r.h5") as run:
        found = {key: stored_shown(stored) for key, stored in run.datasets.items()}
        assert found == {key: (text, "V\\n") for key, (_, text) in STORED.items()}
        assert range_of(run.datasets["waves"]) is None
        whole = range_of(run.datasets["56 bytes"])
        assert whole is not None
        assert (whole.low, whole.high, whole.there) == (0.0, 6.0, 7)
    assert max(sizes) <= max(piece, 16)  # of a row
