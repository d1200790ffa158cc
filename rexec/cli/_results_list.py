"""What the commands of `rexec results` do that find runs, without opening result files: list, find, comment, tag."""

import argparse
import contextlib
import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from devicedb.cli import output
from devicedb.cli.terminal import say, say_document, say_error, say_lines
from devicedb.printable import printable
from rexec.catalogue import FoundRun, FoundRuns, find, run_at, run_path
from rexec.catalogue.facts import NamedValue
from rexec.catalogue.notes import comment, notes_of, tag
from rexec.catalogue.references import names_a_run
from rexec.catalogue.refreshing import ReadingProgress
from rexec.catalogue.schema import shown_value
from rexec.results.errors import ResultsError

ROWS: Final = 30
"""Default number of rows of a table."""

_MOST_NAMED: Final = 5
"""Unreadable files that an export names; of more it says how many."""

_GAP: Final = 2
_WIDEST_CLASS: Final = 28
_LEAST: Final = 10
"""Least width of arguments or comments, in columns of the terminal."""
_HEADINGS: Final = ("run", "class", "status", "started", "arguments", "comment")
_KINDS: Final = {
    "artiq_run": "(of artiq_run)",
    "foreign": "(other HDF5)",
    "unreadable": "(unreadable)",
    "record": "(recording)",
    "mirror": "(mirror)",
}


def named_run(which: str, options: argparse.Namespace) -> Path:
    """Return the result file of an argument that names a run.

    Raises:
        ResultsError: There is none, or there are several.

    """
    with reading_progress() as progress:
        return run_path(which, options.folder, progress=progress)


def list_runs(options: argparse.Namespace) -> int:
    """Print the runs."""
    _print(options, "" if options.since is None else f'since="{options.since.replace(chr(34), "")}"')
    return 0


def find_runs(options: argparse.Namespace) -> int:
    """Print the runs that are found; return 1 if none is."""
    return 0 if _print(options, " ".join(options.query)) else 1


def export_runs(options: argparse.Namespace) -> int:
    """Write runs into a file of another program."""
    are_named = all(map(names_a_run, options.query))
    with reading_progress() as progress:
        if are_named:
            paths = [run_path(word, options.folder, progress=progress) for word in options.query]
            runs = FoundRuns([run_at(path) for path in dict.fromkeys(paths)])
        else:
            runs = find(" ".join(options.query), folder=options.folder, progress=progress)
    if not runs:
        say_error("no run was found")
        return 2
    unread = [run for run in runs if run.facts.kind == "unreadable"]
    for run in unread[:_MOST_NAMED]:
        said = f"{run.path} cannot be read: {run.facts.problem}"
        if are_named:
            raise ResultsError(f"{said}; what it has would be missing in {options.output}")
        say_error(f"rexec results export: warning: {said}; in {options.output} it has a row without values")
    if len(unread) > _MOST_NAMED:
        say_error(
            f"rexec results export: warning: so it is with {len(unread) - _MOST_NAMED} more of {len(runs)} runs"
        )
    written = runs.export(options.output, *options.dataset, overwrite=options.overwrite)
    say(f"{options.output}: {written}")
    return 0


def comment_run(options: argparse.Namespace) -> int:
    """Note a comment, or print it."""
    path = _existing(options)
    if options.text:
        comment(path, " ".join(options.text))
    else:
        say_lines(printable(notes_of(path).comment, keep="\n"))
    return 0


def tag_run(options: argparse.Namespace) -> int:
    """Give tags, or take them away, or print them."""
    path = _existing(options)
    tags = [*options.tags, *(options.remove or [])]
    if tags:
        tag(path, tags, remove=options.remove is not None)
    elif options.remove is not None:
        raise ResultsError("--remove: name the tags to take away")
    say(" ".join(notes_of(path).tags) or "no tags")
    return 0


def _existing(options: argparse.Namespace) -> Path:
    path = named_run(options.file, options)
    if not path.exists() and not path.with_name(f"{path.name}.journal").exists():
        raise ResultsError(f"there is no result file {path}")
    return path


def _print(options: argparse.Namespace, query: str) -> int:
    """Print the runs that match a query, in the form that the options choose; return how many there are."""
    is_table = not (options.json or options.paths)
    limit = options.limit if options.limit is not None else ROWS if is_table else 0
    with reading_progress() as progress:
        found = find(
            query,
            folder=options.folder,
            limit=limit + 1 if limit else None,
            check=options.check,
            progress=progress,
        )
    runs = found[:limit] if limit else found
    if options.json:
        print(json.dumps([_jsonable(run.as_dict()) for run in runs], indent=1))  # noqa: T201 - escaped by JSON
    elif options.paths:
        for run in runs:
            say_document(str(run.path))
    elif runs:
        say_lines("\n".join(table(runs, output.console().width)))
        if len(found) > len(runs):
            say(f"... and more: --limit {2 * limit}, or --limit 0 for all")
    else:
        say_error("no run was found" if query else "there are no result files")
    return len(runs)


def table(runs: Sequence[FoundRun], width: int) -> list[str]:
    """Return runs as a table, the headings first, in lines that fit a terminal.

    Args:
        runs: The runs.
        width: Columns of the terminal.

    """
    rows = [_cells(run) for run in runs]
    fixed = [_HEADINGS[:4], *(row[:4] for row in rows)]
    widths = [max(map(_columns, column)) for column in zip(*fixed, strict=True)]
    over = sum(widths) + _GAP * (len(widths) - 1) - width
    widths[1] = max(widths[1] - max(over, 0), min(widths[1], _LEAST))
    left = width - sum(widths) - _GAP * len(widths)
    longest, noted = (max(_columns(row[place]) for row in rows) for place in (4, 5))
    room, comments = _shares(left, longest, max(noted, len(_HEADINGS[5])) if noted else 0)
    return [
        _line(row, widths, room, comments, is_heading=number == 0)
        for number, row in enumerate([_HEADINGS, *rows])
    ]


def _shares(left: int, arguments: int, comments: int) -> tuple[int, int]:
    """Return how many columns of a terminal arguments and comments get; 0: they are left out.

    Args:
        left: Columns for both.
        arguments: Columns that the longest arguments need.
        comments: Columns that the longest comment needs.

    """
    share = min(comments, max(left // 2, left - arguments - _GAP))
    share = share if share >= min(_LEAST, comments) else 0
    room = left - (share + _GAP if share else 0)
    if room < min(_LEAST, arguments):
        room, share = left if left >= _LEAST else 0, 0
    return min(room, max(arguments, len("arguments"))), share


def _line(row: Sequence[str], widths: list[int], room: int, comments: int, *, is_heading: bool) -> str:
    number = row[0].ljust(widths[0]) if is_heading else _right(row[0], widths[0])
    cells = [
        number,
        *(_left(_cut(cell, size), size) for cell, size in zip(row[1:4], widths[1:], strict=True)),
    ]
    if room:
        cells.append(_left(_cut(row[4], room), room))
    if comments:
        cells.append(_cut(row[5], comments))
    return (" " * _GAP).join(cells).rstrip()


def _cells(run: FoundRun) -> tuple[str, ...]:
    facts = run.facts
    kind = run.class_name or _KINDS.get(facts.kind, "?")
    said = _arguments(facts.arguments) or facts.problem
    if run.rid is None:
        said = f"{run.path.name}  {said}".rstrip()
    elif facts.problem and facts.problem not in said:
        said = f"{said}  {facts.problem}".strip()
    marks = ["SIMULATED"] if facts.simulated else []
    marks += [f"#{each}" for each in run.tags]
    marks += [" ".join(run.comment.split())] if run.comment else []
    cells = (
        "-" if run.rid is None else str(run.rid),
        _cut(kind, _WIDEST_CLASS),
        "-" if run.status == "unknown" else run.status,
        f"{run.time:%Y-%m-%d %H:%M}",
        said,
        " ".join(marks),
    )
    return tuple(printable(cell) for cell in cells)


def _arguments(arguments: dict[str, NamedValue]) -> str:
    return ", ".join(f"{name}={_cut(_shown(value), 40)}" for name, value in arguments.items())


def _shown(value: NamedValue) -> str:
    return f"{value.value:.10g}" if isinstance(value.value, float) else shown_value(value)


def _columns(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _left(text: str, size: int) -> str:
    return text + " " * (size - _columns(text))


def _right(text: str, size: int) -> str:
    return " " * (size - _columns(text)) + text


def _cut(text: str, size: int) -> str:
    if _columns(text) <= size:
        return text
    from rich.cells import set_cell_size

    return set_cell_size(text, size - 1).rstrip() + "…"


def _jsonable(value: Any) -> Any:
    """Return a value for JSON; NaN and infinite numbers become text."""
    if isinstance(value, dict):
        return {key: _jsonable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


@contextlib.contextmanager
def reading_progress() -> Iterator[ReadingProgress | None]:
    """Show at a terminal the progress of reading files that are new to the index, once it takes long."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    bar: Any = None

    def show(read: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            if total < _MANY:
                return
            from rich.progress import Progress as Bar

            bar = Bar(console=output.console(stderr=True), transient=True)
            bar.start()
            bar.add_task("reading result files", total=total)
        bar.update(bar.task_ids[0], completed=read, total=total)

    try:
        yield show
    finally:
        if bar is not None:
            bar.stop()


_MANY: Final = 300
"""Files whose reading takes long enough to be shown."""
