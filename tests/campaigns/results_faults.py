"""Kills runs and recoveries at random instants, fills the disk, and checks what is left.

    python -m tests.campaigns.results_faults kill9 --count 1000
    python -m tests.campaigns.results_faults diskfull --count 200        (needs the right to mount a tmpfs)

Each round runs a child process that changes datasets by a fixed plan and reports every acknowledged change through a
pipe. After the fault, what is recovered must be the plan up to some change that is not before the last acknowledged
one, and the file must open in plain h5py (and in h5dump, where that is installed). The exit status is 1 if any round
fails.
"""

import argparse
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

from rexec.datasets import DatasetDB, DatasetManager
from rexec.datasets.values import same
from rexec.results import ResultsError, ResultsWriter, recover_folder, verify
from rexec.results.values import value_of
from schemas import RunIdentity

_REPORT: Final = struct.Struct("<cI")
_H5DUMP: Final = shutil.which("h5dump")


def plan(seed: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the changes of a run: method of the manager, arguments."""
    chance = random.Random(seed)
    # Short runs are killed while they end, long ones while they go on.
    length = (60, 300, 1500, 4000)[seed % 4]
    yield "set", ("list", [])
    yield "set", ("image", np.zeros((16, 16)), {"unit": "count"})
    for number in range(length):
        kind = chance.randrange(100)
        if kind < 70:
            yield "append_to", ("list", number * 0.5)
        elif kind < 80:
            yield "mutate", ("image", kind - 70, np.full(16, float(number)))
        elif kind < 90:
            yield "set", (f"group/{kind}", {"at": number})
        elif kind < 95:
            yield "set", ("text", "é" * chance.randrange(50))
        elif kind < 97:
            yield "set", ("bulk", np.arange(chance.randrange(20000)))
        elif kind < 98:
            yield "snapshot", ()
        elif kind < 99:
            yield "sync", ()
        else:
            yield "set", ("list", [])


def state_after(seed: int, changes: int) -> dict[str, Any]:
    """Return the values of all datasets after that many changes of the plan."""
    manager = DatasetManager(DatasetDB())
    for (method, arguments), _ in zip(plan(seed), range(changes), strict=False):
        if method not in {"snapshot", "sync"}:
            getattr(manager, method)(*arguments)
    return {key: dataset.value for key, dataset in manager.local.items()}


def run(folder: Path, seed: int, report: int) -> None:
    """Carry out the plan, telling after each change that it was acknowledged (a) or refused (r), at last the end."""
    identity = RunIdentity(rid=seed, class_name="Campaign", start_time=time.time())
    writer = ResultsWriter.create(
        folder / f"{seed:09}-Campaign.h5", identity, refresh_interval=0.02, sync_interval=0.01
    )
    manager = DatasetManager(DatasetDB(), sink=writer)
    for number, (method, arguments) in enumerate(plan(seed), start=1):
        try:
            getattr(writer if method in {"snapshot", "sync"} else manager, method)(*arguments)
        except ResultsError:
            if method not in {"snapshot", "sync"}:
                os.write(report, _REPORT.pack(b"r", number))
                break
        os.write(report, _REPORT.pack(b"a", number))
    os.write(report, _REPORT.pack(b"e", 0))
    try:
        writer.close()
    except ResultsError:
        os.write(report, _REPORT.pack(b"c", 0))
        return
    os.write(report, _REPORT.pack(b"d", 0))


def in_child(function: Any, *arguments: Any, kill_after: float | None) -> None:
    """Run a function in a forked process, and kill -9 it after so many seconds unless it ends before."""
    child = os.fork()
    if child == 0:
        status = 70
        try:
            # The C libraries' messages about the faults that are made here on purpose.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            function(*arguments)
            status = 0
        finally:
            os._exit(status)
    deadline = None if kill_after is None else time.monotonic() + kill_after
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if deadline is not None and time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return
        time.sleep(0.0002)


def recover_all(folder: Path) -> list[str]:
    """Recover a folder and return the outcomes."""
    return [recovery.outcome for recovery in recover_folder(folder)]


def reports(read_end: int) -> tuple[int, bytes]:
    """Return the number of the last acknowledged change, and the marks that followed it."""
    data = b""
    while piece := os.read(read_end, 1 << 20):
        data += piece
    last, marks = 0, b""
    for position in range(0, len(data) - len(data) % _REPORT.size, _REPORT.size):
        mark, number = _REPORT.unpack_from(data, position)
        if mark == b"a":
            last = number
        else:
            marks += mark
    return last, marks


def check(folder: Path, seed: int, acknowledged: int, marks: bytes) -> str:
    """Return what is wrong with what is left, or ''."""
    left = sorted(os.listdir(folder))
    path = folder / f"{seed:09}-Campaign.h5"
    if not left:
        return "" if acknowledged == 0 else f"nothing is left of {acknowledged} acknowledged changes"
    if left != [path.name]:
        return f"left behind: {left}"
    if problems := verify(path):
        return f"checksums: {problems}"
    if _H5DUMP is not None:
        dumped = subprocess.run([_H5DUMP, "-H", path], capture_output=True, check=False)
        if dumped.returncode:
            return f"h5dump: {dumped.stderr.decode()[-200:]}"
    with h5py.File(path, "r") as file:
        if file["rid"][()] != seed:
            return "the identity is not the run's"
        found = {}
        file["datasets"].visititems(
            lambda name, node: (
                found.update({name: value_of(node)}) if isinstance(node, h5py.Dataset) else None
            )
        )
    # One change may have been kept without having been acknowledged; a refused one must not have been.
    for changes in (acknowledged, acknowledged + 1)[: 1 if b"r" in marks else 2]:
        if equal(found, state_after(seed, changes)):
            return ""
    return f"what is left is neither the state after change {acknowledged} nor the next"


def equal(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Return whether two sets of datasets are the same."""
    return found.keys() == expected.keys() and all(same(found[key], expected[key]) for key in found)


def round_kill(folder: Path, seed: int) -> tuple[str, str]:
    """Kill a run, and half of the time the recovery after it; return what happened and what is wrong."""
    chance = random.Random(seed * 7919 + 1)
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, True)
    try:
        # A pipe holds 64 KiB, 13,000 reports: more than a plan has.
        in_child(run, folder, seed, write_end, kill_after=chance.uniform(0.0, 0.35))
        os.close(write_end)
        acknowledged, marks = reports(read_end)
    finally:
        os.close(read_end)
    what = "ended before" if b"d" in marks else "killed at the end" if b"e" in marks else "killed in the run"
    while chance.random() < 0.5:
        in_child(recover_all, folder, kill_after=chance.uniform(0.0, 0.03))
        what = "killed in the run and in recovery"
    outcomes = recover_all(folder)
    if recover_all(folder):
        return what, f"a second recovery found something to do after {outcomes}"
    return what, check(folder, seed, acknowledged, marks)


@contextmanager
def small_disk(kilobytes: int) -> Iterator[Path]:
    """Mount a file system of that size for as long as the block lasts."""
    folder = Path(tempfile.mkdtemp(prefix="rexec-campaign-"))
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", str(folder)], check=True, capture_output=True)
    finally:
        folder.rmdir()


def round_full(seed: int) -> tuple[str, str]:
    """Let a run fill its disk, then copy what is left to a larger one and recover it there."""
    chance = random.Random(seed)
    read_end, write_end = os.pipe()
    with small_disk(chance.randrange(64, 2000, 4)) as disk, tempfile.TemporaryDirectory() as elsewhere:
        in_child(run, disk, seed, write_end, kill_after=30.0)
        os.close(write_end)
        acknowledged, marks = reports(read_end)
        os.close(read_end)
        # Whatever file is there must open, whether or not the journal could be folded into it.
        for path in disk.glob("*.h5"):
            if problems := verify(path):
                return "disk full", f"before recovery: {problems}"
        copy = Path(elsewhere) / "copy"
        shutil.copytree(disk, copy)
        recover_all(copy)
        what = "refused a change" if b"r" in marks else "not even begun" if not marks else "fitted"
        what += ", closed" if b"d" in marks else ", left a journal" if b"c" in marks else ""
        return f"disk full: {what}", check(copy, seed, acknowledged, marks)


def campaign(fault: str, count: int, first: int) -> Counter[str]:
    """Run so many rounds and return how often what happened; failures begin with FAILED."""
    results: Counter[str] = Counter()
    for seed in range(first, first + count):
        if fault == "kill9":
            with tempfile.TemporaryDirectory() as folder:
                what, wrong = round_kill(Path(folder), seed)
        else:
            what, wrong = round_full(seed)
        results[what] += 1
        if wrong:
            results["FAILED"] += 1
            print(f"FAILED round {seed} ({what}): {wrong}", flush=True)
    return results


def main(argv: Sequence[str] | None = None) -> int:
    """Run the campaign and print its figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("fault", choices=["kill9", "diskfull"])
    parser.add_argument("--count", type=int, default=1000, help="rounds (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=1, help="number of the first round (default: %(default)s)"
    )
    arguments = parser.parse_args(argv)
    begun = time.monotonic()
    results = campaign(arguments.fault, arguments.count, arguments.seed)
    failed = results.pop("FAILED", 0)
    for what, count in sorted(results.items()):
        print(f"{count:6}  {what}")
    dump = "" if _H5DUMP else " (h5dump is not installed)"
    print(f"{failed:6}  failed, of {arguments.count} rounds in {time.monotonic() - begun:.0f} s{dump}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
