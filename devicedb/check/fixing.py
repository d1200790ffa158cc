"""Makes the fixes of findings in a file, and checks the result."""

import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devicedb.check.config import Settings
from devicedb.check.engine import Subject, check_file, visible
from devicedb.check.finding import Finding, Report
from devicedb.check.source import SourceText
from devicedb.model.fix import Edit

ROUNDS: Final = 20
"""One fix may make room for the next. Each round mends a finding or gives one up, so this is rarely reached."""

Key = tuple[str, str, str]
"""Code, entry and title of the fix."""


@dataclass(frozen=True)
class FixedFile:
    """A file before and after its fixes."""

    subject: Subject
    old: bytes
    new: bytes
    before: Report
    after: Report
    left: tuple[tuple[Finding, str], ...]
    """Findings with a remedy that were left alone, and why."""

    @property
    def mended(self) -> int:
        """How many findings are gone."""
        return sum(1 for _ in self.before.each()) - sum(1 for _ in self.after.each())


def fix_file(subject: Subject, data: bytes, settings: Settings) -> FixedFile:
    """Fix what can be mended without judgement; nothing is written.

    A fix is left out if the result would have a finding that the file does not have, or still has the one to mend.

    Args:
        subject: The file.
        data: Its content, which is checked in its place.
        settings: What to check. Only findings that they show are mended.

    """
    fixing = _Fixing(subject, data, settings)
    fixing.run(is_patient=True)
    if _count(fixing.report) - _count(fixing.before):
        fixing = _Fixing(subject, data, settings)
        fixing.run(is_patient=False)
    return fixing.result()


class _Fixing:
    """The fixes of one file, round by round."""

    def __init__(self, subject: Subject, data: bytes, settings: Settings) -> None:
        self.subject = subject
        self.settings = settings
        self.data = self.new = data
        self.before = self.report = self.check(data)
        self.given_up: dict[Key, str] = {}
        self.is_patient = True

    def run(self, *, is_patient: bool) -> None:
        """Make fixes until none is left.

        Args:
            is_patient: Whether a fix may lead to findings of an entry that has another fix, for a later round.

        """
        self.is_patient = is_patient
        for _ in range(ROUNDS):
            chosen = self.choose([], self.candidates())
            if chosen:
                self.new = self.edited(chosen)
                self.report = self.check(self.new)
            elif not self.candidates():
                break

    def candidates(self) -> list[Finding]:
        """Return findings whose fixes can be made together."""
        found: list[Finding] = []
        edits: set[Edit] = set()
        for finding in self.report.each():
            own = set(finding.fix.edits) if finding.fix is not None else set()
            if own and _key(finding) not in self.given_up:
                if not any(_overlap(a, b) for a in own - edits for b in edits):
                    found.append(finding)
                    edits |= own
        return found

    def choose(self, accepted: list[Finding], tried: list[Finding]) -> list[Finding]:
        """Return the findings whose fixes can be made, halving those tried where the result is refused."""
        if not tried:
            return accepted
        refusal = self.refusal([*accepted, *tried])
        if not refusal:
            return [*accepted, *tried]
        if len(tried) == 1:
            self.given_up[_key(tried[0])] = refusal
            return accepted
        middle = len(tried) // 2
        return self.choose(self.choose(accepted, tried[:middle]), tried[middle:])

    def refusal(self, findings: Sequence[Finding]) -> str:
        """Return why the fixes of findings cannot be made, "" if they can."""
        after = self.check(self.edited(findings))
        new = _count(after) - _count(self.report)
        if self.is_patient:
            later = {each.entry for each in after.each() if each.fix is not None and each.fix.edits}
            new = Counter({key: count for key, count in new.items() if key[1] not in later})
        if new:
            return f"the edit would lead to {min(new)[0]}"
        left, before = _count(after), _count(self.report)
        if any(left[each.code, each.entry] >= before[each.code, each.entry] for each in findings):
            return "the edit does not mend it: the value is changed elsewhere"
        return ""

    def edited(self, findings: Iterable[Finding]) -> bytes:
        """Return the file with the fixes of findings."""
        edits = {edit for each in findings if each.fix is not None for edit in each.fix.edits}
        return SourceText.of(self.new).edited(list(edits)).encode()

    def check(self, data: bytes) -> Report:
        """Return the report of a content of the file, as it is shown."""
        with tempfile.TemporaryDirectory(prefix="devicedb-") as folder:
            source = Path(folder, "device_db.py")
            source.write_bytes(data)
            subject = Subject(self.subject.path, self.subject.shown, source)
            return visible(check_file(subject, self.settings), self.settings)

    def result(self) -> FixedFile:
        """Return the file before and after."""
        left = [
            (each, self.given_up.get(_key(each)) or each.fix.refusal)
            for each in self.report.findings
            if each.fix is not None
        ]
        reasons = tuple((each, why) for each, why in left if why)
        return FixedFile(self.subject, self.data, self.new, self.before, self.report, reasons)


def _count(report: Report) -> Counter[tuple[str, str]]:
    return Counter((each.code, each.entry) for each in report.each())


def _key(finding: Finding) -> Key:
    return finding.code, finding.entry, finding.fix.title if finding.fix is not None else ""


def _overlap(left: Edit, right: Edit) -> bool:
    if (left.line, left.column) == (right.line, right.column):
        return True
    first, second = sorted((left, right), key=lambda each: (each.line, each.column))
    return (first.end_line, first.end_column) > (second.line, second.column)
