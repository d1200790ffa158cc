"""`rexec results`: find runs, look at result files, compare them, draw them, and recover what a crash has left.

The parsers are here; what a command does is imported when it is called, because a list of runs needs no HDF5.
"""

import argparse
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from devicedb.cli.parser import CommandParser
from devicedb.cli.wildcards import NamedFiles, NamedFilesOrWords
from rexec.cli._results_finding import RUN, add_finding, add_in

_FILE: Final = "rexec.cli._results_file"


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `rexec results`."""
    parser = CommandParser(
        prog="rexec results",
        description="Find runs; look at, compare and repair result files.",
        epilog="examples:\n  rexec results list\n  rexec results find class=Ramsey 'phase>0.1' since=monday\n"
        "  rexec results show 42\n  rexec results plot last\n  rexec results recover\n\n"
        "`rexec results COMMAND --help` explains one of the commands.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(
        name: str, run: str, text: str, status: str, *examples: str, more: str = ""
    ) -> argparse.ArgumentParser:
        shown = "\n".join(
            ["examples:", *(f"  rexec results {name} {example}".rstrip() for example in examples)]
        )
        command = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog="\n\n".join(filter(None, (shown, more, f"Exit status: {status}."))),
        )
        command.set_defaults(run=run)
        return command

    add_finding(add)
    _add_reading(add)
    _add_keeping(add)
    return parser


def _add_reading(add: Callable[..., argparse.ArgumentParser]) -> None:
    show = add(
        "show",
        f"{_FILE}:show",
        "show what is in a result file, or one dataset of it",
        "0 it is shown, 2 there is no such file or dataset",
        "42",
        "last ramsey/signal",
        "results/*/*/000000042-Scan.h5",
    )
    show.add_argument("file", metavar="RUN", action=NamedFiles, help=RUN)
    show.add_argument(
        "dataset",
        metavar="DATASET",
        nargs="?",
        help="print the value of this dataset, of a large array its ends",
    )
    show.add_argument(
        "--external",
        action="store_true",
        help="read data that the file says are in other files (default: name them)",
    )
    add_in(show)
    tail = add(
        "tail",
        f"{_FILE}:tail",
        "print the changes of a run while it goes on",
        "0 the run ended, 2 no run goes on there or it was killed, 130 Ctrl-C",
        "last",
        "results/*/*/000000042-Scan.h5 -n 100 --no-follow",
    )
    tail.add_argument(
        "file", metavar="RUN", action=NamedFiles, help=f"{RUN}; or the journal of a running run"
    )
    tail.add_argument(
        "-n",
        metavar="COUNT",
        type=int,
        default=10,
        help="changes to print of those before now (default: %(default)s)",
    )
    tail.add_argument("--no-follow", action="store_true", help="end instead of waiting for more")
    add_in(tail)
    diff = add(
        "diff",
        f"{_FILE}:diff",
        "name what changed between two runs: arguments, devices, code, versions",
        "0 nothing changed, 1 something did, 2 a file cannot be read",
        "-2 last",
        "results/*/*/000000041-Scan.h5 results/*/*/000000042-Scan.h5",
    )
    diff.add_argument("old", metavar="OLD", action=NamedFiles, help=f"the earlier run: {RUN}")
    diff.add_argument("new", metavar="NEW", action=NamedFiles, help="the later run, in the same way")
    add_in(diff)
    draw = add(
        "plot",
        f"{_FILE}:plot_run",
        "draw datasets of a run, or of several runs in one picture",
        "0 it is drawn, 2 it cannot be",
        "42",
        "41 42 43 -o fringes.svg",
        "last signal image -o two.svg",
        "results/*/*/000000042-Scan.h5 gain -x frequency",
    )
    draw.add_argument("file", metavar="RUN", action=NamedFiles, help=RUN)
    draw.add_argument(
        "datasets",
        metavar="RUN|DATASET",
        nargs="*",
        action=NamedFilesOrWords,
        help="further runs, which share its axes; what to draw (default: the plot that the experiment declared, else "
        "all numbers). A name that the first run has is that of a dataset",
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
        "--save",
        metavar="FILE",
        type=Path,
        help="picture: .png, .svg or .pdf (default: .png beside the result file; of several runs runs-41-43.png here)",
    )
    add_in(draw)


def _add_keeping(add: Callable[..., argparse.ArgumentParser]) -> None:
    recover = add(
        "recover",
        f"{_FILE}:recover",
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
    recover.add_argument(
        "--damaged",
        action="store_true",
        help="read the journals NAME.journal.damaged behind their damage, too, into files NAME.damaged.h5",
    )
    check = add(
        "verify",
        f"{_FILE}:verify_files",
        "compare result files with the checksums in them",
        "0 all are whole, 1 something differs, 2 a file cannot be read",
        "last",
        "results/*/*/*.h5",
    )
    check.add_argument("files", metavar="RUN", nargs="+", action=NamedFiles, help=RUN)
    add_in(check)


def main(argv: Sequence[str]) -> int:
    """Carry out `rexec results` and return the exit status."""
    options = get_argparser().parse_args(argv)
    module, name = options.run.split(":")
    run: Callable[[argparse.Namespace], Any] = getattr(importlib.import_module(module), name)
    status: int = run(options)
    return status
