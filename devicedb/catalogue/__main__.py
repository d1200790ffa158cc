"""`python -m devicedb.catalogue`: make a catalogue of drivers from the source of a package."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from devicedb.catalogue.build import add, as_json, drivers_in, find_package, read
from devicedb.cli.parser import CommandParser
from devicedb.drivers.signatures import MANAGER_NAMES
from devicedb.errors import DeviceDBError
from devicedb.output import write_text


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the program."""
    parser = CommandParser(
        prog="python -m devicedb.catalogue",
        description="Read the constructor arguments of every driver of some packages from their source, which is "
        "parsed and never imported.",
        epilog="example:\n  python -m devicedb.catalogue artiq/coredevice artiq/sim --release 9 --update old.json",
    )
    parser.add_argument(
        "packages", metavar="PACKAGE", nargs="+", help="package of drivers: a folder or a dotted name"
    )
    parser.add_argument("--release", metavar="N", required=True, help="release of the source")
    parser.add_argument("--update", metavar="FILE", help="catalogue to extend: its other releases are kept")
    parser.add_argument(
        "--manager",
        metavar="NAME",
        action="append",
        help="what constructors call the device manager; repeatable (default: "
        + ", ".join(MANAGER_NAMES)
        + ")",
    )
    parser.add_argument(
        "--output", metavar="FILE", help="write the catalogue to FILE (default: standard output)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Write the catalogue; exit status 2 if a package or file is unsuitable."""
    arguments = get_argparser().parse_args(argv)
    try:
        known = read(Path(arguments.update)) if arguments.update else {}
        packages = [find_package(each) for each in arguments.packages]
        managers = arguments.manager or MANAGER_NAMES
        found = [each for package in packages for each in drivers_in(package, managers)]
        text = as_json(add(known, iter(found), arguments.release))
        if arguments.output is None:
            sys.stdout.write(text)
        else:
            write_text(Path(arguments.output), text)
    except DeviceDBError as error:
        sys.stderr.write(f"devicedb.catalogue: error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
