"""Shell completion of both programs: scripts generated from their parsers, so that completion starts no Python.

A program has `--print-completion SHELL`, which prints the script for bash, zsh or tcsh and ends.
"""

import argparse
import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from devicedb.cli.terminal import say_document

SHELLS: Final = ("bash", "zsh", "tcsh")
FOLDERS: Final = {"DIR", "FOLDER"}
FILES: Final = {"FILE", "PATH", ("CERT", "KEY", "PEER"), "RUN", "OLD", "NEW", "RUN|DATASET", "RUN|QUERY"}
"""Metavars of options that take a file or folder."""
_RULE: Final = re.compile(r"\s+'(?P<where>[cn]/[^/]+/)(?P<what>[^/]*)/' \\$")
"""A rule of tcsh's `complete`: a pattern, and the completions."""


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
            say_document(script(shell, parser.prog, package, subcommands))
            parser.exit()

    parser.add_argument(
        "--print-completion",
        action=Print,
        metavar="SHELL",
        choices=SHELLS,
        help="print the completion script of this program for bash, zsh or tcsh",
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
    parser.add_argument(
        "--print-completion", choices=list(SHELLS), help="print what makes a shell complete this"
    )
    commands = parser.add_subparsers(dest="command")
    for name, text in subcommands.items():
        own: argparse.ArgumentParser = importlib.import_module(f"{package}.{name}").get_argparser()
        _prepare(own)
        commands.add_parser(name, help=text, parents=[own], add_help=False, conflict_handler="resolve")
    text = str(shtab.complete(parser, shell=shell))
    return for_all_commands(text) if shell == "tcsh" else text


def for_all_commands(script: str) -> str:
    """Return a script for tcsh with one set of rules for all subcommands.

    tcsh does not know subcommands: of two rules for one option, the first holds for all. So they are made one, which
    offers the choices of both, or files where one of them takes files. Words that no rule is about may be files.
    """
    rules: dict[str, str] = {}
    lines: list[str] = []
    for line in script.splitlines():
        rule = _RULE.match(line)
        if rule is None:
            lines.append(line.replace("'p/*/()/'", "'p/*/f/'"))
            continue
        where, what = rule["where"], rule["what"]
        if where not in rules:
            lines.append(where)
            rules[where] = what
        elif what != rules[where]:
            both = [word for each in (rules[where], what) for word in each.strip("()").split()]
            rules[where] = f"({' '.join(dict.fromkeys(both))})" if {"f", "d"}.isdisjoint(both) else "f"
    return "\n".join(f"        '{line}{rules[line]}/' \\" if line in rules else line for line in lines)


def _prepare(parser: argparse.ArgumentParser) -> None:
    """Mark a parser's file options, and write choices in shtab's form."""
    import shtab

    for action in parser._actions:  # noqa: SLF001  argparse has no other list of what a parser takes
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for each in action.choices.values():
                _prepare(each)
        elif action.choices is not None:
            action.choices = list(action.choices)
        elif action.metavar in FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.type is Path or action.metavar in FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
