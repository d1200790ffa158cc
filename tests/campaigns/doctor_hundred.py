"""Audits a hundred devices of which thirty are dead, and prints how long that takes in multiples of the timeout.

    python -m tests.campaigns.doctor_hundred [--timeout 2] [--runs 5]

The dead ones accept a connection and say nothing, which is the slowest way to be dead. Prints the ratio of each run,
and the most threads and sockets in use at a time, those of the staged servers included. Exit status 1 where a finding
is wrong, or the median of the ratios is over 1.2.
"""

import argparse
import statistics
import sys
import threading
import time
from contextlib import ExitStack
from typing import Any

import psutil

from devicedb import DeviceDatabase, from_dict
from rexec.doctor import Audit, run
from tests.serving import serving, silent

WELL, DEAD = 70, 30
LIMIT = 1.2


class Lamp:
    """A driver that is well."""

    def ping(self) -> bool:
        """Answer."""
        return True


def staged(stack: ExitStack) -> tuple[DeviceDatabase, list[str]]:
    """Start servers; return a database of them, and the causes that are right."""
    base = {"type": "controller", "host": "127.0.0.1", "target_name": "lamp"}
    raw: dict[str, Any] = {}
    for number in range(WELL + DEAD):
        is_dead = number % 10 < 10 * DEAD // (WELL + DEAD)
        port = stack.enter_context(silent() if is_dead else serving({"lamp": Lamp()}))
        raw[f"{'dead' if is_dead else 'well'}{number}"] = {**base, "port": port}
    return from_dict(raw, "staged"), ["silent" if name.startswith("dead") else "ok" for name in raw]


class Watch(threading.Thread):
    """Notes the most threads and sockets of this process, beyond those that were there before."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._process = psutil.Process()
        self._before = self._process.num_threads(), self._process.num_fds()
        self._end = threading.Event()
        self.most = (0, 0)

    def run(self) -> None:
        while not self._end.wait(0.05):
            now = self._process.num_threads() - 1, self._process.num_fds()
            found = tuple(each - before for each, before in zip(now, self._before, strict=True))
            self.most = (max(self.most[0], found[0]), max(self.most[1], found[1]))

    def close(self) -> tuple[int, int]:
        """End, and return them."""
        self._end.set()
        self.join()
        return self.most


def main() -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--timeout", type=float, default=2.0)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    ratios = []
    wrong = late = 0
    with ExitStack() as stack:
        database, right = staged(stack)
        for _ in range(options.runs):
            watch = Watch()
            watch.start()
            began = time.monotonic()
            findings = run(Audit(database, options.timeout), [])
            seconds = time.monotonic() - began
            found = [each.cause for each in findings]
            late += sum("not done in time" in each.message for each in findings)
            threads, files = watch.close()
            ratios.append(seconds / options.timeout)
            wrong += sum(each != cause for each, cause in zip(found, right, strict=True))
            print(
                f"{len(found)} devices, {right.count('silent')} dead: {seconds:.2f} s at a timeout of "
                f"{options.timeout:g} s, ratio {ratios[-1]:.3f}; at most {threads} threads and {files} sockets"
            )
    median = statistics.median(ratios)
    print(f"median {median:.3f}, highest {max(ratios):.3f}; {wrong} wrong findings, {late} late")
    return int(bool(wrong) or median > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
