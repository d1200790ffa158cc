"""What open experiments ask of their databases: checked when either changes, in a thread of its own."""

import ast
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from devicedb.check.config import find
from devicedb.check.finding import RANK, Finding
from devicedb.check.ignores import is_ignored
from devicedb.drivers.usage import scan_tree
from devicedb.errors import DeviceDBError
from devicedb.lsp.analysis import Analysis, Outcome
from devicedb.lsp.buffer import BufferText, characters
from devicedb.lsp.files import OpenFile
from devicedb.lsp.known import Known
from devicedb.model.rule import Hit, Rule
from devicedb.place import Place
from devicedb.rules import RULES

USAGE_RULES: Final = ("DDB601", "DDB602")
"""The rules about what experiments use."""


@dataclass(frozen=True)
class ChangedExperiment:
    """An experiment with a new text, and the analysis of its database; None: it has none, or was closed."""

    file: OpenFile
    analysis: Analysis | None


class ExperimentChecks:
    """Checks open experiments.

    Args:
        show: Called in the thread with the path of an experiment and what was found in it; None: it was closed.

    """

    def __init__(self, show: Callable[[Path, Outcome | None], None]) -> None:
        self._show = show
        self._changes: queue.SimpleQueue[ChangedExperiment | Path | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="check of experiments", daemon=True)
        self._thread.start()

    def changed(self, file: OpenFile, analysis: Analysis | None) -> None:
        """Check an experiment that has a new text, or forget it if it has no database any more."""
        self._changes.put(ChangedExperiment(file, analysis))

    def database_changed(self, path: Path) -> None:
        """Check the experiments that use a database; from any thread."""
        self._changes.put(path)

    def close(self) -> None:
        """End the thread."""
        self._changes.put(None)
        self._thread.join()

    def _work(self) -> None:
        current: dict[Path, tuple[OpenFile, Analysis]] = {}
        while (change := self._changes.get()) is not None:
            if isinstance(change, Path):
                chosen = [each for each in current.values() if each[1].path == change]
            elif change.analysis is None:
                if current.pop(change.file.path, None) is not None:
                    self._show(change.file.path, None)
                continue
            else:
                chosen = [(change.file, change.analysis)]
                current[change.file.path] = chosen[0]
            for file, analysis in chosen:
                self._show(file.path, outcome_of(file, analysis.known()))


def outcome_of(file: OpenFile, known: Known) -> Outcome:
    """Return what is wrong with the names and methods that an experiment uses; nothing while that is not certain."""
    view = known.ran if known.is_run else known.static
    try:
        tree = ast.parse(file.buffer.text)
        settings = find(Path(known.path).parent)
    except (SyntaxError, ValueError, RecursionError, MemoryError, DeviceDBError):
        return Outcome(
            file.buffer
        )  # the editor says what is wrong with the text, the database with its settings
    if view is None or not view.is_whole:
        return Outcome(file.buffer)
    db = replace(view.database, usage=scan_tree(tree, str(file.path)), suggestions={})
    found = [
        _finding(rule, hit, hit.site, file.buffer)
        for rule in (RULES[code] for code in USAGE_RULES if settings.wants(code))
        for hit in (rule.database(db) if rule.database is not None else ())
        if isinstance(hit.site, Place)
    ]
    limit = min(RANK[settings.show], RANK[settings.fail_on])
    lines = [file.buffer.line(number) for number in range(len(file.buffer.starts))]
    shown = (
        each
        for each in found
        if RANK[each.severity] >= limit and not is_ignored(each.code, lines, (each.line, each.end_line))
    )
    return Outcome(file.buffer, tuple(shown))


def _finding(rule: Rule, hit: Hit, place: Place, buffer: BufferText) -> Finding:
    def column(line: int, byte: int) -> int:
        return characters(buffer.line(line - 1), byte, "utf-8") + 1

    return Finding(
        code=rule.code,
        severity=hit.severity or rule.severity,
        file=place.file,
        line=place.line,
        column=column(place.line, place.column),
        end_line=place.end_line,
        end_column=column(place.end_line, place.end_column),
        entry=hit.entry,
        message=hit.message,
        hint=hit.hint,
    )
