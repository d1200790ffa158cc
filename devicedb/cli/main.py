"""Finds the subcommand of `devicedb`, runs it, and turns expected errors into one line.

A subcommand is a module `devicedb.cli.NAME` with `get_argparser() -> ArgumentParser` and
`main(argv: Sequence[str]) -> int` (the exit status). It raises a `DeviceDBError` for whatever bad input can
cause; any other exception is a fault of ours and keeps its traceback.
"""

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Final, cast

from devicedb.cli import completion
from devicedb.cli.formatting import TextAndExamples
from devicedb.cli.pipe import READER_GONE, reader_has_gone
from devicedb.errors import DeviceDBError

SUBCOMMANDS: Final[dict[str, str]] = {
    "check": "find what would fail, at the line that caused it",
    "diff": "what changed in meaning between two databases",
    "explain": "what a rule of the check finds and why",
    "graph": "draw devices, controllers, hosts and aliases",
    "schema": "print a JSON Schema",
    "show": "list the devices, or show all that is known of one",
    "stubs": "write types of devices, so that editors complete them",
}
"""Subcommand, the line that `devicedb --help` says of it. The module is `devicedb.cli.<subcommand>`."""


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the program itself: it knows the names of the subcommands, not their options."""
    width = max(map(len, SUBCOMMANDS))
    listing = "\n".join(f"  {name:{width}}  {line}" for name, line in SUBCOMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="devicedb",
        description="Device databases of ARTIQ laboratories: what is written.",
        epilog=f"commands:\n{listing}\n\n`devicedb COMMAND --help` explains one command.",
        formatter_class=TextAndExamples,
    )
    parser.add_argument("--version", action="store_true", help="print the version and end")
    completion.add_argument(parser, "devicedb.cli", SUBCOMMANDS)
    parser.add_argument(
        "command", metavar="COMMAND", nargs="?", choices=SUBCOMMANDS, help="one of the commands below"
    )
    parser.add_argument("arguments", metavar="...", nargs=argparse.REMAINDER, help="what the command takes")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program with `argv` (default: the process's own arguments) and return its exit status."""
    parser = get_argparser()
    arguments = parser.parse_args(argv)
    if arguments.version:
        from importlib.metadata import version

        print(f"artiq-rexec {version('artiq-rexec')}")
        return 0
    command: str | None = arguments.command
    if command is None:
        parser.error("a command is missing; one of " + ", ".join(SUBCOMMANDS))
    module = importlib.import_module(f"devicedb.cli.{command}")
    run = cast(Callable[[Sequence[str]], int], module.main)
    try:
        status = run(arguments.arguments)
        sys.stdout.flush()
        return status
    except DeviceDBError as error:
        print(f"devicedb {command}: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        if not reader_has_gone():
            raise
        return READER_GONE
    except KeyboardInterrupt:
        print(f"devicedb {command}: interrupted", file=sys.stderr)
        return 130
