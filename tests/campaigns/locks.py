"""Takes each lock out of our packages, one after another, and runs the tests of threads of that package.

    python -m tests.campaigns.locks [PART …]                each lock (or those whose name has a PART)
    python -m tests.campaigns.locks --each-section [PART …] each critical section (`with self._lock:`) alone

A mutant is the same module, in which the lock lets everybody in. It is killed by a failure of `test_threads.py` in the
folder of the package's tests. Those that survive are printed, with why they may if that is known. The exit status is 1
if one survived that is not excused.
"""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from tests.threads.without import ROOT, Mutant, MutantImporter, mutants

_RAISES: Final = "its wait raises at once; tests/supervise/test_forward.py fails"
EXCUSED: Final[dict[str, str]] = {
    "rexec/supervise/forward.py LogForwarder._some line 108": _RAISES,
    "rexec/supervise/forward.py LogForwarder._some line 124": _RAISES,
}
"""Locks that no test of threads needs (as printed), and what else shows that they are needed."""


def tests_of(mutant: Mutant) -> Path:
    """Return the file of tests that must fail."""
    package, *rest = mutant.file.split("/")
    folder = rest[0] if package == "rexec" and len(rest) > 1 else package
    return ROOT / "tests" / folder / "test_threads.py"


def run_with(mutant: Mutant, arguments: list[str]) -> int:
    """Run pytest in this process with a mutant in place of its module."""
    MutantImporter(mutant)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # to import them takes longer than most of the tests
    import pytest

    # Plain asserts: to rewrite them, pytest would import the modules of this distribution in place of the mutant.
    usual = "-x -q --assert=plain -p no:cacheprovider -p pytest_timeout --noconftest".split()
    return int(pytest.main([*usual, *arguments]))


def outcome(mutant: Mutant, *, is_shown: bool = False) -> str:
    """Return how a mutant ended: "killed", "survived", or why it could not be tried."""
    tests = tests_of(mutant)
    if not tests.exists():
        return "survived (no tests)"
    command = [
        sys.executable,
        "-m",
        "tests.campaigns.locks",
        "--with",
        mutant.file,
        mutant.lock,
        str(mutant.line),
        str(tests),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900)
    if is_shown:
        print(done.stdout, done.stderr)
    if done.returncode == 1 and "1 failed" in done.stdout:
        return "killed"
    return "survived" if done.returncode == 0 else f"status {done.returncode}, see --show:"


def main() -> int:
    if sys.argv[1:2] == ["--with"]:
        file, lock, line, *arguments = sys.argv[2:]
        return run_with(Mutant(file, lock, int(line)), arguments)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="parts of names of locks; default: all")
    parser.add_argument("--each-section", action="store_true", help="open one critical section at a time")
    parser.add_argument("--show", action="store_true", help="print what pytest said")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time; default: 2")
    args = parser.parse_args()
    found = [
        each
        for each in mutants(each_use=args.each_section)
        if not args.parts or any(part in str(each) for part in args.parts)
    ]
    killed, is_good = 0, True
    with ThreadPoolExecutor(args.jobs) as pool:
        for mutant, how in zip(found, pool.map(partial(outcome, is_shown=args.show), found), strict=True):
            why = EXCUSED.get(str(mutant), "") if how == "survived" else ""
            killed += how == "killed"
            is_good = is_good and (how == "killed" or bool(why))
            print(f"{how:9} {mutant}{f': {why}' if why else ''}", flush=True)
    print(f"{killed} of {len(found)} killed")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
