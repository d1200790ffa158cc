"""A program of subcommands: runs one, and prints errors that a user can act on as one line.

A subcommand is a module with `get_argparser() -> ArgumentParser` (its `prog` is "PROGRAM NAME") and
`main(argv: Sequence[str]) -> int` (the exit status). Bad input and bad peers raise an `ExpectedError`;
any other exception is a bug of ours and keeps its traceback.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from devicedb.cli import completion
from devicedb.cli.parser import CommandParser, with_hint
from devicedb.cli.streams import READER_GONE, is_about_a_file, is_full, lost_output, prepare_standard_streams
from devicedb.cli.terminal import say, say_error, show_failures
from devicedb.errors import ExpectedError

INTERRUPTED: Final = 130


@dataclass(frozen=True)
class Program:
    """A program of subcommands.

    Args:
        name: Name of the program.
        description: One sentence on its purpose.
        package: The package of the subcommands, a module for each.
        subcommands: Name -> line in the help.
        closing: Last paragraph of the help.
        version: Returns the version.

    """

    name: str
    description: str
    package: str
    subcommands: Mapping[str, str]
    closing: str
    version: Callable[[], str]

    def argparser(self) -> argparse.ArgumentParser:
        """Return the parser of the program, which knows the subcommands but not their options."""
        width = max(map(len, self.subcommands))
        listing = "\n".join(f"  {name:{width}}  {line}" for name, line in self.subcommands.items())
        parser = CommandParser(
            prog=self.name,
            description=self.description,
            epilog=f"commands:\n{listing}\n\n`{self.name} COMMAND --help` explains one command, with examples.\n\n"
            f"{self.closing}",
        )
        parser.add_argument("--version", action="store_true", help="print the version and end")
        completion.add_argument(parser, self.package, self.subcommands)
        parser.add_argument("command", metavar="COMMAND", nargs="?", help="one of the commands below")
        parser.add_argument(
            "arguments", metavar="...", nargs=argparse.REMAINDER, help="arguments of the command"
        )
        return parser

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Run the program with `argv` (default: the process's own arguments) and return its exit status."""
        prepare_standard_streams()
        show_failures()
        words = list(sys.argv[1:] if argv is None else argv)
        said = " ".join([self.name, *(word for word in words[:1] if word in self.subcommands)])
        try:
            status = self._run(words)
            sys.stdout.flush()
            return status
        except KeyboardInterrupt:
            say_error(f"{said}: interrupted")
            return INTERRUPTED
        except Exception as error:
            lost = lost_output() if isinstance(error, OSError) else None
            if isinstance(lost, BrokenPipeError):
                return READER_GONE
            if lost is not None or is_full(error):
                named = getattr(error, "filename", None) if lost is None else None
                what = os.fsdecode(named) if isinstance(named, str | bytes) else "standard output or a file"
                message = f"{what} cannot be written: {getattr(lost or error, 'strerror', '')}"
            elif isinstance(error, OSError) and is_about_a_file(error):
                message = f"{os.fsdecode(error.filename)}: {error.strerror}"
            elif isinstance(error, ExpectedError):
                message = str(error)
            else:
                raise
            say_error(f"{said}: error: {message}")
            return 2

    def _run(self, words: Sequence[str]) -> int:
        try:
            return self._dispatch(words)
        except SystemExit as end:
            # From argparse after help or an error, or from rich if the reader of a pipe is gone.
            if isinstance(end.__context__, BrokenPipeError):
                return READER_GONE
            if end.code is None or isinstance(end.code, int):
                return end.code or 0
            raise

    def _dispatch(self, words: Sequence[str]) -> int:
        parser = self.argparser()
        options = parser.parse_args(words)
        if options.version:
            say(f"artiq-rexec {self.version()}")
            return 0
        known = ", ".join(self.subcommands)
        if options.command is None:
            parser.error(f"a command is missing; one of {known}")
        if options.command not in self.subcommands:
            message = f"there is no command {options.command!r}; one of {known}"
            parser.error(with_hint(message, options.command, self.subcommands))
        try:
            os.getcwd()
        except OSError as error:
            raise ExpectedError(f"the current folder is gone ({error.strerror}): change to another") from None
        module = importlib.import_module(f"{self.package}.{options.command}")
        run = cast(Callable[[Sequence[str]], int], module.main)
        return run(options.arguments)
