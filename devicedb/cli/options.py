"""Options that several subcommands share, and the console they print to."""

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH: Final = 240
"""Columns of a table that goes to a file or a pipe: nothing that a script looks for is cut off."""


def add_device_db(parser: argparse.ArgumentParser) -> None:
    """Add `--device-db FILE`."""
    parser.add_argument(
        "--device-db",
        metavar="FILE",
        type=Path,
        default=Path("device_db.py"),
        help="device database (default: device_db.py in the current folder)",
    )


def add_output(parser: argparse.ArgumentParser, what: str) -> None:
    """Add `--output FILE` for what a command prints otherwise."""
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help=f"write the {what} there, whole or not at all (default: standard output)",
    )


def console() -> "Console":
    """Return a console for standard output: as wide as the terminal, wide enough for a pipe otherwise."""
    from rich.console import Console

    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    width = shutil.get_terminal_size().columns if known else PIPE_WIDTH
    return Console(width=width, highlight=False, markup=False)
