"""Installs what would be released into empty environments, and uses it there.

    python -m tests.campaigns.packaging               (wheel, sdist and lock)
    python -m tests.campaigns.packaging wheel

Packages come from the registry that pip is set up for. The wheel and the sdist are built from this tree; each is
installed alone into a virtual environment that has nothing else, and its programs check a device database and run an
experiment with a controller. The lock is installed with its hashes, and the tree on top of it. The suite does the same
with the dependencies that it finds (tests/packaging/test_wheel.py). The exit status is 1 if anything fails.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.ports import copy_examples, free_ports

ROOT: Final = Path(__file__).resolve().parents[2]
LOCK: Final = ROOT / "requirements-dev.lock"
LONGEST: Final = 1800
"""Seconds for one command, such as the installation of a hundred packages."""


def call(*command: str, folder: Path) -> str:
    """Run a command in a folder and return what it prints; RuntimeError if it fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def empty_environment(folder: Path) -> Path:
    """Make a virtual environment with pip alone and return the folder of its programs."""
    venv.create(folder / "venv", with_pip=True)
    return folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")


def use(programs: Path, folder: Path) -> None:
    """Check a device database and run an experiment with its controller."""
    version = call(str(programs / "rexec"), "--version", folder=folder)
    if version != call(str(programs / "devicedb"), "--version", folder=folder):
        raise RuntimeError("the two programs disagree about their version")
    copy_examples(folder, free_ports())
    call(str(programs / "devicedb"), "check", "examples/device_db.py", folder=folder)
    output = call(
        str(programs / "rexec"),
        "run",
        "examples/host_monitor/experiment.py",
        "--up",
        "points=2",
        folder=folder,
    )
    if "run 0 of RecordHost: " not in output:
        raise RuntimeError(f"the run printed\n{output}")
    call(str(programs / "python"), "-m", "pip", "--disable-pip-version-check", "check", folder=folder)


def from_artifact(kind: str, folder: Path) -> None:
    """Build the wheel or the sdist, install it alone, and use it."""
    call(
        sys.executable, "-m", "build", f"--{kind}", "--outdir", str(folder / "dist"), str(ROOT), folder=folder
    )
    (artifact,) = (folder / "dist").iterdir()
    programs = empty_environment(folder)
    call(str(programs / "python"), "-m", "pip", "install", "--quiet", str(artifact), folder=folder)
    use(programs, folder)


def from_lock(folder: Path) -> None:
    """Install the lock with its hashes and the tree without further dependencies, and use it."""
    programs = empty_environment(folder)
    install = (str(programs / "python"), "-m", "pip", "install", "--quiet")
    call(*install, "--require-hashes", "-r", str(LOCK), folder=folder)
    call(*install, "--no-deps", "--no-build-isolation", "-e", str(ROOT), folder=folder)
    use(programs, folder)


PARTS: Final[dict[str, Callable[[Path], None]]] = {
    "wheel": lambda folder: from_artifact("wheel", folder),
    "sdist": lambda folder: from_artifact("sdist", folder),
    "lock": from_lock,
}


def main() -> int:
    """Do the parts that are named (default: all); return 1 if any failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    failed = 0
    for name in parser.parse_args().parts or PARTS:
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            try:
                PARTS[name](Path(folder))
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                failed += 1
                print(f"{name}: FAILED: {error}", flush=True)
            else:
                print(f"{name}: ok, {time.monotonic() - start:.0f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
