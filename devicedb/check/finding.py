"""A finding with its place resolved, and the report that holds all of them."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from devicedb.model.fix import Fix
from devicedb.model.rule import Severity

RANK: Final = {Severity.ERROR: 2, Severity.WARNING: 1, Severity.INFO: 0}
"""How bad a severity is: the larger the worse."""


@dataclass(frozen=True)
class Finding:
    """A hit with its place. Lines and columns count from 1; the end column is exclusive."""

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
    alike: tuple["Finding", ...] = ()
    """The same fault of further entries that the same expression makes, as in a loop."""
    fix: Fix | None = None
    """The edits that mend it, or why it is left; None where that takes judgement."""

    @property
    def entries(self) -> tuple[str, ...]:
        """The names of all entries with this fault."""
        return tuple(dict.fromkeys(each.entry for each in (self, *self.alike) if each.entry))

    @property
    def text(self) -> str:
        """The message, and the names of the further entries."""
        others = [repr(name) for name in self.entries if name != self.entry]
        return f"{self.message} (and so for {', '.join(others)})" if others else self.message


@dataclass(frozen=True)
class Report:
    """All findings about some files."""

    files: tuple[str, ...]
    findings: tuple[Finding, ...]
    ignored: int = 0
    """Number of findings silenced by a comment."""
    sources: dict[str, list[str]] = field(default_factory=dict, compare=False)
    """Lines of the files with findings."""
    notes: tuple[str, ...] = ()
    """What could not be checked, and why."""

    def each(self) -> Iterator[Finding]:
        """Yield every finding, also those that `alike` folds, for formats without folding."""
        for finding in self.findings:
            yield from (finding, *finding.alike)

    def by_severity(self) -> dict[str, int]:
        """Return the number of findings by severity."""
        count = Counter(finding.severity for finding in self.findings)
        return {str(severity): count[severity] for severity in Severity}

    def by_code(self) -> dict[str, int]:
        """Return the number of findings by rule, sorted by code."""
        return dict(sorted(Counter(finding.code for finding in self.findings).items()))

    def fails(self, fail_on: Severity) -> bool:
        """Whether any finding is at least as severe as `fail_on`."""
        return any(RANK[finding.severity] >= RANK[fail_on] for finding in self.findings)


def merge(reports: Iterable[Report]) -> Report:
    """Return several reports as one."""
    every = list(reports)
    return Report(
        files=tuple(file for report in every for file in report.files),
        findings=tuple(finding for report in every for finding in report.findings),
        ignored=sum(report.ignored for report in every),
        sources={file: lines for report in every for file, lines in report.sources.items()},
        notes=tuple(dict.fromkeys(note for report in every for note in report.notes)),
    )
