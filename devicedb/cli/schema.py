"""`devicedb schema`: the JSON Schemas that are shipped, for editors and other programs."""

import argparse
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

from devicedb.cli.parser import CommandParser
from devicedb.cli.terminal import say, say_document
from devicedb.output import write_text

NAMES: Final = {"device_db": "device_db.schema.json", "report": "report.schema.json"}


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `devicedb schema`."""
    parser = CommandParser(
        prog="devicedb schema",
        description="Print a JSON Schema: of a device database (for editors and for databases kept as JSON), or of "
        "the report of `devicedb check --format json`.",
        epilog="examples:\n  devicedb schema > device_db.schema.json\n  devicedb schema report\n\n"
        "Exit status: 0 printed or written, 2 no such schema, or a file cannot be written.",
    )
    parser.add_argument("name", choices=NAMES, nargs="?", default="device_db", help="default: %(default)s")
    parser.add_argument(
        "--write",
        metavar="FOLDER",
        type=Path,
        help="generate every schema from the models and write the files there (for those who change `schemas/`)",
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Print the schema, or write all schema files."""
    arguments = get_argparser().parse_args(argv)
    if arguments.write is None:
        say_document(files("schemas").joinpath(NAMES[arguments.name]).read_text(encoding="utf-8"), end="")
        return 0
    from schemas.json_schema import FILES, render

    for name, model in FILES.items():
        write_text(arguments.write / name, render(model))
        say(arguments.write / name)
    return 0
