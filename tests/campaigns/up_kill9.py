"""Kills `rexec up` with SIGKILL at random moments, and counts what it leaves behind.

    python -m tests.campaigns.up_kill9 [--kills 100] [--seed 1]

Four controllers each time: a good one, one that ignores SIGTERM, one behind a shell, and one that always fails, so that
a kill falls into starts, restarts and quiet times. Ten seconds after a kill no process of theirs may be left, and the
next `rexec up` begins with the same ports. Exit status 1 where one is left.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from tests.serving import free_port
from tests.supervise.controllers import write_controller
from tests.waiting import within

PATIENCE = 10.0


def database(folder: Path) -> dict[str, Any]:
    """Return the entries; every command line holds the folder, by which its processes are known."""
    base = {
        "type": "controller",
        "host": "127.0.0.1",
        "retry_timer": 0.3,
        "ping_timer": 0.5,
        "ping_timeout": 1.0,
    }
    program = f"python {folder}/controller.py"
    commands = {
        "good": f"{program} {{port}} good",
        "stubborn": f"{program} {{port}} stubborn",
        "shell": f"sh -c '{program} {{port}} good; true'",
        "failing": f"{program} {{port}} dies",
    }
    return {name: {**base, "port": free_port(), "command": command} for name, command in commands.items()}


def left(folder: Path) -> list[psutil.Process]:
    """Return the processes of the folder's controllers."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and any(
                f"{folder}/controller.py" in word for word in process.cmdline()
            ):
                found.append(process)
        except psutil.Error:
            continue
    return found


def main() -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    orphans = seen = 0
    longest = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_controller(folder)
        (folder / "device_db.py").write_text(f"device_db = {database(folder)!r}\n")
        words = [sys.executable, "-P", "-m", "rexec", "up", "--port-control", "0"]
        for _ in range(options.kills):
            up = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            # Its own start takes a while; only then there is something to leave behind.
            within(30.0, lambda: bool(left(folder)))
            time.sleep(chance.uniform(0.0, 3.0))
            seen += len(left(folder))
            up.send_signal(signal.SIGKILL)
            up.wait()
            began = time.monotonic()
            if not within(PATIENCE, lambda: not left(folder)):
                orphans += len(left(folder))
                for process in left(folder):
                    print("left:", process.pid, " ".join(process.cmdline()))
                    process.kill()
            longest = max(longest, time.monotonic() - began)
    print(f"{options.kills} kills, {seen} processes running at the time, {orphans} left")
    print(f"gone after {longest:.1f} s at most")
    return int(orphans > 0)


if __name__ == "__main__":
    sys.exit(main())
