"""The arguments that name a server, and what a parser says about values."""

import argparse
from typing import Final

from rexec.cli._options import add_device_db, positive

WHERE_HELP: Final = """\
The server is HOST PORT, or the NAME of a device in a device database (device_db.py in the current folder, or
--device-db FILE), which gives target and TLS files, too."""

LITERALS_HELP: Final = """\
values are Python literals; nothing is evaluated:
  3, -2.5e6, 1+2j, nan, inf, True, None, "text", b"raw"
  [1, 2], (1, 2), {1, 2}, {"a": 1}
  array([[1, 2], [3, 4]]), array([1, 2], "uint16"), load("FILE.npy")"""


def add_peer_arguments(
    parser: argparse.ArgumentParser, where: str = "the server or a device", *, has_target: bool = True
) -> None:
    """Add the arguments that name the server.

    Args:
        parser: Gets the arguments.
        where: Help for the positional words.
        has_target: Whether the command uses one target of the server.

    """
    parser.add_argument("where", nargs="+", metavar="HOST PORT | NAME", help=where)
    if has_target:
        parser.add_argument(
            "-t",
            "--target",
            metavar="TARGET",
            help="target of the server (default: the device's, or the only one; `rexec targets` lists them)",
        )
    else:
        parser.set_defaults(target=None)
    add_device_db(parser)
    parser.add_argument(
        "--ssl",
        nargs=3,
        metavar=("CERT", "KEY", "PEER"),
        help="speak TLS to the server: our certificate, its private key, and the server's certificate",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=positive,
        default=30.0,
        help="time limit for the connection and for each answer (default: %(default)g)",
    )
