"""Writes the text that a command was asked to put into a file."""

import io
import sys
from pathlib import Path

from devicedb.errors import DeviceDBError


class OutputError(DeviceDBError):
    """A file for the output cannot be written."""


def print_with_its_line_ends(text: str) -> None:
    """Print a text; Windows, too, is kept from making two characters of each line feed."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(newline="")
    sys.stdout.write(text)


def write_text(path: Path, text: str) -> None:
    """Write a text whole or not at all; OutputError where that fails."""
    from devicedb.whole_file import write_whole

    try:
        write_whole(path, text.encode("utf-8", errors="backslashreplace"))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None
