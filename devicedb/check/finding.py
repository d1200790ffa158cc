"""A finding with its place resolved, and the report that holds all of them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from devicedb.rules.registry import Severity

RANK: Final = {Severity.ERROR: 2, Severity.WARNING: 1, Severity.INFO: 0}
"""How bad a severity is: the larger the worse."""


@dataclass(frozen=True)
class Finding:
    """One thing that a rule has found. Lines and columns count from 1; the end column is exclusive."""

    code: str
    severity: Severity
    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    entry: str
    message: str
    hint: str


@dataclass(frozen=True)
class Report:
    """All findings about some files."""

    files: tuple[str, ...]
    findings: tuple[Finding, ...]
    ignored: int = 0
    """Findings that a comment in the file silenced."""
    sources: dict[str, list[str]] = field(default_factory=dict, compare=False)
    """Lines of the files that findings are in."""
    notes: tuple[str, ...] = ()
    """What else a reader should know: what could not be looked at, and why."""

    def by_severity(self) -> dict[str, int]:
        """Return how many findings there are of each severity."""
        count = Counter(finding.severity for finding in self.findings)
        return {str(severity): count[severity] for severity in Severity}

    def by_code(self) -> dict[str, int]:
        """Return how many findings there are of each rule, in the order of codes."""
        return dict(sorted(Counter(finding.code for finding in self.findings).items()))

    def fails(self, fail_on: Severity) -> bool:
        """Whether a finding is at least as bad as `fail_on`."""
        return any(RANK[finding.severity] >= RANK[fail_on] for finding in self.findings)


def merge(reports: Iterable[Report]) -> Report:
    """Return one report of several."""
    every = list(reports)
    return Report(
        files=tuple(file for report in every for file in report.files),
        findings=tuple(finding for report in every for finding in report.findings),
        ignored=sum(report.ignored for report in every),
        sources={file: lines for report in every for file, lines in report.sources.items()},
        notes=tuple(dict.fromkeys(note for report in every for note in report.notes)),
    )
