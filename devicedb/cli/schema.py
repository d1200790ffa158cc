"""`devicedb schema`: the JSON Schemas that are shipped, for editors and other programs."""

import argparse
from collections.abc import Sequence
from importlib.resources import files
from typing import Final

from devicedb.cli.parser import CommandParser

NAMES: Final = {"device_db": "device_db.schema.json", "report": "report.schema.json"}


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `devicedb schema`."""
    parser = CommandParser(
        prog="devicedb schema",
        description="Print a JSON Schema: of a device database (for editors and for databases kept as JSON), or of "
        "the report of `devicedb check --format json`.",
        epilog="examples:\n  devicedb schema > device_db.schema.json\n  devicedb schema report\n\n"
        "Exit status: 0 it is printed, 2 there is no such schema.",
    )
    parser.add_argument(
        "name", choices=NAMES, nargs="?", default="device_db", help="which one (default: %(default)s)"
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Print the schema."""
    arguments = get_argparser().parse_args(argv)
    print(files("schemas").joinpath(NAMES[arguments.name]).read_text(encoding="utf-8"), end="")
    return 0
