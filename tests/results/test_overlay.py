"""Several runs in one picture: one unit, a legend by what differs between them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rexec.catalogue import find
from rexec.catalogue.labels import labels
from rexec.catalogue.notes import comment
from rexec.cli.results import main
from rexec.results import ResultsError, ResultsWriter, Run
from rexec.results.reading.overlay import overlaid, overlay_title
from schemas import RunIdentity
from tests.catalogue.laboratories import BEGIN

pytest.importorskip("matplotlib", reason="needs the extra plot")


def run_with(results: Path, rid: int, values: dict[str, Any], plot: Any = None, **fields: Any) -> Path:
    """Write a run; values are pairs of a value and its metadata."""
    arguments = fields.pop("arguments", {"phase": rid * 0.1, "same": 1})
    identity = RunIdentity(
        rid, fields.pop("class_name", "Scan"), BEGIN + rid, expid={"arguments": arguments}, **fields
    )
    path = results / f"{rid:09}-Scan.h5"
    with ResultsWriter.create(path, identity, refresh_interval=0) as writer:
        for key, (value, metadata) in values.items():
            writer.set(key, value, metadata)
        if plot:
            writer.declare_plot(*plot)
    return path


@contextmanager
def drawn(paths: list[Path], keys: tuple[str, ...] = (), against: str | None = None) -> Iterator[Any]:
    """Yield the figure of some runs."""
    panels = pytest.importorskip("rexec.results.reading._overlay_panels", reason="needs the extra plot")
    with ExitStack() as stack:
        runs = [stack.enter_context(Run(path)) for path in paths]
        said = labels([str(run.rid) for run in runs], [run.identity for run in runs], [""] * len(runs))
        yield panels.draw_overlaid(overlaid(runs, said, keys, against), "title", [])


def scans(results: Path, count: int = 3) -> list[Path]:
    """Write scans with a declared plot, in ms and in us."""
    paths = []
    for rid in range(count):
        unit = "ms" if rid % 2 == 0 else "us"
        values = {"t": (np.arange(4) * 1e-3, {"unit": unit}), "y": (np.arange(4.0) + rid, {"unit": "V"})}
        paths.append(run_with(results, rid, values, ("y", ["t"])))
    return paths


def test_lines_share_one_unit_and_are_named_by_what_differs(results: Path) -> None:
    with drawn(scans(results)) as figure:
        (axes,) = figure.axes
        assert axes.get_xlabel() == "t (ms)"
        assert axes.get_ylabel() == "y (V)"
        assert [line.get_xdata().tolist() for line in axes.lines] == [pytest.approx([0, 1, 2, 3])] * 3
        assert [line.get_ydata().tolist()[0] for line in axes.lines] == [0.0, 1.0, 2.0]
        said = [text.get_text() for text in axes.get_legend().get_texts()]
        assert said == ["0: phase=0.0", "1: phase=0.1", "2: phase=0.2"]


def test_many_runs_have_a_legend_of_a_few(results: Path) -> None:
    with drawn(scans(results, 24)) as figure:
        (axes,) = figure.axes
        assert len(axes.lines) == 24
        assert len(axes.get_legend().get_texts()) == 20
        assert axes.get_legend().get_title().get_text() == "and 4 more"


def test_numbers_images_and_histograms(results: Path) -> None:
    paths = [
        run_with(
            results,
            rid,
            {
                "n": (rid * 1e-3, {"unit": "ms"}),
                "image": (np.full((4, 5), rid), {}),
                "counts": ([rid, 0, 1, 2] * 20, {}),
                "flag": (True, {}),
                "z": (np.array([1j, 2j]), {}),
                "table": (np.ones((4, 3)), {}),
                "text": ("x", {}),
            },
        )
        for rid in (1, 2)
    ]
    with drawn(paths) as figure:
        found = {axes.get_title(): axes for axes in figure.axes if axes.get_title()}
        assert {"n", "image  1: phase=0.1", "image  2: phase=0.2", "counts", "flag", "z"} <= set(found)
        assert found["n"].lines[0].get_ydata().tolist() == [1.0, 2.0]


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_command_takes_runs_and_datasets(
    results: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    paths = scans(results)
    comment(paths[0], "first $x$\nlight")
    assert main(["plot", "0", "last", str(paths[1]), "y", "--save", f"a.{suffix}"]) == 0
    assert capsys.readouterr().out == f"a.{suffix}: y of 3 runs\n"
    assert Path(f"a.{suffix}").stat().st_size > 1000
    if suffix == "svg":
        assert main(["plot", "-2", "-1", "y", "-x", "t"]) == 0
        assert capsys.readouterr().out == "runs-1-2.png: y of 2 runs\n"
        assert main(["plot", "1", "1"]) == 0


def test_found_runs_are_drawn(results: Path) -> None:
    scans(results)
    assert find("phase>=0.1").plot("b.png") == ["y"]
    assert find("phase>=0.1").plot("b.png", "t", "y") == ["t", "y"]
    with pytest.raises(ResultsError, match="there are no runs to draw"):
        find("phase>9").plot("c.png")


def test_what_cannot_be_drawn_together(results: Path) -> None:
    run_with(results, 1, {"a": (np.arange(3.0), {"unit": "V"}), "b": (1, {}), "c": (np.arange(3.0), {})})
    run_with(results, 2, {"a": (np.arange(3.0), {"unit": "s"}), "b": ([1, 2], {})})
    for words, said in (
        (["a"], "'a' is in V in one of these runs, and in s in another"),
        (["b"], "'b' has 0 dimensions in one of these runs, and 1 in another"),
        (["nothing"], "no run has a dataset of numbers 'nothing'; they have a, b, c"),
        (["a", "-x", "b"], "'a' of .* cannot be drawn against 'b'"),
        (["a", "-o", "x.txt"], "its name must end in .png, .svg or .pdf"),
    ):
        with pytest.raises(ResultsError, match=said):
            main(["plot", "1", "2", *words])
    assert main(["plot", "1", "2", "c", "-o", "c.png"]) == 0


def test_simulated_runs_are_marked(results: Path) -> None:
    paths = [run_with(results, rid, {"a": ([1.0, 2.0], {})}, simulated=["camera"] * rid) for rid in (0, 1)]
    assert find().plot("a.svg") == ["a"]
    assert "SIMULATED" in Path("a.svg").read_text()
    assert len(paths) == 2


def test_labels_name_what_differs() -> None:
    identities: list[dict[str, Any]] = [
        {"class_name": "A", "expid": {"arguments": {"x": 1}}, "git": {"commit": "a" * 40}},
        {"class_name": "A", "expid": {"arguments": {"x": 1}}, "git": {"commit": "b" * 40}},
    ]
    assert labels(["1", "2"], identities, ["", "good\none"]) == [
        f"1: git commit={'a' * 11}…",
        f"2: git commit={'b' * 11}… (good one)",
    ]
    identities[1]["class_name"] = "B"
    identities[1]["expid"] = {"arguments": {"y": 2}}
    assert labels(["1", "2"], identities, ["", ""]) == ["1: A, x=1", "2: B, y=2"]
    assert labels(["1"], identities[:1], [""]) == ["1"]


@pytest.mark.parametrize(
    ("count", "title"),
    [
        (0, "runs: 0.h5"),
        (3, "Scan: 1, 2, 3"),
        (12, "Scan: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12"),
        (13, "Scan: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 1 more"),
    ],
)
def test_the_title_names_classes_and_twelve_runs(count: int, title: str) -> None:
    runs: list[Any] = [
        SimpleNamespace(identity={"class_name": "Scan"}, rid=rid, path=Path(f"{rid}.h5"))
        for rid in range(1, count + 1)
    ]
    assert overlay_title(runs or [SimpleNamespace(identity={}, rid=None, path=Path("x/0.h5"))]) == title
