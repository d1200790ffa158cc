"""`rexec call`: one call, from the command line."""

import argparse
import re
import sys
from collections.abc import Sequence
from pprint import pformat
from typing import Any, Final

from devicedb.cli.parser import CommandParser
from rexec.cli.literals import LITERALS_HELP, LiteralError, parse
from rexec.cli.peer import WHERE_HELP, add_peer_arguments, call_remote, is_answer, split_peer

_NEGATIVE: Final = re.compile(r"-(\.?\d|inf$|nan$)")
"""How a value begins that argparse would take for an option: -1e6, -2j, -inf."""


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = CommandParser(
        prog="rexec call",
        usage="rexec call [options] (HOST PORT | NAME) METHOD\n"
        "                  [VALUE ...] [KEYWORD=VALUE ...]",
        description="Call a method of an RPC server and print what it returns. `rexec methods` lists the methods.\n\n"
        f"{WHERE_HELP}",
        epilog=f"{LITERALS_HELP}\n\nA text has quotes of its own inside those of the shell; @FILE.npy is short for "
        'load("FILE.npy").\n\nexamples:\n  rexec call camera ping\n'
        "  rexec call ::1 3290 set_exposure 0.01 -t camera\n"
        "  rexec call camera set_exposure seconds=2e-3 --timeout 5\n"
        "  rexec call ::1 3251 -t dataset_db get \"'brightest'\"\n"
        "  rexec call ::1 3251 -t dataset_db set \"'dark'\" @dark.npy True\n\n"
        "Exit status: 0 it returned (None prints nothing), 1 the method raised an error or could not be called with\n"
        "these values, 2 bad input or no connection, 130 interrupted (the method may still run on the server).",
    )
    add_peer_arguments(parser, "the server, or a device; then the method and its values")
    return parser


def split_values(words: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Return the positional and keyword arguments that the words of a command line stand for."""
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name.isidentifier():
            if name in keywords:
                raise LiteralError(f"{name} is given twice")
            keywords[name] = parse(value)
        else:
            positional.append(parse(word))
    return positional, keywords


def main(argv: Sequence[str]) -> int:
    """Make the call, print or write its result."""
    parser = get_argparser()
    # A word with a space in front is no option.
    arguments = parser.parse_intermixed_args([f" {word}" if _NEGATIVE.match(word) else word for word in argv])
    peer, rest = split_peer(arguments, parser)
    if not rest:
        parser.error(f"which method of {peer.label}? `rexec methods` lists them")
    try:
        positional, keywords = split_values(rest[1:])
    except LiteralError as error:
        parser.error(str(error))
    client = peer.connect(arguments.timeout)
    try:
        result = call_remote(client, rest[0], positional, keywords)
    except Exception as error:
        if not is_answer(error):
            raise
        where = "" if peer.address in str(error) else f"{peer.label}: "
        print(f"rexec call: {where}{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    finally:
        client.close_rpc()
    if result is not None:
        print(pformat(result, width=100))
    return 0
