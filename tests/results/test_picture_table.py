"""What pictures of one run and of several look like, artist by artist, so that those of all releases look alike.

`python -m tests.results.test_picture_table` records it anew, and a diff shows what has changed.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rexec import results
from rexec.results.reading import plotting
from rexec.results.reading.overlay import overlaid
from schemas import RunIdentity

RECORDED = Path(__file__).with_name("data") / "pictures.json"
LONG = "a/very/long/name/$x/of/a/dataset/that/nobody/types"
NAN = float("nan")


def described(figure: Any) -> Iterator[str]:
    """Yield lines of everything in a figure that its code decides."""
    from matplotlib.colors import to_hex

    width, height = figure.get_size_inches()
    yield f"figure {width:.2f} x {height:.2f} {type(figure.get_layout_engine()).__name__}"
    for text in figure.texts:
        yield f"figure text {_text(text)} {text.get_color()}"
    for axes in figure.axes:
        place = axes.get_subplotspec()
        yield f"axes {place.get_geometry() if place else ''} {axes.axison} {axes.get_aspect()}"
        yield f"  title {_text(axes.title)}"
        for axis in (axes.xaxis, axes.yaxis):
            grid = {line.get_alpha() for line in axis.get_gridlines() if line.get_visible()}
            yield f"  {axis.axis_name} {axis.get_scale()} {_text(axis.label)} grid {grid or ''}"
            if axis.get_scale() == "linear":
                ticks = [float(f"{each:.6g}") for each in axis.get_majorticklocs()]
                offset = getattr(axis.get_major_formatter(), "get_useOffset", str)()
                yield f"    ticks {ticks} offset {offset}"
            for label in axis.get_ticklabels() if axes.get_subplotspec() else ():
                if label.get_rotation():
                    yield f"    named {_text(label)} {label.get_rotation()} {label.get_ha()}"
        for line in axes.lines:
            x, y = (np.asarray(data) for data in line.get_data())
            yield f"  line {x.shape} {_numbers(x)} | {_numbers(y)} {line.get_label()!r}"
            yield f"    {to_hex(line.get_color())} {line.get_linestyle()} {line.get_marker()}"
        for image in axes.images:
            data, how = np.asarray(image.get_array()), image.get_interpolation()
            yield f"  image {data.shape} {_numbers(data)} {_numbers(image.get_extent())} {how} {image.origin}"
            yield f"    colours {_numbers(image.get_clim())}"
        for patch in axes.patches:
            points = (
                patch.get_path().vertices
                if patch.get_label() != "_nolegend_"
                else patch.get_bbox().get_points()
            )
            yield f"  patch {patch.get_label()!r} {_numbers(points)} {_numbers(patch.get_edgecolor())}"
        for text in axes.texts:
            yield f"  text {_text(text)} at {text.get_position()} {text.get_ha()} {text.get_va()}"
        if legend := axes.get_legend():
            yield f"  legend {legend._ncols} {_text(legend.get_title())}"
            yield from (f"    {_text(text)}" for text in legend.get_texts())


def _text(text: Any) -> str:
    return f"{text.get_text()!r} {text.get_fontsize():.3g}{' math' if text.get_parse_math() else ''}"


def _numbers(data: Any) -> str:
    """Return the ends of numbers, and what all of them add up to."""
    row = np.asarray(data).reshape(-1)
    ends = [f"{each:.5g}" for each in (*row[:3], *row[-2:])]
    return f"{', '.join(ends)} ({np.nansum(row):.6g})"


def written(folder: Path, rid: int, values: dict[str, Any], plot: Any = None, **fields: Any) -> Path:
    identity = RunIdentity(rid, "Scan", 0.0, expid={"arguments": {"n": 3, "text": "x" * 60}}, **fields)
    path = folder / f"{rid}.h5"
    with results.ResultsWriter.create(path, identity, refresh_interval=0) as writer:
        for key, value in values.items():
            value, unit = value if isinstance(value, tuple) else (value, "")
            writer.set(key, value, {"unit": unit} if unit else {})
        if plot:
            writer.declare_plot(*plot)
    return path


COUNTS = [3, 1, 2, 2, 3, 4, 2, 3] * 10
ONE: dict[str, tuple[dict[str, Any], list[str] | None, str | None]] = {
    "a line": ({"y": (np.arange(5) * 1e-3, "ms")}, None, None),
    "199 points": ({"y": np.arange(199.0)}, None, None),
    "200 points": ({"y": np.arange(200.0)}, None, None),
    "points that are not there yet": ({"y": np.array([1.0, NAN, 3.0, NAN])}, None, None),
    "complex numbers": ({"z": np.array([1j, 2 + 1j, 3.0])}, None, None),
    "columns": ({"t": (np.arange(4.0), "s"), "y": np.arange(12.0).reshape(4, 3)}, ["y"], "t"),
    "complex columns": ({"t": np.arange(2.0), "y": np.full((2, 2), 1j)}, ["y"], "t"),
    "many columns": ({"t": np.arange(3.0), "y": np.arange(27.0).reshape(3, 9)}, ["y"], "t"),
    "a decade": ({"t": np.array([1.0, 3.0, 9.0, 27.0]), "y": np.arange(4.0)}, None, "t"),
    "less than a decade": ({"t": np.array([1.0, 2.0, 4.0]), "y": np.arange(3.0)}, None, "t"),
    "a decade with a zero": ({"t": np.array([0.0, 1.0, 10.0]), "y": np.arange(3.0)}, None, "t"),
    "exactly a decade": ({"t": np.array([1.0, 10.0**0.5, 10.0]), "y": np.arange(3.0)}, None, "t"),
    "falling decades": ({"t": np.array([1000, 100, 10, 1]), "y": np.arange(4.0)}, None, "t"),
    "two points": ({"t": np.array([1.0, 100.0]), "y": np.arange(2.0)}, None, "t"),
    "an image": ({"map": (np.arange(12.0).reshape(3, 4) * 1e-3, "ms")}, None, None),
    "a wide image": ({"map": np.arange(24.0).reshape(2, 12)}, None, None),
    "a less wide image": ({"map": np.arange(14.0).reshape(2, 7)}, None, None),
    "an image of a square": ({"map": np.arange(16.0).reshape(2, 8)}, None, None),
    "an image with holes": ({"map": np.array([[1.0, NAN], [NAN, 4.0]])}, None, None),
    "a complex image": ({"map": np.full((2, 3), 3 + 4j)}, None, None),
    "a stack": ({"map": np.arange(24.0).reshape(2, 2, 2, 3)}, None, None),
    "a large image": ({"map": np.zeros((1500, 2))}, None, None),
    "an image of 1001 rows": ({"map": np.zeros((1001, 2))}, None, None),
    "20,000 points": ({"y": np.arange(20_000.0)}, None, None),
    "20,001 points": ({"y": np.arange(20_001.0)}, None, None),
    "2,001 points of 16 columns": ({"t": np.arange(2001.0), "y": np.ones((2001, 16))}, ["y"], "t"),
    "17 columns": ({"t": np.arange(3.0), "y": np.ones((3, 17))}, ["y"], "t"),
    "one column": ({"t": np.arange(3.0), "y": np.ones((3, 1))}, ["y"], "t"),
    "counts": ({"counts": (COUNTS, "")}, None, None),
    "ten values in 40 counts": ({"counts": [*range(10)] * 4}, None, None),
    "eleven values in 40 counts": ({"counts": [*range(11)] * 3 + [0] * 7}, None, None),
    "39 counts": ({"counts": COUNTS[:39]}, None, None),
    "counts that are no whole numbers": ({"counts": [0.5 * each for each in COUNTS]}, None, None),
    "counts along an axis": ({"t": np.arange(80.0), "counts": (COUNTS, "")}, ["counts"], "t"),
    "a hundred values": ({"counts": [*range(100)] * 4}, None, None),
    "names of 34 and 35 letters": ({"a" * 34: np.arange(3.0), "b" * 35: np.arange(3.0)}, None, None),
    "equal counts": ({"counts": [2, 1] * 20}, None, None),
    "many counts": ({"counts": [*range(101), *range(101)] * 4}, None, None),
    "a number": ({"n": (5e-3, "ms")}, None, None),
    "ten numbers": ({f"n{n}": n for n in range(10)}, None, None),
    "eleven numbers": ({LONG: True, "z": 1j, **{f"n{n}": n for n in range(9)}}, None, None),
    "many panels": (
        {LONG: np.arange(3.0), "b": np.arange(4.0), "c": [1.0, 2.0], "d": [1.0, 3.0], "n": 1},
        None,
        None,
    ),
}
AXES = {
    "row": np.arange(3.0) * 2,
    "column": (np.arange(4.0), "s"),
    "uneven": np.array([0.0, 1.0, 5.0]),
    "one": [7.0],
    "two": [1.0, 3.0],
    "constant": [2.0, 2.0, 2.0],
    "with a gap": [0.0, NAN, 2.0],
}
MAPS: dict[str, tuple[Any, list[str]]] = {
    "along both": (np.arange(12.0).reshape(3, 4), ["row", "column"]),
    "along one": (np.arange(12.0).reshape(3, 4), ["row"]),
    "along the other": (np.arange(12.0).reshape(3, 4), ["nothing", "column"]),
    "along an uneven one": (np.arange(12.0).reshape(3, 4), ["uneven", "column"]),
    "along a short one": (np.arange(12.0).reshape(3, 4), ["one", "column"]),
    "along two values": (np.arange(8.0).reshape(2, 4), ["two", "column"]),
    "along a constant one": (np.arange(12.0).reshape(3, 4), ["constant", "column"]),
    "along one with a gap": (np.arange(12.0).reshape(3, 4), ["with a gap", "column"]),
    "a stack along both": (np.arange(24.0).reshape(2, 3, 4), ["one", "row", "column"]),
}
SEVERAL: dict[str, tuple[int, Any, Any]] = {
    "lines": (3, lambda n: {"y": (np.arange(4.0) + n, "ms" if n else "us")}, None),
    "lines along": (2, lambda n: {"t": (np.arange(4.0), "V"), "y": np.arange(4.0) * n}, ("y", ["t"])),
    "lines along decades": (2, lambda n: {"t": 10.0 ** np.arange(4), "y": np.arange(4.0) * n}, ("y", ["t"])),
    "columns along": (2, lambda n: {"t": np.arange(2.0), "y": np.ones((2, 6)) * n}, ("y", ["t"])),
    "complex lines": (2, lambda n: {"z": np.array([3 + 4j, n])}, None),
    "long lines": (2, lambda n: {LONG: np.arange(200.0) + n}, None),
    "short lines": (2, lambda n: {"y": np.arange(199.0) + n}, None),
    "eleven": (11, lambda n: {"y": np.arange(2.0) + n}, None),
    "ten": (10, lambda n: {"y": np.arange(2.0) + n}, None),
    "more than are named": (22, lambda n: {"y": np.arange(2.0) + n, "n": n, "counts": (COUNTS, "")}, None),
    "histograms": (2, lambda n: {"counts": [each * (1 + 30 * n) for each in COUNTS]}, None),
    "flags": (2, lambda n: {"flags": [True, False, n == 0] * 20}, None),
    "numbers": (3, lambda n: {"n $x": (n * 1e-3, "us" if n else "ms"), "z": 3j + n}, None),
    "images": (2, lambda n: {"map": (np.arange(6.0).reshape(2, 3) + n, "s" if n else "ms")}, None),
    "complex images": (2, lambda n: {"map": np.full((2, 3), 3 + 4j * n)}, None),
    "many panels": (2, lambda n: {key: np.arange(3.0) + n for key in "abcd"}, None),
}
SIMULATED = (0, 1, 6, 7)


def _one(
    folder: Path, values: dict[str, Any], keys: Any = None, against: Any = None, **more: Any
) -> list[str]:
    from rexec.results.reading import _panels

    with results.open(written(folder, 7, values, **more)) as run:
        plan = plotting.planned(run, keys, against)
        return list(described(_panels.draw(plan, plotting.title(run), run.is_simulated)))


def _several(folder: Path, count: int, values: Any, plot: Any, simulated: int = 0) -> list[str]:
    from rexec.results.reading import _overlay_panels

    with ExitStack() as stack:
        paths = [written(folder, number, values(number), plot) for number in range(count)]
        runs = [stack.enter_context(results.open(path)) for path in paths]
        labels = [f"{number}: $x" for number in range(count)]
        marked = [f"run {number}\n" for number in range(simulated)]
        return list(described(_overlay_panels.draw_overlaid(overlaid(runs, labels, (), None), "t $", marked)))


def pictures() -> dict[str, Any]:
    """Return what makes each picture, in a folder."""
    line = {"y": np.arange(3.0)}
    found: dict[str, Any] = {
        name: lambda folder, case=case: _one(folder, *case) for name, case in ONE.items()
    }
    found |= {
        f"a map {name}": lambda folder, case=case: _one(
            folder, {**AXES, "map": case[0]}, ["map"], plot=("map", case[1])
        )
        for name, case in MAPS.items()
    }
    found["simulated"] = lambda folder: _one(folder, line | {"text": "a"}, simulated=["camera"])
    found["left out"] = lambda folder: _one(folder, line | {f"text {n}\n": "a" for n in range(60)})
    found["simulated only"] = lambda folder: _one(folder, line, simulated=["camera"])
    found |= {
        f"several: {name}": lambda folder, case=case: _several(folder, *case)
        for name, case in SEVERAL.items()
    }
    case = SEVERAL["lines"]
    found |= {f"{n} simulated": lambda folder, n=n: _several(folder, *case, simulated=n) for n in SIMULATED}
    return found


RECORD: dict[str, list[str]] = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}


def test_the_same_is_recorded() -> None:
    assert pictures().keys() == RECORD.keys()


@pytest.mark.parametrize("name", RECORD)
def test_a_picture_looks_as_it_was_recorded(tmp_path: Path, name: str) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    assert pictures()[name](tmp_path) == RECORD[name]


def _record() -> None:
    found = {}
    for name, make in pictures().items():
        with tempfile.TemporaryDirectory() as folder:
            found[name] = make(Path(folder))
    RECORDED.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    _record()
