"""Draws what `plotting` has chosen, with matplotlib."""

import textwrap
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from devicedb.printable import printable
from rexec.results.reading.picture import Panel, PicturePlan
from rexec.results.reading.pieces import counts_of, lines_of, picture_of, scaled
from rexec.results.reading.stored import StoredDataset

_LABEL: Final = 34
"""Characters of a label; a longer one is cut in its middle."""

SIMULATED: Final = "SIMULATED: these data were not measured"


def draw(plan: PicturePlan, title: str, simulated: bool) -> Figure:
    """Return the picture.

    Args:
        plan: What it shows.
        title: What stands above it.
        simulated: Whether it says that the data are simulated.

    """
    count = len(plan.panels) + bool(plan.numbers)
    columns = min(3, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(5 * columns, 3.4 * rows + 0.4), layout="constrained")
    for number, panel in enumerate(plan.panels, start=1):
        _draw_panel(figure.add_subplot(rows, columns, number), panel)
    if plan.numbers:
        _draw_numbers(figure.add_subplot(rows, columns, count), plan.numbers)
    figure.suptitle(title, fontsize="medium", parse_math=False)
    notes = []
    if simulated:
        notes.append(SIMULATED)
    if plan.left_out:
        names = ", ".join(printable(key) for key in plan.left_out)
        notes.append(textwrap.fill(f"not drawn: {names}", 70 * columns, max_lines=3))
    if notes:
        colour = "crimson" if simulated else "dimgray"
        figure.supxlabel("\n".join(notes), fontsize="small", color=colour, parse_math=False)
    return figure


def _draw_panel(axes: Any, panel: Panel) -> None:
    note = ""
    if panel.shape == "image":
        note = _image(axes, panel)
    elif panel.shape == "histogram":
        _histogram(axes, panel.stored)
    else:
        note = _lines(axes, panel)
    axes.set_title(f"{cut(panel.stored.key)}{note}", fontsize="medium", parse_math=False)
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "linear":
            axis.set_major_locator(MaxNLocator(5, integer=panel.shape == "image" and not panel.axes))
            axis.get_major_formatter().set_useOffset(False)


def _lines(axes: Any, panel: Panel) -> str:
    """Draw a line, or one for each column; return what the title says of points that are not there yet (NaN)."""
    stored = panel.stored
    axis = panel.axes[0] if panel.axes else None
    drawn = there = 0
    lines = lines_of(stored, stored.shape[1] if panel.shape == "lines" else None, axis)
    for column, points, values, along in lines:
        drawn, there = drawn + values.size, there + int(np.count_nonzero(~np.isnan(values)))
        marker = "." if points.size < 200 else ""
        name = None if column is None else f"[:, {column}]"
        if values.dtype.kind == "c":
            axes.plot(along, values.real, marker=marker, label=f"{name or ''} real".strip())
            axes.plot(along, values.imag, marker=marker, label=f"{name or ''} imaginary".strip())
        else:
            axes.plot(along, values, marker=marker, label=name)
        if axis is not None and is_geometric(along):
            axes.set_xscale("log")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="x-small", ncols=-(-len(lines) // 8))
    axes.set_xlabel("index" if axis is None else label_of(axis), parse_math=False)
    axes.set_ylabel(label_of(stored), parse_math=False)
    axes.grid(alpha=0.3)
    return f"  ({there} of {drawn} points)" if there < drawn else ""


def _image(axes: Any, panel: Panel) -> str:
    """Draw an image, of a stack the last; return what the title says of that."""
    stored = panel.stored
    picture, step = picture_of(stored)
    *stack, height, width = stored.shape
    rows, columns = (_axis(panel, len(stack), height), _axis(panel, len(stack) + 1, width))
    if rows is not None and columns is not None and _is_even(rows[1]) and _is_even(columns[1]):
        extent = (*_edges(columns[1]), *_edges(rows[1]))
        image = axes.imshow(picture, aspect="auto", origin="lower", extent=extent, interpolation="nearest")
        axes.set_ylabel(label_of(rows[0]), parse_math=False)
        axes.set_xlabel(label_of(columns[0]), parse_math=False)
    else:
        aspect = "equal" if max(height, width) < 4 * min(height, width) else "auto"
        image = axes.imshow(picture, aspect=aspect, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
        axes.set_xlabel("column")
        axes.set_ylabel("row")
    bar = axes.figure.colorbar(image, ax=axes)
    size = "|value|" if stored.dtype.kind == "c" else ""
    bar.set_label(" ".join(filter(None, (size, printable(stored.display.unit)))), parse_math=False)
    there = int(np.count_nonzero(~np.isnan(picture)))
    notes = [f"{there} of {picture.size} points"] if there < picture.size else []
    notes += [f"the last of {int(np.prod(stack))}"] if stack else []
    notes += [f"one pixel in {step}"] if step > 1 else []
    return f"  ({', '.join(notes)})" if notes else ""


def _axis(panel: Panel, number: int, size: int) -> "tuple[StoredDataset, np.ndarray[Any, Any]] | None":
    axis = panel.axes[number] if number < len(panel.axes) else None
    if axis is None or axis.shape != (size,) or axis.dtype.kind not in "biuf":
        return None
    return axis, scaled(np.asarray(axis[()]), axis)


def _histogram(axes: Any, stored: StoredDataset) -> None:
    found = counts_of(stored, stored.size)
    values, counts = (np.empty(0), np.empty(0)) if found is None else found[:2]
    if len(values) <= 100:
        step = np.diff(values).min() if len(values) > 1 else 1
        axes.bar(values, counts, width=0.9 * step)
    else:
        axes.hist(values, bins=100, weights=counts)
    axes.set_xlabel(label_of(stored), parse_math=False)
    axes.set_ylabel(f"occurrences of {counts.sum():.0f}")


def _draw_numbers(axes: Any, numbers: list[StoredDataset]) -> None:
    """Write single numbers as a table; one alone is large."""
    axes.set_axis_off()
    lines = [f"{cut(each.key)} = {_number(each)}" for each in numbers]
    size = "x-large" if len(lines) == 1 else "medium" if len(lines) <= 10 else "x-small"
    axes.text(0.02, 0.98, "\n".join(lines), ha="left", va="top", fontsize=size, parse_math=False)


def _number(stored: StoredDataset) -> str:
    value = np.asarray(stored[()]).reshape(-1)[0]
    if stored.dtype.kind in "bc":
        return str(value)
    return printable(stored.display.with_unit(value.item()))


def label_of(stored: StoredDataset) -> str:
    unit = printable(stored.display.unit)
    return f"{cut(stored.key)} ({unit})" if unit else cut(stored.key)


def cut(key: str) -> str:
    text = printable(key)
    return text if len(text) <= _LABEL else f"{text[: _LABEL // 2]}…{text[-_LABEL // 2 :]}"


def _is_even(values: "np.ndarray[Any, Any]") -> bool:
    steps = np.diff(values.astype(float))
    return bool(steps.size and np.all(np.isfinite(steps)) and steps[0] != 0 and np.allclose(steps, steps[0]))


def _edges(values: "np.ndarray[Any, Any]") -> tuple[float, float]:
    half = (values[-1] - values[0]) / (len(values) - 1) / 2
    return float(values[0] - half), float(values[-1] + half)


def is_geometric(row: "np.ndarray[Any, Any]") -> bool:
    """Return whether each value is the one before times the same factor, over a decade at least."""
    if row.dtype.kind not in "iuf" or row.size < 3 or not np.all(np.isfinite(row) & (row > 0)):
        return False
    steps = np.diff(np.log10(row.astype(float)))
    return bool(np.allclose(steps, steps.mean()) and abs(steps.sum()) >= 1)
