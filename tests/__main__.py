"""Every check of the project, in order: lint, format, types, import contracts, tests, documentation.

Run as `python -m tests` from the root of the repository, in an environment made with
`pip install -e '.[dev]'`. All steps run even when one fails, two at a time, the tests last and alone; the output of
those that fail is printed, and the exit status is 1 if any did.
"""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent

WORKERS = 4
"""They keep two cores busy: many tests wait for processes that they have started."""

PACKAGES = ["-p", "schemas", "-p", "devicedb", "-p", "rexec"]
STEPS: dict[str, list[str]] = {
    "lint": [str(TOOLS / "ruff"), "check", "."],
    "format": [str(TOOLS / "ruff"), "format", "--check", "."],
    "types": [sys.executable, "-m", "mypy"],
    # A cache of its own: mypy keeps one platform in each.
    "types as for Windows": [
        sys.executable,
        "-m",
        "mypy",
        "--platform",
        "win32",
        "--cache-dir",
        ".mypy_cache/win32",
        *PACKAGES,
    ],
    "import contracts": [str(TOOLS / "lint-imports"), "--no-cache"],
    # All that Sphinx warns of, without writing pages, which takes three times as long.
    "documentation": [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "dummy", "docs", "docs/_build"],
    # It compiles the tests, which takes longer than to load them, once for all workers.
    "collection": [sys.executable, "-m", "pytest", "--collect-only", "-qq"],
    # Last, so that the test runner's closing line closes the log too.
    "tests": [sys.executable, "-m", "pytest", "-q", "-n", str(WORKERS)],
}


def main() -> int:
    """Run the steps, the tests last and alone, print what each took, return 1 if any failed."""
    *before, last = STEPS
    failed = []
    with ThreadPoolExecutor(max_workers=2) as pool:
        for name, (status, output) in zip(before, pool.map(_run_quietly, before), strict=True):
            print(output, end="", flush=True)
            failed += [name] if status else []
    print(_heading(last), flush=True)
    start = time.monotonic()
    status = subprocess.run(STEPS[last], cwd=ROOT, check=False).returncode
    print(_ending(last, status, start))
    failed += [last] if status else []
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _run_quietly(name: str) -> tuple[int, str]:
    """Return the status of a step, and what to print of it: its output if it failed."""
    start = time.monotonic()
    done = subprocess.run(
        STEPS[name], cwd=ROOT, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output = done.stdout.rstrip("\n") if done.returncode else ""
    lines = [_heading(name), output, _ending(name, done.returncode, start)]
    return done.returncode, "".join(f"{line}\n" for line in lines if line)


def _heading(name: str) -> str:
    command = STEPS[name]
    return f"== {name}: {' '.join([Path(command[0]).name, *command[1:]])}"


def _ending(name: str, status: int, start: float) -> str:
    return f"== {name}: {'ok' if status == 0 else f'FAILED ({status})'}, {time.monotonic() - start:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
