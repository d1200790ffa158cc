"""The program `devicedb`: its subcommands, each a module `devicedb.cli.NAME` (see `devicedb.cli.program`)."""

import argparse
from collections.abc import Sequence
from typing import Final

from devicedb.cli.program import Program
from devicedb.errors import DeviceDBError

SUBCOMMANDS: Final[dict[str, str]] = {
    "check": "find what would fail, at the line that caused it",
    "diff": "tell what changed in meaning between two databases",
    "explain": "explain what a rule of the check finds and why",
    "graph": "draw devices, controllers, hosts and aliases",
    "schema": "print a JSON Schema",
    "show": "list the devices, or show all that is known of one",
    "stubs": "write types of devices, so that editors complete them",
}
"""Subcommand, the line that `devicedb --help` says of it."""


def _version() -> str:
    from importlib.metadata import version

    return version("artiq-rexec")


PROGRAM: Final = Program(
    name="devicedb",
    description="Device databases of ARTIQ laboratories: what is written. It uses no network and changes nothing.",
    package="devicedb.cli",
    subcommands=SUBCOMMANDS,
    closing="Exit status: 0 nothing found, 1 findings or differences, 2 the command could not do its work, "
    "130 interrupted.",
    version=_version,
    expected=lambda: (DeviceDBError,),
)


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the program."""
    return PROGRAM.argparser()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program with `argv` (default: the process's own arguments) and return its exit status."""
    return PROGRAM.main(argv)
