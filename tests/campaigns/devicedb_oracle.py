"""Compares the check with ARTIQ: `python -m tests.campaigns.devicedb_oracle FOLDER --artiq-python PYTHON`.

Every device database below a folder is checked, and its local devices are constructed with ARTIQ. A disagreement is an
entry with an error of a rule that ARTIQ constructs, or one that ARTIQ cannot construct and no rule has an error for.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from devicedb.check.config import Settings
from devicedb.check.databases import databases_in
from devicedb.check.engine import construct, database_of, hits_of
from devicedb.model.database import CheckedDatabase
from devicedb.model.rule import Severity
from devicedb.rules.circles import needed
from devicedb.sandbox.run import run_file

ARTIQ = "artiq.coredevice."


class Comparison:
    """Counts agreements and disagreements."""

    def __init__(self, settings: Settings, *, is_verbose: bool = False) -> None:
        self.settings = settings
        self.is_verbose = is_verbose
        self.databases = self.entries = self.agreed = 0
        self.skipped: Counter[str] = Counter()
        self.only_check: Counter[str] = Counter()
        self.only_artiq: Counter[str] = Counter()
        self.behind = 0

    def add(self, path: Path) -> None:
        """Compare one database."""
        facts = run_file(path, time_limit=self.settings.time_limit)
        if facts.root_kind != "dict":
            self.skipped["does not run, or defines no dict"] += 1
            return
        self.databases += 1
        db, _ = database_of(facts, self.settings)
        said: dict[str, str] = {}
        for rule, hit in hits_of(db, self.settings):
            entry = db.entries.get(hit.entry)
            if entry is None or (hit.severity or rule.severity) is not Severity.ERROR:
                continue
            if (entry.text("module") or "").startswith(ARTIQ):
                said.setdefault(hit.entry, rule.code)
        raised, _ = construct(db, self.settings)
        self.entries += sum((each.text("module") or "").startswith(ARTIQ) for each in db.of_kind("local"))
        self.agreed += len(said.keys() & raised.keys())
        for name in said.keys() - raised.keys():
            if needs_one_of(name, raised.keys(), db):
                self.behind += 1
                continue
            self.only_check[said[name]] += 1
            self.tell(path, name, said[name])
        for name in raised.keys() - said.keys():
            kind = f"{raised[name]['kind']}: {raised[name]['text'][:70]}"
            self.only_artiq[kind] += 1
            self.tell(path, name, kind)

    def tell(self, path: Path, name: str, what: str) -> None:
        """Print one disagreement."""
        if self.is_verbose:
            print(f"{path.name}: {name}: {what}")

    def report(self) -> str:
        """Return the counts."""
        lines = [f"{self.databases} databases, {self.entries} entries of ARTIQ's drivers"]
        lines.append(f"{self.agreed} faulty entries: rules and ARTIQ agree")
        if self.behind:
            lines.append(
                f"{self.behind} entries with an error need a device that ARTIQ cannot construct: not compared"
            )
        for title, counts in (("only the check", self.only_check), ("only ARTIQ", self.only_artiq)):
            lines.append(f"{sum(counts.values())} entries: {title} has an error")
            lines += [f"  {count:5} {what}" for what, count in counts.most_common()]
        lines += [f"{count} files left out: {why}" for why, count in self.skipped.items()]
        return "\n".join(lines)


def needs_one_of(name: str, failed: Collection[str], db: CheckedDatabase) -> bool:
    """Whether a device needs one that fails, so that ARTIQ does not get as far as its own fault."""
    seen, waiting = {name}, [name]
    while waiting:
        for other in needed(db.entries[waiting.pop()], db):
            if other in failed:
                return True
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return False


def main(argv: Sequence[str]) -> int:
    """Compare every database below the folders; 1 if the check has an error that ARTIQ does not have."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.devicedb_oracle", description=__doc__)
    parser.add_argument("folders", metavar="FOLDER", nargs="+", type=Path)
    parser.add_argument("--artiq-python", required=True, help="interpreter that has ARTIQ")
    parser.add_argument("--artiq-release", default="9", help="release of that ARTIQ (default: 9)")
    parser.add_argument("-v", "--verbose", action="store_true", help="print each disagreement")
    arguments = parser.parse_args(argv)
    comparison = Comparison(
        Settings(
            artiq_release=arguments.artiq_release, artiq_python=arguments.artiq_python, construct="artiq"
        ),
        is_verbose=arguments.verbose,
    )
    for folder in arguments.folders:
        for path in databases_in(folder)[0]:
            comparison.add(path)
    print(comparison.report())
    return 1 if comparison.only_check else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
