"""`rexec targets`: lists the targets of a server."""

import argparse
from collections.abc import Sequence

from devicedb.cli.parser import CommandParser
from devicedb.cli.terminal import say
from rexec.cli._peer_options import WHERE_HELP, add_peer_arguments


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = CommandParser(
        prog="rexec targets",
        usage="rexec targets [options] (HOST PORT | NAME)",
        description=f"List the targets of an RPC server and its description.\n\n{WHERE_HELP}",
        epilog="examples:\n  rexec targets ::1 3251\n  rexec targets camera\n\n"
        "Exit status: 0 success, 2 bad input or no connection, 130 interrupted.",
    )
    add_peer_arguments(parser, has_target=False)
    return parser


def main(argv: Sequence[str]) -> int:
    """Print the targets, one per line."""
    parser = get_argparser()
    arguments = parser.parse_intermixed_args(argv)
    from rexec.cli.peer import sole_peer

    peer = sole_peer(arguments, parser)
    client = peer.connect_without_target(arguments.timeout)
    try:
        targets, description = client.get_rpc_id()
    finally:
        client.close_rpc()
    say(f"{peer.label}: {description or '(no description)'}")
    for target in sorted(targets):
        say(f"  {target}")
    return 0
