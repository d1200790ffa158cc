"""What a result file holds, and its numbers for plots. Runs in the process that reads files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from devicedb.printable import printable
from rexec.results.errors import ResultsError
from rexec.results.reading.pieces import picture_of
from rexec.results.reading.runs import Run
from rexec.results.reading.shown import stored_shown
from rexec.results.reading.stored import StoredDataset
from rexec.results.status import status_of
from rexec.web import plotted
from rexec.web.decimation import step_for
from rexec.web.frames import sendable
from rexec.web.labels import LONG, bounded, label
from rexec.web.live_dataset import kind_of
from rexec.web.plotted import MOST_PIXELS, Part

_MOST_DATASETS: Final = 500
_MOST_HISTOGRAM: Final = 200_000_000
_SHOWN: Final = (
    "class_name", "file", "start_time", "run_time", "artiq_version", "rexec_version", "git", "host", "user", "person",
    "command", "python", "device_db",
)  # fmt: skip


def contents(path: Path) -> dict[str, Any]:
    """Return what a page shows of a run beside its plots."""
    with Run(path) as run:
        names = list(run.datasets)
        rows = [_row(number, run.datasets[name]) for number, name in enumerate(names[:_MOST_DATASETS])]
        declared = run.default_plot
        plot = None if declared is None else [declared[0], *(each or "" for each in declared[1])]
        identity = run.identity
        expid = identity.get("expid")
        given = expid.get("arguments") if isinstance(expid, dict) else None
        arguments = given if isinstance(given, dict) else {}
        return {
            "rid": run.rid,
            "status": bounded(_status(run, path)),
            "datasets": rows,
            "left_out": max(len(names) - _MOST_DATASETS, 0),
            "default_plot": None if plot is None else [label(each) for each in plot],
            "is_simulated": run.is_simulated,
            "error": bounded(run.error or "", LONG),
            "notes": [bounded(each, LONG) for each in [*run.degraded, *run.problems][:50]],
            "arguments": {
                label(str(name)): bounded(str(value), LONG) for name, value in list(arguments.items())[:200]
            },
            "identity": {name: bounded(str(identity[name]), LONG) for name in _SHOWN if name in identity},
            "modified": path.stat().st_mtime,
        }


def plot(path: Path, wanted: Mapping[str, Any]) -> Part:
    """Return the numbers of a dataset of a file for a plot.

    Args:
        path: The file.
        wanted: `dataset` and `axis` (names, as `contents` gives them), `kind`, `complex`, `most`; `from` and `to` for a
            part of a line.

    """
    with Run(path) as run:
        names = {label(name): name for name in run.datasets}
        stored = _named(run, names, str(wanted["dataset"]))
        if not stored.is_numeric():
            return Part({"op": "text", "kind": "text"}, [])
        shape = stored.shape
        axis = _named(run, names, str(wanted["axis"])) if wanted.get("axis") in names else None
        if axis is not None and not (
            axis.is_numeric() and plotted.may_be_axis(axis.shape, axis.dtype, (shape or (1,))[0])
        ):
            axis = None
        kind = str(wanted.get("kind", "auto"))
        if kind not in ("line", "lines", "image", "histogram"):
            kind = kind_of(shape, is_list=axis is not None) if shape else "line"
        if kind == "image" and (len(shape) < 2 or 0 in shape):
            kind = "line"
        display = stored.display
        facts: dict[str, Any] = {
            "kind": kind,
            "unit": printable(display.unit[:40]),
            "precision": display.precision,
        }
        facts |= {"shape": list(shape), "dtype": str(stored.dtype), "is_whole": True, "skipped": 0}
        if kind == "image":
            part = _image(stored)
        elif kind == "histogram":
            if stored.nbytes > _MOST_HISTOGRAM:
                raise ResultsError(f"{stored.nbytes} bytes are too many for a histogram")
            part = plotted.histogram(stored.numbers(()), display.scale)
        else:
            part = _line(stored, axis, wanted, facts)
        return Part({**facts, **part.facts}, part.arrays)


def _line(
    stored: StoredDataset, axis: StoredDataset | None, wanted: Mapping[str, Any], facts: dict[str, Any]
) -> Part:
    shape = stored.shape
    total = shape[0] if shape else 1
    columns = int(np.prod(shape[1:], dtype=np.int64)) if shape else 1
    facts |= {
        "columns": min(columns, plotted.MOST_COLUMNS),
        "left_out": max(columns - plotted.MOST_COLUMNS, 0),
    }
    if axis is not None:
        facts |= {"axis_unit": printable(axis.display.unit[:40])}
    scales = (stored.display.scale, 1.0 if axis is None else axis.display.scale)
    most, complex_as = int(wanted.get("most", 4000)), str(wanted.get("complex", "re_im"))
    read, along = _reader(stored), None if axis is None else _reader(axis)
    if "from" in wanted:
        begin = min(max(int(wanted["from"]), 0), total)
        return plotted.line(
            read, along, (begin, min(max(int(wanted["to"]), begin), total)), most, scales, complex_as
        )
    return plotted.points(read, along, total, step_for(total, most), (0, total), scales, complex_as)


def _reader(stored: StoredDataset) -> Callable[[int, int], "np.ndarray[Any, Any]"]:
    if not stored.shape:
        return lambda start, stop: stored.numbers(()).reshape(1)[start:stop]
    if len(stored.shape) == 1:
        return lambda start, stop: stored.numbers(slice(start, stop))
    if 0 in stored.shape[1:]:  # nothing stands at an index into an empty dimension
        return lambda start, stop: np.empty((stop - start, 0))
    # Of a wide table only the columns that are drawn are read.
    inner = (0,) * (len(stored.shape) - 2)
    return lambda start, stop: stored.numbers((slice(start, stop), *inner, slice(0, plotted.MOST_COLUMNS)))


def _image(stored: StoredDataset) -> Part:
    picture, step = picture_of(stored)
    again = max(-(-max(picture.shape) // MOST_PIXELS), 1)
    picture = picture[::again, ::again]
    rows, columns = stored.shape[-2:]
    facts = {"op": "image", "from": 0, "step": step * again, "rows": rows, "columns": columns}
    return Part({**facts, "stack": int(np.prod(stored.shape[:-2], dtype=np.int64))}, [sendable(picture)])


def _row(number: int, stored: StoredDataset) -> list[Any]:
    try:
        text, unit = stored_shown(stored)
        shape = list(stored.shape) if stored.is_numeric() else None
        kind = "text" if shape is None else "number" if not shape else kind_of(tuple(shape), is_list=False)
    except ResultsError as error:
        text, unit, shape, kind = str(error), "", None, "text"
    return [number, label(stored.key), kind, bounded(text, LONG), unit[:40], False, 0, shape]


def _status(run: Run, path: Path) -> str:
    found = status_of(path)
    return found.state if found.state != "finished" else run.status


def _named(run: Run, names: Mapping[str, str], name: str) -> StoredDataset:
    if name not in names:
        raise ResultsError(f"{run.path.name} has no dataset {name[:100]!r}")
    return run.datasets[names[name]]
