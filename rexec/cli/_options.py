"""Options that several commands share: the same option has the same words everywhere, and refuses the same mistakes."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from devicedb import DeviceDatabase, load_file
from rexec.cli.errors import CommandError
from rexec.devices import fetch_database
from rexec.wire.tls import SimpleSSLConfig

MOST: Final = 1e9
"""Of a number of seconds or MiB: what is above it is a slip, and too much for the system's own timers."""

MASTER_PORTS: Final = {
    "control": ("--master-port", "control", 3251),
    "notify": ("--master-port-notify", "notification", 3250),
    "logging": ("--master-port-logging", "logging", 1066),
}
"""Option, what the port is for, and its default, by name."""


def port(text: str) -> int:
    """Return the TCP port of a server to connect to; for use as a `type` of argparse, as are the next ones."""
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is no TCP port (1 to 65535)")
    return int(text)


def positive(text: str) -> float:
    """Return a number above 0, of seconds or MiB."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < MOST:
        raise argparse.ArgumentTypeError(f"{text.strip()!r} is no number above 0")
    return number


def mebibytes(text: str) -> int:
    """Return the bytes of a number of MiB."""
    return int(positive(text) * (1 << 20))


def add_device_db(group: Any, default: Path | None = Path("device_db.py"), otherwise: str = "") -> None:
    """Add --device-db to a parser or a group of one.

    Args:
        group: Where to add it.
        default: The file; None: `otherwise` says what is used.
        otherwise: What is used, for the help.

    """
    said = otherwise or f"{default} in the current folder"
    group.add_argument(
        "--device-db",
        metavar="FILE",
        type=Path,
        default=default,
        help=f"device database (default: {said})",
    )


def add_master(
    group: Any,
    use: str,
    *,
    ports: Sequence[str] = ("control",),
    ssl: str = "--ssl",
    is_required: bool = False,
) -> None:
    """Add --master, the ports of the master that the command uses, and what names the TLS files for it.

    Args:
        group: Where to add them.
        use: What the command does with the master, for the help.
        ports: Names of the ports, of `MASTER_PORTS`.
        ssl: Name of the option for TLS; --master-ssl where the command has an --ssl of its own as a server.
        is_required: Whether the command works with a master only.

    """
    group.add_argument("--master", metavar="HOST", required=is_required, help=use)
    for name in ports:
        add_master_port(group, name)
    group.add_argument(
        ssl,
        dest="master_ssl",
        nargs=3,
        metavar=("CERT", "KEY", "PEER"),
        help="speak TLS to the master: our certificate, its private key, and the master's certificate",
    )


def add_master_port(group: Any, name: str) -> None:
    """Add --master-port, or --master-port-NAME for another one than that of control."""
    option, what, default = MASTER_PORTS[name]
    group.add_argument(
        option,
        metavar="PORT",
        type=port,
        default=default,
        help=f"{what} port of the master (default: %(default)d)",
    )


def tls_files(files: Sequence[str] | None) -> SimpleSSLConfig | None:
    """Return what three file names of an option stand for; CommandError where one is no file."""
    if files is None:
        return None
    for name in files:
        if not Path(name).is_file():
            raise CommandError(f"there is no TLS file {name}; `rexec certs` makes a set")
    return SimpleSSLConfig(*files)


def master_tls(files: Sequence[str] | None, host: str | None) -> SimpleSSLConfig | None:
    """Return the TLS files for the master at a host; CommandError where there are files but no host."""
    if files is not None and host is None:
        raise CommandError(
            "TLS files for a connection to a master are given, but no master: add --master HOST"
        )
    return tls_files(files)


def chosen_database(options: argparse.Namespace) -> DeviceDatabase:
    """Return the database that the options name; DeviceDBError or DeviceError where it cannot be had."""
    tls = master_tls(options.master_ssl, options.master)
    if options.master is not None:
        return fetch_database(options.master, options.master_port, ssl_config=tls)
    return load_file(options.device_db)
