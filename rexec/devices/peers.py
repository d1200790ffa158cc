"""The processes and clients that use a TCP port of this machine, as far as the system lists them."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import psutil

_LONGEST: Final = 60
"""Maximum length of a command line in messages."""

UNKNOWN: Final = "a process that the system does not name"

UNLISTED: Final = (psutil.Error, OSError, RuntimeError)
"""What psutil raises where the system lists no connections: the last one on Windows, while its table changes."""


class Connections:
    """A snapshot of the TCP connections of this machine; making it may take a tenth of a second."""

    def __init__(self) -> None:
        self._listening: dict[int, int] = {}
        self._made: list[tuple[tuple[str, int], tuple[str, int], int | None]] | None = []
        try:
            found = psutil.net_connections(kind="tcp")
        except UNLISTED:
            self._made = None
            return
        for each in found:
            if each.status == psutil.CONN_LISTEN and each.laddr and each.pid:
                self._listening[each.laddr.port] = each.pid
            elif each.status == psutil.CONN_ESTABLISHED and each.laddr and each.raddr:
                # Windows gives number 0 for an unknown process.
                self._made.append((_plain(*each.laddr), _plain(*each.raddr), each.pid or None))

    def owner(self, port: int) -> str | None:
        """Return "pid N (program)" of the process that listens on a port; None if the system does not list it."""
        pid = self._listening.get(port)
        return f"pid {pid} ({program(pid)})" if pid is not None else None

    def others(self) -> dict[int, list[str]]:
        """Return who else is connected to the servers of this machine that this process is connected to.

        Returns:
            "pid N (program)" of each other process by the server's port, without this one's children; nothing where the
            system lists no connections.

        """
        made = self._made or []
        ours = {each.pid for each in _family(os.getpid())}
        servers = {remote for _, remote, pid in made if pid == os.getpid()}
        whose = {local: pid for local, _, pid in made}
        found: dict[int, list[str]] = {}
        for local, remote, _ in made:
            # The server's end of a connection, whose other end is a client.
            client = whose.get(remote)
            if local in servers and client not in ours:
                who = f"pid {client} ({program(client)})" if client is not None else UNKNOWN
                known = found.setdefault(local[1], [])
                if who not in known:
                    known.append(who)
        return found

    def clients(self, port: int, server: int | None = None) -> list[str] | None:
        """Return the clients of a port of this machine, without this process.

        Args:
            port: The port.
            server: The process that serves the port, or its parent; connections to other processes on the same port of
                another address are left out.

        Returns:
            "ADDRESS:PORT" of each client, with " (pid N: program)" if the system lists it; None if the system lists no
            connections.

        """
        if self._made is None:
            return None
        whose = {local: pid for local, _, pid in self._made}
        family = {each.pid for each in _family(server)} if server is not None else set()
        connected = []
        for (_, local_port), remote, pid in self._made:
            client = whose.get(remote)
            is_of_server = not family or pid is None or pid in family
            if local_port == port and is_of_server and client != os.getpid():
                host = f"[{remote[0]}]" if ":" in remote[0] else remote[0]
                known = f" (pid {client}: {program(client)})" if client else ""
                connected.append(f"{host}:{remote[1]}{known}")
        return connected


def memories(pids: Iterable[int]) -> dict[int, int]:
    """Return the resident memory of processes, including their children, in bytes."""
    found: dict[int, tuple[int, int]] = {}
    for process in psutil.process_iter(["pid", "ppid", "memory_info"]):
        memory = process.info["memory_info"]
        found[process.info["pid"]] = process.info["ppid"], memory.rss if memory is not None else 0
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in found.items():
        children.setdefault(parent, []).append(pid)

    def total(pid: int) -> int:
        return found[pid][1] + sum(total(child) for child in children.get(pid, ()) if child != pid)

    return {pid: total(pid) for pid in pids if pid in found}


def program(pid: int) -> str:
    """Return the beginning of a process's command line; "?" if the system does not list it."""
    try:
        first, *others = psutil.Process(pid).cmdline() or ["?"]
    except psutil.Error:
        return "?"
    said = " ".join(" ".join([Path(first).name, *others]).split())
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."


def _family(pid: int) -> Iterator[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        yield process
        yield from process.children(recursive=True)


def _plain(address: str, port: int) -> tuple[str, int]:
    """Return address and port; an IPv4-mapped IPv6 address as IPv4."""
    return address.removeprefix("::ffff:"), port
