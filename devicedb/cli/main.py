"""The program `devicedb`: its subcommands, each a module `devicedb.cli.NAME` (see `devicedb.cli.program`)."""

import argparse
from collections.abc import Sequence
from typing import Final

from devicedb.cli.program import Program

SUBCOMMANDS: Final[dict[str, str]] = {
    "check": "find mistakes, with the line of each",
    "diff": "list differences in meaning between two databases",
    "explain": "explain a rule of the check",
    "graph": "draw devices, controllers, hosts and aliases",
    "lsp": "serve an editor: findings, completion, quick fixes",
    "migrate": "mend what another release of ARTIQ does not take",
    "schema": "print a JSON Schema",
    "show": "list the devices, or show one",
    "stubs": "write types of devices for editors",
}
"""Subcommand -> its line in `devicedb --help`."""


def _version() -> str:
    from importlib.metadata import version

    return version("artiq-rexec")


PROGRAM: Final = Program(
    name="devicedb",
    description="Check, show and draw device databases of ARTIQ laboratories. Uses no network.",
    package="devicedb.cli",
    subcommands=SUBCOMMANDS,
    closing="Exit status: 0 nothing found, 1 findings or differences, 2 the command could not do its work, "
    "130 interrupted.",
    version=_version,
)


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the program."""
    return PROGRAM.argparser()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program with `argv` (default: the process's own arguments) and return its exit status."""
    return PROGRAM.main(argv)
