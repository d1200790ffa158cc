"""`rexec results`: look at result files, compare them, draw them, and make good what a crash has left."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from devicedb.cli.parser import CommandParser
from rexec.cli._table import shown
from rexec.results import ResultsError, journal_path, recover_folder, verify
from rexec.results.comparing import differences
from rexec.results.plotting import plot
from rexec.results.reader import JournalReader
from rexec.results.reading import Run, StoredDataset
from rexec.results.records import Kind, Record
from rexec.results.verify import has_checksums

MOST_READ: Final = 10_000_000
"""Numbers of a dataset that is read to tell its range."""


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `rexec results`."""
    parser = CommandParser(
        prog="rexec results",
        description="Look at, compare and repair result files.",
        epilog="examples:\n  rexec results show results/*/*/000000042-Scan.h5\n"
        "  rexec results plot results/*/*/000000042-Scan.h5\n  rexec results recover\n\n"
        "`rexec results COMMAND --help` explains one of the commands.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(
        name: str, run: Callable[[argparse.Namespace], int], text: str, status: str, *examples: str
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog="\n  ".join(
                ["examples:", *(f"rexec results {name} {example}".strip() for example in examples)]
            )
            + f"\n\nExit status: {status}.",
        )
        command.set_defaults(run=run)
        return command

    show = add(
        "show",
        _show,
        "show what is in a result file, or one dataset of it",
        "0 it is shown, 2 there is no such file or dataset",
        "results/*/*/000000042-Scan.h5",
        "results/*/*/000000042-Scan.h5 ramsey/signal",
    )
    show.add_argument("file", metavar="FILE", type=Path, help="result file")
    show.add_argument("dataset", metavar="DATASET", nargs="?", help="print the value of this dataset")
    tail = add(
        "tail",
        _tail,
        "print the changes of a run while it goes on",
        "0 the run ended, 2 no run goes on there, 130 Ctrl-C",
        "results/*/*/000000042-Scan.h5",
        "results/*/*/000000042-Scan.h5 -n 100 --no-follow",
    )
    tail.add_argument("file", metavar="FILE", type=Path, help="result file (or journal) of a running run")
    tail.add_argument(
        "-n",
        metavar="COUNT",
        type=int,
        default=10,
        help="changes to print of those before now (default: %(default)s)",
    )
    tail.add_argument("--no-follow", action="store_true", help="end instead of waiting for more")
    diff = add(
        "diff",
        _diff,
        "name what changed between two runs: arguments, devices, code, versions",
        "0 nothing changed, 1 something did, 2 a file cannot be read",
        "results/*/*/000000041-Scan.h5 results/*/*/000000042-Scan.h5",
    )
    diff.add_argument("old", metavar="OLD", type=Path, help="result file of the earlier run")
    diff.add_argument("new", metavar="NEW", type=Path, help="result file of the later run")
    draw = add(
        "plot",
        _plot,
        "draw datasets into a picture",
        "0 it is drawn, 2 it cannot be",
        "results/*/*/000000042-Scan.h5",
        "results/*/*/000000042-Scan.h5 signal image -o two.svg",
        "results/*/*/000000042-Scan.h5 gain -x frequency",
    )
    draw.add_argument("file", metavar="FILE", type=Path, help="result file")
    draw.add_argument(
        "datasets",
        metavar="DATASET",
        nargs="*",
        help="what to draw (default: the plot that the experiment declared, else all numbers)",
    )
    draw.add_argument(
        "-x",
        "--against",
        metavar="DATASET",
        help="dataset of the horizontal axis (default: the declared one, else the number of the value)",
    )
    draw.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        help="picture: .png, .svg or .pdf (default: beside the result file, .png)",
    )
    recover = add(
        "recover",
        _recover,
        "make result files of the journals that killed runs left",
        "0 all is recovered, or nothing was to be, 1 something is lost or failed, 2 there is no such folder",
        "",
        "results/2026-11-26",
    )
    recover.add_argument(
        "folder",
        metavar="FOLDER",
        type=Path,
        nargs="?",
        default=Path("results"),
        help="folder to look through (default: %(default)s)",
    )
    check = add(
        "verify",
        _verify,
        "compare result files with the checksums in them",
        "0 all are whole, 1 something differs, 2 a file cannot be read",
        "results/*/*/*.h5",
    )
    check.add_argument("files", type=Path, nargs="+", metavar="FILE", help="result file")
    return parser


def main(argv: Sequence[str]) -> int:
    """Carry out `rexec results` and return the exit status."""
    options = get_argparser().parse_args(argv)
    status: int = options.run(options)
    return status


def _show(options: argparse.Namespace) -> int:
    console = Console(soft_wrap=True, markup=False, highlight=False, emoji=False)
    with Run(options.file) as run:
        if options.dataset is not None:
            if options.dataset not in run.datasets:
                names = ", ".join(run.datasets) or "none"
                raise ResultsError(f"{options.file} has no dataset {options.dataset!r}; it has {names}")
            console.print(str(run[options.dataset]))
            return 0
        identity = run.identity
        if run.rid is None:
            console.print("does not say which run it is of (files of artiq_run do not)")
        else:
            title = identity.get("class_name") or (identity.get("expid") or {}).get("class_name") or "?"
            console.print(f"run {run.rid} of {title}  {run.status}")
        if identity.get("simulated"):
            console.print(f"SIMULATED    {', '.join(identity['simulated'])}: these data were not measured")
        for name in ("start_time", "run_time"):
            if identity.get(name):
                console.print(f"{name:12} {datetime.fromtimestamp(identity[name]).isoformat(' ', 'seconds')}")
        for name, value in (identity.get("expid") or {}).items():
            if value not in ("", "N/A", None):
                console.print(f"{name:12} {value}")
        for line in _provenance(identity):
            console.print(line)
        if "rexec/error" in run.file:
            console.print(f"{'error':12} {run.file['rexec/error'].asstr()[()]}")
        for problem in run.problems:
            console.print(f"{'problem':12} {problem}")
        for title, group in (("dataset", run.datasets), ("archive", run.archive)):
            if group:
                console.print()
                console.print(_table(title, list(group.values())))
    return 0


def _provenance(identity: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is known of code, devices and versions, a line each."""
    git = identity.get("git")
    if git:
        changed = f", {len(git['diff'].splitlines())} lines of changes" if git.get("diff") else ""
        untracked = ", the experiment is not tracked" if git.get("tracked") is False else ""
        branch = f" on {git['branch']}" if git.get("branch") else ""
        yield f"{'git':12} {(git.get('commit') or 'no commit')[:12]}{branch}{changed}{untracked}"
    if identity.get("device_db_sha256"):
        origin = f" of {identity['device_db_origin']}" if identity.get("device_db_origin") else ""
        yield f"{'devices':12} {len(identity.get('device_db') or {})}{origin}, {identity['device_db_sha256'][:12]}"
    if identity.get("sources"):
        yield f"{'sources':12} {len(identity['sources'])}, in /rexec/sources"
    if identity.get("versions"):
        yield f"{'versions':12} {', '.join(f'{name} {version}' for name, version in identity['versions'].items())}"


def _table(title: str, stored: list[StoredDataset]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in (title, "value", "unit"):
        table.add_column(heading, overflow="fold")
    for each in stored:
        if each.node.size > MOST_READ:
            value, unit = f"{each.dtype} {' x '.join(map(str, each.shape))}", each.unit or ""
        else:
            value, unit = shown(each.value, each.metadata)
        table.add_row(Text(each.key), Text(value), Text(unit))
    return table


def _tail(options: argparse.Namespace) -> int:
    journal = options.file if options.file.suffix == ".journal" else journal_path(options.file)
    try:
        reader = JournalReader(journal)
    except OSError as error:
        raise ResultsError(
            f"{journal}: {error.strerror}; only a run that goes on has a journal. `rexec results show "
            f"{options.file}` shows what a finished one left"
        ) from error
    with reader:
        lines = [_line(record) for record in reader.records()]
        for line in lines[-options.n :] if options.n > 0 else []:
            print(line, flush=True)
        while not options.no_follow and journal.exists():
            time.sleep(0.1)
            for record in reader.records():
                print(_line(record), flush=True)
                if record.kind is Kind.END:
                    return 0
    return 0


def _line(record: Record) -> str:
    moment = datetime.fromtimestamp(record.time).isoformat(" ", "milliseconds")
    value = "" if record.kind is Kind.DELETE else f" {_short(record.value)}"
    index = f"[{record.index!r}]" if record.kind is Kind.MUTATE else ""
    return f"{moment}  {record.kind.name.lower():8} {record.key}{index}{value}"


def _short(value: Any) -> str:
    text = f"array {value.shape} {value.dtype}" if getattr(value, "ndim", 0) else repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _diff(options: argparse.Namespace) -> int:
    with Run(options.old) as old, Run(options.new) as new:
        found = differences(old.identity, new.identity)
    if not found:
        print("the same arguments, devices, code and versions")
    for each in found:
        before, after = (text if text is None else _one_line(text) for text in (each.old, each.new))
        if before is None:
            print(f"{each.section:9} {each.name}: {after} (new)")
        elif after is None:
            print(f"{each.section:9} {each.name}: {before} (gone)")
        else:
            print(f"{each.section:9} {each.name}: {before} -> {after}")
    return 1 if found else 0


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 100 else line[:99] + "…"


def _plot(options: argparse.Namespace) -> int:
    others = [each for each in options.datasets if each.endswith(".h5") and Path(each).is_file()]
    if others:  # the shell made several of a pattern
        raise ResultsError(
            f"one file is drawn at a time, but there are {1 + len(others)}: {options.file}, ... {others[-1]}. "
            "Name one by its number, as in results/*/*/000000042-*.h5"
        )
    target = options.output or options.file.with_suffix(".png")
    with Run(options.file) as run:
        drawn = plot(run, target, options.datasets or None, options.against)
    print(f"{target}: {', '.join(drawn)}")
    return 0


def _recover(options: argparse.Namespace) -> int:
    if not options.folder.is_dir():
        raise ResultsError(f"there is no folder {options.folder}; name the results folder")
    found = list(recover_folder(options.folder))
    for recovery in found:
        print(recovery)
    if not found:
        print(f"nothing to recover in {options.folder}")
    return 1 if any(recovery.outcome in {"failed", "damaged"} for recovery in found) else 0


def _verify(options: argparse.Namespace) -> int:
    status = 0
    for path in options.files:
        try:
            problems = verify(path)
        except ResultsError as error:
            print(f"rexec results verify: error: {error}", file=sys.stderr)
            status = 2
            continue
        for problem in problems:
            print(f"{path}: {problem}")
        if not problems:
            unknown = "can be read; it has no checksums that its values could be compared with"
            print(f"{path}: {'whole' if has_checksums(path) else unknown}")
        status = max(status, int(bool(problems)))
    return status
