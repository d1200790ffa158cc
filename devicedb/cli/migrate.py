"""`devicedb migrate`: mend what another release of ARTIQ does not take."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from devicedb.check.config import Settings, find, override
from devicedb.cli.fixing import diff, fix_files, remaining, write_fixed
from devicedb.cli.parser import CommandParser
from devicedb.cli.subjects import subjects
from devicedb.cli.wildcards import NamedFiles
from devicedb.drivers.catalogue import RELEASES
from devicedb.errors import DeviceDBError
from devicedb.output import print_document

RULES: Final = ("DDB501", "DDB502", "DDB504", "DDB505", "DDB506", "DDB508", "DDB509", "DDB511")
"""The rules about what a release of ARTIQ takes."""


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `devicedb migrate`."""
    parser = CommandParser(
        prog="devicedb migrate",
        description="Show what a release of ARTIQ does not take in a device database, and mend it where that needs no "
        "judgement: drivers that were renamed, arguments that were removed or merged. Prints a unified diff; what is "
        "left to decide goes to standard error, a line each.",
        epilog="examples:\n  devicedb migrate --to 9\n  devicedb migrate --to 8 lab/device_db.py --write\n"
        "  devicedb migrate --to 9 lab 2> todo.txt > mend.diff\n\n"
        "It is `devicedb check --fix` with the rules about releases only.\n\n"
        "Exit status: 0 the release takes all of it, 1 something is left to mend, 2 the check could not run.",
    )
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="*",
        action=NamedFiles,
        default=["device_db.py"],
        help="device databases, or folders of them (default: device_db.py)",
    )
    parser.add_argument("--to", metavar="RELEASE", choices=RELEASES, required=True, help="7, 8 or 9")
    parser.add_argument("--write", action="store_true", help="change the files instead of printing a diff")
    parser.add_argument("--no-config", action="store_true", help="do not read pyproject.toml")
    return parser


def main(argv: Sequence[str]) -> int:
    """Print the diff or write the files; 1 if anything is left to do."""
    arguments = get_argparser().parse_args(argv)
    if "-" in arguments.paths:
        raise DeviceDBError("devicedb migrate reads files, not standard input")
    first = Path(arguments.paths[0])
    start = (first if first.is_dir() else first.parent).absolute()
    settings = Settings() if arguments.no_config else find(start)
    settings = override(settings, {"artiq_release": arguments.to, "select": RULES, "ignore": ()})
    fixed = fix_files(subjects(arguments.paths)[0], settings)
    if arguments.write:
        write_fixed(fixed)
    else:
        print_document(diff(fixed))
    sys.stderr.write(remaining(fixed, is_written=arguments.write))
    is_done = arguments.write or not any(each.new != each.old for each in fixed)
    return 0 if is_done and not any(each.after.findings for each in fixed) else 1
