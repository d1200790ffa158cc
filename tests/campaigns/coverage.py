"""Measures which lines run of the code that runs in other processes: the agent, and the children of checks and runs.

    python -m tests.campaigns.coverage                      the tests that concern them, and a table by module
    python -m tests.campaigns.coverage tests/remote -m      only these tests; the lines that did not run

The agent is shipped as one text to controllers, where its lines have other numbers; they are led back to its files.
Children end by `os._exit`, at limits and by kills, before a tool that writes its data at the end: see
`lines_run/sitecustomize.py`. The exit status is 1 if tests failed, or a module is below the limit.
"""

import argparse
import difflib
import inspect
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Final

import coverage

from rexec.remote import _bootstrap
from rexec.remote.agent.exceptions import SELF_FILE

ROOT: Final = Path(__file__).resolve().parents[2]
MEASURED: Final = {
    "the agent on controllers": ("rexec/remote/agent",),
    "the child that runs a device database": ("devicedb/sandbox", "devicedb/trace"),
    "the child that keeps a result file": tuple(
        f"rexec/results/{name}.py" for name in ("_keeper_child", "keeper", "fold")
    ),
    "any child of ours": ("rexec/ground/_child_main.py", "rexec/ground/child.py"),
}  # fmt: skip
"""Files and folders, by what they are."""
TESTS: Final = (
    "tests/remote", "tests/remote_exec/test_global_rpc.py",
    *(f"tests/devicedb/test_{name}.py" for name in ("load", "literal", "places", "construct", "strangers", "stop")),
    *(f"tests/results/test_{name}.py" for name in ("refresher", "fold", "released", "catching_up")),
    "tests/ground/test_child.py",
)  # fmt: skip
"""The tests that concern them; others start such children, too."""
LEAST: Final = 90.0

Lines = dict[str, set[int]]


def measured(tests: list[str]) -> tuple[int, Lines]:
    """Run tests; return pytest's exit status, and the lines that ran of each file of the product."""
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder, "lines")
        notes.touch()
        wanted = [str(ROOT / place) for places in MEASURED.values() for place in places]
        environment = {
            **os.environ,
            "REXEC_LINES_RUN": str(notes),
            "REXEC_LINES_OF": os.pathsep.join([*wanted, SELF_FILE]),
            "PYTHONPATH": str(Path(__file__).with_name("lines_run")),
        }
        command = [sys.executable, "-m", "pytest", "-q", "-p", "lines_run_again", "--timeout=600", *tests]
        status = subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode
        return status, by_file(notes.read_text(encoding="utf-8"))


def by_file(notes: str) -> Lines:
    """Return the lines of each file, those of the shipped agent in the files that they come from."""
    found: Lines = defaultdict(set)
    shipped = shipped_lines()
    for note in notes.splitlines():
        number, _, name = note.partition(" ")
        if name != SELF_FILE:
            found[name].add(int(number))
        elif int(number) in shipped:
            file, line = shipped[int(number)]
            found[file].add(line)
    return found


def shipped_lines() -> dict[int, tuple[str, int]]:
    """Return file and line of each line of the agent's shipped text, which leaves out imports between its modules."""
    origins, text = [], []
    for module in _bootstrap._MODULES:
        lines = inspect.getsource(module).splitlines()
        origins += [(str(module.__file__), number) for number, _ in enumerate(lines, start=1)]
        text += lines
    matcher = difflib.SequenceMatcher(None, text, _bootstrap.SOURCE.splitlines(), autojunk=False)
    return {
        block.b + offset + 1: origins[block.a + offset]
        for block in matcher.get_matching_blocks()
        for offset in range(block.size)
    }


def table(lines: Lines, least: float, *, missing: bool) -> bool:
    """Print what ran of each module; return whether none is below the limit."""
    tool = coverage.Coverage(data_file=None, config_file=False)
    tool.get_data().add_lines({name: sorted(found) for name, found in lines.items()})
    is_enough = True
    for what, places in MEASURED.items():
        print(f"\n{what}")
        files = [
            path for place in places for path in (sorted((ROOT / place).rglob("*.py")) or [ROOT / place])
        ]
        total = ran = 0
        for path in files:
            _, statements, _, absent, shown = tool.analysis2(str(path))
            count = len(statements)
            total, ran = total + count, ran + count - len(absent)
            share = 100 * (count - len(absent)) / count if count else 100.0
            is_enough = is_enough and share >= least
            row = f"{'BELOW' if share < least else '':5} {share:5.1f} %  {count - len(absent):4} of {count:4}"
            print(f"  {row}  {path.relative_to(ROOT)}{f'  {shown}' if missing and shown else ''}")
        print(f"        {100 * ran / max(total, 1):5.1f} %  {ran:4} of {total:4}  together")
    return is_enough


def main() -> None:
    """Run the campaign."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "tests", nargs="*", default=[*TESTS], help="what pytest runs (default: what concerns these children)"
    )
    parser.add_argument(
        "--least", type=float, default=LEAST, help="limit of each module, in percent (default: %(default)g)"
    )
    parser.add_argument("-m", "--missing", action="store_true", help="print the lines that did not run, too")
    arguments = parser.parse_args()
    status, lines = measured(arguments.tests)
    is_enough = table(lines, arguments.least, missing=arguments.missing)
    sys.exit(0 if is_enough and not status else 1)


if __name__ == "__main__":
    main()
