"""Kills `rexec run` at random instants, recovers what it left, and compares that with what it had acknowledged.

    python -m tests.campaigns.run_kills [--kills 100] [--seed 1]
    FOLDER/python/python.exe -m tests.campaigns.run_kills          (under Wine, see tests/campaigns/windows.py)

On Windows the run is ended by `taskkill /F`, elsewhere by SIGKILL. It prints the number of each point after the call
that kept it has returned, so a kill falls anywhere between the start and the end of the file, refreshes included. Then
every acknowledged point must be in the file, every file must open and verify, and no journal may be left. Exit status 1
where that is not so. A run that had ended before it was killed is looked at, too, and not counted as a kill.
"""

import argparse
import collections
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

import h5py

from rexec.results import recover_folder, verify

EXPERIMENT: Final = """
import numpy as np
from rexec.experiment import EnvExperiment, NumberValue

class Points(EnvExperiment):
    def build(self):
        self.setattr_argument("points", NumberValue(1000, precision=0, step=1, type="int"))

    def run(self):
        self.set_dataset("image", np.arange(50000))
        self.set_dataset("x", [])
        self.set_dataset("stored", 0, persist=True)
        for n in range(self.points):
            self.append_to_dataset("x", n)
            print(n, flush=True)
            if n % 100 == 99:
                self.mutate_dataset("image", n, -1)
"""
POINTS: Final = (50, 500, 5000, 10**6) if sys.platform != "win32" else (5000, 10**6, 10**6, 10**6)
"""Lengths of runs; until `taskkill` has started, a short one has ended."""

_KILLED: Final = (0, 1) if sys.platform == "win32" else (0, -9)
"""Statuses after a kill, or an end just before it; Wine's `taskkill` gives 0."""

LONGEST: Final = 150.0
"""Seconds for a start or an end, which never matter."""


class AcknowledgedRun:
    """A run, and the last point that it has acknowledged."""

    def __init__(self, folder: Path, points: int) -> None:
        words = [sys.executable, "-P", "-m", "rexec", "run", "experiment.py", f"points={points}"]
        self.errors = folder / "errors.txt"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=errors)
        self.last = -1
        self.has_ended = False
        """Whether it has said where its file is."""
        self.began = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip().isdigit() and line.endswith(b"\n"):
                self.last = int(line)
                self.began.set()
            self.has_ended = self.has_ended or line.startswith(b"run ")
        self.began.set()

    def kill(self) -> bool:
        """End it at once; return whether it still went on."""
        if sys.platform == "win32":
            command = ["taskkill", "/F", "/PID", str(self.process.pid)]
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        else:
            self.process.kill()
        status = self.process.wait(LONGEST)
        self._thread.join(LONGEST)
        if status not in _KILLED:
            raise RuntimeError(f"the run ended by itself, with status {status}:\n{self.errors.read_text()}")
        return not self.has_ended


def wrong(folder: Path, run: AcknowledgedRun) -> str:
    """Return what is wrong with what a run has left, or ''."""
    outcomes = [recovery.outcome for recovery in recover_folder(folder)]
    files = list(folder.rglob("*.h5"))
    if list(folder.rglob("*.journal")):
        return f"a journal is left ({outcomes})"
    if not files:
        return "" if run.last < 0 else f"no file, {run.last} was acknowledged"
    if len(files) > 1:
        return f"{len(files)} files"
    if problems := verify(files[0]):
        return f"{problems}"
    with h5py.File(files[0]) as file:
        if run.last < 0 and "x" not in file["datasets"]:
            return ""
        kept = file["datasets/x"][()].tolist()
    # The point that was in flight may be kept, too.
    if kept != list(range(len(kept))) or len(kept) <= run.last:
        return f"{len(kept)} points, {run.last} was acknowledged"
    files[0].unlink()
    return ""


def main() -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100, help="proven kills (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of all choices (default: %(default)s)")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    counts: collections.Counter[str] = collections.Counter()
    bad = 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        number = -1
        while counts["killed"] < options.kills:
            number += 1
            folder = Path(name, str(number))
            folder.mkdir()
            (folder / "device_db.py").write_text("device_db = {}\n")
            (folder / "experiment.py").write_text(EXPERIMENT)
            run = AcknowledgedRun(folder, chance.choice(POINTS))
            if chance.random() < 0.9:
                run.began.wait(LONGEST)
            time.sleep(chance.choice((0.0, 0.05, 0.5, 2.0)) * chance.random())
            was_alive = run.kill()
            counts["killed" if was_alive else "had ended"] += 1
            counts["acknowledged nothing" if run.last < 0 else "acknowledged points"] += 1
            problem = wrong(folder, run)
            if problem:
                bad += 1
                print(f"kill {number}, in {os.fspath(folder)}: {problem}", flush=True)
            if number % 10 == 9 or counts["killed"] == options.kills:
                tally = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
                print(f"{number + 1} runs: {tally}, {bad} wrong", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
