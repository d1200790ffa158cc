"""`rexec certs`: makes the TLS files of a laboratory, and says where they go."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from devicedb.cli.parser import CommandParser
from devicedb.cli.terminal import say, say_lines
from devicedb.command import as_typed
from devicedb.printable import printable
from rexec.cli.errors import CommandError
from rexec.results.errors import hint, reason

if TYPE_CHECKING:  # cryptography is an extra
    from rexec.wire.certs import CertificateSet


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = CommandParser(
        prog="rexec certs",
        description="Make a set of TLS files: a key pair for the controllers, and one for each client. Each side "
        "trusts exactly the certificates it is given; there is no authority. Add, list and revoke the clients of a "
        "set. Needs: pip install 'artiq-rexec[tls]'",
        epilog="examples:\n  rexec certs certificates\n  rexec certs certificates --client desk --client alice\n"
        "  rexec certs certificates --add bob\n  rexec certs certificates --list\n"
        "  rexec certs certificates --revoke bob\n\n"
        "It prints which file goes to which machine. It never replaces a key: for a new set, give another folder. "
        "Servers of this project read clients.pem again when it changes.\n\n"
        "Exit status: 0 done, 2 nothing was changed.",
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="folder of the files, created if missing")
    parser.add_argument(
        "--client",
        action="append",
        metavar="NAME",
        help="name of a client (machine or person); may be repeated (default: client)",
    )
    parser.add_argument(
        "--server", default="server", metavar="NAME", help="name of the controllers' pair (default: server)"
    )
    changes = parser.add_mutually_exclusive_group()
    changes.add_argument("--add", metavar="NAME", help="make one more client, and have servers trust it")
    changes.add_argument("--list", action="store_true", help="list the clients that servers trust")
    changes.add_argument("--revoke", metavar="NAME", help="have servers no longer trust a client")
    return parser


def instructions(made: "CertificateSet", folder: Path) -> str:
    """Return instructions: which file goes where."""
    server = printable(f"{made.server.cert.name} {made.server.key.name} {made.trusted_clients.name}")
    clients = "\n".join(
        printable(
            f"  {name}: {pair.cert.name} as client.pem, {pair.key.name} as client.key, {made.server.cert.name}"
        )
        for name, pair in made.clients.items()
    )
    return f"""\
made in {printable(str(folder))}:

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
A key (.key) must not leave the machine that uses it."""


def main(argv: Sequence[str]) -> int:
    """Make the files and print where they go."""
    arguments = get_argparser().parse_args(argv)
    try:
        from rexec.wire.certs import make_set
    except ImportError:
        raise CommandError(
            "making certificates needs the package cryptography: pip install 'artiq-rexec[tls]'"
        ) from None
    if arguments.add is not None or arguments.list or arguments.revoke is not None:
        return _change(arguments)
    try:
        made = make_set(arguments.folder, arguments.client or ["client"], arguments.server)
    except OSError as error:
        raise CommandError(
            f"cannot write into {arguments.folder}: {error.strerror or error}{hint(error)}"
        ) from None
    except ValueError as error:
        raise CommandError(str(error)) from None
    say_lines(instructions(made, arguments.folder))
    return 0


def _change(arguments: argparse.Namespace) -> int:
    """Add, list or revoke clients of a set that is there."""
    from rexec.wire.certs import add_client, revoke_client, trusted_clients

    folder: Path = arguments.folder
    trusted = printable(str(folder / "clients.pem"))
    try:
        if arguments.add is not None:
            pair = add_client(folder, arguments.add)
            say(f"made {printable(f'{pair.cert} and {pair.key}')}, which go to the machine of that client")
            say(
                f"{trusted} trusts it: copy that file to each controller's machine; its servers read it again"
            )
        elif arguments.revoke is not None:
            for path in revoke_client(folder, arguments.revoke):
                say(f"kept as {printable(str(path))}")
            say(
                f"{trusted} no longer trusts it: copy that file to each controller's machine; its servers read it again"
            )
        else:
            for each in trusted_clients(folder):
                say(f"{printable(each.name)}  until {each.until:%Y-%m-%d}  sha256:{each.digest[:16]}")
    except FileNotFoundError:
        raise CommandError(
            f"{folder} has no clients.pem: make a set first, with `{as_typed(['rexec', 'certs', str(folder)])}`"
        ) from None
    except OSError as error:
        text = (
            str(error)
            if isinstance(error, FileExistsError) and not error.filename
            else f"{printable(str(error.filename or folder))}: {reason(error)}{hint(error)}"
        )
        raise CommandError(text) from None
    except (LookupError, ValueError) as error:
        raise CommandError(str(error.args[0] if error.args else error)) from None
    return 0
