"""The matrix of what remote functions do on every make of controller, each cell from a run.

    REXEC_PEER_PYTHON=PYTHON-OF-1.9:PYTHON-OF-1.10 \\
        python -m tests.campaigns.remote_matrix docs/reference/remote-matrix.md

It runs the tests that have a make of controller as parameter, and writes the table.
"""

import argparse
import collections
import re
from pathlib import Path
from typing import Final

import pytest

from tests.remote_exec.peers import REFERENCE

FILES: Final = (
    "test_matrix",
    "test_pieces",
    "test_async",
    "test_clocks",
    "test_reconnect",
    "test_interruptions",
)
FOLDER: Final = Path(__file__).parents[1] / "remote"
MARKS: Final = {"passed": "yes", "failed": "**no**", "skipped": "not run"}
COLUMN: Final = re.compile(r"ours|rexec|reference-\d|sipyco\d?")

HEAD: Final = """# What remote functions do on each make of controller

Each cell is a run of the test of that name: against our controller, and against stock ones of the reference library. An
empty cell: the behaviour does not depend on the controller, or the test has another one for that release. Made by
`python -m tests.campaigns.remote_matrix`: {passed} of {total} cells passed.

"""


class Cells:
    """Takes what pytest reports, by behaviour and controller."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[int, str]] = collections.defaultdict(dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a report; the worst of a test's phases counts."""
        name, _, parameter = report.nodeid.rpartition("::")[2].partition("[")
        column = COLUMN.match(parameter)
        if column is None or (report.passed and report.when != "call"):
            return
        number = re.search(r"\d", column[0])
        index = 1 + int(number[0] if number else 0) if column[0][0] in "s" or number else 0
        self.rows[behaviour(name)][index] = MARKS[report.outcome]


def behaviour(test: str) -> str:
    """Return a test's name as words."""
    words = test.removeprefix("test_").replace("_", " ")
    return words[:1].upper() + words[1:]


def table(rows: dict[str, dict[int, str]], columns: list[str]) -> str:
    """Return the rows as Markdown."""
    lines = [f"| Behaviour | {' | '.join(columns)} |", "| --- |" + " --- |" * len(columns)]
    for name, cells in rows.items():
        lines.append(f"| {name} | {' | '.join(cells.get(i, '') for i in range(len(columns)))} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the tests and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="Markdown file to write")
    parser.add_argument("--releases", nargs="*", default=["1.9", "1.10"], help="of the peers, in their order")
    args = parser.parse_args()
    if len(REFERENCE) != len(args.releases):
        parser.error(
            f"REXEC_PEER_PYTHON has to name {len(args.releases)} interpreters with the reference library"
        )
    cells = Cells()
    paths = [str(FOLDER / f"{name}.py") for name in FILES]
    pytest.main(
        ["-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning", *paths],
        plugins=[cells],
    )
    columns = ["ours", *(f"reference {release}" for release in args.releases)]
    found = [cell for row in cells.rows.values() for cell in row.values()]
    head = HEAD.format(passed=found.count("yes"), total=len(found))
    args.file.write_text(head + table(cells.rows, columns), encoding="utf-8")
    print(f"{args.file}: {len(cells.rows)} behaviours, {found.count('yes')} of {len(found)} cells passed")
    return 0 if found.count("yes") == len(found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
