"""Finding runs among many: `python -m benchmarks.catalogue [COUNT ...]`, by default 1,000 and 10,000 runs.

For each count it makes a folder of small result files (one run's file, written by this toolkit, with other numbers in
it), spread over days and hours as a laboratory's are, and measures, each in a process of its own:

* the first index: files a second, peak of memory, and how many files are read again after a kill in the middle;
* questions, when nothing has changed: the median of 15, and the whole command;
* how long after a new run is in its place it is found;
* the same question answered by reading every file.
"""

import argparse
import os
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np

from rexec.datasets import Dataset
from rexec.results import results_path, write_results
from schemas import GitState, RunIdentity

BEGIN: Final = datetime(2024, 1, 1).timestamp()
APART: Final = 300.0
"""Seconds between two runs: a dozen an hour."""
CLASSES: Final = ("Ramsey", "RabiFl", "Flopin", "SpinEc")
"""Names of classes, all of one length, so that a file is made of another by changing bytes."""
QUESTIONS: Final = (
    "rid=500",
    "class=RabiFl phase>0.9",
    "exposure=5ms status=completed",
    "since=2024-01-02 until=2024-01-03",
    "dataset=signal person=alice dirty=no",
    "rabifl phase=0.501",
    "rabifl class=RabiFl exposure=5ms",
    "phase=0.1..0.9 exposure=5ms fast laser",
    "class=Nothing",
)
_RID, _START, _PHASE = 0x1122334455667788, 1.2345678912345e9, 0.123456789123
_WORD = "Ramsey"


def template(folder: Path) -> bytes:
    """Return the bytes of a result file whose numbers can be found in it."""
    expid = {
        "file": "scan.py",
        "class_name": _WORD,
        "arguments": {"phase": _PHASE, "points": 20, "mode": "fast"},
    }
    identity = RunIdentity(
        rid=_RID,
        class_name=_WORD,
        start_time=_START,
        file="/laboratory/scan.py",
        expid=expid,
        git=GitState("/laboratory", "a" * 40, "main", dirty=False),
        person="alice",
        machine="lab1",
        program="rexec",
        device_db_sha256="d" * 64,
        sources={"c" * 64: "pass"},
    )
    values = {
        "time": Dataset(np.linspace(0, 1e-3, 20), {"unit": "ms"}),
        "signal": np.linspace(0, 1, 20),
        "phase": _PHASE,
        "exposure": Dataset(5e-3, {"unit": "ms"}),
    }
    return write_results(folder / "template.h5", identity, values, plot=("signal", ["time"])).read_bytes()


def make(root: Path, count: int) -> None:
    """Write so many result files, in ARTIQ's folders, with times of modification that fit."""
    data = template(root)
    (root / "template.h5").unlink()
    phase_text = repr(_PHASE).encode()
    for rid in range(count):
        start = BEGIN + APART * rid
        phase = rid % 1000 / 1000
        name = CLASSES[rid % len(CLASSES)]
        made = data.replace(struct.pack("<q", _RID), struct.pack("<q", rid))
        made = made.replace(struct.pack("<d", _START), struct.pack("<d", start))
        made = made.replace(struct.pack("<d", _PHASE), struct.pack("<d", phase))
        made = made.replace(phase_text, f"{phase:.12f}".encode()).replace(_WORD.encode(), name.encode())
        path = results_path(root, rid, name, datetime.fromtimestamp(start))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made)
        os.utime(path, (start, start))
    results = root / "results"
    for folder in [results, *results.glob("*"), *results.glob("*/*")]:
        os.utime(folder, (BEGIN, BEGIN))


_PEAK: Final = """
def peak():
    try:
        lines = open("/proc/self/status").read().splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
"""

_ASK: Final = """
import statistics, sys, time
from rexec.catalogue import find
times = []
for _ in range(int(sys.argv[2])):
    begin = time.perf_counter()
    found = find(sys.argv[1], folder=sys.argv[3], limit=30)
    times.append(time.perf_counter() - begin)
print(len(found), times[0], statistics.median(times), max(times), peak())
"""

_FIRST: Final = """
import sys, time
from rexec.catalogue import find
read = 0
def progress(done, total):
    global read
    read = done
    if done == int(sys.argv[2]):
        print("there", flush=True)
        time.sleep(60)
begin = time.perf_counter()
find(folder=sys.argv[1], limit=1, progress=progress)
print(read, time.perf_counter() - begin, peak())
"""

_READ: Final = """
import sys, time
from pathlib import Path
from rexec.catalogue.reading import facts_of
paths = sorted(Path(sys.argv[1]).glob("*/*/*.h5"))[: int(sys.argv[2])]
begin = time.perf_counter()
found = [path for path in paths if facts_of(path).class_name == "RabiFl"]
print(len(paths), time.perf_counter() - begin)
"""


def program(code: str, *arguments: object) -> list[float]:
    """Return the numbers that a program in a process of its own prints."""
    command = [sys.executable, "-c", _PEAK + code, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def first_index(results: Path, count: int) -> None:
    """Measure the first index: whole, and after a kill in the middle."""
    command = [sys.executable, "-c", _PEAK + _FIRST, str(results), str(count // 2)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
    again, seconds, _ = program(_FIRST, results, -1)
    print(
        f"  killed at file {count // 2:,}: {again:,.0f} of {count:,} were read afterwards, in {seconds:.1f} s"
    )
    for name in (".index.sqlite", ".index.sqlite-journal"):
        (results / name).unlink(missing_ok=True)
    read, seconds, peak = program(_FIRST, results, -1)
    size = (results / ".index.sqlite").stat().st_size
    print(
        f"  first index: {read:,.0f} files in {seconds:.1f} s, {read / seconds:,.0f} files/s, peak {peak:.0f} MB, "
        f"index {size / 1e6:.1f} MB ({size / count:,.0f} bytes a run)"
    )


def questions(results: Path) -> None:
    """Measure questions when nothing has changed."""
    for query in QUESTIONS:
        found, first, median, longest, peak = program(_ASK, query, 15, results)
        print(
            f"  {query:38} {found:3.0f} shown   first {first * 1e3:6.1f} ms   median {median * 1e3:6.1f} ms   "
            f"longest {longest * 1e3:6.1f} ms   {peak:.0f} MB"
        )
    command = [sys.executable, "-m", "rexec", "results", "find", *QUESTIONS[1].split(), "--in", str(results)]
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - begin)
    print(
        f"  rexec results find {QUESTIONS[1]}: {statistics.median(times) * 1e3:.0f} ms with the start of the program"
    )


def new_run(results: Path, count: int) -> None:
    """Measure how long after a run is in its place it is found."""
    from rexec.catalogue import find

    times = []
    for number in range(10):
        rid = count + 10 + number
        identity = RunIdentity(rid=rid, class_name="NewOne", start_time=time.time())
        path = results_path(results.parent, rid, "NewOne", datetime.now())
        write_results(path, identity, {"x": 1.0})
        begin = time.perf_counter()
        assert len(find(f"rid={rid}", folder=results)) == 1
        times.append(time.perf_counter() - begin)
    print(
        f"  a new run: found after {statistics.median(times) * 1e3:.0f} ms, longest {max(times) * 1e3:.0f} ms"
    )


def measure(folder: Path, count: int) -> None:
    """Print what there is to say of so many runs."""
    print(f"{count:,} runs", flush=True)
    make(folder, count)
    results = folder / "results"
    first_index(results, count)
    questions(results)
    read, seconds = program(_READ, results, 1000)
    print(f"  by reading each file: {seconds / read * count:.1f} s ({read:.0f} files were read)")
    new_run(results, count)
    shutil.rmtree(results)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("counts", metavar="COUNT", type=int, nargs="*", default=[1000, 10_000])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    for count in options.counts:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            measure(Path(folder), count)


if __name__ == "__main__":
    main()
