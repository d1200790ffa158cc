"""Pictures of a run's datasets: lines, images or histograms, whichever shows what is there."""

from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from rexec.results.errors import ResultsError
from rexec.results.reading import Run, StoredDataset

Shape = Literal["line", "image", "histogram", "number"]

MAX_PANELS: Final = 16
"""Most datasets in one picture; more are left out, and that is said in it."""


def choose(data: "np.ndarray[Any, Any]") -> Shape:
    """Return how numbers are best shown.

    One number is written; two or more dimensions are an image; a row of whole numbers in which few values come again
    and again (photon counts) is a histogram; any other row is a line.
    """
    if data.ndim == 0 or data.size == 1:
        return "number"
    if data.ndim >= 2 and min(data.shape[-2:]) > 1:
        return "image"
    row = data.reshape(-1)
    if row.dtype.kind in "iub" and row.size >= 40:
        distinct = np.unique(row)
        if distinct.size <= row.size // 4 and np.any(np.diff(row.astype(float)) < 0):
            return "histogram"
    return "line"


def plot(run: Run, target: Path, keys: list[str] | None = None, against: str | None = None) -> list[str]:
    """Draw datasets into a picture file.

    Args:
        run: The run.
        target: The file; its suffix decides: .png, .svg or .pdf.
        keys: Which datasets; None: those that the run has declared for plotting, else every numeric one.
        against: The dataset that is the horizontal axis of those of its length; its steps make it logarithmic where
            they are a constant factor. None: the axis that the run has declared, else the number of the point.

    Returns:
        Names of what was drawn.

    Raises:
        ResultsError: matplotlib is not installed, or there is nothing to draw.

    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ResultsError("matplotlib is not installed: pip install 'artiq-rexec[plot]'") from error
    declared, axis = _declared(run)
    if against:
        axis = against
    chosen = keys or (
        [declared]
        if declared
        else [key for key, stored in run.datasets.items() if _drawable(stored) and key != against]
    )
    for key in [*chosen, *([against] if against else [])]:
        if key not in run.datasets:
            raise ResultsError(
                f"{run.path} has no dataset {key!r}; it has {', '.join(run.datasets) or 'none'}"
            )
        if not _drawable(run.datasets[key]):
            raise ResultsError(f"dataset {key!r} of {run.path} holds no numbers to draw")
    if not chosen:
        raise ResultsError(f"{run.path} has no dataset of numbers to draw")
    shown = chosen[:MAX_PANELS]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(5 * columns, 3.4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for number, key in enumerate(shown, start=1):
        panel = figure.add_subplot(rows, columns, number)
        _draw(panel, run.datasets[key], run.datasets[axis] if axis and (against or key == declared) else None)
    left_out = f" ({len(chosen) - len(shown)} datasets left out)" if len(chosen) > len(shown) else ""
    figure.suptitle(f"{run.path.name}{left_out}")
    try:
        figure.savefig(target)
    except (OSError, ValueError) as error:
        raise ResultsError(f"cannot write the picture {target}: {error}") from error
    return shown


def _drawable(stored: StoredDataset) -> bool:
    return stored.is_numeric() and 0 not in stored.shape


def _declared(run: Run) -> tuple[str | None, str | None]:
    """Return the signal and its first axis, where the run has declared them."""
    group = run.file.get("rexec/plot")
    if group is None:
        return None, None
    keys = {stored.node: key for key, stored in run.datasets.items()}
    signal = keys.get(group[group.attrs["signal"]])
    axes = [keys.get(group[link]) for link in group.attrs["axes"]]
    return signal, axes[0] if axes else None


def _is_geometric(row: "np.ndarray[Any, Any]") -> bool:
    """Return whether each value is the one before times the same factor, over a decade at least."""
    if row.dtype.kind not in "iuf" or row.size < 3 or not np.all(np.isfinite(row) & (row > 0)):
        return False
    steps = np.diff(np.log10(row.astype(float)))
    return bool(np.allclose(steps, steps.mean()) and abs(steps.sum()) >= 1)


def _label(stored: StoredDataset) -> str:
    return f"{stored.key} ({stored.unit})" if stored.unit else stored.key


def _draw(panel: Any, stored: StoredDataset, axis: StoredDataset | None) -> None:
    # Values are SI in the file; a scale says how many of these make one unit.
    data = np.asarray(stored[()]) / stored.metadata.get("scale", 1.0)
    kind = choose(np.asarray(stored[()]))
    if kind == "image":
        picture = data.reshape(-1, *data.shape[-2:])[-1]
        image = panel.imshow(np.abs(picture) if picture.dtype.kind == "c" else picture, aspect="auto")
        panel.figure.colorbar(image, ax=panel)
    elif kind == "histogram":
        low, high = int(np.asarray(stored[()]).min()), int(np.asarray(stored[()]).max())
        panel.hist(np.asarray(stored[()]).reshape(-1), bins=min(100, high - low + 1))
        panel.set_ylabel("times")
    elif kind == "number":
        panel.text(0.5, 0.5, str(data.reshape(-1)[0]), ha="center", va="center", fontsize=18)
        panel.set_axis_off()
    else:
        _lines(panel, data.reshape(-1), axis)
    panel.set_title(_label(stored))


def _lines(panel: Any, row: "np.ndarray[Any, Any]", axis: StoredDataset | None) -> None:
    against: Any = np.arange(row.size)
    if axis is not None and axis.is_numeric() and axis.shape == row.shape:
        against = np.asarray(axis[()]) / axis.metadata.get("scale", 1.0)
        panel.set_xlabel(_label(axis))
        if _is_geometric(against):
            panel.set_xscale("log")
    marker = "." if row.size < 200 else ""
    if row.dtype.kind == "c":
        panel.plot(against, row.real, marker=marker, label="real")
        panel.plot(against, row.imag, marker=marker, label="imaginary")
        panel.legend()
    else:
        panel.plot(against, row, marker=marker)
