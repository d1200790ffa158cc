"""Options that several commands share, so that each has the same text and the same checks everywhere.

Parsers import nothing that a command needs only for its work: see `_tls` and `_chosen`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

MOST: Final = 1e9
"""Upper limit of a number of seconds or MiB: a larger one is a typing error, and overflows the system's timers."""

MASTER_PORTS: Final = {
    "control": ("--master-port", "control", 3251),
    "notify": ("--master-port-notify", "notification", 3250),
    "logging": ("--master-port-logging", "logging", 1066),
}
"""Option, what the port is for, and its default, by name."""


def port(text: str) -> int:
    """Return the TCP port of a server to connect to. A `type` for argparse, as are the next ones."""
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a TCP port (1 to 65535)")
    return int(text)


def positive(text: str) -> float:
    """Return a number of seconds or MiB above 0."""
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
    """Add --device-db to a parser or group.

    Args:
        group: The parser or group.
        default: The default file; None if `otherwise` describes the default.
        otherwise: Description of the default, for the help.

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
    """Add --master, the options for its ports, and the option for its TLS files.

    Args:
        group: The parser or group.
        use: What the command does with the master, for the help.
        ports: Keys of `MASTER_PORTS`.
        ssl: Name of the TLS option: --master-ssl if the command also serves and has its own --ssl.
        is_required: Whether --master is required.

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
    """Add --master-port (control) or --master-port-NAME."""
    option, what, default = MASTER_PORTS[name]
    group.add_argument(
        option,
        metavar="PORT",
        type=port,
        default=default,
        help=f"{what} port of the master (default: %(default)d)",
    )
