"""Writes a whole result file at once, for data that exist already."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rexec.results.writer import ResultsWriter
from schemas.run import RunIdentity


def write_results(
    path: Path,
    identity: RunIdentity,
    datasets: Mapping[str, Any],
    archive: Mapping[str, Any] | None = None,
    *,
    plot: tuple[str, Sequence[str]] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a whole result file at once, for data that exist already.

    Args:
        path: The result file.
        identity: Which run it is.
        datasets: Values by name, or objects with `value` and `metadata` (`rexec.datasets.Dataset`).
        archive: The same, for `archive/`.
        plot: Which dataset viewers show first, and its axes.
        overwrite: Whether a file of that name may be replaced.

    """
    writer = ResultsWriter.create(path, identity, overwrite=overwrite, refresh_interval=0)
    with writer:
        for key, item in datasets.items():
            writer.set(key, getattr(item, "value", item), getattr(item, "metadata", {}))
        for key, item in (archive or {}).items():
            writer.archive(key, getattr(item, "value", item), getattr(item, "metadata", {}))
        if plot is not None:
            writer.declare_plot(*plot)
    return writer.path
