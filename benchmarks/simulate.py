"""How long a simulated laboratory takes to start: `python -m benchmarks.simulate [CONTROLLERS] [TIMES]`.

The database has a driver and remote execution on each controller; their methods are read from a driver's source. Two
figures, each the median of some starts: of `rexec.simulate._laboratory` in this process, until every controller has
answered a call; and of the command `rexec simulate`, from its start as a process until it says what it serves.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from rexec.simulate import laboratory

PROGRAM = '''
from rexec.remote_exec import simple_rexec_server_loop

class Laser:
    """A laser."""
    def set_power(self, watts: float) -> None: "Set the power."
    def get_power(self) -> float: "Return the power."
    def status(self) -> dict[str, float]: "Return all readings."
    def ping(self) -> bool: return True

simple_rexec_server_loop("laser", Laser(), "::1", 3000)
'''


def database(controllers: int) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for index in range(controllers):
        entries[f"laser{index}"] = {
            "type": "controller", "host": "::1", "port": 3000 + index, "target_name": "laser",
            "command": "python program.py -p {port}",
        }  # fmt: skip
        entries[f"rexec{index}"] = {
            "type": "controller_aux_target", "controller": f"laser{index}", "target_name": "laser_rexec",
        }  # fmt: skip
    return entries


def in_process(path: Path, controllers: int) -> tuple[float, float]:
    began = time.perf_counter()
    with laboratory(path) as lab:
        started = time.perf_counter() - began
        for index in range(controllers):
            lab.get_device(f"laser{index}").get_power()
        return started, time.perf_counter() - began


def as_process(path: Path) -> tuple[float, float]:
    began = time.perf_counter()
    command = [sys.executable, "-m", "rexec", "simulate", "--loopback", "--json"]
    with subprocess.Popen(command, cwd=path.parent, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        seconds = time.perf_counter() - began
        used = psutil.Process(process.pid).cpu_times()
        process.terminate()
    return seconds, used.user + used.system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("controllers", nargs="?", type=int, default=50)
    parser.add_argument("times", nargs="?", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "program.py").write_text(PROGRAM)
        path = Path(folder) / "device_db.py"
        path.write_text(f"device_db = {database(options.controllers)!r}\n")
        inside = [in_process(path, options.controllers) for _ in range(options.times)]
        outside = [as_process(path) for _ in range(options.times)]
    for what, values in (
        ("listening, in this process", [started for started, _ in inside]),
        ("until each has answered a call", [answered for _, answered in inside]),
        ("the command, from its start as a process", [seconds for seconds, _ in outside]),
        ("the same, CPU time (what others do here does not count)", [used for _, used in outside]),
    ):
        median = statistics.median(values)
        print(f"{options.controllers} controllers, {what}: median {median:.2f} s, max {max(values):.2f} s")


if __name__ == "__main__":
    main()
