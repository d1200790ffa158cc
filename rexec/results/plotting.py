"""Pictures of a run's datasets: lines, images or histograms, whichever shows what is there."""

from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from rexec.results.errors import ResultsError, reason
from rexec.results.stored import ResultFile, StoredDataset

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


def plot(
    run: ResultFile, target: Path, keys: list[str] | None = None, against: str | None = None
) -> list[str]:
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
    declared, axes = run.default_plot or (None, [])
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
        names = [against] if against else axes if key == declared else []
        _draw(panel, run.datasets[key], [None if name is None else run.datasets[name] for name in names])
    left_out = f" ({len(chosen) - len(shown)} datasets left out)" if len(chosen) > len(shown) else ""
    when = run.identity.get("start_time")
    begun = f", {datetime.fromtimestamp(when):%Y-%m-%d %H:%M}" if when else ""
    figure.suptitle(f"{run.path.name}{begun}{left_out}")
    try:
        figure.savefig(target)
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else error
        raise ResultsError(f"cannot write the picture {target}: {why}") from error
    return shown


def _drawable(stored: StoredDataset) -> bool:
    return stored.is_numeric() and 0 not in stored.shape


def _label(stored: StoredDataset) -> str:
    return f"{stored.key} ({stored.unit})" if stored.unit else stored.key


def _scaled(stored: StoredDataset) -> "np.ndarray[Any, Any]":
    """Return the data in the unit that is shown: values are SI in the file, `scale` is how much of that one unit is."""
    data = np.asarray(stored[()])
    if data.dtype.kind == "b":
        data = data.astype(np.uint8)
    scale = stored.metadata.get("scale", 1.0)
    return data if scale in (0, 1) else data / scale


def _draw(panel: Any, stored: StoredDataset, axes: list[StoredDataset | None]) -> None:
    data = _scaled(stored)
    kind = choose(np.asarray(stored[()]))
    title = stored.key
    if kind == "image":
        title += _image(panel, data, stored, axes)
    elif kind == "histogram":
        _histogram(panel, data.reshape(-1), stored)
    elif kind == "number":
        unit = f" {stored.unit}" if stored.unit else ""
        panel.text(0.5, 0.5, f"{data.reshape(-1)[0]:.10g}{unit}", ha="center", va="center", fontsize=18)
        panel.set_axis_off()
    else:
        _line(panel, data.reshape(-1), stored, axes)
    panel.set_title(title)


def _values(axes: list[StoredDataset | None], number: int, size: int) -> "np.ndarray[Any, Any] | None":
    """Return the values of an axis, where it has as many as there are to be drawn against it."""
    axis = axes[number] if number < len(axes) else None
    return _scaled(axis) if axis is not None and axis.is_numeric() and axis.shape == (size,) else None


def _image(
    panel: Any, data: "np.ndarray[Any, Any]", stored: StoredDataset, axes: list[StoredDataset | None]
) -> str:
    """Draw an image, of a stack the last; return what the title says of that."""
    stack = data.reshape(-1, *data.shape[-2:])
    picture = np.abs(stack[-1]) if stack.dtype.kind == "c" else stack[-1]
    rows, columns = (
        _values(axes, data.ndim - 2, picture.shape[0]),
        _values(axes, data.ndim - 1, picture.shape[1]),
    )
    if rows is not None and columns is not None and _is_even(rows) and _is_even(columns):
        extent = (*_edges(columns), *_edges(rows))
        image = panel.imshow(picture, aspect="auto", origin="lower", extent=extent, interpolation="nearest")
        panel.set_ylabel(_label(axes[data.ndim - 2]))  # type: ignore[arg-type]  # it has values
        panel.set_xlabel(_label(axes[data.ndim - 1]))  # type: ignore[arg-type]  # it has values
    else:
        image = panel.imshow(
            picture, aspect="equal" if max(picture.shape) < 4 * min(picture.shape) else "auto"
        )
        panel.set_xlabel("column")
        panel.set_ylabel("row")
    bar = panel.figure.colorbar(image, ax=panel)
    size = "|value|" if stack.dtype.kind == "c" else ""
    bar.set_label(" ".join(filter(None, (size, stored.unit))))
    return f"  (the last of {len(stack)})" if len(stack) > 1 else ""


def _is_even(values: "np.ndarray[Any, Any]") -> bool:
    steps = np.diff(values)
    return bool(steps.size and np.all(np.isfinite(steps)) and steps[0] != 0 and np.allclose(steps, steps[0]))


def _edges(values: "np.ndarray[Any, Any]") -> tuple[float, float]:
    half = (values[-1] - values[0]) / (len(values) - 1) / 2
    return float(values[0] - half), float(values[-1] + half)


def _histogram(panel: Any, row: "np.ndarray[Any, Any]", stored: StoredDataset) -> None:
    values, counts = np.unique(row, return_counts=True)
    if len(values) <= 100:
        step = np.diff(values).min() if len(values) > 1 else 1
        panel.bar(values, counts, width=0.9 * step)
    else:
        panel.hist(row, bins=100)
    panel.set_xlabel(f"value ({stored.unit})" if stored.unit else "value")
    panel.set_ylabel(f"occurrences of {row.size}")


def _line(
    panel: Any, row: "np.ndarray[Any, Any]", stored: StoredDataset, axes: list[StoredDataset | None]
) -> None:
    given = _values(axes, 0, row.size)
    against: Any = np.arange(row.size) if given is None else given
    panel.set_xlabel("index" if given is None else _label(axes[0]))  # type: ignore[arg-type]  # it has values
    panel.set_ylabel(_label(stored))
    if given is not None and _is_geometric(given):
        panel.set_xscale("log")
    marker = "." if row.size < 200 else ""
    if row.dtype.kind == "c":
        panel.plot(against, row.real, marker=marker, label="real")
        panel.plot(against, row.imag, marker=marker, label="imaginary")
        panel.legend()
    else:
        panel.plot(against, row, marker=marker)
    panel.grid(alpha=0.3)


def _is_geometric(row: "np.ndarray[Any, Any]") -> bool:
    """Return whether each value is the one before times the same factor, over a decade at least."""
    if row.dtype.kind not in "iuf" or row.size < 3 or not np.all(np.isfinite(row) & (row > 0)):
        return False
    steps = np.diff(np.log10(row.astype(float)))
    return bool(np.allclose(steps, steps.mean()) and abs(steps.sum()) >= 1)
