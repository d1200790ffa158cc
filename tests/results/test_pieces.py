"""What is read of large datasets for a picture, in pieces of any size."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rexec import results
from rexec.results.reading import pieces
from rexec.results.reading.pieces import counts_of, lines_of, picture_of, rows_of, values_at
from schemas import RunIdentity

NOISE = np.random.default_rng(1).normal(size=1000).round(3)
NOISE[100:130] = np.nan
LONG = {
    "line": NOISE,
    "column": NOISE.reshape(1, 1000, 1),
    "complex": NOISE + 1j * NOISE[::-1],
    "axis": np.arange(1000.0) * 2,
    "flags": NOISE > 0,
    "table": NOISE.reshape(250, 4),
    "number": 7.0,
    "counts": np.array([3, 1, 2, 3, 3, 5]),
    "rising": np.array([1, 2, 2, 3]),
    "image": np.arange(3 * 9 * 7.0).reshape(3, 9, 7),
    "complex image": np.full((4, 5), 3 + 4j),
    "ms": (np.arange(4.0) * 1e-3),
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pieces") / "r.h5"
    identity = RunIdentity(rid=1, class_name="A", start_time=0.0)
    with results.ResultsWriter.create(path, identity, refresh_interval=0) as writer:
        for key, value in LONG.items():
            writer.set(key, value, {"unit": "ms"} if key == "ms" else {})
    return path


@pytest.fixture
def stored(path: Path) -> Iterator[Any]:
    with results.open(path) as run:
        yield run.datasets


@pytest.fixture(params=[7, 100, 10_000])
def piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "_PIECE", request.param)


def extremes(line: Any, stretch: int) -> list[int]:
    """Return the places of the smallest and largest of each stretch, as NumPy finds them at once."""
    found = set()
    real = np.abs(line) if line.dtype.kind == "c" else line
    for begin in range(0, len(line), stretch):
        part = real[begin : begin + stretch]
        if not np.isnan(part).all():
            found |= {begin + int(np.nanargmin(part)), begin + int(np.nanargmax(part))}
    return sorted(found)


@pytest.mark.parametrize(("most", "stretch"), [(1000, 1), (999, 3), (100, 20), (40, 50)])
@pytest.mark.parametrize("name", ["line", "column", "complex"])
@pytest.mark.usefixtures("piece")
def test_of_a_long_line_the_extremes_of_stretches_are_drawn(
    stored: Any, monkeypatch: pytest.MonkeyPatch, name: str, most: int, stretch: int
) -> None:
    monkeypatch.setattr(pieces, "MOST_POINTS", most)
    monkeypatch.setattr(pieces, "_FEW_POINTS", 1)
    (drawn,) = lines_of(stored[name], None, stored["axis"])
    data = LONG[name].reshape(-1)  # type: ignore[attr-defined]
    expected = list(range(1000)) if stretch == 1 else extremes(data, stretch)
    assert drawn.points.tolist() == expected
    assert np.array_equal(drawn.values, data[expected], equal_nan=True)
    assert drawn.along.tolist() == [2 * each for each in expected]
    assert drawn.column is None


@pytest.mark.usefixtures("piece")
def test_each_column_of_a_table_has_its_own_extremes(stored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "MOST_POINTS", 400)
    monkeypatch.setattr(pieces, "_FEW_POINTS", 50)
    table = LONG["table"]
    drawn = lines_of(stored["table"], 4)
    for number, line in enumerate(drawn):
        expected = extremes(table[:, number], 5)  # type: ignore[index]
        assert (line.column, line.points.tolist(), line.along.tolist()) == (number, expected, expected)
        assert line.values.tolist() == table[expected, number].tolist()  # type: ignore[index]
    monkeypatch.setattr(pieces, "_FEW_POINTS", 250)
    assert [len(line.points) for line in lines_of(stored["table"], 4)] == [250] * 4


@pytest.mark.usefixtures("piece")
def test_values_of_an_axis_are_read_where_they_are_needed(stored: Any) -> None:
    assert values_at(stored["axis"], np.array([0, 6, 7, 99, 100, 999])).tolist() == [
        0,
        12,
        14,
        198,
        200,
        1998,
    ]
    assert values_at(stored["axis"], np.array([], int)).tolist() == []
    assert values_at(stored["ms"], np.array([1, 3])).tolist() == [1.0, 3.0]
    assert values_at(stored["number"], np.array([0])).tolist() == [7.0]
    assert values_at(stored["flags"], np.arange(3)).dtype == np.uint8


@pytest.mark.parametrize(
    ("name", "values", "counts", "falls"),
    [
        ("counts", [1, 2, 3, 5], [1, 1, 3, 1], True),
        ("rising", [1, 2, 3], [1, 2, 1], False),
        ("ms", [0, 1, 2, 3], [1] * 4, False),
        ("number", [7], [1], False),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_values_are_counted_and_looked_at_in_their_order(
    stored: Any, monkeypatch: pytest.MonkeyPatch, name: str, values: Any, counts: Any, falls: bool, size: int
) -> None:
    monkeypatch.setattr(pieces, "_PIECE", size)
    found = counts_of(stored[name], len(values))
    assert found is not None
    assert (found.values.tolist(), found.counts.tolist(), found.falls) == (values, counts, falls)
    assert counts_of(stored[name], len(values) - 1) is None


@pytest.mark.usefixtures("piece")
def test_what_is_not_there_is_not_counted(stored: Any) -> None:
    found = counts_of(stored["line"], 1000)
    assert found is not None
    assert found.counts.sum() == 970
    assert np.concatenate(list(rows_of(stored["line"]))).shape == (1000,)


@pytest.mark.parametrize(("most", "step"), [(9, 1), (8, 2), (3, 3), (2, 5)])
@pytest.mark.usefixtures("piece")
def test_of_a_large_image_every_nth_pixel_is_drawn(
    stored: Any, monkeypatch: pytest.MonkeyPatch, most: int, step: int
) -> None:
    monkeypatch.setattr(pieces, "MOST_PIXELS", most)
    picture, every = picture_of(stored["image"])
    assert every == step
    assert picture.tolist() == LONG["image"][-1, ::step, ::step].tolist()  # type: ignore[index]
    assert picture_of(stored["complex image"])[0].max() == 5.0
