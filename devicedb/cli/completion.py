"""Shell completion of both programs: a script made of their parsers, so that completing starts no Python.

A program has `--print-completion SHELL`, which prints the script for bash, zsh or tcsh and ends.
"""

import argparse
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

SHELLS: Final = ("bash", "zsh", "tcsh")


def add_argument(parser: argparse.ArgumentParser, package: str, subcommands: Mapping[str, str]) -> None:
    """Add `--print-completion` to the parser of a program.

    Args:
        parser: Of the program; its `prog` is the name that is completed.
        package: Where the subcommands are: modules with a `get_argparser()`.
        subcommands: Name and description of each.

    """

    class Print(argparse.Action):
        """Prints the script and ends the program, as `--version` does."""

        def __call__(self, parser: argparse.ArgumentParser, _: Any, shell: Any, option: Any = None) -> None:
            print(script(shell, parser.prog, package, subcommands), flush=True)
            parser.exit()

    parser.add_argument(
        "--print-completion",
        action=Print,
        metavar="SHELL",
        choices=SHELLS,
        help="print what makes bash, zsh or tcsh complete this program, and end",
    )


def script(shell: str, program: str, package: str, subcommands: Mapping[str, str]) -> str:
    """Return the completion script of a program.

    Args:
        shell: One of `SHELLS`.
        program: Name of the program.
        package: Where its subcommands are: modules with a `get_argparser()`.
        subcommands: Name and description of each.

    """
    import shtab

    parser = argparse.ArgumentParser(prog=program)
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command")
    for name, text in subcommands.items():
        own: argparse.ArgumentParser = importlib.import_module(f"{package}.{name}").get_argparser()
        _prepare(own)
        commands.add_parser(name, help=text, parents=[own], add_help=False, conflict_handler="resolve")
    return str(shtab.complete(parser, shell=shell))


def _prepare(parser: argparse.ArgumentParser) -> None:
    """Say where a parser takes names of files, and write choices as shtab reads them."""
    import shtab

    for action in parser._actions:  # noqa: SLF001  argparse has no other list of what a parser takes
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for each in action.choices.values():
                _prepare(each)
        elif action.choices is not None:
            action.choices = list(action.choices)
        elif action.type is Path:
            is_folder = action.metavar in {"DIR", "FOLDER"} or action.dest == "folder"
            action.complete = shtab.DIRECTORY if is_folder else shtab.FILE  # type: ignore[attr-defined]
