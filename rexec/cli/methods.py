"""`rexec methods`: the methods of a target, with signatures and documentation."""

import argparse
from collections.abc import Sequence

from devicedb.cli.parser import CommandParser
from rexec.cli.peer import WHERE_HELP, add_peer_arguments, sole_peer
from rexec.cli.signatures import listing


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = CommandParser(
        prog="rexec methods",
        usage="rexec methods [options] (HOST PORT | NAME)",
        description="Show the methods of a target of an RPC server, with their signatures and documentation.\n\n"
        f"{WHERE_HELP}",
        epilog="examples:\n  rexec methods camera\n  rexec methods ::1 3251 -t dataset_db\n\n"
        "Exit status: 0 they are shown, 2 bad input or no connection, 130 interrupted.",
    )
    add_peer_arguments(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Print the signatures and documentation of a target's methods."""
    parser = get_argparser()
    arguments = parser.parse_intermixed_args(argv)
    peer = sole_peer(arguments, parser, "; a target is named with -t")
    client = peer.connect(arguments.timeout)
    try:
        answer = client.get_rpc_method_list()
    finally:
        client.close_rpc()
    print(listing(answer["methods"], answer["docstring"]))
    return 0
