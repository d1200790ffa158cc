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
    "web": "show the laboratory in a browser",
    "simulate": "serve simulations of the controllers",
    "record": "record a session with real controllers, for `simulate` to replay",
    "bridge": "write the datasets of a running master into HDF5 files",
    "results": "show, compare, draw, verify and recover result files",
    "call": "call a method of a server",
    "shell": "call methods of a server, line by line",
    "targets": "list the targets of a server",
    "methods": "show a target's methods with their documentation",
    "audit": "show and verify what controllers have recorded",
    "certs": "make the TLS files of a laboratory",
    "port": "change a program's imports of sipyco to rexec",
}
"""Subcommands, each with its line in `rexec --help`."""


def shadowed() -> str | None:
    """Return an error if a file in the current folder hides one of our packages, as `python -m rexec` allows."""
    own = Path(__file__).resolve().parents[2]
    for name in ("schemas", "devicedb"):
        spec = importlib.util.find_spec(name)
        origin = spec.origin if spec is not None else None
        if origin is not None and Path(origin).resolve().parent != own / name:
            return f"{origin} hides a package of this program. Rename it, or run `rexec` instead of `python -m rexec`"
    return None


def _program() -> "Program":
    # Imported only after `main` has checked, with `shadowed`, that it is our package.
    from devicedb.cli.program import Program

    return Program(
        name="rexec",
        description="Remote execution for ARTIQ laboratories: controllers, experiments, datasets, results.",
        package="rexec.cli",
        subcommands=SUBCOMMANDS,
        closing="Exit status: 0 success, 1 the experiment or the remote method failed or something was found, 2 bad "
        "input or a peer that cannot be reached, 130 interrupted.",
        version=lambda: __version__,
    )


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the program."""
    return _program().argparser()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program with `argv` (default: the process's own arguments) and return its exit status."""
    wrong = shadowed()
    if wrong is not None:
        words = sys.argv[1:] if argv is None else argv
        print(f"{' '.join(['rexec', *words[:1]])}: error: {wrong}", file=sys.stderr)  # noqa: T201  # before our packages
        return 2
    return _program().main(argv)
