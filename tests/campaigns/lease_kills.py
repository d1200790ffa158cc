"""Processes compete for one exclusive device and are killed at random moments; no two may ever have it at once.

    python -m tests.campaigns.lease_kills [--turns 300] [--processes 6] [--seed 1] [--way server|agent|file|reference]

Each process takes an exclusive lease, keeps it for a moment, and ends, closes it or is killed with SIGKILL; some are
killed while they wait. It prints the ends, and the begins while another process had the device. Exit status 1 where
there is one, or where a process did not get the device in two minutes. `reference` needs REXEC_PEER_PYTHON; `agent`
takes a server of ours for a stock one.
"""

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from devicedb import DeviceDatabase, from_dict
from rexec.devices.leases import DeviceLeases
from rexec.remote_exec import rexec_targets
from rexec.wire.pc_rpc import Client
from tests.remote_exec.peers import REFERENCE, REFERENCE_CONTROLLER, Driver, reference_process
from tests.serving import serving

WAYS = ("server", "agent", "file", "reference")
PATIENCE = 120.0
"""Seconds for the next process to get the device."""


def compete(database: DeviceDatabase, log: Path, seed: int) -> None:
    """Take the device once, and end in one of the ways, in a process of its own."""
    chance = random.Random(seed)
    leases = DeviceLeases(database, wait=PATIENCE)
    if chance.random() < 0.2:
        signal.setitimer(signal.ITIMER_REAL, chance.random() * 0.3)  # SIGALRM ends it while it waits
    leases.take(database.endpoint("camera"), True)
    signal.setitimer(signal.ITIMER_REAL, 0)
    note(log, "begin")
    time.sleep(chance.random() * 0.02)
    way = chance.choice(["killed", "closed", "left"])
    note(log, f"end {way}")
    if way == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if way == "closed":
        leases.close()
    os._exit(0)


def note(log: Path, what: str) -> None:
    """Add a line in one step: the order of the lines is that of the events."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{os.getpid()} {what}\n".encode())
    os.close(file)


def overlaps(lines: list[str]) -> list[str]:
    """Return the begins while another process had the device."""
    found, user = [], ""
    for line in lines:
        pid, what, *_ = line.split()
        if what == "begin":
            if user:
                found.append(f"{pid} while {user} has it")
            user = pid
        elif user == pid:
            user = ""
    return found


@contextlib.contextmanager
def served(way: str) -> Iterator[int]:
    """Run the controller of one way to keep leases; yields its port."""
    with contextlib.ExitStack() as stack:
        if way == "reference":
            port = stack.enter_context(reference_process(REFERENCE[0], REFERENCE_CONTROLLER))
        elif way == "agent":
            port = stack.enter_context(serving(rexec_targets("camera", Driver())))
        else:
            port = stack.enter_context(serving({"camera": Driver()}))
        yield port


def campaign(way: str, turns: int, processes: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Return how often each end occurred, and the overlaps."""
    with tempfile.TemporaryDirectory() as name:
        os.environ["REXEC_LEASES"] = str(Path(name) / "leases")
        log = Path(name) / "log"
        log.touch()
        # The processes are forks of one that has no threads yet, which saves their starts.
        reading, writing = os.pipe()
        template = os.fork()
        if template == 0:
            entry = {"type": "controller", "host": "127.0.0.1", "port": int(os.read(reading, 10))}
            database = from_dict({"camera": {**entry, "target_name": "camera"}}, "device_db.py")
            os._exit(_turns(way, database, log, turns, processes, seed))
        with served(way) as port:
            os.write(writing, str(port).encode())
            _, status = os.waitpid(template, 0)
        lines = log.read_text().splitlines()
    ends = Counter(line.split(maxsplit=1)[1] for line in lines)
    ends["stuck"] = os.waitstatus_to_exitcode(status)
    return ends, overlaps(lines)


def _turns(way: str, database: DeviceDatabase, log: Path, turns: int, processes: int, seed: int) -> int:
    """Keep some processes competing; return the number of those that did not get the device in time."""
    if way in ("agent", "file"):
        Client.rpc_has_leases = False  # type: ignore[assignment, method-assign]
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    started, stuck, running = 0, 0, set[int]()
    while started < turns or running:
        while started < turns and len(running) < processes:
            started += 1
            pid = os.fork()
            if pid == 0:
                try:
                    compete(database, log, seed * 1_000_003 + started)
                except BaseException as error:
                    note(log, f"error {type(error).__name__}")
                    sys.stderr.write(f"{error}\n")
                os._exit(1)
            running.add(pid)
        pid, status = os.wait()
        running.discard(pid)
        stuck += os.waitstatus_to_exitcode(status) == 1
    return min(stuck, 100)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=300)
    parser.add_argument("--processes", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--way", choices=WAYS, action="append")
    options = parser.parse_args()
    is_bad = False
    for way in options.way or WAYS:
        if way == "reference" and not REFERENCE:
            sys.stdout.write("reference: skipped, REXEC_PEER_PYTHON names no interpreter\n")
            continue
        ends, found = campaign(way, options.turns, options.processes, options.seed)
        sys.stdout.write(f"{way}: {dict(ends)}, {len(found)} overlaps {found[:3]}\n")
        is_bad |= bool(found) or ends["stuck"] > 0
    return int(is_bad)


if __name__ == "__main__":
    sys.exit(main())
