"""Mutants of the code, and which tests notice: `python -m tests.campaigns.mutants rexec.wire rexec.results.fold`.

In a copy of the tree, one fault at a time is put into a module (mutants_made.py). Only tests that execute its line run,
the quickest first, until one fails: those of the module's own folder and, with --suite, those of the other folders for
what survived. Which test executes which line is recorded once a folder, children included. A test that fails without
the fault, too, kills nothing. A mutant that hangs is killed. mutants_excused.toml lists what nobody can notice, and
why. Exit status 1 if the own folders kill fewer than 95 % of what is not excused. POSIX only: it forks.
"""

import argparse
import compileall
import contextlib
import ctypes
import hashlib
import importlib
import json
import multiprocessing
import multiprocessing.util
import os
import py_compile
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Final, NamedTuple

import coverage
import psutil
import pytest

from tests.campaigns.mutants_made import Mutant, sample

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
PACKAGES: Final = ("schemas", "devicedb", "rexec")
_NOT_SUITE: Final = {"campaigns", "interop", "packaging", "docs", "performance", "power_cuts", "__pycache__"}
_LIBRARIES: Final = "hypothesis numpy h5py lmdb pydantic rich cryptography.x509 orjson"
_MOST_MEMORY: Final = 4 << 30
_SUBREAPER: Final = 36  # PR_SET_CHILD_SUBREAPER
_SETTINGS: Final = (
    "[run]\nsource = {}\nparallel = true\npatch = _exit\nsigterm = true\ncontext = ${{MUTANTS_TEST-}}\n"
)


class Record(NamedTuple):
    """Which test of a folder executes which line.

    Attributes:
        seconds: How long each test took that passed.
        lines: Tests of each line of each module, by its path; "" where it was executed outside a test, as by an import.

    """

    seconds: dict[str, float]
    lines: dict[str, dict[str, list[str]]]

    def tests(self, module: str, first: int, last: int) -> list[str]:
        """Return the tests that execute lines, the quickest first; those of the module if it is not known which."""
        of_module = self.lines.get(module, {})
        found = {test for line in range(first, last + 1) for test in of_module.get(str(line), [""])}
        if "" in found:
            found = {test for tests in of_module.values() for test in tests}
        return sorted(found & self.seconds.keys(), key=lambda test: (self.seconds[test], test))


class Verdict(NamedTuple):
    """What became of a mutant: `by` is "own", "suite", "excused" or "survived"; `test` who killed it, or why not."""

    module: str
    mutant: Mutant
    by: str
    test: str


class _Watcher:
    """Notes in a file which tests passed, and which failed first; switches the context of the coverage."""

    def __init__(self, path: Path, cover: coverage.Coverage | None = None) -> None:
        self._path, self._cover = path, cover
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._failed: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        if self._cover:
            os.environ["MUTANTS_TEST"] = nodeid
            self._cover.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] += report.duration
        if report.failed or report.skipped:
            self._failed.append(report.nodeid) if report.failed else None
            self._seconds[report.nodeid] = -1e9

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            self._failed.append(f"(pytest ended with status {int(exitstatus)})")  # by Ctrl-C, for one
        passed = {test: seconds for test, seconds in self._seconds.items() if seconds >= 0}
        self._path.write_text(json.dumps([passed, self._failed]))


def in_child(
    root: Path, words: list[str], seconds: float, settings: Path | None = None
) -> tuple[Any, list[str]]:
    """Run pytest in a child forked from here, with the modules below a folder; return what passed, and what failed.

    A child that does not end in time is killed, with what it started: it failed as "(hung)".
    """
    out = root.with_name(root.name + ".json")
    out.unlink(missing_ok=True)
    pid = os.fork()
    if not pid:
        try:
            os._exit(_pytest(root, words, out, settings))
        finally:
            os._exit(1)  # nothing of this process is the child's to clean up
    deadline = time.monotonic() + seconds
    done = 0
    while not done and time.monotonic() < deadline:
        time.sleep(0.02)
        done, _ = os.waitpid(pid, os.WNOHANG)
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    if not done:
        return {}, ["(hung)"]
    passed, failed = json.loads(out.read_text()) if out.exists() else ({}, ["(the end of the interpreter)"])
    return passed, failed or ([] if passed else ["(no test could be run)"])


def _pytest(root: Path, words: list[str], out: Path, settings: Path | None) -> int:
    os.setsid()
    os.chdir(root)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if not settings:
        resource.setrlimit(resource.RLIMIT_DATA, (_MOST_MEMORY, _MOST_MEMORY))
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    for name in [each for each in sys.modules if each.partition(".")[0] in ("tests", *PACKAGES)]:
        del sys.modules[name]
    sys.path.insert(0, str(root))
    os.environ["PYTHONPATH"] = str(root)
    cover = None
    if settings:
        os.environ["COVERAGE_PROCESS_START"] = str(settings)
        cover = coverage.Coverage(str(settings.with_name("data")), config_file=str(settings))
        cover.start()
    usual = ["-q", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:cov", "--hypothesis-seed=0"]
    status = pytest.main([*usual, *words], plugins=[_Watcher(out, cover)])
    if cover:
        cover.stop()
        cover.save()
    return int(status)


def prepare(root: Path, copy: Path) -> Path:
    """Copy a tree to where mutants are made."""
    skipped = shutil.ignore_patterns(".*", "__pycache__", "_build", "*.so")
    shutil.copytree(root, copy, ignore=skipped, symlinks=True)
    for name in PACKAGES:
        # By the text: two mutants of one second and one length would share what is compiled by the time.
        compileall.compile_dir(
            copy / name, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH
        )
    return copy


def record(copy: Path, folder: str, kept: Path) -> Record:
    """Run the tests of a folder under coverage, unless it is on file for the same texts; return what executes what."""
    texts = [
        *copy.glob(f"tests/{folder}/**/*.py"),
        *(p for name in PACKAGES for p in copy.glob(f"{name}/**/*.py")),
    ]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(texts))).hexdigest()[:16]
    path = kept / f"{folder}-{digest}.json"
    if path.exists():
        return Record(*json.loads(path.read_text()))
    with tempfile.TemporaryDirectory() as name:
        settings = Path(name, "settings")
        present = [str(copy / each) for each in PACKAGES if (copy / each).exists()]
        settings.write_text(_SETTINGS.format("\n    ".join(["", *present])) + f"data_file = {name}/data\n")
        seconds, _ = in_child(copy, [f"tests/{folder}"], 7200, settings)
        cover = coverage.Coverage(f"{name}/data", config_file=str(settings))
        cover.combine([name])
        data = cover.get_data()
        lines = {
            Path(file).relative_to(copy).as_posix(): {
                str(line): sorted({context.strip("|") for context in contexts})
                for line, contexts in data.contexts_by_lineno(file).items()
            }
            for file in data.measured_files()
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([seconds, lines]))
    return Record(seconds, lines)


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
        patience: How many times as long as recorded tests may take until they count as hung (60 s are added).

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
                _, failed = in_child(self._copy, ["-x", *tests], seconds)
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
