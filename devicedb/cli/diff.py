"""`devicedb diff`: what changed in meaning between two device databases."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from devicedb.cli.parser import CommandParser
from devicedb.cli.terminal import say, say_document
from devicedb.database import load_file
from devicedb.diff import changes


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `devicedb diff`."""
    parser = CommandParser(
        prog="devicedb diff",
        description="Tell what changed in meaning between two device databases: names added and removed, devices "
        "moved to another host or port, aliases and targets that lead elsewhere. Comments and layout do not count.",
        epilog="examples:\n  devicedb diff device_db.py new/device_db.py\n"
        "  devicedb diff old.py device_db.py --format json\n\n"
        "Exit status: 0 no differences, 1 differences, 2 a database cannot be loaded.",
    )
    parser.add_argument("old", metavar="OLD", type=Path, help="device database before")
    parser.add_argument("new", metavar="NEW", type=Path, help="device database after")
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="output format (default: %(default)s)"
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Print the differences; 1 where there are any."""
    arguments = get_argparser().parse_args(argv)
    found = list(changes(load_file(arguments.old).raw, load_file(arguments.new).raw))
    if arguments.format == "json":
        say_document(json.dumps({"changes": [asdict(each) for each in found]}, indent=2))
    else:
        for each in found:
            say(each)
    return 1 if found else 0
