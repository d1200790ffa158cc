"""Runs the suite with a Python for Windows under Wine, a folder at a time, and prints what passed.

    python -m tests.campaigns.windows                       (every folder of tests; hours)
    python -m tests.campaigns.windows wire results
    python -m tests.campaigns.windows --setup-only

The first run puts that Python together (`tests/campaigns/windows_wine.py`). Afterwards `FOLDER/wpy` is that Python:

    FOLDER/wpy -m tests.campaigns.run_kills
    REXEC_WINDOWS_PYTHON=FOLDER/wpy pytest tests/interop/test_across_systems.py

A failure that is Wine's own is *excused* where a small program without this project shows the same fault. The exit
status is 1 if any other test fails.
"""

import argparse
import collections
import importlib.metadata
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from tests.campaigns.windows_faults import WINE_FAULTS
from tests.campaigns.windows_wine import Wine, WineFault, make

ROOT: Final = Path(__file__).resolve().parents[2]
LONGEST: Final = 7200.0
"""Seconds for the tests of one folder."""

KINDS: Final = ("passed", "skipped", "excused", "failed")
"""How a test may end."""


def folders() -> list[str]:
    """Return the folders of tests."""
    return sorted(path.name for path in (ROOT / "tests").iterdir() if any(path.glob("test_*.py")))


def present_faults(wine: Wine) -> dict[WineFault, str]:
    """Return the faults that this Wine has, with what their programs print."""
    found = {}
    for fault in WINE_FAULTS:
        status, said = wine.run_python("-c", fault.proof, timeout=120)
        if status == 0:
            found[fault] = said
        print(f"{'not so here' if status == 0 else 'so here, too'}: {fault.what}", flush=True)
    return found


def use_this_tree(wine: Wine) -> None:
    """Let that Python import this project, and find its entry points, as after `pip install -e`."""
    site = wine.python.parent / "Lib" / "site-packages"
    (site / "artiq_rexec.pth").write_text(f"Z:{ROOT}\n", encoding="utf-8")
    ours = importlib.metadata.distribution("artiq-rexec")
    target = site / "artiq_rexec-0.dist-info"
    target.mkdir(exist_ok=True)
    for name in ("METADATA", "entry_points.txt"):
        (target / name).write_text(ours.read_text(name) or "", encoding="utf-8")


def tally(wine: Wine, folder: str, faults: Collection[WineFault]) -> collections.Counter[str]:
    """Run the tests of one folder; print failures, and return counts."""
    with tempfile.TemporaryDirectory() as name:
        report = Path(name, "report.xml")
        status, said = wine.run_python(
            *("-m", "pytest", "-q", "-n", "1", "-p", "no:cacheprovider"),
            *("--timeout-method", "thread", f"--junitxml=Z:{report}"),
            f"tests/{folder}",
            cwd=ROOT,
            timeout=LONGEST,
            PYTHONUTF8="1",  # the tests write text without naming an encoding
        )
        if not report.is_file():
            print(f"{folder}: no report (status {status})\n{said[-3000:]}")
            return collections.Counter(failed=1)
        return counted(report, faults)


def counted(report: Path, faults: Collection[WineFault]) -> collections.Counter[str]:
    """Return the counts of a report of pytest (JUnit); print what is skipped, and failures with their last lines."""
    counts: collections.Counter[str] = collections.Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        path, _, group = case.get("classname", "").partition(f".test_{_module(case)}")
        number = f"{path.replace('.', '/')}/test_{_module(case)}.py::{case.get('name')}"
        bad = case.find("failure") if case.find("failure") is not None else case.find("error")
        skipped = case.find("skipped")
        if bad is not None:
            excuse = next((one for one in faults if number.startswith(one.tests)), None)
            counts["failed" if excuse is None else "excused"] += 1
            lines = (bad.get("message") or "").splitlines() or ["(no message)"]
            print(
                f"  {'FAILED' if excuse is None else 'excused'} {number}{group}: {lines[0][:150]}", flush=True
            )
            if excuse is None:
                print("\n".join(f"    {line}" for line in (bad.text or "").splitlines()[-15:]), flush=True)
        elif skipped is not None:
            counts["skipped"] += 1
            print(f"  skipped {number}: {skipped.get('message')}", flush=True)
        else:
            counts["passed"] += 1
    return counts


def _module(case: ElementTree.Element) -> str:
    return case.get("classname", "").rpartition(".test_")[2].partition(".")[0]


def main() -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", metavar="FOLDER", nargs="*", help="folders of tests (default: all)")
    parser.add_argument(
        "--at",
        metavar="FOLDER",
        type=Path,
        default=Path(tempfile.gettempdir(), "rexec-windows"),
        help="where that Python is, or is put (default: %(default)s)",
    )
    parser.add_argument("--setup-only", action="store_true", help="run no test")
    options = parser.parse_args()
    wine = make(options.at)
    use_this_tree(wine)
    if options.setup_only:
        print(f"{wine.python} is ready")
        return 0
    total: collections.Counter[str] = collections.Counter()
    rows = []
    try:
        faults = present_faults(wine)
        for folder in options.folders or folders():
            began = time.monotonic()
            print(f"{folder}:", flush=True)
            counts = tally(wine, folder, faults)
            print(f"{folder}: {dict(counts)}, {(time.monotonic() - began) / 60:.0f} min", flush=True)
            rows.append((folder, counts))
            total += counts
    finally:
        wine.close()
        print(f"\n| folder | {' | '.join(KINDS)} |\n| --- |{' --- |' * len(KINDS)}")
        for folder, counts in [*rows, ("all", total)]:
            print(f"| {folder} | {' | '.join(str(counts[kind]) for kind in KINDS)} |")
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
