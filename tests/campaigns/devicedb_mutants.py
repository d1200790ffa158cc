"""Counts how many mutants of device databases `devicedb check` reports with the right code at the right line.

Run as `python -m tests.campaigns.devicedb_mutants [EVERY]`: EVERY = 1 (default) checks all, 10 every tenth. The
suite runs a sample. Exit status 1 where fewer than 99 % are found.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from devicedb.check.config import Settings
from devicedb.check.engine import Subject, check_file
from devicedb.check.finding import Finding
from tests.devicedb.mutants import Mutant, mutants

SETTINGS = Settings(artiq_release="9", time_limit=20)
GOAL = 0.99


def findings(mutant: Mutant, folder: Path) -> list[Finding]:
    """What the check says of a mutant."""
    for name, text in mutant.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(check_file(Subject(folder / "device_db.py", str(folder / "device_db.py")), SETTINGS).findings)


def is_found(mutant: Mutant) -> bool:
    """Whether the right rule reports the right line of the right file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        wanted = (mutant.code, str(folder / mutant.file), mutant.line)
        return wanted in {
            (each.code, str(Path(each.file).absolute()), each.line) for each in findings(mutant, folder)
        }


def campaign(every: Iterable[Mutant]) -> tuple[Counter[str], list[Mutant]]:
    """Check mutants, two at a time; return how many of each rule there were, and those not found."""
    chosen = list(every)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(is_found, chosen))
    missed = [mutant for mutant, ok in zip(chosen, found, strict=True) if not ok]
    return Counter(mutant.code for mutant in chosen), missed


def main(step: int = 1) -> int:
    """Print a table by rule and what was missed."""
    total, missed = campaign(list(mutants())[::step])
    lost = Counter(mutant.code for mutant in missed)
    for code, count in sorted(total.items()):
        print(f"{code}  {count - lost[code]:4} of {count:4}")
    for mutant in missed:
        print(f"missed {mutant.code} {mutant.database} {mutant.file}:{mutant.line} ({mutant.what})")
    share = 1 - len(missed) / total.total()
    print(f"{total.total() - len(missed)} of {total.total()} mutants of {len(total)} rules: {share:.2%}")
    return 0 if share >= GOAL else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "every", nargs="?", type=int, default=1, help="1: all of them (default); 10: every tenth"
    )
    sys.exit(main(parser.parse_args().every))
