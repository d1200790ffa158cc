"""Every check of the project, in order: lint, format, types, import contracts, tests, documentation.

Run as `python -m tests` from the root of the repository, in an environment made with
`pip install -e '.[dev]'`. All steps run even when one fails; the exit status is 1 if any did.
"""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent

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
    "documentation": [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", "docs", "docs/_build"],
    # Last, so that the test runner's closing line closes the log too.
    "tests": [sys.executable, "-m", "pytest", "-q", "-n", "2"],
}


def main() -> int:
    """Run each step, print what it took, return 1 if any failed."""
    failed = []
    for name, command in STEPS.items():
        print(f"== {name}: {' '.join([Path(command[0]).name, *command[1:]])}", flush=True)
        start = time.monotonic()
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        print(f"== {name}: {'ok' if status == 0 else f'FAILED ({status})'}, {time.monotonic() - start:.1f} s")
        if status:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
