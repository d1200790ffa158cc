"""Runs the suite again and again on a machine that is kept busy, and prints what failed how often.

    python -m tests.campaigns.under_load                        three runs under a load of 12
    python -m tests.campaigns.under_load --user nobody          as root: the suite runs as another user
    python -m tests.campaigns.under_load --runs 20 tests/wire   one folder

SIGINT and SIGHUP are ignored when the suite starts, as in a background job of a shell or under `nohup`. The exit
status is 1 if any test failed.
"""

import argparse
import collections
import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from tests.__main__ import WORKERS

ROOT: Final = Path(__file__).resolve().parents[2]
_FAILED: Final = re.compile(r"^(\[gw\d+\] \[ *\d+%\] )?(FAILED|ERROR) | (FAILED|ERROR) +\[ *\d+%\]$")
_PROGRESS: Final = re.compile(r"\[ *(\d+)%\]")
_ACCOUNT: Final = re.compile(r"^=+ (FAILURES|ERRORS|short test summary info|.* in [\d.]+s.*) =+$")
NOT_COPIED: Final = (".venv", ".git", ".hypothesis", ".mypy_cache", ".ruff_cache", "__pycache__", "_build")


@dataclass(frozen=True, slots=True)
class Run:
    """How one run of the suite went."""

    counts: Mapping[str, int]
    """Tests by how they ended: `passed`, `failed`, `skipped`."""

    failures: Mapping[str, str]
    """The first line of what was wrong, by test."""

    seconds: float
    load: float
    """Average of the last minute at the end of the run."""


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep so many processes computing meanwhile.

    They are in the session of the suite: Linux may give each session the same share of the processors, and a session
    of their own would slow nothing down.
    """
    spinners = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for each in spinners:
            each.kill()
            each.wait()


@contextlib.contextmanager
def ignored(*numbers: int) -> Iterator[None]:
    """Ignore signals meanwhile, so that what is started ignores them, too."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def tree_of(user: str | None, python: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the folder in which the suite runs and what `Popen` is told: for another user a copy that is theirs."""
    environment = dict(os.environ)
    if user is None:
        yield ROOT, {"env": environment}
        return
    who = pwd.getpwnam(user)
    with tempfile.TemporaryDirectory(prefix="under-load-") as folder:
        copy, home = Path(folder, "tree"), Path(folder, "home")
        shutil.copytree(ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(*NOT_COPIED))
        home.mkdir()
        for path in (Path(folder), *Path(folder).rglob("*")):
            os.chown(path, who.pw_uid, who.pw_gid, follow_symlinks=False)
        # The packages of the copy come before those that the interpreter has.
        environment |= {"HOME": str(home), "TMPDIR": str(home), "USER": user, "LOGNAME": user}
        environment["PYTHONPATH"] = str(copy)
        # Where a folder of the path cannot be searched, no command counts as not found.
        environment["PATH"] = os.pathsep.join([str(Path(python).parent), *os.defpath.split(os.pathsep)])
        yield copy, {"env": environment, "user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}


def run_once(folder: Path, python: str, further: Mapping[str, Any], arguments: Sequence[str]) -> Run:
    """Run the suite in a folder."""
    report = Path(further["env"].get("TMPDIR", tempfile.gettempdir()), f"under-load-{os.getpid()}.xml")
    command = [python, "-m", "pytest", "-v", "-n", str(WORKERS), "-p", "no:cacheprovider"]
    began = time.monotonic()
    with ignored(signal.SIGINT, signal.SIGHUP):
        suite = subprocess.Popen(
            [*command, f"--junitxml={report}", *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
            **further,
        )
    with suite:  # it is waited for
        try:
            assert suite.stdout is not None
            for line in told(suite.stdout):
                print(line, end="", flush=True)
        except BaseException:
            suite.terminate()
            raise
    if not report.exists():
        raise SystemExit(f"pytest ended with status {suite.returncode} before it wrote its report")
    counts, failures = outcome(ElementTree.parse(report))
    report.unlink()
    return Run(counts, failures, time.monotonic() - began, os.getloadavg()[0])


def told(lines: Iterable[str]) -> Iterator[str]:
    """Yield, of what pytest says of each test, what has failed, each tenth of the way, and its account at the end."""
    tenth, is_account = 0, False
    for line in lines:
        is_account = is_account or _ACCOUNT.search(line) is not None
        progress = _PROGRESS.search(line)
        if is_account or _FAILED.search(line):
            yield line
        elif progress and int(progress[1]) // 10 > tenth:
            tenth = int(progress[1]) // 10
            yield f"{10 * tenth} %\n"


def outcome(report: "ElementTree.ElementTree[Any]") -> tuple[dict[str, int], dict[str, str]]:
    """Return the counts of a report of pytest, and the first line of each failure."""
    counts, failures = collections.Counter[str](), dict[str, str]()
    for case in report.iter("testcase"):
        problem = next((each for each in case if each.tag in ("failure", "error")), None)
        if problem is not None:
            where = case.get("classname", "").replace(".", "/")
            name = f"{where}.py::{case.get('name')}" if where else f"{case.get('name')}"
            failures[name] = (problem.get("message") or "?").splitlines()[0]
        skipped = case.find("skipped") is not None
        counts["failed" if problem is not None else "skipped" if skipped else "passed"] += 1
    return dict(counts), failures


def table(runs: Sequence[Run]) -> list[str]:
    """Return the lines of a table of runs, and of what failed in how many of them."""
    lines = ["| run | passed | failed | skipped | seconds | load at the end |", "| --- " * 6 + "|"]
    for number, run in enumerate(runs, 1):
        count = [str(run.counts.get(kind, 0)) for kind in ("passed", "failed", "skipped")]
        lines.append(f"| {number} | {' | '.join(count)} | {run.seconds:.0f} | {run.load:.1f} |")
    first = {name: line for run in reversed(runs) for name, line in run.failures.items()}
    for name in sorted(first):
        times = sum(name in run.failures for run in runs)
        lines.append(f"failed in {times} of {len(runs)}: {name}: {first[name]}")
    return lines


def main() -> int:
    """Run the suite under load, print the table, return 1 if anything failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3, help="how often the suite runs; default 3")
    parser.add_argument(
        "--load",
        type=int,
        default=12,
        help=f"processes that want a processor, with {WORKERS} of the suite; default 12",
    )
    parser.add_argument("--user", help="run the suite as this user, in a copy of the tree; needs root")
    parser.add_argument(
        "--python",
        default=sys.executable,
        help="interpreter with the packages, which that user may run; default: this",
    )
    parser.add_argument("pytest", nargs="*", help="what pytest is told, such as a folder")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended, too
    runs: list[Run] = []
    with busy(max(0, options.load - WORKERS)), tree_of(options.user, options.python) as (folder, further):
        for _ in range(options.runs):
            runs.append(run_once(folder, options.python, further, options.pytest))
            print("\n".join(table(runs)), flush=True)
    return 1 if any(run.failures for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
