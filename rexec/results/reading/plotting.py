"""Pictures of a run's datasets: lines, images or histograms, whichever shows what is there.

What is chosen here; `_panels` draws it. Every dataset of numbers that was not drawn is named in the picture.
"""

import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Final

from devicedb.printable import printable
from rexec.results.errors import ResultsError
from rexec.results.reading.picture import Panel, PicturePlan, Shape
from rexec.results.reading.pieces import counts_of
from rexec.results.reading.rendering import check_suffix, render
from rexec.results.reading.runs import Run
from rexec.results.reading.shown import moment, range_of, short
from rexec.results.reading.stored import StoredDataset

MAX_PANELS: Final = 16
"""Most panels of one picture."""

MAX_NUMBERS: Final = 24
"""Most single numbers, which share a panel."""

MOST_LINES: Final = 16
"""Columns of a table that are drawn as lines; a wider one is an image."""


def plot(run: Run, target: Path, keys: list[str] | None = None, against: str | None = None) -> PicturePlan:
    """Draw datasets into a picture file, which is written whole.

    Args:
        run: The run.
        target: The file; its suffix decides: .png, .svg or .pdf.
        keys: Which datasets; None: those that the run has declared for plotting, else every numeric one.
        against: The dataset that is the horizontal axis; its steps make it logarithmic where they are a constant
            factor. None: the axis that the run has declared, else the number of the point.

    Returns:
        What is drawn, and what is not.

    Raises:
        ResultsError: matplotlib is not installed, there is nothing to draw, or nothing that can be drawn `against`.

    """
    try:
        from rexec.results.reading._panels import draw
    except ImportError as error:
        raise ResultsError("matplotlib is not installed: pip install 'artiq-rexec[plot]'") from error
    check_suffix(target)
    plan = planned(run, keys, against)
    render(target, lambda: draw(plan, title(run), run.is_simulated))
    return plan


def planned(run: Run, keys: list[str] | None, against: str | None) -> PicturePlan:
    """Return what a picture of a run shows; arguments and errors as for `plot`."""
    declared, axes = run.default_plot or (None, [])
    for key in [*(keys or []), *([] if against is None else [against])]:
        _check(run, key)
    if against is not None:
        _check_axis(run, against)
    chosen = keys or ([declared] if declared and against is None else None)
    if chosen is None:
        chosen = [key for key, stored in run.datasets.items() if key != against and is_drawable(stored)]
        if against is not None:
            axis = run.datasets[against]
            chosen = [key for key in chosen if _fits(run.datasets[key], axis)]
            if not chosen:
                raise ResultsError(
                    f"no dataset of {run.path} can be drawn against {against!r}, which has shape {axis.shape}: none "
                    f"has {axis.shape[0] if axis.shape else 1} rows. It has {_names_with_shapes(run)}"
                )
    if not chosen:
        raise ResultsError(f"{run.path} has no dataset of numbers to draw")
    panels: list[Panel] = []
    numbers: list[StoredDataset] = []
    for key in chosen:
        stored = run.datasets[key]
        along = [against] if against is not None else axes if key == declared else []
        given = tuple(None if name is None else run.datasets[name] for name in along)
        if against is not None and not _fits(stored, run.datasets[against]):
            raise ResultsError(
                f"{key!r} of {run.path} cannot be drawn against {against!r}: it has shape {stored.shape}, "
                f"{against!r} has {run.datasets[against].shape}; the axis is one-dimensional and as long as the "
                "dataset has rows"
            )
        shape = choose(stored, given)
        if shape == "number":
            numbers.append(stored)
        else:
            panels.append(Panel(stored, shape, given))
    shown = PicturePlan(panels[: MAX_PANELS - bool(numbers)], numbers[:MAX_NUMBERS], [])
    seen = {
        *shown.drawn,
        against,
        *(axis.key for panel in shown.panels for axis in panel.axes if axis is not None),
    }
    return replace(shown, left_out=[key for key in keys or run.datasets if key not in seen])


def choose(stored: StoredDataset, axes: tuple[StoredDataset | None, ...] = ()) -> Shape:
    """Return how a dataset is best shown.

    One number is written. A table with few columns and an axis for its rows (points by ions) is a line a column; other
    datasets of two or more dimensions are images. A row of whole numbers in which few values come again and again
    (photon counts) is a histogram unless it has an axis; any other row is a line.
    """
    shape = stored.shape
    if stored.size == 1 and not axes:
        return "number"
    axis = axes[0] if axes else None
    if len(shape) == 2 and axis is not None and axes[1:] in {(), (None,)} and 1 < shape[1] <= MOST_LINES:
        return "lines"
    if len(shape) >= 2 and min(shape[-2:]) > 1:
        return "image"
    if axis is None and stored.dtype.kind in "iub" and 40 <= stored.size <= _MOST_COUNTED:
        found = counts_of(stored, min(stored.size // 4, _MOST_VALUES))
        if found is not None and found.falls:
            return "histogram"
    return "line"


_MOST_COUNTED: Final = 10_000_000
_MOST_VALUES: Final = 100_000
"""Maximum number of values of a histogram; a dataset with more is not drawn as counts."""


def title(run: Run) -> str:
    """Return run, class, time and what was set, for the top of a picture."""
    identity = run.identity
    parts = names(run)
    if identity.get("start_time"):
        parts.append(moment(identity["start_time"], "minutes"))
    given = (identity.get("expid") or {}).get("arguments")
    lines = ["  ".join(parts)]
    if isinstance(given, dict) and given:
        text = ", ".join(f"{key}={short(value, 24)}" for key, value in given.items())
        lines += textwrap.wrap(text, 100, max_lines=2, placeholder=" …")
    return "\n".join(printable(line) for line in lines)


def names(run: Run) -> list[str]:
    """Return "run" and its number, and its class, as far as they are known; if neither is, the name of its file."""
    name = run.identity.get("class_name") or (run.identity.get("expid") or {}).get("class_name")
    known = [] if run.rid is None else [f"run {run.rid}"]
    return known + ([str(name)] if name else []) or [run.path.name]


def _check(run: Run, key: str) -> None:
    if key not in run.datasets:
        raise ResultsError(f"{run.path} has no dataset {key!r}; it has {', '.join(run.datasets) or 'none'}")
    if not is_drawable(run.datasets[key]):
        raise ResultsError(f"dataset {key!r} of {run.path} holds no numbers to draw")


def _check_axis(run: Run, key: str) -> None:
    found = range_of(run.datasets[key]) if len(run.datasets[key].shape) == 1 else None
    if found is not None and not found.there:
        raise ResultsError(
            f"nothing of {run.path} can be drawn against {key!r}: all its {run.datasets[key].size} values are NaN"
        )


def is_drawable(stored: StoredDataset) -> bool:
    """Return whether a dataset has numbers that can be read."""
    try:
        return stored.is_numeric() and 0 not in stored.shape
    except ResultsError:  # it is in another file, or cannot be read: `show` says so
        return False


def _fits(stored: StoredDataset, axis: StoredDataset) -> bool:
    return len(axis.shape) == 1 and stored.shape[:1] == axis.shape and axis.dtype.kind in "biuf"


def _names_with_shapes(run: Run) -> str:
    names = [f"{key} {each.shape}" for key, each in run.datasets.items() if is_drawable(each)]
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
