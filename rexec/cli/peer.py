"""Whom to talk to: `HOST PORT` or the name of a device, for the commands that talk to any RPC server."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import devicedb
from rexec.cli._options import add_device_db, positive, tls_files
from rexec.wire.errors import shown_address
from rexec.wire.pc_rpc import AutoTarget, Client
from rexec.wire.tls import SimpleSSLConfig

WHERE_HELP: Final = """\
Where to connect is either HOST PORT or the NAME of a device in a device database (device_db.py in the current
folder, or --device-db FILE), aliases, TLS files and target included."""


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
    def address(self) -> str:
        """Host and port, for people."""
        return shown_address(self.host, self.port)

    @property
    def label(self) -> str:
        """How messages name the peer."""
        return f"{self.device} ({self.address})" if self.device else self.address

    def with_target(self, target: str | None) -> "Peer":
        """Return the same server, with another target named."""
        return replace(self, target=target)

    def connect(self, timeout: float) -> Client:
        """Return a client that is connected to the target."""
        return Client(self.host, self.port, self.target or AutoTarget, timeout=timeout, ssl_config=self.tls)

    def connect_without_target(self, timeout: float) -> Client:
        """Return a client that has selected no target yet."""
        return Client(self.host, self.port, None, timeout=timeout, ssl_config=self.tls)


def add_peer_arguments(
    parser: argparse.ArgumentParser, where: str = "the server, or a device", *, has_target: bool = True
) -> None:
    """Add the arguments that say whom to talk to.

    Args:
        parser: Gets the arguments.
        where: What the words without an option are, for the help.
        has_target: Whether one target of the server is talked to.

    """
    parser.add_argument("where", nargs="+", metavar="HOST PORT | NAME", help=where)
    if has_target:
        parser.add_argument(
            "-t",
            "--target",
            metavar="TARGET",
            help="target of the server (default: that of the device, or the only one; `rexec targets` lists them)",
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
        help="how long to wait for a connection, and for each answer (default: %(default)g)",
    )


def split_peer(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> tuple[Peer, list[str]]:
    """Return the peer that the arguments name, and the words that follow it.

    A second word that is a number makes the first a host: no method's name is a number.
    """
    words: Sequence[str] = arguments.where
    tls = tls_files(arguments.ssl)
    if len(words) >= 2 and words[1].isdecimal():
        port = int(words[1])
        if not 1 <= port <= 65535:
            parser.error(f"port {port} is not between 1 and 65535")
        return Peer(words[0], port, arguments.target, tls, None), list(words[2:])
    is_there = arguments.device_db.is_file()
    database = devicedb.load_file(arguments.device_db) if is_there or not _is_host(words[0]) else None
    if database is None or (_is_host(words[0]) and words[0] not in database.raw):
        found = f", not {words[1].strip()!r}" if len(words) > 1 else ""
        parser.error(f"after the host {words[0]} comes its port, 1 to 65535{found}")
    endpoint = database.endpoint(words[0])
    if tls is None and endpoint.tls is not None:
        tls = SimpleSSLConfig(endpoint.tls.client_cert, endpoint.tls.client_key, endpoint.tls.server_cert)
    target = arguments.target or endpoint.target_name
    return Peer(endpoint.host, endpoint.port, target, tls, words[0]), list(words[1:])


def _is_host(word: str) -> bool:
    return "." in word or ":" in word or word == "localhost"


def sole_peer(arguments: argparse.Namespace, parser: argparse.ArgumentParser, hint: str = "") -> Peer:
    """Return the peer that the arguments name; ends the program where words follow it, with the hint."""
    peer, rest = split_peer(arguments, parser)
    if rest:
        parser.error(f"nothing may follow the server, but there is {' '.join(rest)!r}{hint}")
    return peer


def call_remote(client: Client, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return what a method of the target returns, also where the client has a method of that name for itself.

    Raises:
        AttributeError: The target has no such method; with the nearest name.
        Exception: See `Client.rpc_call`.

    """
    if method.startswith("__"):
        raise AttributeError(f"{method!r} is no method of a target")
    # close_rpc and the like: only the server knows whether the target has it, too.
    if hasattr(Client, method):
        return client.rpc_call(method, args, kwargs)
    return getattr(client, method)(*args, **kwargs)


def is_answer(error: Exception) -> bool:
    """Return whether an exception is about the call, not a fault of ours.

    That is what the remote method raised, a method that is not there, or an argument that cannot travel.
    """
    return hasattr(error, "parent_traceback") or isinstance(error, AttributeError | TypeError | ValueError)
