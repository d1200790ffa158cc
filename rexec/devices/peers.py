"""Who uses a TCP port of this machine, as far as the system tells."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import psutil

_LONGEST: Final = 60
"""Characters of a command line that are shown."""

UNKNOWN: Final = "a process that the system does not name"


class Connections:
    """The TCP connections of this machine when this object is made; finding out may take a tenth of a second."""

    def __init__(self) -> None:
        self._listening: dict[int, int] = {}
        self._made: list[tuple[tuple[str, int], tuple[str, int], int | None]] | None = []
        try:
            found = psutil.net_connections(kind="tcp")
        except psutil.Error:
            self._made = None
            return
        for each in found:
            if each.status == psutil.CONN_LISTEN and each.laddr and each.pid:
                self._listening[each.laddr.port] = each.pid
            elif each.status == psutil.CONN_ESTABLISHED and each.laddr and each.raddr:
                self._made.append((_plain(*each.laddr), _plain(*each.raddr), each.pid))

    def owner(self, port: int) -> str | None:
        """Return "pid N (program)" of the process that listens on a port; None if the system does not tell."""
        pid = self._listening.get(port)
        return f"pid {pid} ({program(pid)})" if pid is not None else None

    def clients(self, port: int, server: int | None = None) -> list[str] | None:
        """Return who is connected to a port of this machine, this process itself left out.

        Args:
            port: The port.
            server: Process that serves it, or started what does; connections of others to the same port of another
                address are left out, as far as the system tells whose they are.

        Returns:
            "ADDRESS:PORT", with " (pid N: program)" for those on this machine where the system tells; None where it
            tells nothing at all.

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
    """Return the resident memory of processes, their children included, in bytes; in one look at all processes."""
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
    """Return the beginning of a process's command line, "?" where the system does not tell."""
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
    """Return address and port; an IPv4 address that an IPv6 socket has, as itself."""
    return address.removeprefix("::ffff:"), port
