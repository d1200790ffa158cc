"""Writes the text that a command was asked to put into a file."""

from pathlib import Path

from devicedb.errors import DeviceDBError


class OutputError(DeviceDBError):
    """A file for the output cannot be written."""


def write_text(path: Path, text: str) -> None:
    """Write a text whole or not at all; OutputError where that fails."""
    from devicedb.whole_file import write_whole

    try:
        write_whole(path, text.encode("utf-8", errors="backslashreplace"))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None
