"""Several runs in one picture: each dataset has a panel with all runs in it, in one unit.

What is chosen here; `_overlay_panels` draws it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devicedb.printable import printable
from rexec.results.errors import ResultsError
from rexec.results.reading.picture import Shape
from rexec.results.reading.plotting import MAX_PANELS, choose, is_drawable
from rexec.results.reading.rendering import check_suffix, render
from rexec.results.reading.runs import Run
from rexec.results.reading.stored import StoredDataset

MOST_RUNS: Final = 200
"""Maximum number of runs in one picture."""

MOST_IMAGES: Final = 12
"""Maximum number of images of one dataset; each has a panel."""


@dataclass(frozen=True)
class Trace:
    """One dataset of one run.

    Attributes:
        label: What the legend says of the run.
        stored: The dataset.
        axis: The dataset of its axis; None: the number of the point.

    """

    label: str
    stored: StoredDataset
    axis: StoredDataset | None


@dataclass(frozen=True)
class OverlaidPanel:
    """One dataset of all runs that have it.

    Attributes:
        key: Name of the dataset.
        shape: How it is drawn.
        traces: The runs.

    """

    key: str
    shape: Shape
    traces: tuple[Trace, ...]


def plot_runs(
    runs: Sequence[Run],
    labels: Sequence[str],
    target: Path,
    keys: Sequence[str] = (),
    against: str | None = None,
) -> list[str]:
    """Draw several runs into one picture file, which is written whole.

    Args:
        runs: The runs.
        labels: What the legend says of each.
        target: The file; its suffix decides: .png, .svg or .pdf.
        keys: Which datasets; none: those that the runs have declared for plotting, else all that all runs have.
        against: The dataset that is the horizontal axis; None: the one that a run has declared, else the number of
            the point.

    Returns:
        Names of the datasets that are drawn.

    Raises:
        ResultsError: matplotlib is not installed, or the runs cannot be drawn together.

    """
    try:
        from rexec.results.reading._overlay_panels import draw_overlaid
    except ImportError as error:
        raise ResultsError("matplotlib is not installed: pip install 'artiq-rexec[plot]'") from error
    check_suffix(target)
    panels = overlaid(runs, labels, keys, against)
    simulated = [label for run, label in zip(runs, labels, strict=True) if run.is_simulated]
    render(target, lambda: draw_overlaid(panels, overlay_title(runs), simulated))
    return [panel.key for panel in panels]


def overlaid(
    runs: Sequence[Run], labels: Sequence[str], keys: Sequence[str], against: str | None
) -> list[OverlaidPanel]:
    """Return what a picture of several runs shows; arguments and errors as for `plot_runs`."""
    if len(runs) > MOST_RUNS:
        raise ResultsError(f"a picture has at most {MOST_RUNS} runs, these are {len(runs)}")
    chosen = list(keys) or _declared(runs) or _common(runs, against)
    if not chosen:
        raise ResultsError("no dataset of numbers is in all of these runs; name the one that is to be drawn")
    return [_panel(runs, labels, key, against) for key in chosen[:MAX_PANELS]]


def overlay_title(runs: Sequence[Run]) -> str:
    """Return classes and numbers of the runs, for the top of a picture."""
    names = dict.fromkeys(str(run.identity.get("class_name") or "") for run in runs)
    numbers = [str(run.rid) if run.rid is not None else run.path.name for run in runs]
    listed = ", ".join(numbers[:12]) + (f" and {len(numbers) - 12} more" if len(numbers) > 12 else "")
    return printable(f"{', '.join(filter(None, names)) or 'runs'}: {listed}")


def _declared(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(run.default_plot[0] for run in runs if run.default_plot is not None))


def _common(runs: Sequence[Run], against: str | None) -> list[str]:
    return [
        key
        for key, stored in runs[0].datasets.items()
        if key != against and is_drawable(stored) and all(_has(run, key) for run in runs[1:])
    ]


def _has(run: Run, key: str) -> bool:
    return key in run.datasets and is_drawable(run.datasets[key])


def _panel(runs: Sequence[Run], labels: Sequence[str], key: str, against: str | None) -> OverlaidPanel:
    traces = []
    for run, label in zip(runs, labels, strict=True):
        if _has(run, key):
            traces.append(Trace(label, run.datasets[key], _axis(run, key, against)))
    if not traces:
        known = list(dict.fromkeys(name for run in runs for name in run.datasets if _has(run, name)))
        raise ResultsError(f"no run has a dataset of numbers {key!r}; they have {', '.join(known) or 'none'}")
    first = traces[0]
    for trace in traces[1:]:
        _check_together(first.stored, trace.stored)
        if (first.axis is None) != (trace.axis is None):
            raise ResultsError(
                f"{key!r} has an axis in some of these runs only; name it with --against DATASET"
            )
        if first.axis is not None and trace.axis is not None:
            _check_together(first.axis, trace.axis)
    shape = choose(first.stored, () if first.axis is None else (first.axis,))
    if shape == "image" and len(traces) > MOST_IMAGES:
        raise ResultsError(
            f"{key!r} is an image: a picture has at most {MOST_IMAGES}, these are {len(traces)} runs"
        )
    return OverlaidPanel(key, shape, tuple(traces))


def _axis(run: Run, key: str, against: str | None) -> StoredDataset | None:
    declared = run.default_plot
    name = against
    if name is None and declared is not None and declared[0] == key and declared[1]:
        name = declared[1][0]
    if name is None:
        return None
    axis = run.datasets.get(name)
    if axis is None or not is_drawable(axis) or axis.shape != run.datasets[key].shape[:1]:
        if against is None:
            return None
        raise ResultsError(
            f"{key!r} of {run.path} cannot be drawn against {name!r}: the axis must be a row as "
            "long as the dataset has rows"
        )
    return axis


def _check_together(one: StoredDataset, other: StoredDataset) -> None:
    """Refuse datasets that have no common scale: other dimensions, or another quantity."""
    if len(one.shape) != len(other.shape):
        numbers = f"{len(one.shape)} dimensions in one of these runs, and {len(other.shape)} in another"
        raise ResultsError(f"{one.key!r} has {numbers}")
    units = one.display.base_unit, other.display.base_unit
    if units[0] != units[1]:
        raise ResultsError(
            f"{one.key!r} is in {units[0] or 'no unit'} in one of these runs, and in {units[1] or 'no unit'} in another"
        )
