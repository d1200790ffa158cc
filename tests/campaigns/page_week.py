"""A page that a person has left open: the memory of its views and of the server while a laboratory goes on beside it.

A master gets appends, images, numbers, log lines and datasets that come and go; every 30 s the run begins anew, as the
next experiment would. A tab stays at each view. Once a minute, garbage is collected, and the heap, the elements and
the listeners of each tab are counted, and the memory of `rexec web`. The slope is that of a straight line through the
second half of the minutes. Needs chromium, and Playwright.

    python -m tests.campaigns.page_week --minutes 40
"""

import argparse
import contextlib
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.web import laboratory
from rexec.wire.logs import BANNER
from rexec.wire.pc_rpc import Client
from tests.campaigns.web_pictures import runs
from tests.web.conftest import FLAGS, browser_path

VIEWS: Final = ("live", "runs", "runs/2026-11-26/09/000000003-Ramsey.h5", "devices", "log")
RUN: Final = 30.0
"""Seconds after which the datasets begin anew."""
DEVICES: Final = {f"lamp{number}": {"type": "local", "module": "x", "class": "X"} for number in range(30)}


class Measurement(threading.Thread):
    """Changes datasets and logs until `end` is set.

    Args:
        control: Control port of the master.
        logging: Its logging port.
        rate: Changes a second.

    """

    def __init__(self, control: int, logging: int, rate: float) -> None:
        super().__init__(daemon=True)
        self._control, self._logging, self._rate = control, logging, rate
        self.changes = 0
        self.end = threading.Event()

    def run(self) -> None:
        """Change them."""
        chance = np.random.default_rng(1)
        with (
            Client("127.0.0.1", self._control, "dataset_db") as datasets,
            socket.create_connection(("127.0.0.1", self._logging)) as log,
        ):
            log.sendall(BANNER)
            began = 0.0
            while not self.end.wait(1 / self._rate):
                number, self.changes = self.changes, self.changes + 1
                if time.monotonic() > began + RUN:
                    began = time.monotonic()
                    datasets.set("scan.x", [])
                    datasets.set("scan.y", [])
                    datasets.set("image", np.zeros((64, 64)))
                datasets.update({"action": "append", "path": ["scan.x", 1], "x": float(number)})
                datasets.update({"action": "append", "path": ["scan.y", 1], "x": float(chance.normal())})
                datasets.set("temperature", float(chance.normal()))
                datasets.set("image", chance.normal(size=(64, 64)))
                datasets.set(f"run{number}", number)
                if number >= 20:
                    datasets.delete(f"run{number - 20}")
                log.sendall(b"lamp:WARNING:lamp:line %d\n" % number)


def counted(tab: Any, session: Any) -> dict[str, float]:
    """Return what a tab holds after its garbage was collected."""
    for _ in range(2):
        session.send("HeapProfiler.collectGarbage")
    heap = session.send("Runtime.getHeapUsage")["usedSize"]
    held = session.send("Memory.getDOMCounters")
    return {"MB": heap / 1e6, "elements": held["nodes"], "listeners": held["jsEventListeners"]}


def slope(times: list[float], values: list[float]) -> float:
    """Return the growth in an hour of a straight line through the second half."""
    half = len(times) // 2
    if len(times) - half < 2:
        return 0.0
    return 3600 * float(np.polyfit(times[half:], values[half:], 1)[0])


def main() -> int:
    """Measure, and print a row a minute and the slopes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=40.0, help="how long (default: %(default)g)")
    parser.add_argument(
        "--rate", type=float, default=5.0, help="rounds of changes a second (default: %(default)g)"
    )
    parser.add_argument(
        "--every", type=float, default=60.0, help="seconds between looks (default: %(default)g)"
    )
    options = parser.parse_args()
    path = browser_path()
    if path is None:
        print("no chromium here: apt-get install chromium")
        return 2
    from playwright.sync_api import sync_playwright

    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runs(folder / "results")
        ports, url, server = laboratory(folder, stack, DEVICES)
        browser = stack.enter_context(sync_playwright()).chromium.launch(executable_path=path, args=FLAGS)
        tabs: dict[str, Any] = {}
        for view in VIEWS:
            tab = browser.new_context().new_page()
            tab.goto(url)
            tab.goto(url.split("?")[0] + view)
            tab.wait_for_selector("main > *")
            tabs[view] = tab, tab.context.new_cdp_session(tab)
        measurement = Measurement(ports["control"], ports["logging"], options.rate)
        measurement.start()
        times: list[float] = []
        found: dict[str, list[float]] = {}
        began = time.monotonic()
        while (passed := time.monotonic() - began) < 60 * options.minutes and measurement.is_alive():
            tabs["live"][0].wait_for_timeout(1000 * options.every)
            times.append(passed)
            found.setdefault("server MB", []).append(server.memory_info().rss / 1e6)
            for view, (tab, session) in tabs.items():
                for name, value in counted(tab, session).items():
                    found.setdefault(
                        f"{view.partition('/')[0] if '/' not in view else 'run'} {name}", []
                    ).append(value)
            row = ", ".join(f"{name} {values[-1]:.5g}" for name, values in found.items())
            print(f"{passed / 60:5.1f} min, {measurement.changes} rounds: {row}", flush=True)
        failed = not measurement.is_alive()
        measurement.end.set()
        measurement.join()
        browser.close()
    print(f"{measurement.changes} rounds of 7 changes")
    for name, values in found.items():
        print(
            f"{name:20} {values[0]:10.5g} at first {values[-1]:10.5g} at last, {slope(times, values):+9.4g} an hour"
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
