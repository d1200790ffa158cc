"""The report as workflow commands, which GitHub Actions shows as annotations at the lines of a pull request."""

from typing import Final

from devicedb.check.finding import Report
from devicedb.model.rule import Severity
from devicedb.printable import LINES, printable

LEVEL: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def render(report: Report) -> str:
    """Return one workflow command a finding."""
    lines = []
    for each in report.each():
        text = _data(f"{each.message}. {each.hint}" if each.hint else each.message)
        end = f",endColumn={each.end_column}" if each.end_line == each.line else ""
        where = f"file={_property(each.file)},line={each.line},endLine={each.end_line},col={each.column}{end}"
        lines.append(f"::{LEVEL[each.severity]} {where},title={each.code}::{text}\n")
    return "".join(lines)


def _data(text: str) -> str:
    """Escape the message of a command, as the runner decodes it."""
    return printable(text, keep=LINES).replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    """Escape a property of a command."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
