"""`rexec certs`: the TLS files of a laboratory, and what goes where."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from devicedb.cli.parser import CommandParser
from rexec.cli.errors import CommandError

if TYPE_CHECKING:  # cryptography is an extra
    from rexec.wire.certs import CertificateSet


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = CommandParser(
        prog="rexec certs",
        description="Make a working set of TLS files: one pair for the controllers, one for each client. Each side "
        "trusts exactly the certificates it is given; there is no authority. Needs the extra: "
        "pip install 'artiq-rexec[tls]'",
        epilog="examples:\n  rexec certs certificates\n  rexec certs certificates --client desk --client master\n\n"
        "It prints which file goes to which machine. No file is replaced: to make a set anew, give another folder.\n\n"
        "Exit status: 0 the files are made, 2 none is.",
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="where the files go; made if missing")
    parser.add_argument(
        "--client",
        action="append",
        metavar="NAME",
        help="name of a machine or person that connects; may be repeated (default: client)",
    )
    parser.add_argument(
        "--server", default="server", metavar="NAME", help="name of the controllers' pair (default: server)"
    )
    return parser


def instructions(made: "CertificateSet", folder: Path) -> str:
    """Return what a person has to do with the files."""
    server = f"{made.server.cert.name} {made.server.key.name} {made.trusted_clients.name}"
    clients = "\n".join(
        f"  {name}: {pair.cert.name} as client.pem, {pair.key.name} as client.key, {made.server.cert.name}"
        for name, pair in made.clients.items()
    )
    return f"""\
made in {folder}:

on each controller's machine: {server}
  and start the controller with   --ssl {server}
on each client's machine, in the folder that ARTIQ_SSL_DIR names (the same names everywhere, for one device_db.py):
{clients}
in device_db.py, in the entry of each such controller:
  "simple_ssl_config": {{
      "client_cert": "{{ARTIQ_SSL_DIR}}/client.pem",
      "client_key": "{{ARTIQ_SSL_DIR}}/client.key",
      "server_cert": "{{ARTIQ_SSL_DIR}}/{made.server.cert.name}",
  }}
A key (.key) is for the machine that uses it and for nobody else."""


def main(argv: Sequence[str]) -> int:
    """Make the files and print where they go."""
    arguments = get_argparser().parse_args(argv)
    try:
        from rexec.wire.certs import make_set
    except ImportError:
        raise CommandError(
            "making certificates needs the package cryptography: pip install 'artiq-rexec[tls]'"
        ) from None
    try:
        made = make_set(arguments.folder, arguments.client or ["client"], arguments.server)
    except OSError as error:
        raise CommandError(f"cannot write into {arguments.folder}: {error.strerror or error}") from None
    except ValueError as error:
        raise CommandError(str(error)) from None
    print(instructions(made, arguments.folder))
    return 0
