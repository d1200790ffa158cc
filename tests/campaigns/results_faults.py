"""Does to runs and recoveries what may befall them, at random instants, and checks what is left.

    python -m tests.campaigns.results_faults kill9 --count 1000       the run, the process that folds, recoveries
    python -m tests.campaigns.results_faults diskfull --count 200     (needs the right to mount a tmpfs)
    python -m tests.campaigns.results_faults cut --count 20           journals, cut at every byte
    python -m tests.campaigns.results_faults flip --count 20          journals, a bit flipped in every byte
    python -m tests.campaigns.results_faults readonly --count 20      (needs the right to mount, too)
    python -m tests.campaigns.results_faults compaction --count 500   runs that set large values again and again
    python -m tests.campaigns.results_faults held --count 100         readers that hold each file they have opened
    python -m tests.campaigns.results_faults persistent --count 200   two processes that share a database

Each round runs a child process that changes datasets by a fixed plan and reports every acknowledged change through a
pipe. After the fault, what is recovered must be the plan up to some change that is not before the last acknowledged
one, and the file must open in plain h5py (and in h5dump, where that is installed). The exit status is 1 if any round
fails.
"""

import argparse
import copy
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

from rexec import results
from rexec.datasets import DatasetDB, DatasetManager
from rexec.datasets.values import same
from rexec.results import ResultsError, ResultsWriter, journal_path, recover, recover_folder, verify
from rexec.results.fold import RunState
from rexec.results.hdf5.values import value_of
from rexec.results.journal._decode import decode
from rexec.results.journal._encode import encode
from rexec.results.journal.reader import JournalReader
from schemas import RunIdentity

from .persistent_kills import round_persistent

BYTES: Final = 2000
"""Bytes of a journal that are cut off or changed, one after another."""

OPEN_AND_DELETED: Final = (".fuse_hidden", ".nfs")
"""File systems without deletion of open files rename them so, until the kernel has told them that they are closed."""

_REPORT: Final = struct.Struct("<cI")
_H5DUMP: Final = shutil.which("h5dump")


LIVE: Final = 10**6
"""Rounds from this number on set large values again and again, whose bytes the journal gives back."""


def live_plan(seed: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the changes of a run whose journal is compacted all the time."""
    chance = random.Random(seed)
    image = np.random.default_rng(seed).integers(0, 255, 60_000, dtype=np.uint8)
    yield "set", ("list", [])
    yield "set", ("points", [])
    yield "set", ("frames", [])
    for number in range((60, 300, 1500)[seed % 3]):
        kind = chance.randrange(100)
        if kind < 30:
            yield "set", ("image", image + np.uint8(number % 256))
        elif kind < 50:
            yield "set", (f"varied/{kind % 3}", np.full(chance.randrange(50, 8000), float(number)))
        elif kind < 65:
            yield "append_to", ("points", number * 0.5)
        elif kind < 80:
            yield "append_to", ("frames", image[: chance.choice([100, 1000, 1000, 20_000])].copy())
        elif kind < 84:
            yield "set", ("frames", [image[:5000]] * chance.randrange(3))
        elif kind < 87:
            yield "set", ("points", [0.5] * chance.randrange(500))
        elif kind < 92 and number > 20:
            yield "mutate", ("points", slice(0, None), [float(number)] * chance.randrange(1, 300))
        elif kind < 94:
            yield "sync", ()
        elif kind < 95:
            yield "snapshot", ()
        elif kind < 97:
            yield "set", ("image", number, None, True, False, False)
        else:
            yield "set", ("text", "é" * chance.randrange(2000))


def plan(seed: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the changes of a run: method of the manager, arguments."""
    if seed >= LIVE:
        yield from live_plan(seed)
        return
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


def run(folder: Path, seed: int, report: int, folded_by: str = "thread") -> None:
    """Carry out the plan, telling after each change that it was acknowledged (a) or refused (r), at last the end."""
    identity = RunIdentity(rid=seed, class_name="Campaign", start_time=time.time())
    writer = ResultsWriter.create(
        folder / f"{seed:09}-Campaign.h5",
        identity,
        refresh_interval=0.02,
        sync_interval=0.01,
        process_from=None if folded_by == "thread" else 1,
    )
    manager = DatasetManager(DatasetDB(), sink=writer)
    if folded_by != "thread":
        # Two refreshes, that the process has begun and the faults meet it at work.
        for _ in range(2):
            manager.set("list", [])
            while (process := writer._refresher.process) is None:
                time.sleep(0.001)
        if folded_by == "killed process":
            threading.Timer(random.uniform(0, 0.2), os.kill, (process, signal.SIGKILL)).start()
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
    left = sorted(each for each in os.listdir(folder) if not each.startswith(OPEN_AND_DELETED))
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
    folded_by = "killed process" if seed % 10 == 3 else "process" if seed % 10 == 7 else "thread"
    start = 0.0 if folded_by == "thread" else 0.7
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, True)
    try:
        # A pipe holds 64 KiB, 13,000 reports: more than a plan has.
        in_child(
            run, folder, seed, write_end, folded_by, kill_after=start + chance.uniform(0.0, 0.35 + 2 * start)
        )
        os.close(write_end)
        acknowledged, marks = reports(read_end)
    finally:
        os.close(read_end)
    what = "ended before" if b"d" in marks else "killed at the end" if b"e" in marks else "killed in the run"
    while chance.random() < 0.5:
        in_child(recover_all, folder, kill_after=chance.uniform(0.0, 0.03))
        what = "killed in the run and in recovery"
    what += "" if folded_by == "thread" else f", folded by a {folded_by}"
    # A run that was killed between fork and exec of the process that folds is locked until that exec.
    outcomes = recover_all(folder)
    deadline = time.monotonic() + 100
    while "running" in outcomes and time.monotonic() < deadline:
        time.sleep(0.01)
        outcomes = recover_all(folder)
    if again := recover_all(folder):
        return what, f"a second recovery found something to do after {outcomes}: {again}"
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
            if problems := [problem for problem in verify(path) if not problem.startswith("killed: ")]:
                return "disk full", f"before recovery: {problems}"
        copy = Path(elsewhere) / "copy"
        shutil.copytree(disk, copy)
        recover_all(copy)
        what = "refused a change" if b"r" in marks else "not even begun" if not marks else "fitted"
        what += ", closed" if b"d" in marks else ", left a journal" if b"c" in marks else ""
        return f"disk full: {what}", check(copy, seed, acknowledged, marks)


def killed_journal(folder: Path, seed: int) -> tuple[Path, bytes]:
    """Leave the journal of a killed run of 60 changes in a folder; return its path and content."""
    alive = folder / "alive"
    alive.mkdir()
    writer = ResultsWriter.create(
        alive / "r.h5", RunIdentity(rid=seed, class_name="Campaign", start_time=1.0), refresh_interval=0
    )
    manager = DatasetManager(DatasetDB(), sink=writer)
    for method, arguments in plan(seed * 4):
        if method not in {"snapshot", "sync"}:
            getattr(manager, method)(*arguments)
    data = journal_path(writer.path).read_bytes()
    writer.close()
    shutil.rmtree(alive)
    # The large arrays of a plan would make most bytes alike.
    return folder / "r.h5.journal", data[:BYTES]


def round_bytes(folder: Path, seed: int, fault: str) -> tuple[str, str, int]:
    """Cut a journal at every byte, or flip a bit in each; return what was done, what is wrong, how often."""
    journal, data = killed_journal(folder, seed)
    states = []
    with JournalReader(_put(journal, data)) as reader:
        state = RunState()
        for record in reader.records():
            state.apply(record)
            # A copy of the values, by the way of their bytes.
            values = {key: decode(encode(item.value))[0] for key, item in state.datasets.items()}
            states.append((reader.offset, values))
    for position in range(len(data)):
        changed = bytearray(data[:position] if fault == "cut" else data)
        if fault == "flip":
            changed[position] ^= 1 << random.Random(position).randrange(8)
        for left in folder.iterdir():
            left.unlink()
        recovery = recover(_put(journal, changed))
        whole = [values for end, values in states if end <= position]
        if recovery.path is None:
            if whole and fault == "cut":
                return fault, f"nothing is left of {len(whole)} records when cut at byte {position}", position
            continue
        if problems := verify(recovery.path):
            return fault, f"byte {position}: {problems}", position
        with results.open(recovery.path) as found:
            if not equal(dict(found), whole[-1] if whole else {}):
                return fault, f"byte {position}: not the state after {len(whole)} records", position
    return f"journals {fault} at every byte: bytes", "", len(data)


def _put(path: Path, data: bytes | bytearray) -> Path:
    path.write_bytes(data)
    return path


def round_readonly(seed: int) -> tuple[str, str]:
    """Make a run's folder read-only in its midst, then writable again, and recover it."""
    chance = random.Random(seed)
    with small_disk(60_000) as disk:
        journal, data = killed_journal(disk, seed)
        journal.write_bytes(data[: chance.randrange(len(data))])
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True, capture_output=True)
        try:
            ResultsWriter.create(disk / "n.h5", RunIdentity(rid=1, class_name="A", start_time=1.0))
        except ResultsError as error:
            if "Read-only file system" not in str(error):
                return "readonly", f"a run was refused without the reason: {error}"
        else:
            return "readonly", "a run began in a read-only folder"
        outcomes = recover_all(disk)
        if outcomes != ["failed"]:
            return "readonly", f"recovery in a read-only folder: {outcomes}"
        before = journal.read_bytes()
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True, capture_output=True)
        outcomes = recover_all(disk)
        if outcomes not in (["recovered"], ["empty"]):
            return "readonly", f"afterwards, {len(before)} bytes: {outcomes}"
        wrong = [problem for path in disk.glob("*.h5") for problem in verify(path)]
        return "read-only folder: refused, left alone, recovered later", "; ".join(wrong)


def round_held(folder: Path, seed: int) -> tuple[str, str]:
    """Hold every file that a run shows, some in h5py, some as plain files; none of them may ever change."""
    path = folder / f"{seed:09}-Campaign.h5"
    writer = ResultsWriter.create(
        path, RunIdentity(rid=seed, class_name="Campaign", start_time=1.0), refresh_interval=0
    )
    manager = DatasetManager(DatasetDB(), sink=writer)
    manager.set("bulk", np.random.default_rng(seed).random(1_200_000))
    held: list[tuple[h5py.File, dict[str, Any]]] = []
    plain: list[tuple[Any, int]] = []
    chance = random.Random(seed)
    for number, (method, arguments) in enumerate(plan(seed * 4)):
        if method not in {"snapshot", "sync"}:
            getattr(manager, method)(*arguments)
        if number % 6 == 0:
            writer.snapshot()
            expected = {key: dataset.value for key, dataset in manager.local.items() if key != "bulk"}
            if chance.random() < 0.3:
                held.append((h5py.File(path, "r"), copy.deepcopy(expected)))
            if chance.random() < 0.3:
                file = path.open("rb")
                plain.append((file, zlib.crc32(file.read())))
    writer.close()
    for opened, expected in held:
        for key, value in expected.items():
            if not same(value_of(opened["datasets"][key]), value):
                return "held", f"a file that was held has changed in {key}"
        opened.close()
    for file, crc in plain:
        file.seek(0)
        if zlib.crc32(file.read()) != crc:
            return "held", "the bytes of a file that was held have changed"
        file.close()
    return "readers held the file while it was refreshed", "; ".join(verify(path))


def one_round(fault: str, seed: int) -> tuple[str, str, int]:
    """Do one round; return what happened, what is wrong, and how often it was done."""
    if fault == "diskfull":
        return *round_full(seed), 1
    if fault == "readonly":
        return *round_readonly(seed), 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if fault in {"cut", "flip"}:
            return round_bytes(folder, seed, fault)
        if fault == "persistent":
            return *round_persistent(folder, seed, in_child), 1
        if fault == "compaction":
            return *round_kill(folder, seed + LIVE), 1
        return *(round_kill if fault == "kill9" else round_held)(folder, seed), 1


def campaign(fault: str, count: int, first: int) -> Counter[str]:
    """Run so many rounds and return how often what happened; failures begin with FAILED."""
    happened: Counter[str] = Counter()
    for seed in range(first, first + count):
        what, wrong, times = one_round(fault, seed)
        happened[what] += times
        if wrong:
            happened["FAILED"] += 1
            print(f"FAILED round {seed} ({what}): {wrong}", flush=True)
    return happened


def main(argv: Sequence[str] | None = None) -> int:
    """Run the campaign and print its figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "fault", choices=["kill9", "diskfull", "cut", "flip", "readonly", "held", "persistent", "compaction"]
    )
    parser.add_argument("--count", type=int, default=1000, help="rounds (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=1, help="number of the first round (default: %(default)s)"
    )
    arguments = parser.parse_args(argv)
    begun = time.monotonic()
    happened = campaign(arguments.fault, arguments.count, arguments.seed)
    failed = happened.pop("FAILED", 0)
    for what, count in sorted(happened.items()):
        print(f"{count:6}  {what}")
    dump = "" if _H5DUMP else " (h5dump is not installed)"
    print(f"{failed:6}  failed, of {arguments.count} rounds in {time.monotonic() - begun:.0f} s{dump}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
