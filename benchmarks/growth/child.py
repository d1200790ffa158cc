"""Measures one row at one size, in a process of its own, and prints a JSON object.

Run as a script by any interpreter that has the packages of a checkout: `python -P child.py ROW SIZE`. Only `growth`
comes from this checkout.
"""

import json
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

PEAK_RESET = "5"
"""Written to /proc/self/clear_refs: the peak of resident memory starts anew (proc(5))."""


def memory(field: str) -> int | None:
    """Return a field of /proc/self/status in bytes: VmRSS (now) or VmHWM (peak)."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def written() -> int | None:
    """Return the bytes that this process and its ended children have passed to write(2) and its kin."""
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return None
    return int(dict(line.split(": ") for line in lines)["wchar"])


def measure(name: str, size: int, folder: Path) -> dict[str, Any]:
    """Return seconds and bytes of one repetition, and the growth of peak memory above what the preparation holds."""
    from growth.row import ROWS  # type: ignore[import-not-found]

    row = ROWS[name]
    work = row.prepare(size, folder)
    before = memory("VmRSS")
    if before is not None:
        Path("/proc/self/clear_refs").write_text(PEAK_RESET)
    bytes_before = written()
    start = time.perf_counter()
    cost = work()
    seconds = (time.perf_counter() - start) / row.per
    bytes_after, peak = written(), memory("VmHWM")
    grown = None if peak is None or before is None else peak - before
    return {
        "seconds": seconds if cost is None else cost.seconds,
        "memory": grown if cost is None or cost.memory is None else cost.memory,
        "written": None
        if bytes_before is None or bytes_after is None
        else (bytes_after - bytes_before) / row.per,
    }


def main(name: str, size: str) -> None:
    """Print the figures of a row at a size."""
    benchmarks = Path(__file__).resolve().parent.parent
    sys.path.append(str(benchmarks))  # at the end: nothing there hides a package of the interpreter
    for module in iter_modules([str(Path(__file__).resolve().parent / "rows")]):
        import_module(f"growth.rows.{module.name}")
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(name, int(size), Path(folder))))


if __name__ == "__main__":
    main(*sys.argv[1:])
