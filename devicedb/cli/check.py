"""`devicedb check`: find what would fail, at the line that caused it."""

import argparse
import gc
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from devicedb.check.config import Settings, find, override
from devicedb.check.engine import Subject, check_file, visible
from devicedb.check.finding import Report, merge
from devicedb.check.output import write_whole
from devicedb.cli.options import add_output
from devicedb.cli.parser import CommandParser
from devicedb.errors import DatabaseLoadError
from devicedb.report import FORMATS, render
from devicedb.report import text as text_report
from devicedb.rules.registry import Severity

STDIN: Final = "<stdin>"


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `devicedb check`."""
    parser = CommandParser(
        prog="devicedb check",
        description="Check device databases. Each file is run in a process of its own, with a time limit; every "
        "finding names the line that made the value, also where a loop, a function or an import made it.",
        epilog="examples:\n  devicedb check\n  devicedb check lab/device_db.py --experiments repository\n"
        "  devicedb check . --format sarif --output devicedb.sarif\n"
        "  devicedb explain DDB305                                    what a rule finds, and why\n\n"
        "A comment at the end of a line silences a rule there:\n  # ddb: ignore[DDB406]\n\n"
        "Settings are read from [tool.devicedb] in pyproject.toml: select, ignore, fail-on, show, artiq-release,\n"
        "search-path, experiments, time-limit, static.\n\n"
        "Exit status: 0 nothing at or above --fail-on, 1 findings, 2 the check itself could not run.",
    )
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="*",
        default=["device_db.py"],
        help="device databases, or folders that hold files whose names contain device_db, or - for standard "
        "input (default: device_db.py)",
    )
    parser.add_argument(
        "--select",
        metavar="CODES",
        help="run only these rules: codes or beginnings of some, separated by commas: DDB3,DDB406 (default: all)",
    )
    parser.add_argument("--ignore", metavar="CODES", help="do not run these rules, written as for --select")
    severities = ", ".join(Severity)
    parser.add_argument("--fail-on", metavar="SEVERITY", help=f"one of {severities} (default: error)")
    parser.add_argument(
        "--show", metavar="SEVERITY", help=f"the mildest shown: {severities} (default: warning)"
    )
    parser.add_argument(
        "--artiq-release", metavar="RELEASE", help="7, 8 or 9 (default: the installed one, else 9)"
    )
    parser.add_argument(
        "--search-path",
        metavar="DIR",
        action="append",
        help="folder of the laboratory's drivers; may be repeated",
    )
    parser.add_argument(
        "--experiments",
        metavar="DIR",
        action="append",
        help="folder of experiments: find devices that they ask for and no entry has; may be repeated",
    )
    parser.add_argument(
        "--static",
        action="store_true",
        default=None,
        help="read the file without running it: values that loops and imports make stay unknown",
    )
    parser.add_argument(
        "--time-limit", metavar="SECONDS", type=float, help="how long a file may run (default: 10)"
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="text", help="form of the report (default: %(default)s)"
    )
    add_output(parser, "report")
    parser.add_argument(
        "--statistics", action="store_true", help="count findings by rule instead of showing them"
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="print one line a finding, without its source"
    )
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="colours in the text (default: %(default)s: on a terminal, unless NO_COLOR is set)",
    )
    parser.add_argument("--no-config", action="store_true", help="do not read pyproject.toml")
    return parser


def main(argv: Sequence[str]) -> int:
    """Check every file, write the report, return the exit status."""
    arguments = get_argparser().parse_args(argv)
    settings = settings_of(arguments)
    gc.freeze()
    gc.disable()  # a large database is many objects that all stay: looking through them again and again is waste
    try:
        report = visible(check(arguments.paths, settings), settings)
    finally:
        gc.enable()
        gc.unfreeze()
    if arguments.statistics:
        text = text_report.statistics(report)
    elif arguments.format == "text":
        is_coloured = wants_colour(arguments.color) and arguments.output is None
        text = text_report.render(report, is_coloured=is_coloured, is_quiet=arguments.quiet)
    else:
        text = render(report, arguments.format)
    if arguments.output is not None:
        write_whole(arguments.output, text)
    else:
        sys.stdout.write(text)
    return 1 if report.fails(settings.fail_on) else 0


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Return the settings of pyproject.toml, overridden by the options given."""
    first = Path(arguments.paths[0])
    start = first if first.is_dir() else first.parent
    settings = Settings() if arguments.no_config else find(start.absolute())
    given = {
        "select": _codes(arguments.select),
        "ignore": _codes(arguments.ignore),
        "fail_on": arguments.fail_on,
        "show": arguments.show,
        "artiq_release": arguments.artiq_release,
        "search_path": arguments.search_path,
        "experiments": arguments.experiments,
        "static": arguments.static,
        "time_limit": arguments.time_limit,
    }
    return override(settings, given)


def _codes(text: str | None) -> list[str] | None:
    return None if text is None else [code for code in text.replace(",", " ").split() if code]


def check(paths: Sequence[str], settings: Settings) -> Report:
    """Check files and folders, in order."""
    reports = []
    for path in paths:
        if path == "-":
            reports.append(check_stdin(settings))
        else:
            reports += [check_file(each, settings) for each in subjects(path)]
    return merge(reports)


def subjects(path: str) -> list[Subject]:
    """Return the databases that a path names: a file, or what a folder holds."""
    if not os.path.isdir(path):
        return [Subject(Path(path), path)]
    from devicedb.drivers.sources import python_files

    found = [each for each in python_files(Path(path)) if "device_db" in each.name]
    if not found:
        raise DatabaseLoadError(path, None, "there is no file named *device_db*.py in this folder")
    return [Subject(each, str(each)) for each in found]


def check_stdin(settings: Settings) -> Report:
    """Check what standard input says, as if it were device_db.py in the current folder."""
    with tempfile.TemporaryDirectory(prefix="devicedb-") as folder:
        source = Path(folder, "device_db.py")
        source.write_bytes(sys.stdin.buffer.read())
        return check_file(Subject(Path("device_db.py"), STDIN, source), settings)


def wants_colour(choice: str) -> bool:
    """Whether to colour: on a terminal, unless NO_COLOR is set."""
    if choice != "auto":
        return choice == "always"
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
