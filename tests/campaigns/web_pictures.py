"""Screenshots of the page for people to look at: `python -m tests.campaigns.web_pictures FOLDER`. Needs chromium.

Each view in light, dark and 380 px: with a scan, a camera's image and runs; with 200 simulated devices and three
that are not there; and empty. `--page FILE` also writes the picture of the documentation.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rexec.datasets import Dataset, DatasetDB
from rexec.results import write_results
from schemas import RunIdentity
from tests.waiting import within
from tests.web.conftest import FLAGS, browser_path
from tests.web.served import Served, served

LOOKS = (("light", 1300), ("dark", 1300), ("light", 380))
DEVICES = 200


def main() -> int:
    """Take the pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--page", type=Path, help="also write the picture of the documentation to this file")
    options = parser.parse_args()
    path = browser_path()
    if path is None:
        print("no chromium here: apt-get install chromium")
        return 2
    options.folder.mkdir(parents=True, exist_ok=True)
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        folder = Path(name)
        runs(folder / "results")
        with simulated(folder) as database:
            with served(device_db=database, results=folder / "results") as lab:
                measure(lab.datasets)
                run = "runs/2026-11-26/09/000000003-Ramsey.h5"
                other = run.replace("3-", "5-")
                views = {
                    "live": "live",
                    "runs": "runs",
                    "run": run,
                    "compare": f"runs/compare?run={run[5:]}&run={other[5:]}",
                    "devices": "devices",
                    "device": "devices/camera",
                    "log": "log",
                }
                take(browser, lab, views, options.folder)
                if options.page is not None:
                    documentation(browser, lab, options.page)
        with served(with_master=False, master=("127.0.0.1", 1, None), results=folder / "none") as lab:
            empty = {f"empty-{view}": view for view in ("live", "runs", "devices", "log")}
            take(browser, lab, empty, options.folder)
        browser.close()
    print(f"{len(list(options.folder.glob('*.png')))} pictures in {options.folder}")
    return 0


def take(browser: Any, lab: Served, views: dict[str, str], folder: Path) -> None:
    """Take a picture of each view in each look."""
    for scheme, width in LOOKS:
        context = browser.new_context(viewport={"width": width, "height": 850}, color_scheme=scheme)
        tab = context.new_page()
        tab.goto(lab.url)
        for name, address in views.items():
            tab.goto(lab.address + address)
            settle(tab)
            tab.screenshot(path=folder / f"{name}-{scheme}-{width}.png")
        context.close()


def settle(tab: Any) -> None:
    """Wait until a view has its plots, and its devices are examined."""
    tab.wait_for_selector("main > *")
    tab.wait_for_timeout(1500)
    drawn = "() => [...document.querySelectorAll('.chart:not([hidden])')].every((each) => each.dataset.drawn)"
    tab.wait_for_function(drawn, timeout=60_000)
    tab.wait_for_function("() => !document.body.innerText.includes('examining now')", timeout=60_000)


def documentation(browser: Any, lab: Served, file: Path) -> None:
    """Take the picture of the documentation: a scan against its frequency, and the camera's image."""
    tab = browser.new_context(viewport={"width": 1360, "height": 470}, color_scheme="light").new_page()
    tab.goto(lab.url)
    tab.goto(f"{lab.address}live?show=scan.population&x.0=scan.frequency&show=camera.image")
    settle(tab)
    tab.screenshot(path=file)


def measure(datasets: DatasetDB) -> None:
    """Set datasets of each shape, a scan that goes on among them."""
    frequency = np.linspace(1e6, 2e6, 101)
    population = np.full(101, np.nan)
    population[:70] = (
        0.5 + 0.45 * np.cos(np.linspace(0, 9, 70)) + 0.02 * np.random.default_rng(1).normal(size=70)
    )
    rows, columns = np.mgrid[:240, :320]
    image = 4000 * np.exp(-((columns - 150) ** 2 + (rows - 100) ** 2) / 900) + 100
    datasets.set("scan.frequency", frequency, None, {"unit": "MHz"})
    datasets.set("trace", np.cumsum(np.random.default_rng(2).normal(size=1_000_000)))
    datasets.set("ions", [[float(np.cos(row / 9 + ion) ** 2) for ion in range(4)] for row in range(40)])
    datasets.set("camera.image", image.astype(np.uint16))
    datasets.set("scan.population", population)
    for value in range(30):
        datasets.set("temperature", 23 + float(np.sin(value / 5)), None, {"unit": "K", "precision": 2})
    datasets.set("state", "cooling")


def runs(folder: Path) -> None:
    """Write some runs, and a file that is none."""
    frequency = Dataset(np.linspace(1e6, 2e6, 51), {"unit": "MHz"})
    for rid in range(1, 9):
        path = folder / "2026-11-26" / "09" / f"{rid:09}-Ramsey.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        began = time.time() - 600 * (9 - rid)
        expid = {"class_name": "Ramsey", "file": "ramsey.py", "arguments": {"phase": rid / 10, "points": 51}}
        identity = RunIdentity(
            rid=rid, class_name="Ramsey", start_time=began, run_time=began + 2, expid=expid
        )
        population = 0.5 + 0.5 * np.cos(np.linspace(0, 12, 51) + rid / 10)
        data = {"frequency": frequency, "population": population, "image": np.eye(40)}
        write_results(path, identity, data, plot=("population", ["frequency"]))
    (folder / "2026-11-26" / "09" / "000000009-Torn.h5").write_bytes(b"torn")


@contextlib.contextmanager
def simulated(folder: Path) -> Iterator[Path]:
    """Simulate 200 controllers; three more are not there. Yields the device database."""
    entries = {
        f"device{number:03}" if number else "camera": {
            "type": "controller", "host": "::1", "port": 4000 + number, "target_name": "main", "command": "none",
        }
        for number in range(DEVICES)
    }  # fmt: skip
    file, written = folder / "real_db.py", folder / "device_db.py"
    file.write_text(f"device_db = {entries!r}\n", encoding="utf-8")
    words = ["simulate", "--device-db", str(file), "--write-db", str(written)]
    process = subprocess.Popen([sys.executable, "-P", "-m", "rexec", *words], stdout=subprocess.DEVNULL)
    try:
        assert within(150, lambda: written.exists() or process.poll() is not None)
        lost = {f"lost{number}": {**entries["camera"], "port": 1 + number} for number in range(3)}
        text = written.read_text(encoding="utf-8") + f"\ndevice_db.update({lost!r})\n"
        found = folder / "found_db.py"
        found.write_text(text, encoding="utf-8")
        yield found
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
