"""The server to connect to, as `HOST PORT` or the name of a device."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import devicedb
from rexec.cli._tls import tls_files
from rexec.cli.errors import CommandError
from rexec.wire.client import AutoTarget, Client
from rexec.wire.errors import shown_address
from rexec.wire.tls import SimpleSSLConfig


@dataclass(frozen=True)
class Peer:
    """A server to connect to."""

    host: str
    port: int
    target: str | None
    """None: the server's only target."""
    tls: SimpleSSLConfig | None
    device: str | None
    """Name in the device database, or None."""

    @property
    def address(self) -> str:
        """Host and port, as in messages."""
        return shown_address(self.host, self.port)

    @property
    def label(self) -> str:
        """Device and address, as in messages."""
        return f"{self.device} ({self.address})" if self.device else self.address

    def with_target(self, target: str | None) -> "Peer":
        """Return the same server with another target."""
        return replace(self, target=target)

    def connect(self, timeout: float) -> Client:
        """Return a client connected to the target."""
        return Client(self.host, self.port, self.target or AutoTarget, timeout=timeout, ssl_config=self.tls)

    def connect_without_target(self, timeout: float) -> Client:
        """Return a connected client that has not selected a target."""
        return Client(self.host, self.port, None, timeout=timeout, ssl_config=self.tls)


def method_list(client: Client) -> dict[str, Any]:
    """Return docstring and methods of a target; CommandError where the server refuses to tell."""
    try:
        return client.get_rpc_method_list()
    except PermissionError as error:
        raise CommandError(str(error)) from None


def split_peer(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> tuple[Peer, list[str]]:
    """Return the server that the arguments name, and the remaining words.

    If the second word is a number, the first is a host, because no method's name is a number.
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
        parser.error(f"host {words[0]} must be followed by its port, 1 to 65535{found}")
    endpoint = database.endpoint(words[0])
    if tls is None and endpoint.tls is not None:
        tls = SimpleSSLConfig(endpoint.tls.client_cert, endpoint.tls.client_key, endpoint.tls.server_cert)
    target = arguments.target or endpoint.target_name
    return Peer(endpoint.host, endpoint.port, target, tls, words[0]), list(words[1:])


def _is_host(word: str) -> bool:
    return "." in word or ":" in word or word == "localhost"


def sole_peer(arguments: argparse.Namespace, parser: argparse.ArgumentParser, hint: str = "") -> Peer:
    """Return the server that the arguments name; any further words are an error, shown with the hint."""
    peer, rest = split_peer(arguments, parser)
    if rest:
        parser.error(f"unexpected {' '.join(rest)!r} after the server{hint}")
    return peer


def call_remote(client: Client, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Call a method of the target, even one whose name is also a method of `Client`.

    Raises:
        AttributeError: The target has no such method; the message suggests the nearest name.
        Exception: See `Client.rpc_call`.

    """
    if method.startswith("__"):
        raise AttributeError(f"{method!r} is not a method of a target")
    # For close_rpc and the like, only the server knows whether the target has the method.
    if hasattr(Client, method):
        return client.rpc_call(method, args, kwargs)
    return getattr(client, method)(*args, **kwargs)


def is_answer(error: Exception) -> bool:
    """Return whether an exception is the outcome of a call, not an internal error.

    Outcomes are: the remote method raised, the method does not exist, an argument cannot be encoded.
    """
    return hasattr(error, "parent_traceback") or isinstance(error, AttributeError | TypeError | ValueError)
