"""Findings at positions of an editor: what is shown in which file, and what mends it."""

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devicedb.check.finding import RANK, Finding
from devicedb.lsp.analysis import Outcome
from devicedb.lsp.buffer import BufferText, Spot
from devicedb.model.rule import Severity

MOST: Final = 500
"""Notices of a file that are shown, the worst first: editors become slow with thousands."""


@dataclass(frozen=True)
class Notice:
    """A finding in a file of the editor."""

    buffer: BufferText
    """The text that the positions are in."""
    start: Spot
    end: Spot
    severity: Severity
    code: str
    """"" for what is no finding of a rule."""
    message: str
    title: str = ""
    """What the edits do; "" if there are none."""
    edits: tuple[tuple[Spot, Spot, str], ...] = ()
    """Exact replacements in the same file."""


class NoticeBoard:
    """What each check shows in each file. A file shows the notices of all checks that speak of it.

    Args:
        text_of: Returns the present text of a file.
        show: Called with a file and everything to show there.

    """

    def __init__(
        self, text_of: Callable[[Path], BufferText], show: Callable[[Path, list[Notice]], None]
    ) -> None:
        self._text_of = text_of
        self._show = show
        self._lock = threading.RLock()
        self._shown: dict[Path, Mapping[Path, list[Notice]]] = {}

    def put(self, checked: Path, outcome: Outcome | None) -> None:
        """Show what a check has found in place of what it found before; None: nothing any more."""
        new = notices(checked, outcome, self._text_of) if outcome is not None else {}
        with self._lock:
            old = self._shown.get(checked, {})
            self._shown[checked] = new
            for path in sorted({checked, *old, *new}):
                self._show(path, self.at(path))

    def at(self, path: Path) -> list[Notice]:
        """Return everything that is shown in a file."""
        with self._lock:
            found = (notice for files in self._shown.values() for notice in files.get(path, ()))
            return list(dict.fromkeys(found))  # two checks may find the same


def notices(
    checked: Path, outcome: Outcome, text_of: Callable[[Path], BufferText]
) -> dict[Path, list[Notice]]:
    """Return the findings of a check as notices by file."""
    found: dict[Path, list[Notice]] = {}
    if outcome.problem:
        start = Spot(0, 0)
        found[checked] = [Notice(outcome.buffer, start, start, Severity.ERROR, "", outcome.problem)]
    by_file: dict[Path, list[Finding]] = {}
    for finding in outcome.findings:
        by_file.setdefault(Path(os.path.abspath(finding.file)), []).append(finding)
    for path, findings in by_file.items():
        text = outcome.buffer if path == checked else text_of(path)
        worst = {id(each) for each in sorted(findings, key=lambda each: -RANK[each.severity])[:MOST]}
        shown = [_notice(each, text, is_own=path == checked) for each in findings if id(each) in worst]
        found.setdefault(path, []).extend(shown)
        if len(findings) > MOST:
            start = Spot(0, 0)
            rest = f"{len(findings) - MOST} more findings are not shown: `devicedb check` lists all"
            found[path].append(Notice(text, start, start, Severity.WARNING, "", rest))
    return found


def _notice(finding: Finding, text: BufferText, *, is_own: bool) -> Notice:
    fix = finding.fix if is_own else None
    hint = f"\n{finding.hint}" if finding.hint else ""
    return Notice(
        buffer=text,
        start=text.at(finding.line - 1, finding.column - 1),
        end=text.at(finding.end_line - 1, finding.end_column - 1),
        severity=finding.severity,
        code=finding.code,
        message=f"{finding.text}{hint}",
        title=fix.title if fix is not None else "",
        edits=tuple(
            (
                text.at(edit.line - 1, edit.column - 1),
                text.at(edit.end_line - 1, edit.end_column - 1),
                edit.text,
            )
            for edit in (fix.edits if fix is not None else ())
        ),
    )
