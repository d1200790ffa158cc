"""What keeping a dataset costs: `python -m benchmarks.datasets [FOLDER]` prints a table.

Each figure is the best of several rounds, so that what else the machine does counts little. FOLDER is on the disk to
measure (default: the system's temporary folder).
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from rexec.datasets import DatasetDB, DatasetManager
from rexec.results import ResultsWriter
from rexec.results.journal.writer import Journal
from schemas import RunIdentity

ROUNDS = 5
SMALL = 50_000
BULK = 64 * 2**20
ELSEWHERE = {"(ARTIQ 9, broadcast append, on another day)": 160.0}
"""What was measured when the hazards were (D20); ARTIQ is not run here."""


def best(measure: Callable[[Path], float], folder: Path) -> float:
    """Return the smallest of several measurements in seconds, each in an empty folder."""
    times = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(dir=folder) as empty:
            times.append(measure(Path(empty)))
    return min(times)


def journal_appends(folder: Path) -> float:
    """Time `Journal.append` of a float."""
    journal = Journal(folder / "j")
    begun = time.perf_counter()
    for number in range(SMALL):
        journal.append("x", number * 0.5)
    taken = time.perf_counter() - begun
    journal.close()
    return taken


def manager_appends(folder: Path, *, broadcast: bool = False, refresh: float = 5.0) -> float:
    """Time `append_to_dataset`, through manager and journal, while the file is refreshed as usual."""
    writer = ResultsWriter.create(
        folder / "r.h5", RunIdentity(rid=1, class_name="B", start_time=0.0), refresh_interval=refresh
    )
    manager = DatasetManager(DatasetDB(), sink=writer)
    manager.set("x", [], broadcast=broadcast)
    begun = time.perf_counter()
    for number in range(SMALL):
        manager.append_to("x", number * 0.5)
    taken = time.perf_counter() - begun
    writer.close()
    return taken


def h5py_appends(folder: Path) -> float:
    """Time one-row appends to a chunked dataset of h5py."""
    with h5py.File(folder / "x.h5", "w") as file:
        dataset = file.create_dataset("x", (0,), dtype=np.float64, maxshape=(None,), chunks=(4096,))
        begun = time.perf_counter()
        for number in range(SMALL // 10):
            dataset.resize(number + 1, axis=0)
            dataset[number] = number * 0.5
        return (time.perf_counter() - begun) * 10


def bulk_journal(folder: Path) -> float:
    """Time the journal of one array, to the disk."""
    data = np.random.default_rng(1).random(BULK // 8)
    journal = Journal(folder / "j", sync_interval=0)
    begun = time.perf_counter()
    journal.append("x", data)
    journal.sync()
    taken = time.perf_counter() - begun
    journal.close()
    return taken


def bulk_plain(folder: Path) -> float:
    """Time a plain write of the same bytes, to the disk."""
    data = np.random.default_rng(1).random(BULK // 8).tobytes()
    descriptor = os.open(folder / "plain", os.O_WRONLY | os.O_CREAT)
    begun = time.perf_counter()
    written = 0
    while written < len(data):
        written += os.write(descriptor, memoryview(data)[written:])
    os.fdatasync(descriptor)
    taken = time.perf_counter() - begun
    os.close(descriptor)
    return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(tempfile.gettempdir()))
    folder: Path = parser.parse_args().folder
    rows = {
        "journal, small records": best(journal_appends, folder),
        "append_to_dataset": best(manager_appends, folder),
        "append_to_dataset, refreshed every 50 ms": best(lambda f: manager_appends(f, refresh=0.05), folder),
        "append_to_dataset, broadcast": best(lambda f: manager_appends(f, broadcast=True), folder),
        "h5py, one-row appends": best(h5py_appends, folder),
    }
    for name, seconds in rows.items():
        print(f"{name:42} {seconds / SMALL * 1e6:8.2f} µs each  {SMALL / seconds:10,.0f} a second")
    for name, microseconds in ELSEWHERE.items():
        print(f"{name:42} {microseconds:8.2f} µs each  {1e6 / microseconds:10,.0f} a second")
    plain, journal = best(bulk_plain, folder), best(bulk_journal, folder)
    print(f"{'plain write of 64 MiB and sync':42} {BULK / plain / 1e6:8.0f} MB/s")
    print(
        f"{'journal of a 64 MiB array and sync':42} {BULK / journal / 1e6:8.0f} MB/s  ({plain / journal:.2f} of plain)"
    )


if __name__ == "__main__":
    main()
