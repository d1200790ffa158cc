"""A bridge that records is killed at random instants, again and again, and what it had received is recovered.

    python -m tests.campaigns.bridge_kills [--kills 100] [--seed 1]

A client appends 0, 1, 2, ... to one list of a master for as long as a bridge lives; the bridge is then killed with
SIGKILL, its journals are recovered, and the file must open, pass its checksums and hold the list from its first item
without a hole. It prints how many kills, how many files, and how many changes were recovered.
"""

import argparse
import contextlib
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import rexec.results
from rexec.results import recover_folder, verify
from rexec.results.reading.replay import changes
from rexec.wire.pc_rpc import Client
from tests.master.masters import LOCAL, Served, serving
from tests.waiting import within


def killed(folder: Path, served: Served, client: Client, life: float, *, begun: bool) -> None:
    """Let a bridge record into a folder, and kill it after `life` seconds of appends.

    Args:
        folder: The folder.
        served: The master.
        client: A client of it.
        life: Seconds from the bridge's connection on.
        begun: Whether to count them from its first file on: it may take longer than a life to begin that.

    """
    command = [
        sys.executable,
        "-P",
        "-m",
        "rexec",
        "bridge",
        "record",
        "--master",
        LOCAL,
        "--refresh",
        "0.05",
    ]
    command += ["--master-port-notify", str(served.port("notify")), "-o", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "connected" in line, line
        client.set("points", [])
        assert not begun or within(150.0, lambda: any(folder.rglob("*.h5")))
        deadline, number = time.monotonic() + life, 0
        while time.monotonic() < deadline:
            client.update({"action": "append", "path": ["points", 1], "x": number})
            number += 1
        process.kill()


def check(folder: Path) -> tuple[int, int]:
    """Recover a folder; return how many files and appended items it holds. AssertionError for any fault."""
    outcomes = [recovery.outcome for recovery in recover_folder(folder)]
    assert set(outcomes) <= {"recovered", "empty"}, outcomes
    assert list(recover_folder(folder)) == []
    files = list(folder.rglob("*.h5"))
    items = 0
    for path in files:
        assert verify(path) == []
        with rexec.results.open(path) as run, contextlib.suppress(rexec.results.ResultsError):
            points = [
                each.value for each in changes(run, "points") if each.what == "append" and not each.is_found
            ]
            assert points == list(range(len(points))), points
            items += len(points)
    return len(files), items


def campaign(kills: int, seed: int) -> tuple[int, int]:
    """Kill so many bridges; return how many files and appended items were recovered."""
    chance = random.Random(seed)
    files = items = 0
    with tempfile.TemporaryDirectory() as name, serving(Path(name)) as served:
        with served.client("dataset_db") as client:
            for number in range(kills):
                folder = Path(name, f"kill{number}")
                killed(folder, served, client, chance.uniform(0.0, 0.8), begun=number % 2 == 1)
                more_files, more_items = check(folder)
                files, items = files + more_files, items + more_items
    return files, items


def main() -> None:
    """Run the campaign."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    files, items = campaign(arguments.kills, arguments.seed)
    print(f"{arguments.kills} kills: {files} files recovered, {items} appended items in them, 0 faults")


if __name__ == "__main__":
    main()
