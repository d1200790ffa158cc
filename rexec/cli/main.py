"""The program `rexec`: its subcommands, each a module `rexec.cli.NAME` (see `devicedb.cli.program`)."""

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rexec._version import __version__

if TYPE_CHECKING:
    from devicedb.cli.program import Program

SUBCOMMANDS: Final[dict[str, str]] = {
    "run": "run an experiment and keep its results",
    "up": "keep the controllers of this machine running",
    "doctor": "find out why a device does not answer",
    "master": "serve datasets and devices as an ARTIQ master does",
    "simulate": "serve the controllers without their instruments",
    "record": "keep a session with real controllers, for `simulate` to replay",
    "bridge": "keep the datasets of a running master in HDF5 files",
    "results": "show, compare, draw, verify and recover result files",
    "call": "call a method of a server",
    "shell": "talk to a server, line by line",
    "targets": "list what a server offers",
    "methods": "show a target's methods with their documentation",
    "certs": "make the TLS files of a laboratory",
}
"""Subcommand, the line that `rexec --help` says of it."""


def shadowed() -> str | None:
    """Return what is wrong if Python would import somebody else's module for a package of ours.

    `python -m rexec` looks into the current folder first.
    """
    own = Path(__file__).resolve().parents[2]
    for name in ("schemas", "devicedb"):
        spec = importlib.util.find_spec(name)
        origin = spec.origin if spec is not None else None
        if origin is not None and Path(origin).resolve().parent != own / name:
            return (
                f"{origin} bears the name of a package of this program. Give it another name, or run `rexec`"
            )
    return None


def _expected() -> tuple[type[Exception], ...]:
    from rexec.cli.errors import EXPECTED_ERRORS

    return EXPECTED_ERRORS


def _program() -> "Program":
    # Not before `main` has made sure that it is ours: see `shadowed`.
    from devicedb.cli.program import Program

    return Program(
        name="rexec",
        description="Remote execution for ARTIQ laboratories: what is running.",
        package="rexec.cli",
        subcommands=SUBCOMMANDS,
        closing="Exit status: 0 all is well, 1 the experiment or the remote method failed or something was found, "
        "2 bad input or a peer that cannot be reached, 130 interrupted.",
        version=lambda: __version__,
        expected=_expected,
    )


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the program."""
    return _program().argparser()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program with `argv` (default: the process's own arguments) and return its exit status."""
    wrong = shadowed()
    if wrong is not None:
        words = sys.argv[1:] if argv is None else argv
        print(f"{' '.join(['rexec', *words[:1]])}: error: {wrong}", file=sys.stderr)
        return 2
    return _program().main(argv)
