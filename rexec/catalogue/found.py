"""Finds runs, and gives them as tables and arrays."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from rexec.catalogue.found_run import FoundRun
from rexec.catalogue.index import RunIndex
from rexec.catalogue.listing import shown_path
from rexec.catalogue.notes import RunNotes, notes_of
from rexec.catalogue.places import results_folder, with_index
from rexec.catalogue.query import condition
from rexec.catalogue.refreshing import ReadingProgress, Refreshing
from rexec.results._files import is_locked
from rexec.results.errors import ResultsError
from rexec.results.layout import journal_path

if TYPE_CHECKING:
    import pandas
    import xarray

    from rexec.results.reading.comparing import Varying

_VERIFIED: Final = 1_000
"""How many files of an answer are checked once more for changes before it is given."""

_ROUNDS: Final = 3

_NEWEST: Final = 1_000
"""Runs that are asked one by one, before all are: an answer is often among them."""


class FoundRuns(Sequence[FoundRun]):
    """Runs that were found, the newest first.

    Args:
        runs: The runs.

    """

    def __init__(self, runs: Sequence[FoundRun]) -> None:
        self._runs: Final = list(runs)

    @overload
    def __getitem__(self, index: int) -> FoundRun: ...

    @overload
    def __getitem__(self, index: slice) -> "FoundRuns": ...

    def __getitem__(self, index: int | slice) -> "FoundRun | FoundRuns":
        return FoundRuns(self._runs[index]) if isinstance(index, slice) else self._runs[index]

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[FoundRun]:
        return iter(self._runs)

    def to_pandas(self) -> "pandas.DataFrame":
        """Return a table: a row a run, with arguments and datasets of one value as columns (see `run_table`).

        Raises:
            ResultsError: pandas is not installed.

        """
        try:
            from rexec.catalogue.tables import run_table
        except ImportError as error:
            raise ResultsError("pandas is not installed: pip install 'artiq-rexec[xarray]'") from error
        return run_table(self)

    @overload
    def to_xarray(self, *names: str, unequal: Literal["pad"] = "pad") -> "xarray.Dataset": ...

    @overload
    def to_xarray(self, *names: str, unequal: Literal["list"]) -> "list[xarray.Dataset]": ...

    def to_xarray(
        self, *names: str, unequal: Literal["pad", "list"] = "pad"
    ) -> "xarray.Dataset | list[xarray.Dataset]":
        """Return the datasets of numbers, read lazily, along a dimension `run`.

        Args:
            names: Datasets that are wanted; none: all.
            unequal: "pad": shorter arrays are filled with NaN at their ends. "list": each run is a dataset of its own.

        Returns:
            A dataset whose coordinate `run` has the numbers of the runs; `class_name`, `time` and the arguments are
            further coordinates along it. Arrays of a declared plot have its axes as dimensions.

        Raises:
            ResultsError: xarray is not installed, a file cannot be read, no run has such a dataset, or datasets of
                one name differ in their dimensions or units.

        """
        try:
            from rexec.catalogue.joining import joined, opened
        except ImportError as error:
            raise ResultsError("xarray is not installed: pip install 'artiq-rexec[xarray]'") from error
        return joined(self, names) if unequal == "pad" else opened(self, names)

    def compare(self) -> "list[Varying]":
        """Return what is not the same in all of these runs: arguments, devices, code, versions.

        Raises:
            ResultsError: A file cannot be read.

        """
        from rexec.results.reading.comparing import varying

        identities = []
        for found in self:
            with found.open() as run:
                identities.append(run.identity)
        return varying(identities)

    def export(self, target: str | Path, *names: str, overwrite: bool = False) -> str:
        """Write these runs into a file of other programs: .csv, .parquet, .json, .nc (NetCDF) or .zarr.

        Args:
            target: The file; its suffix decides.
            names: Datasets that are wanted. CSV, Parquet and JSON without names have a row a run, with names a row a
                point.
            overwrite: Whether what is in its place may be replaced.

        Returns:
            What was written, in a few words.

        Raises:
            ResultsError: A package is not installed, something is in its place, the runs cannot be joined, or it
                cannot be written.

        """
        try:
            from rexec.catalogue.exporting import export
        except ImportError as error:
            raise ResultsError("xarray is not installed: pip install 'artiq-rexec[xarray]'") from error
        return export(self, Path(target), names, overwrite=overwrite)

    def plot(self, target: str | Path, *keys: str, against: str | None = None) -> list[str]:
        """Draw these runs into one picture, with a legend by what differs between them.

        Args:
            target: The file: .png, .svg or .pdf.
            keys: Which datasets; none: those that the runs have declared for plotting, else all that all runs have.
            against: The dataset of the horizontal axis; None: the declared one, else the number of the point.

        Returns:
            Names of the datasets that are drawn.

        Raises:
            ResultsError: matplotlib is not installed, or the runs cannot be drawn together.

        """
        from rexec.catalogue.labels import labels
        from rexec.results.reading.overlay import plot_runs

        if not self:
            raise ResultsError("there are no runs to draw")
        with ExitStack() as stack:
            runs = [stack.enter_context(each.open()) for each in self]
            said = labels(
                [each.name for each in self], [run.identity for run in runs], [each.comment for each in self]
            )
            return plot_runs(runs, said, Path(target), keys, against)

    def __repr__(self) -> str:
        shown = ", ".join(run.name for run in self._runs[:8]) + (", …" if len(self._runs) > 8 else "")
        return f"<FoundRuns {len(self._runs)}: {shown}>"


def run_at(path: Path) -> FoundRun:
    """Return what is known of one result file, which is read for it.

    Raises:
        ResultsError: There is no such file, or its notes cannot be read.

    """
    from rexec.catalogue.reading import facts_of

    journal = journal_path(path)
    if not path.exists() and not journal.exists():
        raise ResultsError(f"there is no result file {path}")
    live = "running" if is_locked(journal) else "killed" if journal.exists() else ""
    return FoundRun(path, facts_of(path), notes_of(path), live)


def find(
    query: str = "",
    *,
    folder: str | Path | None = None,
    limit: int | None = None,
    check: bool = False,
    progress: ReadingProgress | None = None,
) -> FoundRuns:
    """Return the runs of a folder for which a query is true, the newest first.

    Args:
        query: The query, for example "class=Ramsey phase>0.1 since=monday"; "": all runs.
        folder: The folder of results; None: `results` in the current folder.
        limit: The most that are returned.
        check: Whether to look at each file of the folder for changes, however many there are.
        progress: Told how many files were read, and how many are to be read.

    Raises:
        QueryError: The query is not understood.
        ResultsError: There is no such folder.

    """
    root = results_folder(folder)
    now = datetime.now()

    def answer(index: RunIndex, refreshing: Refreshing) -> FoundRuns:
        for _ in range(_ROUNDS):
            with index.reading():
                numbers, runs = _selected(query, index, root, limit, now)
            if len(runs) > _VERIFIED or not refreshing.look_again(numbers):
                break
        return FoundRuns(runs)

    runs = with_index(root, answer, check=check, progress=progress)
    results_folder(root)  # one that has gone meanwhile has not "no runs"
    return runs


def _selected(
    query: str, index: RunIndex, root: Path, limit: int | None, now: datetime
) -> tuple[list[int], list[FoundRun]]:
    """Return the numbers of the runs in the index, and the runs."""
    wanted = condition(query, index, now)
    rows: list[tuple[Any, ...]] = []
    if limit is not None and limit <= _NEWEST:
        newest = index.rows("SELECT time FROM run ORDER BY time DESC LIMIT 1 OFFSET ?", (_NEWEST,))
        if newest:  # all that are newer come before the others, and are at most so many
            rows = _rows(index, f"time > ? AND {wanted.one_by_one}", (*newest[0], *wanted.parameters), limit)
    if limit is None or len(rows) < limit:
        rows = _rows(index, wanted.text, wanted.parameters, limit)
    base = os.fspath(root)
    runs = [
        FoundRun(
            Path(os.path.join(base, shown_path(below), shown_path(name))),
            facts,
            RunNotes(json.loads(comment), tuple(json.loads(tags))),
            live,
        )
        for _, below, name, live, facts, comment, tags in rows
    ]
    return [row[0] for row in rows], runs


def _rows(
    index: RunIndex, text: str, parameters: tuple[Any, ...], limit: int | None
) -> list[tuple[Any, ...]]:
    """Return what the index has of the runs for which a condition is true, the newest first."""
    order = "time DESC, rid DESC, name DESC, id DESC"
    chosen = f"SELECT id, folder, name, live, time, rid FROM run WHERE {text} ORDER BY {order} LIMIT ?"  # noqa: S608
    return index.rows(
        f"WITH chosen AS ({chosen}) SELECT chosen.id, path, name, live, text, comment, tags FROM chosen "  # noqa: S608
        "JOIN folder ON folder.id = chosen.folder JOIN fact ON fact.run = chosen.id "
        "ORDER BY time DESC, rid DESC, name DESC, chosen.id DESC",
        (*parameters, -1 if limit is None else limit),
    )
