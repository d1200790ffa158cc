"""Runs a file, applies the rules and makes the report."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from devicedb.check.config import Settings
from devicedb.check.finding import RANK, Finding, Report
from devicedb.check.ignores import is_ignored
from devicedb.drivers.catalogue import NEWEST
from devicedb.drivers.signatures import Drivers, installed_release
from devicedb.drivers.sources import SourceFinder
from devicedb.drivers.usage import DeviceUse, MethodCall, Usage, scan
from devicedb.errors import DatabaseLoadError
from devicedb.load import read_source
from devicedb.model.database import CheckedDatabase
from devicedb.model.facts import FileFacts
from devicedb.model.fix import Repair
from devicedb.model.located import decode
from devicedb.model.rule import EntryCheck, Hit, Rule, Severity
from devicedb.place import Place
from devicedb.rules import RULES
from devicedb.sandbox.run import Stop, run_file

if TYPE_CHECKING:
    from devicedb.check.edits import FixMaker

_VARYING: Final = re.compile(r"'(?:[^'\\]|\\.)*'|\d+")
"""Names and numbers in a message."""


CONSTRUCT_RULE: Final = "DDB515"
"""Not told of an entry for which another rule knows why."""
CONSTRUCT_SECONDS: Final = 30.0
"""Importing ARTIQ takes seconds; added to the time limit of the file."""


@dataclass(frozen=True)
class Subject:
    """One device database to check."""

    path: Path
    """The file; for standard input, a name for it."""
    shown: str
    """The file's name in the report."""
    source: Path | None = None
    """The file that has the text, if not `path`."""


@dataclass
class _Sources:
    """Lines of the files that findings are in; each file is read once."""

    shown: dict[str, str]
    """Absolute path -> name in the report."""
    text: dict[str, Path]
    """Absolute path -> file that has its text, if another."""
    lines: dict[str, list[bytes]] = field(default_factory=dict)

    def read(self, file: str) -> bytes:
        return self.text.get(file, Path(file)).read_bytes()

    def of(self, file: str) -> list[bytes]:
        if file not in self.lines:
            try:
                self.lines[file] = self.read(file).splitlines()
            except OSError:
                self.lines[file] = []
        return self.lines[file]

    def column(self, file: str, line: int, byte: int) -> int:
        """1-based column of the character that a byte belongs to."""
        lines = self.of(file)
        text = lines[line - 1] if 0 < line <= len(lines) else b""
        return len(text[:byte].decode(errors="replace")) + 1

    def name(self, file: str) -> str:
        if file not in self.shown:
            try:
                relative = os.path.relpath(file)
            except ValueError:  # another drive of Windows
                relative = os.pardir
            self.shown[file] = file if relative.startswith(os.pardir) else relative
        return self.shown[file]


@dataclass(frozen=True)
class Examined:
    """The report of one device database, and what it was made from."""

    report: Report
    facts: FileFacts
    database: CheckedDatabase | None
    """None: the file defines no dict `device_db`."""


def check_file(subject: Subject, settings: Settings) -> Report:
    """Check one device database; see `examine`."""
    return examine(subject, settings).report


def examine(subject: Subject, settings: Settings, stop: Stop | None = None) -> Examined:
    """Check one device database.

    Args:
        subject: The database.
        settings: What to check.
        stop: Ends the check from another thread.

    Raises:
        DatabaseLoadError: The file cannot be read. Any other fault of it is a finding.
        Stopped: `stop` was set.

    """
    source = subject.source or subject.path
    if not source.is_file():
        what = "it is no regular file" if source.exists() else "there is no such file"
        raise DatabaseLoadError(subject.shown, None, what)
    read_source(source, subject.shown)  # a failure of the disk or of rights is no fault of the file
    absolute = str(subject.path.absolute())
    notes = []
    if settings.static:
        from devicedb.check.static import read_static

        facts = read_static(source, absolute)
        if facts.unknown:
            notes.append(
                f"{subject.shown}: not run, so parts of it were not checked; --show info lists them (DDB011)"
            )
    else:
        facts = run_file(
            source,
            name=subject.path,
            time_limit=settings.time_limit,
            assumed=settings.assume_installed,
            stop=stop,
        )
        if not facts.is_traced:
            notes.append(f"{subject.shown}: does not run instrumented; places are approximate")
    sources = _Sources({absolute: subject.shown}, {absolute: source})
    hits = list(hits_of_file(facts, settings))
    db, fixes = None, None
    if facts.root_kind == "dict":
        db, usage_notes = database_of(facts, settings)
        notes += usage_notes
        if settings.construct != "no":
            errors, construct_notes = construct(db, settings, stop)
            notes += construct_notes
            db = replace(db, constructed=errors)
        found = list(hits_of(db, settings))
        told = {
            hit.entry
            for rule, hit in found
            if rule.code != CONSTRUCT_RULE and rule.severity is Severity.ERROR
        }
        hits += [each for each in found if each[0].code != CONSTRUCT_RULE or each[1].entry not in told]
        if any(hit.repair is not None for _, hit in hits):
            from devicedb.check.edits import FixMaker

            fixes = FixMaker(facts, db, sources.read, subject.shown)
    made = report(subject, hits, facts, sources, notes, fixes)
    return Examined(made, facts, db)


def database_of(facts: FileFacts, settings: Settings) -> tuple[CheckedDatabase, list[str]]:
    """Return the database that a file defines, and notes."""
    usage, notes = usage_of(settings)
    folder = str(Path(facts.path).parent)
    db = CheckedDatabase(
        root=decode(facts.picture["root"]),
        drivers=drivers_of(settings, folder),
        usage=usage,
        folder=folder,
        is_complete=not facts.picture.get("incomplete"),
    )
    return db, notes


def construct(
    db: CheckedDatabase, settings: Settings, stop: Stop | None = None
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Construct the local devices; see `devicedb.check.construct.constructed`."""
    from devicedb.check.construct import constructed

    return constructed(
        db,
        settings.artiq_python or sys.executable,
        settings.search_path,
        settings.time_limit + CONSTRUCT_SECONDS,
        everything=settings.construct == "all",
        stop=stop,
    )


def hits_of_file(facts: FileFacts, settings: Settings) -> Iterator[tuple[Rule, Hit]]:
    """Run the rules about the file itself."""
    for rule in RULES.values():
        if rule.file is not None and settings.wants(rule.code):
            for hit in rule.file(facts):
                yield rule, hit


def hits_of(db: CheckedDatabase, settings: Settings) -> Iterator[tuple[Rule, Hit]]:
    """Run the rules about the database and its entries."""
    by_kind: dict[str, list[tuple[Rule, EntryCheck]]] = {}
    for rule in RULES.values():
        if not settings.wants(rule.code):
            continue
        if rule.database is not None:
            for hit in rule.database(db):
                yield rule, hit
        elif rule.entry is not None:
            for kind in rule.kinds or ("", "local", "controller", "controller_aux_target", "dummy", "alias"):
                by_kind.setdefault(kind, []).append((rule, rule.entry))
    for entry in db.entries.values():
        for rule, check in by_kind.get(entry.kind, ()):
            for hit in check(entry, db):
                yield rule, hit


def place_of(hit: Hit, facts: FileFacts) -> Place:
    """Return where a hit is; the first line of the file where that is not known."""
    if isinstance(hit.site, Place):
        return hit.site
    return facts.place(hit.site) or facts.start


def report(
    subject: Subject,
    hits: Sequence[tuple[Rule, Hit]],
    facts: FileFacts,
    sources: _Sources,
    notes: Sequence[str],
    fixes: "FixMaker | None",
) -> Report:
    """Return the report: places and fixes resolved, silenced findings removed, sorted by place."""
    repaired: dict[Repair, set[str]] = {}
    for _, hit in hits:
        if hit.repair is not None:
            repaired.setdefault(hit.repair, set()).add(hit.entry)
    folded: dict[tuple[object, ...], list[Finding]] = {}
    text: dict[str, list[str]] = {}
    ignored = 0
    for rule, hit in hits:
        where = place_of(hit, facts)
        shown = sources.name(where.file)
        if shown not in text:
            text[shown] = [line.decode(errors="replace") for line in sources.of(where.file)]
        if is_ignored(rule.code, text[shown], (where.line, where.end_line)):
            ignored += 1
            continue
        finding = Finding(
            code=rule.code,
            severity=hit.severity or rule.severity,
            file=shown,
            line=where.line,
            column=sources.column(where.file, where.line, where.column),
            end_line=where.end_line,
            end_column=sources.column(where.file, where.end_line, where.end_column),
            entry=hit.entry,
            message=hit.message,
            hint=hit.hint,
            fix=fixes.fix(hit.repair, repaired[hit.repair]) if hit.repair and fixes else None,
        )
        # One expression in a loop makes many entries: faults that differ only in names and numbers are reported once.
        words = _VARYING.sub("...", f"{finding.message}\n{finding.hint}")
        folded.setdefault(
            (rule.code, finding.severity, shown, finding.line, finding.column, words), []
        ).append(finding)
    findings = [replace(first, alike=tuple(rest)) for first, *rest in folded.values()]
    findings.sort(key=lambda each: (each.file, each.line, each.column, each.code))
    return Report((subject.shown,), tuple(findings), ignored, text, tuple(notes))


def drivers_of(settings: Settings, folder: str) -> Drivers:
    """Return the driver look-up; DatabaseLoadError if a folder of `search-path` does not exist."""
    for each in settings.search_path:
        if not Path(each).is_dir():
            raise DatabaseLoadError(each, None, "there is no such folder of drivers (search-path)")
    folders = (folder, *settings.search_path, *(each for each in sys.path if each))
    installed = installed_release()
    release = settings.artiq_release or installed or NEWEST
    return Drivers(
        release,
        is_certain=settings.artiq_release is not None or installed is not None,
        is_installed=installed == release,
        finder=SourceFinder(folders),
    )


def usage_of(settings: Settings) -> tuple[Usage | None, list[str]]:
    """Return the devices and methods that experiments use, and notes about what was skipped."""
    if not settings.experiments:
        return None, []
    uses: list[DeviceUse] = []
    calls: list[MethodCall] = []
    notes: list[str] = []
    computed, files = 0, 0
    for folder in settings.experiments:
        if not Path(folder).exists():
            raise DatabaseLoadError(folder, None, "there is no such folder of experiments")
        found = scan(Path(folder))
        uses += found.uses
        calls += found.calls
        computed += found.computed
        files += found.files
        notes += [f"{path}: cannot be parsed; its devices are not checked" for path in found.unreadable]
    if computed:
        notes.append(f"{computed} device names in {files} experiment files are computed and were not checked")
    return Usage(tuple(uses), tuple(calls), computed, files), notes


def visible(report: Report, settings: Settings) -> Report:
    """Return the report without findings below the severity to show."""
    limit = min(RANK[settings.show], RANK[settings.fail_on])
    kept = tuple(finding for finding in report.findings if RANK[finding.severity] >= limit)
    return replace(report, findings=kept)
