"""`rexec methods`: lists the methods of a target, with signatures and documentation."""

import argparse
from collections.abc import Sequence

from devicedb.cli.parser import CommandParser
from devicedb.cli.terminal import say_lines
from rexec.cli._peer_options import WHERE_HELP, add_peer_arguments
from rexec.wire.signatures import listing


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = CommandParser(
        prog="rexec methods",
        usage="rexec methods [options] (HOST PORT | NAME)",
        description="Show the methods of a target of an RPC server, with their signatures and documentation.\n\n"
        f"{WHERE_HELP}",
        epilog="examples:\n  rexec methods camera\n  rexec methods ::1 3251 -t dataset_db\n\n"
        "Exit status: 0 success, 2 bad input or no connection, 130 interrupted.",
    )
    add_peer_arguments(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Print the signatures and documentation of a target's methods."""
    parser = get_argparser()
    arguments = parser.parse_intermixed_args(argv)
    from rexec.cli.peer import method_list, sole_peer

    peer = sole_peer(arguments, parser, "; name a target with -t")
    client = peer.connect(arguments.timeout)
    try:
        answer = method_list(client)
    finally:
        client.close_rpc()
    say_lines(listing(answer["methods"], answer["docstring"]))
    return 0
