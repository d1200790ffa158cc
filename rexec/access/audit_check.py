"""Verifies an audit: finds lines that were changed, removed, exchanged or cut off.

A person who may write all files of an audit can compute all hashes anew. Only the number and hash of a line that are
kept elsewhere (a logbook, another machine) show that: `expected` compares them.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from devicedb.opening import open_to_read
from rexec.access.chain import FIRST, head_of, read_head, read_line, rotated


@dataclass
class AuditReport:
    """What a verification found.

    Attributes:
        lines: Number of lines that were read.
        last: Number and hash of the last one.
        problems: What is wrong, each with its file and line.
        notes: What is worth knowing and no fault.

    """

    lines: int = 0
    last: tuple[int, str] = (0, FIRST)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def records(path: Path) -> Iterator[tuple[str, dict[str, Any] | str]]:
    """Yield the lines of an audit, the oldest first: place, and fields or what is wrong with it.

    A last line without line end is left out.

    Args:
        path: The file; those before it are read, too.

    Raises:
        OSError: A file cannot be read.

    """
    before, last = _opened(path)
    with contextlib.ExitStack() as stack:
        if last is not None:
            stack.enter_context(last)
        for file in before:
            with open(file, "rb", opener=open_to_read) as stream:
                yield from _records(file, stream)
        if last is not None:
            yield from _records(path, last)


def _opened(path: Path) -> tuple[list[Path], BinaryIO | None]:
    """Return the rotated files of an audit, and the current one, opened, even while its server rotates it."""
    while True:
        before = rotated(path)
        try:
            last: BinaryIO | None = open(path, "rb", opener=open_to_read)
        except FileNotFoundError:
            last = None
        if rotated(path) == before:
            return before, last
        if last is not None:
            last.close()


def _records(file: Path, stream: BinaryIO) -> Iterator[tuple[str, dict[str, Any] | str]]:
    for number, line in enumerate(stream, 1):
        if not line.endswith(b"\n"):
            yield f"{file}:{number}", f"{len(line)} bytes without a line end"
            return  # what a server adds meanwhile is the rest of this line, and no line of its own
        try:
            yield f"{file}:{number}", read_line(line)
        except ValueError as error:
            yield f"{file}:{number}", str(error)


def verify(path: Path, expected: tuple[int, str] | None = None) -> AuditReport:
    """Return what is wrong with an audit.

    Args:
        path: The file; those before it are verified, too.
        expected: Number and hash of a line, or the beginning of that hash, kept elsewhere.

    Raises:
        OSError: A file cannot be read.

    """
    head = _head(path)
    report = AuditReport()
    report.problems += [f"{file} is empty" for file in rotated(path) if not file.stat().st_size]
    marks = {head[0]: head[1]} if isinstance(head, tuple) else {}
    seen: dict[int, str] = {}
    wanted = {*marks, *([expected[0]] if expected is not None else [])}
    before = (0, FIRST)
    torn = ""
    for place, found in records(path):
        if torn:
            report.problems.append(torn)
        torn = ""
        if isinstance(found, str):
            if "without a line end" in found:
                torn = f"{place}: {found}"
            else:
                report.problems.append(f"{place}: {found}")
                before = (before[0] + 1, "")
            continue
        report.lines += 1
        _compare(report, place, found, before)
        if "problem" in found:
            report.problems.append(f"{place}: noticed when the server started: {found['problem']}")
        if "cut" in found:
            report.notes.append(f"{place}: a torn line of {found['cut']} bytes before it was cut off")
        if "lost" in found:
            report.notes.append(f"{place}: {found['lost']} records before it could not be written")
        if (number := found["n"]) in wanted:
            seen[number] = found["hash"]
        before = (number, found["hash"])
    report.last = before
    if torn:
        report.notes.append(f"{torn}: the server is writing this line, or was killed meanwhile")
    _compare_with_head(report, path, head, seen)
    if expected is not None and not seen.get(expected[0], "").startswith(expected[1]):
        report.problems.append(
            f"line {expected[0]} does not have the expected hash: the audit was written anew"
        )
    return report


def _compare(report: AuditReport, place: str, found: dict[str, Any], before: tuple[int, str]) -> None:
    number, digest = before
    if before == (0, FIRST) and found.get("continues") == found["n"] - 1:
        report.notes.append(f"lines 1 to {found['n'] - 1} are in files that are not here")
        return
    if found["n"] > number + 1:
        missing = (
            f"line {number + 1}" if found["n"] == number + 2 else f"lines {number + 1} to {found['n'] - 1}"
        )
        report.problems.append(f"{place}: {missing} before it missing")
    elif found["n"] <= number:
        report.problems.append(f"{place}: line {found['n']} stands behind line {number}")
    elif digest and found["prev"] != digest:
        report.problems.append(f"{place}: it does not continue the line before it, which was replaced")


def _head(path: Path) -> tuple[int, str] | str:
    """Return number and hash of the head file, or what is wrong with it."""
    try:
        return read_head(path) or f"{head_of(path)} is missing: lines cut off at the end would not be noticed"
    except ValueError as error:
        return f"{head_of(path)}: {error}"


def _compare_with_head(
    report: AuditReport, path: Path, head: tuple[int, str] | str, seen: dict[int, str]
) -> None:
    if isinstance(head, str):
        report.problems.append(head)
        return
    number, digest = head
    if number > report.last[0]:
        report.problems.append(
            f"lines {report.last[0] + 1} to {number} were cut off at the end ({head_of(path)})"
        )
    elif number and seen.get(number) != digest:
        report.problems.append(f"{head_of(path)}: line {number} has another hash")
    elif report.last[0] > number + 1:
        # A server may have written meanwhile.
        again = _head(path)
        if isinstance(again, tuple) and again[0] + 1 < report.last[0]:
            report.problems.append(
                f"{head_of(path)} is of line {again[0]}, but the last line is {report.last[0]}"
            )
