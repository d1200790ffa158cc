"""A ten-minute job on a stock controller under the stock controller manager, whose default timers kill at 60 s.

Run with an interpreter that has ARTIQ and its controller manager:

    python -m tests.campaigns.remote_ten_minutes --artiq-python PATH [--seconds 600]

It prints whether the controller is the same process at the end, and the quantiles of another client's pings.
"""

import argparse
import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import rexec.remote
from rexec.remote import controller_driver, job
from rexec.wire.pc_rpc import Client
from tests.serving import free_port
from tests.waiting import wait_for

CONTROLLER = """
import os, sys
from sipyco.remote_exec import simple_rexec_server_loop
class Camera:
    def pid(self): return os.getpid()
    def ping(self): return True
simple_rexec_server_loop("camera", Camera(), "::1", int(sys.argv[1]), "a stock controller")
"""

DATABASE = """
device_db = {{
    "core": {{"type": "local", "module": "artiq.coredevice.core", "class": "Core",
             "arguments": {{"host": None, "ref_period": 1e-9}}}},
    "camera": {{"type": "controller", "host": "::1", "port": {port}, "target_name": "camera",
               "command": "{python} {file} {{port}}"}},
}}
"""


def work(seconds: float) -> tuple[int, int]:
    """Compute for some time; returns the controller's process before and after."""
    before, began = controller_driver.pid(), time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        job.progress(passed / seconds)
        sum(range(20_000))
        time.sleep(0.001)
    return before, controller_driver.pid()


@contextlib.contextmanager
def process(words: list[str], folder: Path, log: str) -> Iterator[None]:
    """Run a program until the context ends."""
    with (folder / log).open("wb") as out:
        running = subprocess.Popen(words, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            running.terminate()
            try:
                running.wait(40)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait(10)


def main() -> None:
    """Run the campaign."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--artiq-python", required=True)
    parser.add_argument("--seconds", type=float, default=600.0)
    args = parser.parse_args()
    python = args.artiq_python
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        (folder / "repository").mkdir()
        (folder / "controller.py").write_text(CONTROLLER)
        port, notify, control, logs, broadcast, own = (free_port() for _ in range(6))
        (folder / "device_db.py").write_text(
            DATABASE.format(port=port, python=python, file=folder / "controller.py")
        )
        master = [python, "-m", "artiq.frontend.artiq_master"]
        master += ["--port-notify", str(notify), "--port-control", str(control)]
        master += ["--port-logging", str(logs), "--port-broadcast", str(broadcast)]
        stack.enter_context(process(master, folder, "master.log"))
        wait_for(notify, 60)
        manager = [python, "-m", "artiq_comtools.artiq_ctlmgr", "-s", "::1", "--port-notify", str(notify)]
        manager += ["--port-logging", str(logs), "--port-control", str(own), "-v"]
        stack.enter_context(process(manager, folder, "manager.log"))
        pings = measure(port, args.seconds, folder)
    quantiles = {q: round(1e3 * float(np.quantile(pings, q)), 2) for q in (0.5, 0.9, 0.99, 0.999, 1.0)}
    print(f"{len(pings)} pings of another client, ms by quantile: {quantiles}")


def measure(port: int, seconds: float, folder: Path) -> list[float]:
    """Run the job and ping meanwhile; returns the times of the pings in seconds."""
    until = time.monotonic() + 60
    while True:
        try:
            client = Client("::1", port, "camera_rexec")
        except ConnectionError:
            if time.monotonic() > until:
                print((folder / "manager.log").read_text())
                raise
            time.sleep(0.5)
        else:
            break
    pings = []
    with rexec.remote.wrap(client, "camera") as remote, Client("::1", port, "camera") as other:
        running = remote.function(work).submit(seconds)
        while not running.done():
            began = time.perf_counter()
            assert other.ping()
            pings.append(time.perf_counter() - began)
            time.sleep(0.02)
        before, after = running.result(0)
        print(f"{seconds:g} s job: controller process {before} at its start, {after} at its end")
    return pings


if __name__ == "__main__":
    main()
