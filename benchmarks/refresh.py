"""What refreshing the result file costs: `python -m benchmarks.refresh [MB ...] [--folder FOLDER]` prints two tables.

The first: the time of one refresh after 100 appended floats, by the size of the file, beside a copy of the whole file
with the same sync. The second: what a loop of `append_to_dataset`, with an image of 10 MB every second, feels of
refreshes, by a thread of the run and by a process of its own.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from rexec.datasets import DatasetDB, DatasetManager
from rexec.results import ResultsWriter
from schemas import RunIdentity

IMAGE = 10_000_000
REFRESHES = 5
APPENDS = 100
LOOP_SECONDS = 8


def images(manager: DatasetManager, megabytes: int) -> None:
    """Set images of 10 MB, noise of a camera, until there are so many megabytes."""
    random = np.random.default_rng(1)
    for number in range(max(1, megabytes * 10**6 // IMAGE)):
        manager.set(f"image{number}", random.poisson(1000, IMAGE // 2).astype(np.uint16))


def begun(folder: Path, **options: object) -> tuple[ResultsWriter, DatasetManager]:
    """Begin a run that is refreshed on demand."""
    identity = RunIdentity(rid=1, class_name="B", start_time=0.0)
    writer = ResultsWriter.create(folder / "r.h5", identity, **{"refresh_interval": 0, **options})  # type: ignore[arg-type]
    manager = DatasetManager(DatasetDB(), sink=writer)
    manager.set("x", [])
    return writer, manager


def written_blocks() -> int:
    """Return bytes that this process has sent towards a disk."""
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return 0
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


def by_size(folder: Path, megabytes: int) -> None:
    """Print a line of the first table."""
    writer, manager = begun(folder)
    images(manager, megabytes)
    begin = time.perf_counter()
    writer.snapshot()
    first = time.perf_counter() - begin
    for number in range(2000):
        manager.append_to("x", number * 0.5)
    writer.snapshot()
    times, written = [], written_blocks()
    for _ in range(REFRESHES):
        for number in range(APPENDS):
            manager.append_to("x", number * 0.5)
        begin = time.perf_counter()
        writer.snapshot()
        times.append(time.perf_counter() - begin)
    written = (written_blocks() - written) // REFRESHES
    size = writer.path.stat().st_size
    begin = time.perf_counter()
    with writer.path.open("rb") as source, (folder / "copy").open("wb") as target:
        left = size
        while left > 0:
            left -= os.copy_file_range(source.fileno(), target.fileno(), left)
        os.fsync(target.fileno())
    copied = time.perf_counter() - begin
    (folder / "copy").unlink()
    begin = time.perf_counter()
    writer.close()
    ended = time.perf_counter() - begin
    print(
        f"{megabytes:6} MB, file {size / 1e6:5.0f} MB   first {first:7.2f} s   later {statistics.median(times):6.3f} s "
        f"({written / 1e6:6.1f} MB written)   copy {copied:6.3f} s   end {ended:6.2f} s"
    )


def felt(folder: Path, name: str, **options: object) -> None:
    """Print a line of the second table."""
    writer, manager = begun(folder, **options)
    image = np.random.default_rng(1).poisson(1000, IMAGE // 2).astype(np.uint16)
    times: list[float] = []
    processor, begin = time.process_time(), time.perf_counter()
    for second in range(LOOP_SECONDS):
        manager.set(f"image{second}", image)
        while time.perf_counter() - begin < second + 1:
            for _ in range(100):
                before = time.perf_counter()
                manager.append_to("x", 0.5)
                times.append(time.perf_counter() - before)
    processor = time.process_time() - processor
    times.sort()
    print(
        f"{name:24} {len(times) / LOOP_SECONDS:10,.0f} appends/s, median {times[len(times) // 2] * 1e6:5.1f} µs, "
        f"longest {times[-1] * 1e3:6.1f} ms, the run's processor time {processor / len(times) * 1e6:5.1f} µs each"
    )
    writer.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("megabytes", type=int, nargs="*", default=[10, 100, 1000])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    for megabytes in options.megabytes:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            by_size(Path(folder), megabytes)
    rows = {
        "no refresh": {},
        "refreshed by a thread": {"refresh_interval": 0.5, "process_from": None},
        "refreshed by a process": {"refresh_interval": 0.5, "process_from": 1},
    }
    for name, settings in rows.items():
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            felt(Path(folder), name, **settings)


if __name__ == "__main__":
    main()
