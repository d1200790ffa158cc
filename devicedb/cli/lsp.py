"""`devicedb lsp`: the language server that an editor starts."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec

from devicedb.cli.parser import CommandParser
from devicedb.cli.streams import is_terminal
from devicedb.errors import DeviceDBError


class MissingExtraError(DeviceDBError):
    """A package of an extra is not installed."""


class NoEditorError(DeviceDBError):
    """A person has started what an editor starts."""


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `devicedb lsp`."""
    parser = CommandParser(
        prog="devicedb lsp",
        description="Check, explain and complete device databases in an editor. This is a language server: the editor "
        "starts it and speaks to it over standard input and output. In a device database it shows findings, as "
        "`devicedb check` reports them, entries, as `devicedb show` does, and quick fixes; it completes names, keys "
        "and arguments of drivers, and goes to entries. In an experiment it does so for the names in "
        'get_device("...") and setattr_device("...").',
        epilog="A changed database is read at once. After a pause it is run in a process of its own, with the limits "
        "of\n`devicedb check`: open only files that you trust, or use --static.\n\n"
        "Settings are read from [tool.devicedb] in the pyproject.toml at or above the database.\n\n"
        "examples, for the editor's settings:\n  devicedb lsp\n  devicedb lsp --static\n\n"
        "Needs: pip install 'artiq-rexec[lsp]'\n\n"
        "Exit status: 0 ended by the editor, 1 standard input closed without `shutdown`,\n"
        "2 a package is missing or standard input is a terminal.",
    )
    parser.add_argument(
        "--static",
        action="store_true",
        help="do not run databases; values from loops, calls and imports stay unknown",
    )
    parser.add_argument(
        "--pause",
        metavar="SECONDS",
        type=pause,
        default=0.7,
        help="run a database when nothing has been typed for so long (default: %(default)s)",
    )
    parser.add_argument(
        "--stdio", action="store_true", help="accepted because some editors add it; there is no other way"
    )
    return parser


def pause(text: str) -> float:
    """Return a number of seconds; ValueError if it is none, negative or beyond an hour."""
    seconds = float(text)
    if not 0 <= seconds <= 3600:
        raise ValueError(text)
    return seconds


def main(argv: Sequence[str]) -> int:
    """Serve the editor that has started this."""
    arguments = get_argparser().parse_args(argv)
    if find_spec("pygls") is None:
        raise MissingExtraError("the language server needs the package pygls: pip install 'artiq-rexec[lsp]'")
    if is_terminal(sys.stdin):
        raise NoEditorError(
            "standard input is a terminal, but an editor is to start this: see docs/how-to/edit-with-an-editor.md; "
            "to check a database here: devicedb check"
        )
    from devicedb.lsp.server import serve

    return serve(version("artiq-rexec"), pause=arguments.pause, is_static=arguments.static)
