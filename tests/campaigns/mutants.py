"""Mutants of the code, and which tests notice: `python -m tests.campaigns.mutants rexec.wire rexec.results.fold`.

In a copy of the tree, one fault at a time is put into a module (mutants_made.py). Only tests that execute its line run,
the quickest first, until one fails: those of the module's own folder and, with --suite, those of the other folders for
what survived. Which test executes which line is recorded once a folder, children included. A test that fails without
the fault, too, kills nothing. A mutant that hangs is killed. mutants_excused.toml lists what nobody can notice, and
why. Exit status 1 if the own folders kill fewer than 95 % of what is not excused. POSIX only: it forks.
"""

import argparse
import ctypes
import importlib
import multiprocessing
import multiprocessing.util
import shutil
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Final, NamedTuple

from tests.campaigns.mutants_made import Mutant, sample
from tests.campaigns.mutants_tests import Record, in_child, prepare, record

ROOT: Final = Path(__file__).resolve().parents[2]
EXCUSES: Final = Path(__file__).with_name("mutants_excused.toml")
GOAL: Final = 0.95
_ENDS: Final = ("own", "suite", "excused", "survived")
_PROMISING: Final = (
    "rexec.wire",
    "rexec.results",
    "rexec.datasets",
    "rexec.remote",
    "rexec.devices",
    "rexec.experiment",
    "devicedb.rules",
    "devicedb.check.engine",
)
_NOT_SUITE: Final = {"campaigns", "interop", "packaging", "docs", "performance", "power_cuts", "__pycache__"}
_LIBRARIES: Final = "hypothesis numpy h5py lmdb pydantic rich cryptography.x509 orjson"
_SUBREAPER: Final = 36  # PR_SET_CHILD_SUBREAPER


class Verdict(NamedTuple):
    """What became of a mutant: `by` is "own", "suite", "excused" or "survived"; `test` who killed it, or why not."""

    module: str
    mutant: Mutant
    by: str
    test: str


def own_folder(module: str) -> str:
    """Return the test folder of a module, by its path."""
    parts = module.removesuffix(".py").split("/")
    return parts[1] if parts[0] == "rexec" else parts[0]


def excuses() -> dict[tuple[str, str, str], str]:
    """Return why nobody can notice a mutant, by module, line, and line with the fault."""
    entries = tomllib.loads(EXCUSES.read_text(encoding="utf-8"))["excuse"]
    return {(each["module"], each["was"], each["became"]): each["why"] for each in entries}


class Judge:
    """Finds out who kills a mutant, in a copy of the tree that it has for itself.

    Args:
        copy: The copy.
        records: What is known of each test folder.
        budget: Seconds of tests, as recorded, that are spent at most on a mutant in one folder.
        patience: How many times as long as recorded one test, and all of them, may take until they count as hung (60 s
            are added).

    """

    def __init__(self, copy: Path, records: dict[str, Record], budget: float, patience: float) -> None:
        self._copy, self._records, self._budget, self._patience = copy, records, budget, patience
        self._sound: dict[str, bool] = {}

    def verdict(self, module: str, mutant: Mutant) -> Verdict:
        """Judge one mutant."""
        own = own_folder(module)
        why = excuses().get((module, mutant.was, mutant.became))
        if why:
            return Verdict(module, mutant, "excused", why)
        executed = 0
        for folder in sorted(self._records, key=lambda each: (each != own, each)):
            tests = self._affordable(self._records[folder], module, mutant)
            executed += len(tests)
            killer = self._killer(module, mutant, tests)
            if killer:
                return Verdict(module, mutant, "own" if folder == own else "suite", killer)
        return Verdict(module, mutant, "survived", f"{executed} tests run")

    def _affordable(self, known: Record, module: str, mutant: Mutant) -> dict[str, float]:
        chosen: dict[str, float] = {}
        for test in known.tests(module, mutant.line, mutant.last_line):
            chosen[test] = known.seconds[test]
            if sum(chosen.values()) > self._budget:
                break
        return chosen

    def _killer(self, module: str, mutant: Mutant, tests: dict[str, float]) -> str:
        path = self._copy / module
        sound = path.read_bytes()
        while tests:
            seconds = 60 + self._patience * sum(tests.values())
            try:
                path.write_text(mutant.text, encoding="utf-8")
                longest = f"--timeout={60 + self._patience * max(tests.values()):.0f}"
                _, failed = in_child(self._copy, ["-x", longest, *tests], seconds)
            finally:
                path.write_bytes(sound)
            if not failed or failed[0] not in tests or self._passes_alone(failed[0]):
                return failed[0] if failed else ""
            del tests[failed[0]]
        return ""

    def _passes_alone(self, test: str) -> bool:
        if test not in self._sound:
            self._sound[test] = not in_child(self._copy, [test], 600)[1]
        return self._sound[test]


_judge: Judge


def _begin(root: Path, records: dict[str, Record], options: argparse.Namespace) -> None:
    """Prepare a worker: what it imports now, the children that it forks need not import again."""
    global _judge
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    for name in _LIBRARIES.split():
        importlib.import_module(name)
    folder = Path(tempfile.mkdtemp(prefix="mutants-"))
    multiprocessing.util.Finalize(None, shutil.rmtree, (folder, True), exitpriority=1)
    _judge = Judge(prepare(root, folder / "tree"), records, options.budget, options.patience)


def _verdict(module: str, mutant: Mutant) -> Verdict:
    return _judge.verdict(module, mutant)


def modules(root: Path, names: list[str]) -> Iterator[str]:
    """Yield the paths of modules, from the root; a package is all that is in it."""
    for name in names:
        path = root / name.replace(".", "/")
        if not path.is_dir() and not path.with_suffix(".py").exists():
            raise SystemExit(f"{name}: there is no such module or package in {root}")
        found = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
        yield from (each.relative_to(root).as_posix() for each in found)


def campaign(root: Path, names: list[str], options: argparse.Namespace) -> Iterator[Verdict]:
    """Yield the verdict of each mutant, as they come."""
    chosen = [
        (module, mutant)
        for module in modules(root, names)
        for mutant in sample((root / module).read_text(), options.sample, f"{options.seed}:{module}")
    ]
    own = {own_folder(module) for module, _ in chosen}
    folders = {path.parent.name for path in root.glob("tests/*/__init__.py")}
    wanted = (own & folders) | (folders - _NOT_SUITE if options.suite else set())
    records = {}
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        copy = prepare(root, Path(name, "tree"))
        for folder in sorted(wanted):
            print(f"which test of tests/{folder} executes what ...", flush=True)
            records[folder] = record(copy, folder, options.records)
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(options.jobs, context, _begin, (root, records, options)) as pool:
        waiting = [pool.submit(_verdict, module, mutant) for module, mutant in chosen]
        for number, future in enumerate(as_completed(waiting), 1):
            verdict = future.result()
            place = f"{verdict.module}:{verdict.mutant.line}"
            print(
                f"{number}/{len(waiting)} {place} {verdict.mutant.operator}: {verdict.by} ({verdict.test})",
                flush=True,
            )
            yield verdict


def report(verdicts: list[Verdict]) -> float:
    """Print a table by module and what survived; return which part the own folders killed of what is not excused."""
    print(f"\n{'module':48}" + "".join(f"{each:>10}" for each in ("mutants", *_ENDS)))
    counts = {
        module: Counter(each.by for each in verdicts if each.module == module)
        for module in sorted({each.module for each in verdicts})
    }
    for module, count in [*counts.items(), ("all", Counter(each.by for each in verdicts))]:
        print(f"{module:48}{count.total():10}" + "".join(f"{count[end]:10}" for end in _ENDS))
    for end in ("suite", "survived"):
        print(f"\n{end}:")
        for verdict in sorted(each for each in verdicts if each.by == end):
            mutant = verdict.mutant
            print(f"{verdict.module}:{mutant.line} {mutant.operator} ({verdict.test})")
            print(f"  - {mutant.was}\n  + {mutant.became}")
    judged = [each for each in verdicts if each.by != "excused"]
    share = sum(each.by == "own" for each in judged) / max(1, len(judged))
    print(f"\n{share:.1%} of {len(judged)} mutants were killed by the tests of their module's own folder")
    return share


def main() -> int:
    """Run the campaign; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.mutants", description=__doc__)
    parser.add_argument(
        "module", nargs="*", default=list(_PROMISING), help="modules and packages; default: %(default)s"
    )
    parser.add_argument("--sample", type=int, help="mutants of each module; default: all")
    parser.add_argument("--seed", default="1", help="chooses the sample; default: 1")
    parser.add_argument("--jobs", type=int, default=1, help="processes; default: 1")
    parser.add_argument(
        "--suite", action="store_true", help="try the other folders on what survived; default: no"
    )
    parser.add_argument(
        "--budget", type=float, default=120, help="seconds of tests for a mutant; default: 120"
    )
    parser.add_argument(
        "--patience", type=float, default=10, help="times longer than recorded is hung; default: 10"
    )
    parser.add_argument(
        "--records",
        type=Path,
        default=Path(tempfile.gettempdir(), "mutants-records"),
        help="keeps what executes what there",
    )
    options = parser.parse_args()
    return 0 if report(list(campaign(ROOT, options.module, options))) >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
