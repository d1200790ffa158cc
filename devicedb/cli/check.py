"""`devicedb check`: find mistakes in a device database, with the line of each."""

import argparse
import gc
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from devicedb.check.config import Settings, find, override
from devicedb.check.engine import Subject, check_file, visible
from devicedb.check.finding import Finding, Report, merge
from devicedb.cli.options import add_output
from devicedb.cli.parser import CommandParser
from devicedb.cli.subjects import subjects
from devicedb.cli.wildcards import NamedFiles
from devicedb.errors import DeviceDBError
from devicedb.model.rule import Severity
from devicedb.output import print_document, write_text
from devicedb.report import FORMATS, render
from devicedb.report import text as text_report

STDIN: Final = "<stdin>"


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `devicedb check`."""
    parser = CommandParser(
        prog="devicedb check",
        description="Check device databases. Each file is run in a process of its own, with a time limit; every "
        "finding names the line that made the value, also where a loop, a function or an import made it.",
        epilog="examples:\n  devicedb check\n  devicedb check lab/device_db.py --experiments repository\n"
        "  devicedb check . --format sarif --output devicedb.sarif\n"
        "  devicedb check --fix                                       show what it can mend, as a diff\n"
        "  devicedb check --fix --write                               mend it\n"
        "  devicedb explain DDB305                                    what a rule finds, and why\n\n"
        "A comment at the end of a line silences a rule there:\n  # ddb: ignore[DDB406]\n\n"
        "Settings are read from [tool.devicedb] in pyproject.toml: select, ignore, fail-on, show, artiq-release,\n"
        "search-path, experiments, assume-installed, construct, artiq-python, time-limit, static.\n\n"
        "Exit status: 0 nothing at or above --fail-on, 1 findings, 2 the check could not run.",
    )
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="*",
        action=NamedFiles,
        default=["device_db.py"],
        help="device databases, or folders: files with device_db in their names that define a global device_db; "
        "or - for standard input (default: device_db.py)",
    )
    parser.add_argument(
        "--select",
        metavar="CODES",
        help="run only these rules: codes or their beginnings, such as DDB3,DDB406 (default: all)",
    )
    parser.add_argument("--ignore", metavar="CODES", help="do not run these rules; same form as --select")
    severities = ", ".join(Severity)
    parser.add_argument(
        "--fail-on",
        metavar="SEVERITY",
        help=f"exit with 1 from this severity on: {severities} (default: error)",
    )
    parser.add_argument(
        "--show", metavar="SEVERITY", help=f"lowest severity to show: {severities} (default: warning)"
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
        help="folder of experiments: check the devices that they ask for; may be repeated",
    )
    parser.add_argument(
        "--assume-installed",
        metavar="PACKAGE",
        action="append",
        help="let imports of this package succeed where it is not installed; what it gives stays unknown; may be "
        "repeated",
    )
    parser.add_argument(
        "--construct",
        nargs="?",
        const="artiq",
        choices=("artiq", "all"),
        help="construct local devices without hardware and report what raises: ARTIQ's drivers, or all (default if "
        "given: artiq); needs an interpreter with ARTIQ",
    )
    parser.add_argument(
        "--artiq-python",
        metavar="PYTHON",
        help="interpreter that has ARTIQ (default: the one that runs this)",
    )
    parser.add_argument(
        "--static",
        action="store_true",
        default=None,
        help="do not run the file; values from loops, calls and imports stay unknown",
    )
    parser.add_argument(
        "--time-limit",
        metavar="SECONDS",
        type=float,
        help="limit of the CPU time of each file, and of the time for which it waits without computing "
        "(default: 10)",
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="text", help="report format (default: %(default)s)"
    )
    add_output(parser, "report")
    parser.add_argument(
        "--fix",
        action="store_true",
        help="print a unified diff that mends what needs no judgement; what is left goes to standard error with the "
        "reason. The result is checked: an edit that leads to another finding is left out",
    )
    parser.add_argument(
        "--write", action="store_true", help="with --fix: change the files, and report what is left"
    )
    parser.add_argument(
        "--statistics", action="store_true", help="count findings by rule instead of showing them"
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="print one line for each finding, without its source"
    )
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="colour the text (default: %(default)s: on a terminal, unless NO_COLOR is set)",
    )
    parser.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="name the files of a folder that are not checked, and why",
    )
    parser.add_argument("--no-config", action="store_true", help="do not read pyproject.toml")
    return parser


def main(argv: Sequence[str]) -> int:
    """Check every file, write the report, return the exit status."""
    arguments = get_argparser().parse_args(argv)
    settings = settings_of(arguments)
    if arguments.fix or arguments.write:
        if not arguments.fix:
            raise DeviceDBError("--write needs --fix")
        return fix(arguments, settings)
    gc.freeze()
    gc.disable()  # all objects of a large database stay alive: the garbage collector would find nothing
    try:
        report = visible(check(arguments.paths, settings, arguments.verbose), settings)
    finally:
        gc.enable()
        gc.unfreeze()
    write_report(report, arguments)
    return 1 if report.fails(settings.fail_on) else 0


def write_report(report: Report, arguments: argparse.Namespace) -> None:
    """Write the report in the chosen format to the chosen place."""
    show: Callable[[str], object] = sys.stdout.write  # each report escapes what it shows; colours are ours
    if arguments.statistics:
        text = text_report.statistics(report)
    elif arguments.format == "text":
        is_coloured = wants_colour(arguments.color) and arguments.output is None
        text = text_report.render(report, is_coloured=is_coloured, is_quiet=arguments.quiet)
    else:
        is_service = arguments.format in {"github", "gitlab", "sarif"}
        text = render(in_repository(report) if is_service else report, arguments.format)
        show = print_document
    if arguments.output is not None:
        write_text(arguments.output, text)
    else:
        show(text)


def in_repository(report: Report) -> Report:
    """Return the report with paths relative to the repository's root, so that services find the files.

    The root is GITHUB_WORKSPACE or CI_PROJECT_DIR where a service sets it, else the nearest folder with `.git`. Files
    outside it keep their path.
    """
    here = Path.cwd()
    given = os.environ.get("GITHUB_WORKSPACE") or os.environ.get("CI_PROJECT_DIR")
    root = (
        Path(given)
        if given
        else next((each for each in (here, *here.parents) if (each / ".git").exists()), here)
    )

    def moved(finding: Finding) -> Finding:
        fix = finding.fix
        if fix is not None:
            fix = replace(fix, edits=tuple(replace(each, file=inside(each.file)) for each in fix.edits))
        return replace(finding, file=inside(finding.file), alike=tuple(map(moved, finding.alike)), fix=fix)

    def inside(file: str) -> str:
        path = Path(os.path.abspath(file))
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else file

    return replace(report, findings=tuple(map(moved, report.findings)))


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
        "assume_installed": arguments.assume_installed,
        "construct": arguments.construct,
        "artiq_python": arguments.artiq_python,
        "static": arguments.static,
        "time_limit": arguments.time_limit,
    }
    return override(settings, given)


def _codes(text: str | None) -> list[str] | None:
    return None if text is None else [code for code in text.replace(",", " ").split() if code]


def check(paths: Sequence[str], settings: Settings, is_verbose: bool = False) -> Report:
    """Check files and folders, in order."""
    reports = []
    notes: list[str] = []
    for path in paths:
        if path == "-":
            reports.append(check_stdin(settings))
            continue
        found, others = subjects([path])
        reports += [check_file(each, settings) for each in found]
        notes += others
    return merge([*reports, Report((), (), notes=tuple(notes))] if is_verbose else reports)


def check_stdin(settings: Settings) -> Report:
    """Check the text on standard input as if it were device_db.py in the current folder."""
    with tempfile.TemporaryDirectory(prefix="devicedb-") as folder:
        source = Path(folder, "device_db.py")
        source.write_bytes(sys.stdin.buffer.read())
        return check_file(Subject(Path("device_db.py"), STDIN, source), settings)


def fix(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print the fixes as a diff, or write them and report what is left."""
    from devicedb.cli import fixing

    if "-" in arguments.paths:
        raise DeviceDBError("--fix reads files, not standard input")
    if not arguments.write and (arguments.format != "text" or arguments.statistics):
        raise DeviceDBError("--fix prints a diff; --format and --statistics need --write, or no --fix")
    fixed = fixing.fix_files(subjects(arguments.paths)[0], settings)
    if arguments.write:
        fixing.write_fixed(fixed)
        report = fixing.after(fixed)
        write_report(report, arguments)
        mended = sum(each.mended for each in fixed)
        sys.stderr.write(f"{mended} finding{'' if mended == 1 else 's'} mended\n")
        return 1 if report.fails(settings.fail_on) else 0
    text = fixing.diff(fixed)
    if arguments.output is not None:
        write_text(arguments.output, text)
    else:
        print_document(text)
    sys.stderr.write(fixing.remaining(fixed, is_written=False))
    return 1 if merge(each.before for each in fixed).fails(settings.fail_on) else 0


def wants_colour(choice: str) -> bool:
    """Whether to colour: on a terminal, unless NO_COLOR is set."""
    if choice != "auto":
        return choice == "always"
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
