"""`rexec call`: one call, from the command line."""

import argparse
import re
from collections.abc import Sequence
from pprint import pformat
from typing import Final

from devicedb.cli.parser import CommandParser
from devicedb.cli.terminal import say_error, say_lines
from rexec.cli._peer_options import LITERALS_HELP, WHERE_HELP, add_peer_arguments

_NEGATIVE: Final = re.compile(r"-(\.?\d|inf$|nan$)")
"""Beginning of a negative value that argparse takes for an option: -1e6, -2j, -inf."""


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = CommandParser(
        prog="rexec call",
        usage="rexec call [options] (HOST PORT | NAME) METHOD\n"
        "                  [VALUE ...] [KEYWORD=VALUE ...]",
        description="Call a method of an RPC server and print what it returns. `rexec methods` lists the methods.\n\n"
        f"{WHERE_HELP}",
        epilog=f"{LITERALS_HELP}\n\nText needs its own quotes inside those of the shell; @FILE.npy is short for "
        'load("FILE.npy").\n\nexamples:\n  rexec call camera ping\n'
        "  rexec call ::1 3290 set_exposure 0.01 -t camera\n"
        "  rexec call camera set_exposure seconds=2e-3 --timeout 5\n"
        "  rexec call ::1 3251 -t dataset_db get \"'brightest'\"\n"
        "  rexec call ::1 3251 -t dataset_db set \"'dark'\" @dark.npy True\n\n"
        "Exit status: 0 the method returned (None prints nothing), 1 it raised an error or refused these values, 2 "
        "bad\ninput or no connection, 130 interrupted (the method may still run on the server).",
    )
    add_peer_arguments(parser, "the server or a device; then the method and its values")
    return parser


def main(argv: Sequence[str]) -> int:
    """Call the method and print its result."""
    parser = get_argparser()
    # argparse takes a word with a leading space for a value, not an option.
    arguments = parser.parse_intermixed_args([f" {word}" if _NEGATIVE.match(word) else word for word in argv])
    from rexec.cli.literals import LiteralError, split_values
    from rexec.cli.peer import call_remote, is_answer, split_peer

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
        say_error(f"rexec call: {where}{type(error).__name__}: {error}")
        return 1
    finally:
        client.close_rpc()
    if result is not None:
        say_lines(pformat(result, width=100))
    return 0
