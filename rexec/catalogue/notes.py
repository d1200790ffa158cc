r"""Comments and tags of runs, kept beside the result files and never in them.

`000000042-Ramsey.h5.notes` has a line for each note, in JSON, the newest last:

    {"time": 1793432040.1, "by": "alice", "comment": "good contrast"}
    {"time": 1793432055.7, "by": "alice", "tag": "paper"}
    {"time": 1793432099.2, "by": "bob", "untag": "paper"}

The last comment holds. Lines are only appended, by one process at a time: two persons at once lose nothing, and neither
does a kill.
"""

import contextlib
import getpass
import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from devicedb.opening import once_free, open_bytes, open_to_read
from devicedb.printable import printable
from devicedb.whole_file import sync_descriptor, sync_folder_of
from rexec.ground.locks import lock_within
from rexec.results.errors import ResultsError, hint, reason

NOTES_SUFFIX: Final = ".notes"
"""Suffix of the name of the notes, after the name of the result file."""

MOST_READ: Final = 1 << 20
"""Bytes of notes that are read, from their end."""

LONGEST: Final = 10_000
"""Characters that a comment has at most."""

LONGEST_TAG: Final = 100
"""Characters that a tag has at most."""

_PATIENCE: Final = 10.0
"""Seconds that another process which notes something is waited for."""


class RunNotes(NamedTuple):
    """What people have noted of a run.

    Attributes:
        comment: The comment; "" without one.
        tags: The tags, in the order in which they were given.

    """

    comment: str = ""
    tags: tuple[str, ...] = ()


def notes_path(path: Path) -> Path:
    """Return the path of the notes of the result file `path`."""
    return path.with_name(path.name + NOTES_SUFFIX)


def notes_of(path: Path) -> RunNotes:
    """Return what people have noted of a result file; lines that cannot be read count as absent.

    Raises:
        ResultsError: The system refuses to read the notes, and did so for 5 s.

    """
    try:
        return once_free(lambda: read_notes(path))
    except OSError as error:
        target = notes_path(path)
        raise ResultsError(f"cannot read the notes {target}: {reason(error)}{hint(error)}") from error


def read_notes(path: Path) -> RunNotes:
    """Return what people have noted of a result file; lines that cannot be read count as absent.

    Raises:
        OSError: The system refuses to read the notes, perhaps for the moment.

    """
    comment, tags = "", dict[str, None]()
    for line in _lines(notes_path(path)):
        if isinstance(line.get("comment"), str):
            comment = line["comment"][:LONGEST]
        if isinstance(line.get("tag"), str):
            tags[line["tag"][:LONGEST_TAG]] = None
        if isinstance(line.get("untag"), str):
            tags.pop(line["untag"], None)
    return RunNotes(comment, tuple(tags))


def comment(path: Path, text: str) -> None:
    """Note a comment, which takes the place of the one before; "" removes that.

    Raises:
        ResultsError: It is too long, or the notes cannot be written.

    """
    if len(text) > LONGEST:
        raise ResultsError(f"a comment has at most {LONGEST} characters, this one has {len(text)}")
    _append(path, [{"comment": text}])


def tag(path: Path, tags: list[str], *, remove: bool = False) -> None:
    """Add tags, or remove them.

    Raises:
        ResultsError: A tag is empty, too long or has white space or a comma in it, or the notes cannot be written.

    """
    for each in tags:
        if (
            not each
            or len(each) > LONGEST_TAG
            or "," in each
            or len(each.split()) != 1
            or each.strip() != each
        ):
            raise ResultsError(
                f"a tag is one word without commas, of at most {LONGEST_TAG} characters: not {printable(each)!r:.120}"
            )
    held = notes_of(path).tags
    changed = [each for each in dict.fromkeys(tags) if (each in held) == remove]
    if changed:
        _append(path, [{"untag" if remove else "tag": each} for each in changed])


def _append(path: Path, notes: list[dict[str, str]]) -> None:
    target = notes_path(path)
    author = {"time": time.time(), "by": _user()}
    lines = "".join(json.dumps(author | each) + "\n" for each in notes)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0)
        descriptor = once_free(lambda: open_bytes(target, flags, 0o666))
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ResultsError(f"cannot note anything of {path}: {target} is no regular file")
            # On Windows an append takes two steps: it finds the end of the file, then writes there.
            if not lock_within(descriptor, _PATIENCE):
                raise TimeoutError(f"it is locked by a process that does not go on, for over {_PATIENCE:g} s")
            # After a line that was not written to its end.
            if os.fstat(descriptor).st_size and _last_byte(target) != b"\n":
                lines = "\n" + lines
            os.write(descriptor, lines.encode())
            sync_descriptor(descriptor)
        finally:
            os.close(descriptor)
        sync_folder_of(target)
        # A line that is appended leaves the time of the folder as it was, by which the index sees changes.
        with contextlib.suppress(OSError):
            os.utime(target.parent)
    except OSError as error:
        raise ResultsError(f"cannot write {target}: {reason(error)}{hint(error)}") from error


def _last_byte(path: Path) -> bytes:
    with open(path, "rb", opener=open_to_read) as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)


def _user() -> str:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # a number without a name
        return ""


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        descriptor = open_to_read(path)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return
        file.seek(max(0, found.st_size - MOST_READ))
        data = file.read(MOST_READ)
    for line in data.splitlines():
        try:
            note = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(note, dict):
            yield note
