"""A program of subcommands: finds the one that is asked for, and turns errors that a user can act on into one line.

A subcommand is a module with `get_argparser() -> ArgumentParser` (its `prog` is "PROGRAM NAME") and
`main(argv: Sequence[str]) -> int` (the exit status). It raises an expected error for whatever bad input or a bad
peer can cause; any other exception is a fault of ours and keeps its traceback.
"""

import argparse
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from devicedb.cli import completion
from devicedb.cli.parser import CommandParser, with_hint
from devicedb.cli.streams import READER_GONE, is_full, lost_output, prepare_standard_streams

INTERRUPTED: Final = 130


@dataclass(frozen=True)
class Program:
    """A program of subcommands.

    Args:
        name: What is typed.
        description: One sentence of what it is for.
        package: Where the subcommands are, a module of that name each.
        subcommands: What its help says of each, by name.
        closing: Last paragraph of its help.
        version: Returns the version.
        expected: Returns the classes of errors whose text is the whole message. Asked for after an error only: they
            may be in packages that take long to import.

    """

    name: str
    description: str
    package: str
    subcommands: Mapping[str, str]
    closing: str
    version: Callable[[], str]
    expected: Callable[[], tuple[type[Exception], ...]]

    def argparser(self) -> argparse.ArgumentParser:
        """Return the parser of the program itself: it knows the names of the subcommands, not their options."""
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
            "arguments", metavar="...", nargs=argparse.REMAINDER, help="what the command takes"
        )
        return parser

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Run the program with `argv` (default: the process's own arguments) and return its exit status."""
        prepare_standard_streams()
        words = list(sys.argv[1:] if argv is None else argv)
        said = " ".join([self.name, *(word for word in words[:1] if word in self.subcommands)])
        try:
            status = self._run(words)
            sys.stdout.flush()
            return status
        except KeyboardInterrupt:
            print(f"{said}: interrupted", file=sys.stderr)
            return INTERRUPTED
        except Exception as error:
            lost = lost_output() if isinstance(error, OSError) else None
            if isinstance(lost, BrokenPipeError):
                return READER_GONE
            if lost is not None or is_full(error):
                message = (
                    f"standard output or a file cannot be written: {getattr(lost or error, 'strerror', '')}"
                )
            elif isinstance(error, self.expected()):
                message = str(error)
            else:
                raise
            print(f"{said}: error: {message}", file=sys.stderr)
            return 2

    def _run(self, words: Sequence[str]) -> int:
        try:
            return self._dispatch(words)
        except SystemExit as end:
            # Of argparse, after help or an error; or of rich, where nobody reads what it prints.
            if isinstance(end.__context__, BrokenPipeError):
                return READER_GONE
            if end.code is None or isinstance(end.code, int):
                return end.code or 0
            raise

    def _dispatch(self, words: Sequence[str]) -> int:
        parser = self.argparser()
        options = parser.parse_args(words)
        if options.version:
            print(f"artiq-rexec {self.version()}")
            return 0
        known = ", ".join(self.subcommands)
        if options.command is None:
            parser.error(f"a command is missing; one of {known}")
        if options.command not in self.subcommands:
            message = f"there is no command {options.command!r}; one of {known}"
            parser.error(with_hint(message, options.command, self.subcommands))
        module = importlib.import_module(f"{self.package}.{options.command}")
        run = cast(Callable[[Sequence[str]], int], module.main)
        return run(options.arguments)
