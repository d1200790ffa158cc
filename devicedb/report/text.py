"""The report for people: each finding with its line of source and a caret under what is meant."""

from collections.abc import Callable
from typing import Final, TypeAlias

from devicedb.check.finding import Finding, Report
from devicedb.model.rule import Severity
from devicedb.printable import printable
from devicedb.rules.registry import RULES

RESET: Final = "\x1b[0m"
BOLD: Final = "\x1b[1m"
BLUE: Final = "\x1b[34m"
Paint: TypeAlias = Callable[[str, str], str]
COLOURS: Final = {Severity.ERROR: "\x1b[1;31m", Severity.WARNING: "\x1b[1;33m", Severity.INFO: "\x1b[1;36m"}


def render(report: Report, *, is_coloured: bool = False, is_quiet: bool = False) -> str:
    """Return the report as text.

    Args:
        report: The findings, with the source of the files that they are in.
        is_coloured: Whether to use a terminal's colours.
        is_quiet: One line a finding, no source.

    """
    paint = _paint if is_coloured else _plain
    blocks = [_finding(each, report, paint, is_quiet) for each in report.findings]
    text = ("" if is_quiet else "\n").join(blocks)
    return f"{text}{'' if is_quiet or not blocks else chr(10)}{_closing(report, paint)}"


def statistics(report: Report) -> str:
    """Return how often each rule found something, the most frequent first."""
    counts = sorted(report.by_code().items(), key=lambda item: (-item[1], item[0]))
    return "".join(
        f"{count:6}  {code}  {RULES[code].severity:8} {RULES[code].summary}\n" for code, count in counts
    )


def _plain(text: str, colour: str) -> str:
    return text


def _paint(text: str, colour: str) -> str:
    return f"{colour}{text}{RESET}"


def _finding(finding: Finding, report: Report, paint: Paint, is_quiet: bool) -> str:
    colour = COLOURS[finding.severity]
    where = paint(f"{printable(finding.file)}:{finding.line}:{finding.column}", BOLD)
    head = f"{where}: {paint(f'{finding.severity} {finding.code}', colour)} {printable(finding.text)}\n"
    if is_quiet:
        return head
    lines = report.sources.get(finding.file, [])
    if not 1 <= finding.line <= len(lines):
        return head + _hint(finding, "  ", paint)
    line = lines[finding.line - 1].replace("\t", " ")
    # Each character keeps its column, for the caret.
    source = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)
    end = finding.end_column if finding.end_line == finding.line else len(source) + 1
    width = len(str(finding.line))
    bar = paint(f"{' ' * width} |", BLUE)
    caret = " " * (finding.column - 1) + paint("^" * max(end - finding.column, 1), colour)
    number = paint(f"{finding.line} |", BLUE)
    return f"{head}{bar}\n{number} {source}\n{bar} {caret}\n{_hint(finding, ' ' * width + ' ', paint)}"


def _hint(finding: Finding, indent: str, paint: Paint) -> str:
    return f"{indent}{paint('=', BLUE)} {printable(finding.hint)}\n" if finding.hint else ""


def _closing(report: Report, paint: Paint) -> str:
    notes = "".join(f"note: {printable(note)}\n" for note in report.notes)
    count = report.by_severity()
    parts = [
        f"{number} {severity}{'s' if number > 1 else ''}" for severity, number in count.items() if number
    ]
    ignored = f" ({report.ignored} ignored by comments)" if report.ignored else ""
    files = f"{len(report.files)} file{'s' if len(report.files) > 1 else ''}"
    said = ", ".join(parts) if parts else paint("nothing found", BOLD)
    return f"{notes}{files} checked: {said}{ignored}\n"
