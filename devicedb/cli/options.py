"""Options that several subcommands share."""

import argparse
from pathlib import Path


def add_device_db(parser: argparse.ArgumentParser) -> None:
    """Add `--device-db FILE`."""
    parser.add_argument(
        "--device-db",
        metavar="FILE",
        type=Path,
        default=Path("device_db.py"),
        help="device database (default: device_db.py in the current folder)",
    )


def add_output(parser: argparse.ArgumentParser, what: str) -> None:
    """Add `--output FILE`, which replaces standard output."""
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help=f"write the {what} to FILE (default: standard output)",
    )
