"""The report as a JUnit file: a suite for each database, a case for each finding, or one that passed."""

from xml.sax.saxutils import escape, quoteattr

from devicedb.check.finding import Finding, Report
from devicedb.model.rule import Severity
from devicedb.printable import LINES, printable


def render(report: Report) -> str:
    """Return the report as JUnit XML."""
    total = [_case(each) for each in report.each()]
    passed = [file for file in report.files if not any(each.file == file for each in report.findings)]
    total += [
        f"    <testcase classname={_attribute(file)} name={_attribute('device database')}/>\n"
        for file in passed
    ]
    failures = sum(each.severity is Severity.ERROR for each in report.each())
    counts = f'tests="{len(total)}" failures="{failures}" errors="0"'
    cases = "".join(total)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<testsuites {counts}>\n"
        f'  <testsuite name="devicedb check" {counts}>\n{cases}  </testsuite>\n'
        "</testsuites>\n"
    )


def _case(finding: Finding) -> str:
    name = f"{finding.code} {finding.entry}".strip()
    where = f"{finding.file}:{finding.line}:{finding.column}"
    text = f"{where}: {finding.message}" + (f"\n{finding.hint}" if finding.hint else "")
    head = (
        f"    <testcase classname={_attribute(finding.file)} name={_attribute(f'{name} line {finding.line}')}"
    )
    if finding.severity is Severity.ERROR:
        body = f"<failure type={_attribute(finding.code)} message={_attribute(finding.message)}>"
        return f"{head}>{body}{_text(text)}</failure></testcase>\n"
    return f"{head}><system-out>{_text(f'{finding.severity}: {text}')}</system-out></testcase>\n"


def _text(text: str) -> str:
    return escape(printable(text, keep=LINES))


def _attribute(text: str) -> str:
    return quoteattr(printable(text, keep=LINES))
