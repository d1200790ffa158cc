"""The output of `devicedb check --fix` and `devicedb migrate`: a unified diff, or the files written."""

from collections.abc import Iterable, Sequence

from devicedb.check.config import Settings
from devicedb.check.engine import Subject
from devicedb.check.finding import Finding, Report, merge
from devicedb.check.fixing import FixedFile, fix_file
from devicedb.check.source import SourceText
from devicedb.errors import DatabaseLoadError, DeviceDBError
from devicedb.output import OutputError, unified_diff
from devicedb.printable import printable
from devicedb.whole_file import read_whole, write_whole


class NotWrittenError(DeviceDBError):
    """A file was not fixed, because it changed meanwhile or is no file."""


def fix_files(subjects: Iterable[Subject], settings: Settings) -> list[FixedFile]:
    """Fix files in memory.

    Raises:
        DatabaseLoadError: A file cannot be read.

    """
    fixed = []
    for subject in subjects:
        source = subject.source or subject.path
        try:
            data = read_whole(source)
        except OSError as error:
            raise DatabaseLoadError(
                subject.shown, None, f"cannot be read: {error.strerror or error}"
            ) from None
        fixed.append(fix_file(subject, data, settings))
    return fixed


def write_fixed(fixed: Sequence[FixedFile]) -> None:
    """Write the files that fixes change, each whole or not at all; links and permissions stay.

    Raises:
        NotWrittenError: A file changed meanwhile.
        OutputError: A file cannot be written.

    """
    for each in fixed:
        path = each.subject.path
        if each.new == each.old:
            continue
        if read_whole(path) != each.old:
            raise NotWrittenError(
                f"{each.subject.shown}: changed while it was checked; nothing is written to it"
            )
        try:
            write_whole(path, each.new)
        except OSError as error:
            raise OutputError(f"{each.subject.shown}: cannot be written: {error.strerror or error}") from None


def diff(fixed: Iterable[FixedFile]) -> str:
    """Return the fixes as one unified diff, which `patch -p0` takes; empty if there are none."""
    return "".join(
        unified_diff(SourceText.of(each.old).text, SourceText.of(each.new).text, each.subject.shown)
        for each in fixed
        if each.old != each.new
    )


def after(fixed: Iterable[FixedFile]) -> Report:
    """Return the report of the files with their fixes made."""
    return merge(each.after for each in fixed)


def remaining(fixed: Sequence[FixedFile], *, is_written: bool) -> str:
    """Return a line for each finding that is left, with the reason or the hint, and a closing line.

    Args:
        fixed: The files.
        is_written: Whether the lines are those of the file after its fixes, or before.

    """
    lines = []
    for each in fixed:
        reasons = {(finding.code, finding.entry): why for finding, why in each.left}
        kept = {(finding.code, finding.entry) for finding in each.after.each()}
        for finding in (each.after if is_written else each.before).findings:
            key = finding.code, finding.entry
            if key in kept:
                lines.append(_line(finding, reasons.get(key, "")))
    mended, left = sum(each.mended for each in fixed), len(lines)
    how = "mended" if is_written or not mended else "mended by this diff (--write applies it)"
    lines.append(f"{len(fixed)} file{'s' if len(fixed) > 1 else ''}: {mended} {how}, {left} left\n")
    return "".join(lines)


def _line(finding: Finding, why: str) -> str:
    where = f"{finding.file}:{finding.line}:{finding.column}"
    rest = f"left: {why}" if why else finding.hint or "left: it takes a decision"
    return printable(f"{where}: {finding.severity} {finding.code} {finding.text} ({rest})") + "\n"
