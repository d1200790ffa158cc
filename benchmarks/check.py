"""Times `devicedb check`: start-up on a small database, and the cost of more entries.

Run as `python -m benchmarks.check [ENTRIES...]` (default 1000 10000). Every time is that of a whole process, the
best of three for start-up.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.growth.rows.check import CORE, literal

DEVICEDB = str(Path(sys.executable).with_name("devicedb"))
SMALL = (
    'device_db = {"camera": {"type": "controller", "host": "::1", "port": 6283, "target_name": "camera"}}\n'
)


def loop(entries: int) -> str:
    """A database of TTLs made by a loop."""
    return (
        f"device_db = {{{CORE}}}\nfor i in range({entries}):\n"
        '    device_db[f"ttl{i}"] = {"type": "local", "module": "artiq.coredevice.ttl", "class": "TTLOut",\n'
        '        "arguments": {"channel": i}}\n'
    )


def seconds(text: str) -> float:
    """Time of one check, as a whole process; the database must pass."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "device_db.py")
        path.write_text(text)
        start = time.perf_counter()
        done = subprocess.run(
            [DEVICEDB, "check", "--time-limit", "300", path], capture_output=True, text=True
        )
        elapsed = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr)
    return elapsed


def main(sizes: list[int]) -> None:
    """Print the table."""
    print(f"start-up, one entry: {min(seconds(SMALL) for _ in range(3)):.3f} s")
    print("entries   literal      per entry   loop")
    for size in sizes:
        written, made = seconds(literal(size)), seconds(loop(size))
        print(f"{size:7}  {written:7.2f} s  {written / size * 1e6:8.0f} us  {made:7.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("entries", nargs="*", type=int, default=[1000, 10000], help="default: 1000 10000")
    main(parser.parse_args().entries)
