"""Writes what a file is to hold: to a file, or to standard output, which then mostly leads into one."""

import io
import re
import sys
from pathlib import Path
from typing import Final

from devicedb.errors import DeviceDBError
from devicedb.printable import printable

_LINE: Final = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


class OutputError(DeviceDBError):
    """A file for the output cannot be written."""


def print_document(text: str) -> None:
    """Print what programs read, the same on all systems: UTF-8, and the line ends of the text.

    On Windows standard output has the code page, and makes two characters of each line feed. A terminal keeps its
    encoding.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        encoding = sys.stdout.encoding if sys.stdout.isatty() else "utf-8"
        sys.stdout.reconfigure(encoding=encoding, errors="backslashreplace", newline="")
    sys.stdout.write(text)


def lines_of(text: str) -> list[str]:
    """Return the lines of a text with their ends, as Python counts them in a program.

    `str.splitlines` also ends one at form feeds and at U+2028.
    """
    return _LINE.findall(text)


def unified_diff(old: str, new: str, name: str) -> str:
    """Return the changes of a file as a unified diff, which `patch -p0` takes; a terminal obeys nothing in it."""
    import difflib

    old_lines, new_lines = lines_of(old), lines_of(new)
    text = "".join(
        line if line.endswith(("\n", "\r")) else f"{line}\n\\ No newline at end of file\n"
        for line in difflib.unified_diff(old_lines, new_lines, name, name)
    )
    return printable(text, "\t\r\n") if sys.stdout.isatty() else text


def write_text(path: Path, text: str) -> None:
    """Write a text whole or not at all; OutputError where that fails."""
    from devicedb.whole_file import write_whole

    try:
        write_whole(path, text.encode("utf-8", errors="backslashreplace"))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None
