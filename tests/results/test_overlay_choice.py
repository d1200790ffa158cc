"""What a picture of several runs shows: which datasets, of which runs, against what, and what it refuses."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rexec.ground.quantities import display_of
from rexec.results.errors import ResultsError
from rexec.results.reading import overlay
from rexec.results.reading.overlay import MOST_IMAGES, MOST_RUNS, overlaid, plot_runs
from rexec.results.reading.plotting import MAX_PANELS


class Stored:
    """A dataset that is not in a file."""

    def __init__(self, key: str, value: Any, unit: str = "") -> None:
        self.key = key
        self.data = np.asarray(value)
        self.shape, self.dtype, self.size = self.data.shape, self.data.dtype, self.data.size
        self.display = display_of({"unit": unit} if unit else {})

    def is_numeric(self) -> bool:
        return self.dtype.kind in "biufc"

    def __repr__(self) -> str:
        return self.key


def run_of(plot: Any = None, simulated: bool = False, **values: Any) -> Any:
    """Return a run; a value may be a pair of one and its unit."""
    datasets = {
        key: Stored(key, *value) if isinstance(value, tuple) else Stored(key, value)
        for key, value in values.items()
    }
    return SimpleNamespace(
        datasets=datasets,
        default_plot=plot,
        path=Path("r.h5"),
        identity={"class_name": "Scan"},
        rid=7,
        is_simulated=simulated,
    )


LINE = [0.5, 1.5, 2.5]
TABLE = np.ones((3, 2))


def chosen(runs: list[Any], *keys: str, against: str | None = None) -> Any:
    """Return what is drawn: key, shape, and for each run its label and the axis."""
    panels = overlaid(runs, [f"run {number}" for number in range(len(runs))], keys, against)
    for panel in panels:
        assert len({panel, panel, *panel.traces}) == 1 + len(panel.traces)  # facts
        assert [each.stored for each in panel.traces] == [
            run.datasets[panel.key] for run in runs if panel.key in run.datasets
        ]
    return [
        (each.key, each.shape, [(trace.label, trace.axis and trace.axis.key) for trace in each.traces])
        for each in panels
    ]


BOTH = [("run 0", None), ("run 1", None)]
ALONG_T = [("run 0", "t"), ("run 1", "t")]


@pytest.mark.parametrize(
    ("runs", "keys", "against", "found"),
    [
        # What all have, but texts and what is empty.
        (
            [run_of(y=LINE, x="a", e=[], z=LINE), run_of(z=LINE, y=LINE, e=[])],
            [],
            None,
            [("y", "line", BOTH), ("z", "line", BOTH)],
        ),
        ([run_of(y=LINE, z=LINE), run_of(z="a", y=LINE)], [], None, [("y", "line", BOTH)]),
        ([run_of(y=LINE, z=LINE), run_of(z=LINE)], [], None, [("z", "line", BOTH)]),
        # What is declared, by whichever run, once each.
        (
            [run_of(("y", []), y=LINE, z=LINE), run_of(("z", []), y=LINE, z=LINE)],
            [],
            None,
            [("y", "line", BOTH), ("z", "line", BOTH)],
        ),
        ([run_of(("y", []), y=LINE), run_of(("y", []), y=LINE)], [], None, [("y", "line", BOTH)]),
        ([run_of(y=LINE, z=LINE), run_of(("y", []), y=LINE, z=LINE)], [], None, [("y", "line", BOTH)]),
        # What is asked for, of the runs that have it.
        ([run_of(("y", []), y=LINE), run_of(z=LINE)], ["z"], None, [("z", "line", [("run 1", None)])]),
        # Along what is declared for it, where that fits, or what is asked for.
        ([run_of(("y", ["t"]), y=LINE, t=LINE)] * 2, [], None, [("y", "line", ALONG_T)]),
        ([run_of(("y", ["t", "u"]), y=TABLE, t=LINE)] * 2, [], None, [("y", "lines", ALONG_T)]),
        ([run_of(("y", ["t"]), y=LINE, z=LINE, t=LINE)] * 2, ["z"], None, [("z", "line", BOTH)]),
        ([run_of(("y", ["t"]), y=LINE)] * 2, [], None, [("y", "line", BOTH)]),
        ([run_of(("y", ["t"]), y=LINE, t=[1.0])] * 2, [], None, [("y", "line", BOTH)]),
        ([run_of(("y", ["t"]), y=LINE, t=["a"] * 3)] * 2, [], None, [("y", "line", BOTH)]),
        ([run_of(("y", [None]), y=LINE, t=LINE)] * 2, [], None, [("y", "line", BOTH)]),
        ([run_of(y=LINE, t=LINE)] * 2, [], "t", [("y", "line", ALONG_T)]),
        ([run_of(("y", ["u"]), y=LINE, t=LINE, u=LINE)] * 2, [], "t", [("y", "line", ALONG_T)]),
        ([run_of(y=TABLE, t=LINE)] * 2, ["y"], "t", [("y", "lines", ALONG_T)]),
        ([run_of(y=TABLE)] * 2, ["y"], None, [("y", "image", BOTH)]),
        ([run_of(n=1), run_of(n=2)], [], None, [("n", "number", BOTH)]),
        # One quantity in two units.
        ([run_of(y=(LINE, "ms")), run_of(y=(LINE, "us"))], [], None, [("y", "line", BOTH)]),
    ],
)
def test_which_datasets_of_which_runs_are_drawn_against_what(
    runs: list[Any], keys: list[str], against: str | None, found: Any
) -> None:
    assert chosen(runs, *keys, against=against) == found


@pytest.mark.parametrize(
    ("runs", "keys", "against", "said"),
    [
        ([run_of(y=LINE), run_of(z=LINE)], [], None, "no dataset of numbers is in all of these runs; name"),
        ([run_of(t=LINE)] * 2, [], "t", "no dataset of numbers is in all of these runs; name"),
        (
            [run_of(y=LINE, x="a"), run_of(z=LINE, y=LINE)],
            ["x"],
            None,
            "no run has a dataset of numbers 'x'; they have y, z",
        ),
        ([run_of(x="a")], ["x"], None, "no run has a dataset of numbers 'x'; they have none"),
        (
            [run_of(y=LINE), run_of(y=TABLE)],
            [],
            None,
            "'y' has 1 dimensions in one of these runs, and 2 in another",
        ),
        (
            [run_of(y=(LINE, "ms")), run_of(y=(LINE, "us")), run_of(y=(LINE, "V"))],
            [],
            None,
            "'y' is in s in one of these runs, and in V in another",
        ),
        (
            [run_of(y=LINE), run_of(y=(LINE, "V"))],
            [],
            None,
            "'y' is in no unit in one of these runs, and in V in another",
        ),
        (
            [run_of(y=(LINE, "V")), run_of(y=LINE)],
            [],
            None,
            "'y' is in V in one of these runs, and in no unit in another",
        ),
        (
            [run_of(y=LINE, t=(LINE, "s")), run_of(y=LINE, t=(LINE, "V"))],
            ["y"],
            "t",
            "'t' is in s in one of these runs, and in V in another",
        ),
        *(
            (
                runs,
                ["y"],
                None,
                "'y' has an axis in some of these runs only; name it with --against DATASET",
            )
            for pair in [[run_of(("y", ["t"]), y=LINE, t=LINE), run_of(y=LINE)]]
            for runs in (pair, pair[::-1])
        ),
        *(
            (
                [run_of(y=LINE, **others)],
                ["y"],
                "t",
                "'y' of r.h5 cannot be drawn against 't': the axis must be a row as long as the dataset has rows",
            )
            for others in ({}, {"t": "a"}, {"t": ["a"] * 3}, {"t": [1.0]}, {"t": TABLE})
        ),
    ],
)
def test_what_has_no_common_scale_is_refused(
    runs: list[Any], keys: list[str], against: str | None, said: str
) -> None:
    with pytest.raises(ResultsError, match=re.escape(said)):
        chosen(runs, *keys, against=against)


@pytest.mark.parametrize(
    ("most", "make", "said"),
    [
        (
            MOST_RUNS,
            lambda: run_of(y=LINE),
            f"a picture has at most {MOST_RUNS} runs, these are {MOST_RUNS + 1}",
        ),
        (
            MOST_IMAGES,
            lambda: run_of(y=TABLE),
            f"'y' is an image: a picture has at most {MOST_IMAGES}, these are {MOST_IMAGES + 1} runs",
        ),
    ],
)
def test_a_picture_has_so_many_runs_and_images(most: int, make: Callable[[], Any], said: str) -> None:
    ((_, _, traces),) = chosen([make()] * most)
    assert len(traces) == most
    with pytest.raises(ResultsError, match=re.escape(said)):
        chosen([make()] * (most + 1))


@pytest.mark.parametrize("labels", [["a"], ["a", "b", "c"]])
def test_each_run_has_a_label(labels: list[str]) -> None:
    with pytest.raises(ValueError, match=r"zip\(\) argument 2 is"):
        overlaid([run_of(y=LINE), run_of(y=LINE)], labels, ["y"], None)


def test_a_picture_has_so_many_panels() -> None:
    values: dict[str, Any] = {f"y{number:02}": LINE for number in range(MAX_PANELS + 1)}
    assert [key for key, _, _ in chosen([run_of(**values)])] == [
        f"y{number:02}" for number in range(MAX_PANELS)
    ]


def test_what_is_simulated_is_named_and_what_is_drawn_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    panels = SimpleNamespace(draw_overlaid=lambda *arguments: drawn.append(arguments))
    monkeypatch.setitem(sys.modules, "rexec.results.reading._overlay_panels", panels)
    written: list[Path] = []

    def render(target: Path, figure: Callable[[], Any]) -> None:
        written.append(target)
        figure()

    monkeypatch.setattr(overlay, "render", render)
    runs = [run_of(simulated=number == 1, t=LINE, y=LINE, z=LINE) for number in range(3)]
    assert plot_runs(runs, ["a", "b", "c"], Path("x.svg"), against="t") == ["y", "z"]
    ((shown, title, simulated),) = drawn
    assert [panel.key for panel in shown] == ["y", "z"]
    assert (title, simulated, written) == ("Scan: 7, 7, 7", ["b"], [Path("x.svg")])
    with pytest.raises(ResultsError, match="its name must end in"):
        plot_runs([], [], Path("x.txt"))
    monkeypatch.setitem(sys.modules, "rexec.results.reading._overlay_panels", None)
    with pytest.raises(ResultsError, match=r"matplotlib is not installed: pip install 'artiq-rexec\[plot\]'"):
        plot_runs(runs, ["a", "b", "c"], Path("x.svg"))
