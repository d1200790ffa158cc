"""`devicedb explain`: what a rule finds, why, with a bad and a good example."""

import argparse
from collections.abc import Sequence

from devicedb.cli.parser import CommandParser
from devicedb.cli.terminal import say_document, say_lines
from devicedb.errors import DeviceDBError
from devicedb.rules import RULES
from devicedb.rules.reference import as_markdown, as_text
from devicedb.suggest import did_you_mean


class UnknownRuleError(DeviceDBError):
    """No rule has that code."""


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `devicedb explain`."""
    parser = CommandParser(
        prog="devicedb explain",
        description="Explain rules of `devicedb check`: what each finds, why it matters, a bad and a good example.",
        epilog="examples:\n  devicedb explain DDB305\n  devicedb explain DDB4\n  devicedb explain\n\n"
        "Exit status: 0 explained, 2 there is no such rule.",
    )
    parser.add_argument(
        "codes",
        metavar="CODE",
        nargs="*",
        help="code of a rule, or the beginning of some (default: one line for each rule)",
    )
    parser.add_argument("--all", action="store_true", help="explain every rule")
    parser.add_argument(
        "--markdown", action="store_true", help="print every rule as a page of the documentation"
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Print the rules asked for; a list of all where none is."""
    arguments = get_argparser().parse_args(argv)
    rules = [RULES[code] for code in sorted(RULES)]
    if arguments.markdown:
        say_document(as_markdown(rules), end="")
        return 0
    codes = [code.upper() for code in arguments.codes]
    for code in codes:
        if not any(each.startswith(code) for each in RULES):
            raise UnknownRuleError(
                f"there is no rule {code}.{did_you_mean(code, RULES)} `devicedb explain` lists all"
            )
    wanted = [rule for rule in rules if arguments.all or (codes and rule.code.startswith(tuple(codes)))]
    if wanted:
        say_lines("\n".join(as_text(rule) for rule in wanted), end="")
    else:
        say_lines("".join(f"{rule.code}  {rule.severity:8} {rule.summary}\n" for rule in rules), end="")
    return 0
