"""Draws what `overlay` has chosen, with matplotlib."""

from collections.abc import Sequence
from typing import Any, Final

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from devicedb.printable import printable
from rexec.results.reading._panels import SIMULATED, cut, is_geometric, label_of
from rexec.results.reading.overlay import OverlaidPanel, Trace
from rexec.results.reading.pieces import lines_of, picture_of
from rexec.results.reading.stored import StoredDataset

_MOST_NAMED: Final = 20
"""Maximum number of runs in a legend."""

_FEW: Final = 10
"""Maximum number of runs with the usual colours; more runs have shades from the first to the last."""


def draw_overlaid(panels: Sequence[OverlaidPanel], title: str, simulated: Sequence[str]) -> Figure:
    """Return the picture.

    Args:
        panels: What it shows.
        title: What stands above it.
        simulated: Labels of the runs whose data are simulated.

    """
    cells = [(panel, trace) for panel in panels for trace in _parts(panel)]
    columns = min(3, len(cells))
    rows = -(-len(cells) // columns)
    figure = Figure(figsize=(max(5 * columns, 6.5), 3.6 * rows + 0.4), layout="constrained")
    for number, (panel, trace) in enumerate(cells, start=1):
        axes = figure.add_subplot(rows, columns, number)
        if trace is not None:
            _image(axes, panel, trace)
        elif panel.shape == "number":
            _numbers(axes, panel)
        elif panel.shape == "histogram":
            _histograms(axes, panel)
        else:
            _lines(axes, panel)
    figure.suptitle(title, fontsize="medium", parse_math=False)
    if simulated:
        named = "" if len(simulated) > 6 else f" ({'; '.join(map(printable, simulated))})"
        figure.supxlabel(f"{SIMULATED}{named}", fontsize="small", color="crimson", parse_math=False)
    return figure


def _parts(panel: OverlaidPanel) -> Sequence[Trace | None]:
    """Return the runs that have a panel each; None: all of them share one."""
    return panel.traces if panel.shape == "image" else (None,)


def _colours(count: int) -> list[Any]:
    if count <= _FEW:
        return [f"C{number}" for number in range(count)]
    shades = matplotlib.colormaps["viridis"]
    return [shades(number / (count - 1)) for number in range(count)]


def _lines(axes: Any, panel: OverlaidPanel) -> None:
    first = panel.traces[0]
    for number, (trace, colour) in enumerate(zip(panel.traces, _colours(len(panel.traces)), strict=True)):
        stored = trace.stored
        axis = trace.axis if first.axis is not None else None
        columns = stored.shape[1] if panel.shape == "lines" else None
        for column, points, numbers, places in lines_of(stored, columns, axis):
            values: Any = _in_unit_of(first.stored, stored, numbers)
            along: Any = places
            if axis is not None and first.axis is not None:
                along = _in_unit_of(first.axis, axis, places)
            if values.dtype.kind == "c":
                values = np.abs(values)
            marker = "." if points.size < 200 else ""
            style = ("-", "--", ":", "-.")[(column or 0) % 4]
            is_named = number < _MOST_NAMED and not column
            label = printable(trace.label) if is_named else None
            axes.plot(along, values, marker=marker, color=colour, linestyle=style, label=label)
            if trace.axis is not None and is_geometric(along):
                axes.set_xscale("log")
    axes.set_xlabel("index" if first.axis is None else label_of(first.axis), parse_math=False)
    size = "|value| of " if first.stored.dtype.kind == "c" else ""
    axes.set_ylabel(f"{size}{label_of(first.stored)}", parse_math=False)
    axes.grid(alpha=0.3)
    _finish(axes, panel)


def _histograms(axes: Any, panel: OverlaidPanel) -> None:
    first = panel.traces[0].stored
    rows = [_in_unit_of(first, each.stored, _numbers_of(each.stored)) for each in panel.traces]
    bins = np.histogram_bin_edges(
        np.concatenate(rows), bins=min(100, max(10, int(np.ptp(np.concatenate(rows))) + 1))
    )
    for number, (trace, row, colour) in enumerate(zip(panel.traces, rows, _colours(len(rows)), strict=True)):
        label = printable(trace.label) if number < _MOST_NAMED else None
        axes.hist(row, bins=bins, histtype="step", color=colour, label=label)
    axes.set_xlabel(label_of(first), parse_math=False)
    axes.set_ylabel("occurrences")
    _finish(axes, panel)


def _numbers(axes: Any, panel: OverlaidPanel) -> None:
    """Draw single numbers, one a run, in the order of the runs."""
    first = panel.traces[0].stored
    values = [_in_unit_of(first, each.stored, _numbers_of(each.stored))[0] for each in panel.traces]
    values = [abs(value) if isinstance(value, complex | np.complexfloating) else value for value in values]
    axes.plot(range(len(values)), values, marker="o", linestyle="")
    named = [cut(trace.label) for trace in panel.traces]
    if len(named) <= _MOST_NAMED:
        axes.set_xticks(
            range(len(named)), [each.replace("$", r"\$") for each in named], rotation=30, ha="right"
        )
        axes.tick_params(axis="x", labelsize="x-small")
    else:
        axes.set_xlabel("run, in the order in which they were named")
    axes.set_ylabel(label_of(first), parse_math=False)
    axes.set_title(cut(panel.key), fontsize="medium", parse_math=False)
    axes.grid(alpha=0.3)


def _image(axes: Any, panel: OverlaidPanel, trace: Trace) -> None:
    """Draw the image of one run, in the colours of all."""
    first = panel.traces[0].stored
    pictures = [_in_unit_of(first, each.stored, picture_of(each.stored)[0]) for each in panel.traces]
    shown = _in_unit_of(first, trace.stored, picture_of(trace.stored)[0])
    low, high = (
        float(function([function(each) for each in pictures])) for function in (np.nanmin, np.nanmax)
    )
    height, width = trace.stored.shape[-2:]
    image = axes.imshow(
        shown, aspect="auto", vmin=low, vmax=high, extent=(-0.5, width - 0.5, height - 0.5, -0.5)
    )
    axes.figure.colorbar(image, ax=axes).set_label(label_of(first), parse_math=False)
    axes.set_title(f"{cut(panel.key)}  {cut(trace.label)}", fontsize="medium", parse_math=False)
    axes.set_xlabel("column")
    axes.set_ylabel("row")


def _finish(axes: Any, panel: OverlaidPanel) -> None:
    axes.set_title(cut(panel.key), fontsize="medium", parse_math=False)
    more = len(panel.traces) - _MOST_NAMED
    legend = axes.legend(
        fontsize="x-small", title=f"and {more} more" if more > 0 else None, title_fontsize="x-small"
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _numbers_of(stored: StoredDataset) -> "np.ndarray[Any, Any]":
    row = np.atleast_1d(stored.numbers(())).reshape(-1)
    row = row.astype(np.uint8) if row.dtype.kind == "b" else row
    return np.asarray(row[~np.isnan(row)] / stored.display.scale)


def _in_unit_of(
    first: StoredDataset, own: StoredDataset, shown: "np.ndarray[Any, Any]"
) -> "np.ndarray[Any, Any]":
    """Return numbers that are in the unit of their own run in that of the first."""
    factor = own.display.scale / first.display.scale
    return shown if factor == 1 else shown * factor
