"""Whom to talk to: `HOST PORT` or the name of a device, for the commands that talk to any RPC server."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import devicedb
from rexec.wire.pc_rpc import AutoTarget, Client
from rexec.wire.tls import SimpleSSLConfig

WHERE_HELP: Final = """\
Where to connect is either HOST PORT or the NAME of a device in a device database (device_db.py here, or
--device-db FILE), aliases, TLS files and target included."""


@dataclass(frozen=True)
class Peer:
    """A server to connect to."""

    host: str
    port: int
    target: str | None
    """None: not named; the server's only one will do."""
    tls: SimpleSSLConfig | None
    device: str | None
    """Name in the device database, if it came from there."""

    @property
    def label(self) -> str:
        """How messages name the peer."""
        address = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return f"{self.device} ({address})" if self.device else address

    def connect(self, timeout: float) -> Client:
        """Return a client that is connected to the target."""
        return Client(self.host, self.port, self.target or AutoTarget, timeout=timeout, ssl_config=self.tls)

    def connect_without_target(self, timeout: float) -> Client:
        """Return a client that has selected no target yet."""
        return Client(self.host, self.port, None, timeout=timeout, ssl_config=self.tls)


def add_peer_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say whom to talk to."""
    parser.add_argument("where", nargs="+", metavar="HOST PORT | NAME", help="the server, or a device")
    parser.add_argument("-t", "--target", help="target of the server (default: the only one)")
    parser.add_argument("--device-db", type=Path, metavar="FILE", help="default: device_db.py in this folder")
    parser.add_argument(
        "--ssl", nargs=3, metavar=("CERT", "KEY", "PEER"), help="TLS: ours, its key, the server's"
    )
    parser.add_argument(
        "--timeout", type=float, default=30.0, metavar="S", help="give up after so many seconds (default: 30)"
    )


def split_peer(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> tuple[Peer, list[str]]:
    """Return the peer that the arguments name, and the words that follow it.

    A second word that is a number makes the first a host: no method's name is a number.
    """
    words: Sequence[str] = arguments.where
    tls = SimpleSSLConfig(*arguments.ssl) if arguments.ssl else None
    if len(words) >= 2 and words[1].isdecimal():
        port = int(words[1])
        if not 1 <= port <= 65535:
            parser.error(f"port {port} is not between 1 and 65535")
        return Peer(words[0], port, arguments.target, tls, None), list(words[2:])
    database = devicedb.load_file(arguments.device_db or Path("device_db.py"))
    endpoint = database.endpoint(words[0])
    if tls is None and endpoint.tls is not None:
        tls = SimpleSSLConfig(endpoint.tls.client_cert, endpoint.tls.client_key, endpoint.tls.server_cert)
    target = arguments.target or endpoint.target_name
    return Peer(endpoint.host, endpoint.port, target, tls, words[0]), list(words[1:])


def sole_peer(arguments: argparse.Namespace, parser: argparse.ArgumentParser, hint: str = "") -> Peer:
    """Return the peer that the arguments name; ends the program where words follow it, with the hint."""
    peer, rest = split_peer(arguments, parser)
    if rest:
        parser.error(f"nothing may follow the server, but there is {' '.join(rest)!r}{hint}")
    return peer


def is_answer(error: Exception) -> bool:
    """Return whether an exception is about the call, not a fault of ours.

    That is what the remote method raised, a method that is not there, or an argument that cannot travel.
    """
    return hasattr(error, "parent_traceback") or isinstance(error, AttributeError | TypeError | ValueError)
