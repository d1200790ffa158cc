"""A long run with everything that goes on in a laboratory at once, which must cost the same at its end as at its start.

    python -m tests.campaigns.soak [--minutes 60] [--rate 2800] [--folder DIR]

A master; a run that appends to lists (10^7 an hour), sets a hundred broadcast datasets, appends to a broadcast list and
shows a live image; a bridge; a subscriber that is stopped and goes on (SIGSTOP, SIGCONT). All values are replaced again
and again, so that what there is stays the same. Every few seconds it measures memory and descriptors of each process,
the lag of both files behind the run, and the size of the journals. Exit status 1 where, from the second quarter to the
last one, a process grew by over 10 MB or got more descriptors, a file lagged by more than two refreshes, or something
at the end is not what was written.
"""

import argparse
import contextlib
import hashlib
import math
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import psutil

import rexec.results
from rexec.results import ResultsError, verify
from rexec.wire.pc_rpc import Client
from tests.campaigns.soak_programs import EXPERIMENT, FOLLOWER, LISTS, RESET
from tests.serving import free_port
from tests.waiting import wait_for, within

LOCAL: Final = "127.0.0.1"
LAG: Final = 15.0
"""Seconds that a file may lag behind: two refreshes, one of which is late, and the look at it."""
GROWTH: Final = 10e6
"""Bytes that a process may have grown by: an allocator takes back and gives back."""


@dataclass
class Series:
    """What was measured of one process, or of one file: times and values."""

    times: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, value: float) -> None:
        """Add what is measured now."""
        self.times.append(time.monotonic())
        self.values.append(value)

    def quarter(self, number: int) -> list[float]:
        """Return the values of a quarter: 1 to 4."""
        count = len(self.values)
        return self.values[count * (number - 1) // 4 : count * number // 4]

    def growth(self) -> float:
        """Return how much more there is in the last quarter than in the second: the first is the start."""
        return statistics.median(self.quarter(4)) - statistics.median(self.quarter(2))

    def slope(self) -> tuple[float, float]:
        """Return the slope after the first quarter and its standard error, in units an hour."""
        skip = len(self.values) // 4
        hours, values = np.array(self.times[skip:]) / 3600, np.array(self.values[skip:])
        (slope, _), covariance = np.polyfit(hours, values, 1, cov=True)
        return float(slope), float(covariance[0, 0] ** 0.5)


class Soak:
    """The processes of a soak, and what is measured of them."""

    def __init__(self, folder: Path, seconds: float, rate: float) -> None:
        self.folder = folder
        self.notify, self.control = free_port(), free_port()
        self.memory: dict[str, Series] = {}
        self.descriptors: dict[str, Series] = {}
        self.cpu: dict[str, Series] = {}
        self.lag: dict[str, Series] = {"run's file": Series(), "bridge's file": Series()}
        self.journals = Series()
        (folder / "device_db.py").write_text("device_db = {}\n")
        (folder / "soak.py").write_text(
            EXPERIMENT.format(seconds=seconds, rate=rate, lists=LISTS, reset=RESET)
        )
        self._stack = contextlib.ExitStack()
        ports = ["--port-notify", self.notify, "--port-control", self.control]
        self.master = self._start("master", "master", *ports, "--port-logging", 0, "--port-broadcast", 0)
        wait_for(self.control)
        self.run = self._start(
            "run", "run", "soak.py", "--master", LOCAL, "--master-port", self.control, "-o", "r.h5"
        )
        self.bridge = self._start("bridge", "bridge", "--master", LOCAL, "--master-port-notify", self.notify)
        command = [sys.executable, "-P", "-c", FOLLOWER, str(self.notify)]
        self.follower = self._stack.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        )
        self._roles = {
            each.pid: name
            for name, each in [
                ("master", self.master), ("run", self.run), ("bridge", self.bridge), ("follower", self.follower)
            ]
        }  # fmt: skip

    def _start(self, log: str, *words: object) -> "subprocess.Popen[str]":
        output = self._stack.enter_context((self.folder / f"{log}.log").open("w"))
        command = [sys.executable, "-P", "-m", "rexec", *map(str, words)]
        process = subprocess.Popen(command, cwd=self.folder, stdout=output, stderr=output, text=True)
        return self._stack.enter_context(process)

    def measure(self) -> None:
        """Measure everything once."""
        for pid, role in self._roles.items():
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                self._add(role, process)
                for number, child in enumerate(process.children(recursive=True)):
                    self._add(f"{role}'s child {number}", child)
        files = [("run's file", self.folder / "r.h5"), ("bridge's file", self.bridge_file)]
        for name, path in (
            files if self.run.poll() is None else []
        ):  # a file of an ended run lags behind nothing
            with contextlib.suppress(OSError, KeyError), h5py.File(path, "r") as file:
                self.lag[name].add(time.time() - float(file["rexec"].attrs["last_change"]))
        self.journals.add(sum(path.stat().st_size for path in self.folder.rglob("*.journal")))

    def _add(self, role: str, process: psutil.Process) -> None:
        if process.status() == psutil.STATUS_ZOMBIE:
            return
        memory, descriptors = process.memory_info().rss, process.num_fds()
        self.memory.setdefault(role, Series()).add(memory)
        self.descriptors.setdefault(role, Series()).add(descriptors)
        self.cpu.setdefault(role, Series()).add(sum(process.cpu_times()[:2]))

    @property
    def bridge_file(self) -> Path:
        """The file with the current values."""
        return self.folder / "bridge" / "datasets.h5"

    def faults(self) -> Iterator[str]:
        """Yield what does not hold, once the run has ended."""
        assert self.follower.stdout is not None
        if self.run.wait():
            yield f"the run ended with {self.run.returncode}: {(self.folder / 'run.log').read_text()[-500:]}"
            return  # the follower waits for what the run sets last
        found = self.follower.stdout.readline().strip()
        expected = {}
        with Client(LOCAL, self.control, "dataset_db") as client:
            for key in ("appended", "points", "image", *(f"slow{number}" for number in range(100))):
                expected[key] = client.get(key)
        yield from self._file_faults(expected)
        digest = subprocess.run(
            [sys.executable, "-P", "-c", FOLLOWER, str(self.notify)],
            capture_output=True,
            text=True,
            check=True,
        )
        if found != digest.stdout.strip() or len(found) != hashlib.sha256().digest_size * 2:
            yield "the follower that was stopped does not have what a new one has"
        self.bridge.send_signal(signal.SIGTERM)
        self.bridge.wait()
        yield from (f"bridge: {problem}" for problem in verify(self.bridge_file))
        with rexec.results.open(self.bridge_file) as kept:
            yield from (
                f"bridge: {key} is not the master's"
                for key in expected
                if not _same(kept[key], expected[key])
            )

    def _file_faults(self, expected: dict[str, Any]) -> Iterator[str]:
        path = self.folder / "r.h5"
        try:
            yield from verify(path)
            with rexec.results.open(path) as kept:
                total = kept["appended"]
                yield from (
                    f"run: {key} is not the master's"
                    for key in expected
                    if not _same(kept[key], expected[key])
                )
                for number in range(LISTS):
                    last = (total - 1 - number) // LISTS * LISTS + number
                    first = last // (LISTS * RESET) * (LISTS * RESET) + number
                    if kept[f"list{number}"] != [n * 0.5 for n in range(first, last + 1, LISTS)]:
                        yield f"run: list{number} is not what was appended"
        except (ResultsError, KeyError) as error:
            yield f"run: {error!r}"

    def end(self) -> None:
        """End all processes."""
        for process in (self.follower, self.run, self.bridge, self.master):
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGTERM)
        if not within(
            20.0, lambda: all(each.poll() is not None for each in (self.run, self.bridge, self.master))
        ):
            for process in (self.run, self.bridge, self.master):
                process.kill()
        self._stack.close()


def _same(one: Any, other: Any) -> bool:
    return bool(np.array_equal(np.asarray(one), np.asarray(other)))


def report(soak: Soak) -> Iterator[str]:
    """Print what was measured, and yield what is too much."""
    print("process           memory      slope an hour         descriptors   CPU")
    for role, memory in soak.memory.items():
        if len(memory.values) < 12:
            continue  # a child that lived for a moment
        (slope, error), growth = memory.slope(), memory.growth()
        begun, ended = (int(min(soak.descriptors[role].quarter(each))) for each in (2, 4))
        slopes = f"{slope / 1e6:+8.1f} ± {error / 1e6:.1f} MB"
        cpu = soak.cpu[role]
        share = (cpu.values[-1] - cpu.values[0]) / (cpu.times[-1] - cpu.times[0])
        print(f"{role:16} {memory.values[-1] / 1e6:7.1f} MB {slopes:22} {begun:6} -> {ended:<6} {share:5.0%}")
        if growth > GROWTH:
            yield f"{role} grew by {growth / 1e6:.1f} MB"
        if ended > begun:
            yield f"{role} has {ended} descriptors, and had {begun}"
    for name, lag in soak.lag.items():
        skip = len(lag.values) // 4
        longest, when = max(
            zip(lag.values[skip:], lag.times[skip:], strict=True), default=(math.inf, math.inf)
        )
        over = sum(value > LAG for value in lag.values[skip:])
        print(
            f"{name:16} lagged by at most {longest:.1f} s, {(when - lag.times[0]) / 60:.1f} minutes after the "
            f"first look; {over} of {len(lag.values) - skip} looks over {LAG:.0f} s"
        )
        if longest > LAG:
            yield f"the {name} lagged by {longest:.1f} s"
    most, last = max(soak.journals.values) / 1e6, soak.journals.values[-1] / 1e6
    print(f"journals         {most:.1f} MB at most, {last:.1f} MB last")


def campaign(folder: Path, minutes: float, rate: float) -> list[str]:
    """Run it, print the figures, and return the faults."""
    soak = Soak(folder, 60 * minutes, rate)
    pause = max(minutes * 60 / 240, 1.0)
    try:
        stops = 0
        while soak.run.poll() is None:
            time.sleep(pause)
            soak.measure()
            stops += 1
            if soak.follower.poll() is None:
                soak.follower.send_signal(signal.SIGSTOP if stops % 8 == 4 else signal.SIGCONT)
        soak.follower.send_signal(signal.SIGCONT)
        return [*report(soak), *soak.faults()]
    finally:
        soak.end()


def main() -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument("--rate", type=float, default=2800.0, help="appends a second (default: 2800)")
    parser.add_argument(
        "--folder", type=Path, help="where files and logs are kept (default: a temporary one)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        faults = campaign(folder, options.minutes, options.rate)
    for fault in faults:
        print(f"FAULT: {fault}")
    print(f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
