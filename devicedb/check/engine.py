"""Puts a file, its run and the rules together: from a path to a report."""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from devicedb.check.config import Settings
from devicedb.check.facts import FileFacts
from devicedb.check.finding import RANK, Finding, Report
from devicedb.check.ignores import is_ignored
from devicedb.check.laboratory import Laboratory
from devicedb.check.located import NOWHERE, Place, decode, outline
from devicedb.drivers.signatures import Drivers, installed_release
from devicedb.drivers.sources import SourceFinder
from devicedb.drivers.usage import DeviceUse, MethodCall, Usage, scan
from devicedb.errors import DatabaseLoadError
from devicedb.rules import RULES, Hit, Rule
from devicedb.sandbox.run import Outcome, run_file


@dataclass(frozen=True)
class Subject:
    """One device database to check."""

    path: Path
    """The file; for standard input, the name that it goes by."""
    shown: str
    """How the file is called in the report."""
    source: Path | None = None
    """Where the text is, if it is not in `path`."""


@dataclass
class _Sources:
    """Lines of the files of a report, read once."""

    shown: dict[str, str]
    """Absolute path, how the file is called."""
    text: dict[str, Path]
    """Absolute path, the file that has its text, where that is another."""
    lines: dict[str, list[bytes]] = field(default_factory=dict)

    def of(self, file: str) -> list[bytes]:
        if file not in self.lines:
            try:
                self.lines[file] = self.text.get(file, Path(file)).read_bytes().splitlines()
            except OSError:
                self.lines[file] = []
        return self.lines[file]

    def column(self, file: str, line: int, byte: int) -> int:
        """Column of a character, from 1, of its byte in a line."""
        lines = self.of(file)
        text = lines[line - 1] if 0 < line <= len(lines) else b""
        return len(text[:byte].decode(errors="replace")) + 1

    def name(self, file: str) -> str:
        if file not in self.shown:
            relative = os.path.relpath(file)
            self.shown[file] = file if relative.startswith("..") else relative
        return self.shown[file]


def check_file(subject: Subject, settings: Settings) -> Report:
    """Check one device database.

    Raises:
        DatabaseLoadError: The file cannot be read at all; whatever else is wrong with it is a finding.

    """
    source = subject.source or subject.path
    if not source.is_file():
        raise DatabaseLoadError(subject.shown, None, "there is no such file")
    absolute = str(subject.path.absolute())
    notes = []
    if settings.static:
        from devicedb.check.static import read_static

        facts, picture = read_static(source, absolute)
        if facts.unknown:
            notes.append(
                f"{subject.shown}: not run, so parts of it were not checked; --show info lists them (DDB011)"
            )
    else:
        outcome = run_file(source, name=subject.path, time_limit=settings.time_limit)
        facts, picture = facts_of(outcome, absolute, settings.time_limit), outcome.picture
        if not outcome.is_traced:
            notes.append(f"{subject.shown}: does not run instrumented; places are approximate")
    sources = _Sources({absolute: subject.shown}, {absolute: source})
    hits = list(hits_of_file(facts, settings))
    sites = picture.get("sites", [])
    if "root" in picture and facts.root_kind == "dict":
        usage, usage_notes = usage_of(settings)
        notes += usage_notes
        lab = Laboratory(
            root=decode(picture["root"]),
            drivers=drivers_of(settings, str(subject.path.absolute().parent)),
            usage=usage,
            folder=str(subject.path.absolute().parent),
            is_complete=facts.ended != "static" or not picture.get("incomplete"),
        )
        hits += hits_of(lab, settings)
    place = partial(place_of, sites=sites, files=picture.get("files", []), default=facts.start)
    return report(subject, hits, place, sources, notes)


def hits_of_file(facts: FileFacts, settings: Settings) -> Iterator[tuple[Rule, Hit]]:
    """Run the rules about the file itself."""
    for rule in RULES.values():
        if rule.file is not None and settings.wants(rule.code):
            for hit in rule.file(facts):
                yield rule, hit


def hits_of(lab: Laboratory, settings: Settings) -> Iterator[tuple[Rule, Hit]]:
    """Run the rules about the database and its entries."""
    by_kind: dict[str, list[Rule]] = {}
    for rule in RULES.values():
        if not settings.wants(rule.code):
            continue
        if rule.database is not None:
            for hit in rule.database(lab):
                yield rule, hit
        elif rule.entry is not None:
            for kind in rule.kinds or ("", "local", "controller", "controller_aux_target", "dummy", "alias"):
                by_kind.setdefault(kind, []).append(rule)
    for entry in lab.entries.values():
        for rule in by_kind.get(entry.kind, ()):
            if rule.entry is not None:
                for hit in rule.entry(entry, lab):
                    yield rule, hit


def place_of(hit: Hit, *, sites: Sequence[Sequence[int]], files: Sequence[str], default: Place) -> Place:
    """Return where a hit is."""
    if isinstance(hit.site, Place):
        return hit.site
    if hit.site == NOWHERE or hit.site >= len(sites):
        return default
    file, line, column, end_line, end_column = sites[hit.site]
    return Place(files[file], line, column, end_line, end_column)


def report(
    subject: Subject, hits: Sequence[tuple[Rule, Hit]], place: Any, sources: _Sources, notes: Sequence[str]
) -> Report:
    """Return the report: places resolved, silenced findings dropped, in the order of the file."""
    findings: dict[tuple[str, ...], Finding] = {}
    repeated: dict[tuple[str, ...], int] = {}
    text: dict[str, list[str]] = {}
    ignored = 0
    for rule, hit in hits:
        where: Place = place(hit)
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
        )
        # One expression in a loop makes many entries: the same words about it are said once.
        words = finding.message.replace(repr(finding.entry), "...")
        key: tuple[str, ...] = (
            finding.code,
            finding.file,
            str(finding.line),
            str(finding.column),
            words,
            finding.hint,
        )
        repeated[key] = repeated.get(key, -1) + 1
        findings.setdefault(key, finding)
    for words_key, count in repeated.items():
        if count:
            more = f"{findings[words_key].message} (and so for {count} more made here)"
            findings[words_key] = replace(findings[words_key], message=more)
    ordered = sorted(findings.values(), key=lambda each: (each.file, each.line, each.column, each.code))
    return Report((subject.shown,), tuple(ordered), ignored, text, tuple(notes))


def facts_of(outcome: Outcome, path: str, seconds: float) -> FileFacts:
    """Return what the run of a file told about the file itself."""
    picture = outcome.picture
    missing = picture.get("missing")
    root = picture.get("root")
    kind, place = "dict", None
    if root is not None:
        kind, site = outline(root)
        if site != NOWHERE:
            file, *where = picture["sites"][site]
            place = Place(picture["files"][file], *where)
    return FileFacts(
        path=path,
        ended=outcome.ended,
        status=outcome.status,
        seconds=seconds,
        output=outcome.output,
        error=picture.get("error"),
        missing=tuple(missing) if missing is not None else None,
        root_kind=kind,
        root_place=place,
        duplicates=tuple(picture.get("duplicates", ())),
    )


def drivers_of(settings: Settings, folder: str) -> Drivers:
    """Return where drivers are looked up; DatabaseLoadError where a folder of the settings is not there."""
    for each in settings.search_path:
        if not Path(each).is_dir():
            raise DatabaseLoadError(each, None, "there is no such folder of drivers (search-path)")
    folders = (folder, *settings.search_path, *(each for each in sys.path if each))
    return Drivers(settings.artiq_release or installed_release(), SourceFinder(folders))


def usage_of(settings: Settings) -> tuple[Usage | None, list[str]]:
    """Return what the experiments ask for, and notes about what was left alone."""
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
    """Return the report without what is milder than the settings ask to see."""
    limit = min(RANK[settings.show], RANK[settings.fail_on])
    kept = tuple(finding for finding in report.findings if RANK[finding.severity] >= limit)
    return replace(report, findings=kept)
