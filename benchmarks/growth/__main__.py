"""How cost grows with size: measures each row at n, 10 n and 100 n, and prints a table.

`python -m benchmarks.growth [--rows NAME ...] [--base PYTHON] [--markdown FILE]`

Each figure is measured in a process of its own: seconds for one repetition (CPU time where the row runs a program of
ours), the growth of peak memory, and the bytes written. The exponent of a row is log(last/first) / log(ratio of
sizes): 0 is constant, 1 is linear, 2 is quadratic. Figures below the resolution of the measurement are no basis for
an exponent, and have none.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Final

from benchmarks.growth import rows
from benchmarks.growth.row import ROWS, Row

CHILD: Final = Path(__file__).with_name("child.py")
STEPS: Final = (1, 10, 100)
FLOORS: Final = {"seconds": 1e-7, "memory": 1 << 20, "written": 1.0}
"""Lower limits of figures that an exponent is made of."""
COLUMNS: Final = ("seconds", "memory", "written")


@dataclass(frozen=True)
class Cell:
    """Figures of one row at one size; None where nothing was measured."""

    seconds: float | None = None
    memory: float | None = None
    written: float | None = None


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the program."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = "\n".join(f"  {row.name:24} {row.title}" for row in ROWS.values())
    parser.epilog = f"rows:\n{names}"
    parser.add_argument("--rows", metavar="NAME", nargs="+", help="measure only these (default: all)")
    parser.add_argument(
        "--base", metavar="PYTHON", help="interpreter of another checkout, measured in turn with this one"
    )
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="also write the tables to this file")
    parser.add_argument("--repeat", metavar="N", type=int, default=3, help="medians of N (default: 3)")
    parser.add_argument(
        "--steps", metavar="N", type=int, default=3, help="1: only n; 2: n and 10 n (default: 3)"
    )
    parser.add_argument(
        "--limit", metavar="SECONDS", type=float, default=300.0, help="longest measurement (default: 300)"
    )
    return parser


def measured(python: str, row: Row, size: int, limit: float) -> Cell | str:
    """Return the figures of one child, or why there are none."""
    command = [python, "-P", str(CHILD), row.name, str(size)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit)
    except subprocess.TimeoutExpired:
        return f"over {limit:g} s"
    if done.returncode:
        return (
            done.stderr.strip().splitlines()[-1][:200] if done.stderr.strip() else f"status {done.returncode}"
        )
    return Cell(**json.loads(done.stdout.splitlines()[-1]))


def median(cells: list[Cell]) -> Cell:
    """Return the median of each figure."""

    def of(column: str) -> float | None:
        values = [value for cell in cells if (value := getattr(cell, column)) is not None]
        return statistics.median(values) if values else None

    return Cell(*map(of, COLUMNS))


def exponent(sizes: list[int], cells: list[Cell], column: str) -> float | None:
    """Return the exponent of a column between the first and the last size; None if it cannot be told."""
    values = [getattr(cell, column) for cell in cells]
    if len(values) < 2 or any(value is None for value in values):
        return None
    first, last = (max(value, FLOORS[column]) for value in (values[0], values[-1]))
    return math.log(last / first) / math.log(sizes[-1] / sizes[0])


def quantity(value: float | None, column: str) -> str:
    """Return a figure with its unit."""
    if value is None:
        return ""
    units: list[tuple[float, str]] = (
        [(1.0, "s"), (1e-3, "ms"), (1e-6, "µs")]
        if column == "seconds"
        else [(1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")]
    )
    scale, unit = next(((scale, unit) for scale, unit in units if abs(value) >= scale), units[-1])
    return f"{value / scale:.3g} {unit}"


def measure_row(row: Row, options: argparse.Namespace) -> list[str]:
    """Measure a row with each interpreter, and return the lines of its table."""
    pythons = [options.base, sys.executable] if options.base else [sys.executable]
    sizes = [row.start * step for step in STEPS[: options.steps]]
    figures: dict[str, list[Cell]] = {python: [] for python in pythons}
    lines = []
    given_up: dict[str, str] = {}
    for size in sizes:
        rounds: dict[str, list[Cell]] = {python: [] for python in pythons}
        for _ in range(options.repeat):
            for python in pythons:
                if python in given_up:
                    continue
                cell = measured(python, row, size, options.limit)
                if isinstance(cell, str):
                    print(f"{row.name} at {size}: {cell}", file=sys.stderr)
                    given_up[python] = cell
                else:
                    rounds[python].append(cell)
        for python in pythons:
            figures[python].append(median(rounds[python]))
        shown = [
            quantity(getattr(figures[python][-1], column), column) or given_up.get(python, "")[:40]
            for column in COLUMNS
            for python in pythons
        ]
        lines.append(f"| {row.name} | {size} | {' | '.join(shown)} |")
    exponents = [exponent(sizes, figures[python], column) for column in COLUMNS for python in pythons]
    if len(sizes) > 1:
        cells = ["" if value is None else f"{value:.2f}" for value in exponents]
        lines.append(f"| | exponent | {' | '.join(cells)} |")
    return lines


def header(has_base: bool) -> list[str]:
    """Return the first lines of the table."""
    titles = {"seconds": "time", "memory": "memory", "written": "written"}
    names = [
        name
        for column in COLUMNS
        for name in ([f"{titles[column]} before"] if has_base else []) + [titles[column]]
    ]
    return [f"| row | n | {' | '.join(names)} |", f"| --- | --- | {' | '.join('---' for _ in names)} |"]


def main(argv: list[str] | None = None) -> int:
    """Measure the rows and print the table."""
    for module in iter_modules(rows.__path__):
        import_module(f"benchmarks.growth.rows.{module.name}")
    parser = get_argparser()
    options = parser.parse_args(argv)
    unknown: Any = set(options.rows or []) - set(ROWS)
    if unknown:
        parser.error(f"there is no row {', '.join(sorted(unknown))}; --help lists them")
    chosen = [ROWS[name] for name in options.rows] if options.rows else list(ROWS.values())
    lines = header(bool(options.base))
    print("\n".join(lines), flush=True)
    for row in chosen:
        added = measure_row(row, options)
        print("\n".join(added), flush=True)
        lines += added
    legend = [f"* {row.name}: {row.title} (target: {row.owed})" for row in chosen]
    print("\n".join(["", *legend]))
    if options.markdown is not None:
        options.markdown.write_text("\n".join([*lines, "", *legend, ""]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
