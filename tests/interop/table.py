"""Runs the tests that need a live peer against each peer that is named, and writes what came of it as a table.

    python -m tests.interop.table --library 1.10=PYTHON --artiq 9=PYTHON [--output docs/reference/compatibility.md]

PYTHON is an interpreter that has the reference library, or ARTIQ. A test counts if it needs the peer, which its name
tells (`SELECTED`), and was not skipped. The table goes between the two marks of the page, or to standard output. The
exit status is 1 if any test failed; the table says so then.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
BEGIN: Final = "<!-- begin of what tests/interop/table.py writes -->"
END: Final = "<!-- end of what tests/interop/table.py writes -->"
VARIABLES: Final = {"library": "REXEC_PEER_PYTHON", "artiq": "ARTIQ_PYTHON"}
SELECTED: Final = {
    "library": "test_interop or test_peers or reference or stock or sipyco",
    "artiq": "test_peers or test_inside_artiq or of_artiq or test_master or test_managers or (test_bridge and bin)",
}
"""What pytest's -k is given: of these files, the tests that need a peer of a kind."""


@dataclass(frozen=True)
class Row:
    """What some files of tests are about, and which kinds of peer they need."""

    text: str
    kinds: tuple[str, ...]
    files: tuple[str, ...]


ROWS: Final = (
    Row(
        "calls, TLS, sync_struct, broadcast, remote execution: either end",
        ("library",),
        ("tests/interop/test_interop.py",),
    ),
    Row(
        "`rexec.remote_exec` and the global dataset client on its controllers",
        ("library",),
        ("tests/remote_exec/test_server.py", "tests/remote_exec/test_global_rpc.py"),
    ),
    Row(
        "functions, jobs, streams, asyncio, large arguments on its controllers",
        ("library",),
        (
            "tests/remote/test_matrix.py",
            "tests/remote/test_async.py",
            "tests/remote/test_pieces.py",
            "tests/remote/test_reconnect.py",
            "tests/remote/test_interruptions.py",
            "tests/remote/test_clocks.py",
        ),
    ),
    Row(
        "simulated and recorded controllers with its clients",
        ("library", "artiq"),
        ("tests/simulate/test_peers.py",),
    ),
    Row("remote functions inside `artiq_run`", ("artiq",), ("tests/remote/test_inside_artiq.py",)),
    Row(
        "`rexec run`: experiments of `artiq.experiment`, `--master`",
        ("artiq",),
        ("tests/cli/test_run.py",),
    ),
    Row(
        "`rexec master` with its client and controller manager",
        ("artiq",),
        ("tests/interop/test_master.py",),
    ),
    Row("`rexec bridge` with its master", ("artiq",), ("tests/interop/test_bridge.py",)),
    Row(
        "controllers under its manager, its controllers and its master with `rexec up`",
        ("artiq",),
        ("tests/interop/test_managers.py",),
    ),
)


@dataclass(frozen=True)
class Peer:
    """One installation to test against; `kind` is "library" or "artiq"."""

    kind: str
    release: str
    python: str

    @property
    def title(self) -> str:
        """What heads its column."""
        return f"{'ARTIQ' if self.kind == 'artiq' else 'library'} {self.release}"


def run(peer: Peer) -> dict[str, str]:
    """Run the tests that need a peer with it, and return the outcome of each by its name."""
    files = [file for row in ROWS if peer.kind in row.kinds for file in row.files]
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES.values()}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "--timeout", "120", f"--junitxml={report}"]
        subprocess.run(
            [*command, "-k", SELECTED[peer.kind], *files],
            cwd=ROOT,
            env={**environment, VARIABLES[peer.kind]: peer.python},
            stdout=subprocess.DEVNULL,
            check=False,
        )
        return outcomes(report.read_text(encoding="utf-8"))


def outcomes(report: str) -> dict[str, str]:
    """Return passed, failed or skipped for each test of a JUnit report; names as `tests.wire.test_x::test_y`."""
    found = {}
    for case in ET.fromstring(report).iter("testcase"):
        children = {child.tag for child in case}
        outcome = (
            "failed" if children & {"failure", "error"} else "skipped" if "skipped" in children else "passed"
        )
        found[f"{case.get('classname')}::{case.get('name')}"] = outcome
    return found


def cell(row: Row, kind: str, outcomes_by_name: Mapping[str, str]) -> str:
    """Return what one peer did in one row of tests."""
    if kind not in row.kinds:
        return ""
    starts = tuple(f"{file.removesuffix('.py').replace('/', '.')}::" for file in row.files)
    counts = Counter(outcome for name, outcome in outcomes_by_name.items() if name.startswith(starts))
    return ", ".join(f"{counts[each]} {each}" for each in ("passed", "failed") if counts[each]) or "—"


def table(peers: Sequence[Peer], results: Sequence[Mapping[str, str]]) -> str:
    """Return the table: a row a file, a column a peer."""
    lines = [
        f"| what, and the tests that show it | {' | '.join(peer.title for peer in peers)} |",
        "| --- |" + " --- |" * len(peers),
    ]
    for row in ROWS:
        cells = [cell(row, peer.kind, each) for peer, each in zip(peers, results, strict=True)]
        where = ", ".join(f"`{file}`" for file in row.files)
        lines.append(f"| {row.text} ({where}) | {' | '.join(cells)} |")
    return "\n".join(lines)


def written(page: str, text: str) -> str:
    """Return the page with another text between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def main() -> int:
    """Run, print, write; return 1 if a test failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for kind in VARIABLES:
        parser.add_argument(f"--{kind}", metavar="RELEASE=PYTHON", action="append", default=[])
    parser.add_argument("--output", type=Path, metavar="FILE", help="page to write the table into")
    options = parser.parse_args()
    peers = [Peer(kind, *each.partition("=")[::2]) for kind in VARIABLES for each in vars(options)[kind]]
    results = []
    for peer in peers:
        start = time.monotonic()
        results.append(run(peer))
        for name, outcome in results[-1].items():
            if outcome == "failed":
                print(f"{peer.title}: {name} failed", file=sys.stderr)
        print(f"{peer.title}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    python = ".".join(map(str, sys.version_info[:3]))
    text = (
        f"Run on {datetime.now(UTC):%Y-%m-%d} at commit {commit or '?'}, Python {python}, {sys.platform}.\n\n"
    )
    text += table(peers, results)
    print(text)
    if options.output is not None:
        page = options.output.read_text(encoding="utf-8")
        options.output.write_text(written(page, text), encoding="utf-8")
    return 1 if any("failed" in each.values() for each in results) else 0


if __name__ == "__main__":
    sys.exit(main())
