"""Finds the subcommand of `rexec`, runs it, and turns errors that a user can act on into one line.

A subcommand is a module `rexec.cli.NAME` with `get_argparser() -> ArgumentParser` (its `prog` is
"rexec NAME") and `main(argv: Sequence[str]) -> int` (the exit status). It raises errors derived from
`EXPECTED_ERRORS` for whatever bad input or a bad peer can cause; any other exception is a fault of ours
and keeps its traceback.
"""

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, cast

from rexec._version import __version__

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
"""Subcommand, the line that `rexec --help` says of it. The module is `rexec.cli.<subcommand>`."""


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the program itself: it knows the names of the subcommands, not their options."""
    # Not before `main` has made sure that it is ours: see `shadowed`.
    from devicedb.cli import completion
    from devicedb.cli.formatting import TextAndExamples

    width = max(map(len, SUBCOMMANDS))
    listing = "\n".join(f"  {name:{width}}  {line}" for name, line in SUBCOMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="rexec",
        description="Remote execution for ARTIQ laboratories: what is running.",
        epilog=f"commands:\n{listing}\n\n`rexec COMMAND --help` explains one command.",
        formatter_class=TextAndExamples,
    )
    parser.add_argument("--version", action="version", version=f"artiq-rexec {__version__}")
    completion.add_argument(parser, "rexec.cli", SUBCOMMANDS)
    parser.add_argument("command", metavar="COMMAND", choices=SUBCOMMANDS, help="one of the commands below")
    parser.add_argument("arguments", metavar="...", nargs=argparse.REMAINDER, help="what the command takes")
    return parser


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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program with `argv` (default: the process's own arguments) and return its exit status."""
    wrong = shadowed()
    if wrong is not None:
        words = sys.argv[1:] if argv is None else argv
        print(f"{' '.join(['rexec', *words[:1]])}: error: {wrong}", file=sys.stderr)
        return 2
    arguments = get_argparser().parse_args(argv)
    command: str = arguments.command
    from devicedb.cli.pipe import READER_GONE, reader_has_gone

    try:
        module = importlib.import_module(f"rexec.cli.{command}")
        run = cast(Callable[[Sequence[str]], int], module.main)
        status = run(arguments.arguments)
        sys.stdout.flush()
        return status
    except Exception as error:
        if isinstance(error, BrokenPipeError) and reader_has_gone():
            return READER_GONE
        # Only now: these classes are in packages that take long to import.
        from rexec.cli.errors import EXPECTED_ERRORS, render

        if not isinstance(error, EXPECTED_ERRORS):
            raise
        print(f"rexec {command}: error: {render(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"rexec {command}: interrupted", file=sys.stderr)
        return 130
