"""A program that finds runs is killed at random instants, and the answers are still those of the files.

    python -m tests.campaigns.catalogue_kills [--kills 200] [--seed 1]

A process writes result files, changes, tags and removes them, deletes the index now and then, and asks after each
step; it is killed with SIGKILL. Then each question must have the answer that reading every file gives, also from a
second process at the same time, and the index must be sound. It prints how many kills, in how many of them the index
was left in the middle of a write, and how many questions were asked.
"""

import argparse
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from benchmarks.catalogue import make
from rexec.catalogue import find
from rexec.catalogue.facts import RunFacts
from rexec.catalogue.index import INDEX_NAME, RunIndex
from rexec.catalogue.notes import RunNotes, comment, notes_of, tag
from rexec.catalogue.reading import facts_of

RUNS: Final = 60
QUESTIONS: Final[dict[str, Callable[[RunFacts, RunNotes], bool]]] = {
    "": lambda facts, notes: True,
    "class=RabiFl": lambda facts, notes: facts.class_name == "RabiFl",
    "phase>=0.02 class!=Ramsey": lambda facts, notes: (
        facts.class_name != "Ramsey"
        and "phase" in facts.arguments  # a file may be half copied
        and float(facts.arguments["phase"].value or 0) >= 0.02
    ),
    "tag=odd": lambda facts, notes: "odd" in notes.tags,
    "dataset=signal exposure=5ms": lambda facts, notes: "signal" in facts.datasets,
    "drift": lambda facts, notes: "drift" in notes.comment,
}
"""Each question, and what is true of the files that it finds."""


def work(results: Path, spare: Path, seed: int) -> None:
    """Change files and ask, for ever; this process is killed."""
    chance = random.Random(seed)
    number = 10_000 + seed * 1000
    print("ready", flush=True)
    while True:
        paths = sorted(results.rglob("*.h5"))
        what = chance.randrange(6)
        if what <= 1 or len(paths) < RUNS // 2:
            number += 1
            shutil.copy(
                chance.choice(sorted(spare.rglob("*.h5"))),
                chance.choice(paths).parent / f"{number:09}-Copy.h5",
            )
        elif what == 2 and len(paths) > RUNS // 2:
            chance.choice(paths).unlink()
        elif what == 3:
            tag(chance.choice(paths), ["odd"], remove=chance.random() < 0.3)
        elif what == 4:
            comment(chance.choice(paths), chance.choice(["a drift", "none"]))
        elif chance.random() < 0.3:
            (results / INDEX_NAME).unlink(missing_ok=True)
        find(chance.choice(list(QUESTIONS)), folder=results)


def truth(results: Path) -> dict[str, list[Path]]:
    """Return the answers by reading every file."""
    read = [(path, facts_of(path), notes_of(path)) for path in sorted(results.rglob("*.h5"))]
    return {
        query: sorted(path for path, facts, notes in read if test(facts, notes))
        for query, test in QUESTIONS.items()
    }


def answers(results: Path) -> dict[str, list[Path]]:
    """Return the answers of the catalogue."""
    return {query: sorted(run.path for run in find(query, folder=results)) for query in QUESTIONS}


def killed(results: Path, spare: Path, seed: int, life: float) -> None:
    """Let a process work, and kill it after `life` seconds."""
    command = [
        sys.executable,
        "-m",
        "tests.campaigns.catalogue_kills",
        "--work",
        str(results),
        str(spare),
        str(seed),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(life)
        process.kill()


def is_torn(index: Path) -> bool:
    """Return whether the process died between the first byte that it wrote and the seal."""
    journal = index.with_name(f"{index.name}-journal")
    if not index.exists():
        return False
    return (journal.exists() and journal.stat().st_size > 0) or not RunIndex.is_sealed_file(index)


def campaign(kills: int, seed: int) -> tuple[int, int]:
    """Kill so many processes; return how many indices were torn, and how many questions were asked."""
    chance = random.Random(seed)
    torn = asked = 0
    with tempfile.TemporaryDirectory() as name:
        spare = Path(name, "spare")
        spare.mkdir()
        make(spare, 8)
        laboratory = Path(name, "laboratory")
        laboratory.mkdir()
        make(laboratory, RUNS)
        results = laboratory / "results"
        for number in range(kills):
            killed(results, spare, seed * 10_000 + number, chance.uniform(0.0, 0.4))
            torn += is_torn(results / INDEX_NAME)
            expected = truth(results)
            found = answers(results)
            assert found == expected, {query: (found[query], expected[query]) for query in expected}
            asked += len(expected)
            connection = sqlite3.connect(results / INDEX_NAME)
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            connection.close()
    return torn, asked


def main() -> None:
    """Run the campaign."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", nargs=3, metavar=("RESULTS", "SPARE", "SEED"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work is not None:
        work(Path(arguments.work[0]), Path(arguments.work[1]), int(arguments.work[2]))
    begin = datetime.now()
    torn, asked = campaign(arguments.kills, arguments.seed)
    print(
        f"{arguments.kills} kills, {torn} of them in the middle of a write of the index; {asked} questions, "
        f"0 wrong answers ({(datetime.now() - begin).total_seconds():.0f} s)"
    )


if __name__ == "__main__":
    main()
