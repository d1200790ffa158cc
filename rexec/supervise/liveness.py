"""Whether the process that serves a controller runs, is stopped, or only looks alive."""

import contextlib

import psutil

from rexec.devices.peers import UNLISTED

__all__ = ["ServingProcess"]

_STOPPED = frozenset({psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP})
_GONE = frozenset({psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD})


class ServingProcess:
    """The process that listens on a controller's port: the command itself, or a child of it.

    Args:
        pid: Process of the command.
        port: TCP port of the controller.

    """

    def __init__(self, pid: int, port: int) -> None:
        self._command = pid
        self._port = port
        self._process: psutil.Process | None = None
        self._is_found = False
        with contextlib.suppress(psutil.Error):
            self._process = psutil.Process(pid)

    def find(self) -> None:
        """Look for the process, if it is not known or has ended; the command counts until it is found."""
        if self._is_found and not self.has_ended():
            return
        try:
            command = psutil.Process(self._command)
            family = [command, *command.children(recursive=True)]
        except psutil.Error:
            return
        self._is_found = True
        self._process = next((each for each in family if self._listens(each)), command)

    def _listens(self, process: psutil.Process) -> bool:
        try:
            found = process.net_connections(kind="tcp")
        except UNLISTED:
            return False
        return any(each.status == psutil.CONN_LISTEN and each.laddr.port == self._port for each in found)

    def has_ended(self) -> bool:
        """Return whether the process is gone, or a zombie."""
        return self._status() in _GONE

    def stopped(self) -> str | None:
        """Return the process and why it does nothing, if it is stopped (by SIGSTOP, or a debugger)."""
        if self._process is None or self._status() not in _STOPPED:
            return None
        pid = self._process.pid
        return f"frozen: process {pid} is stopped (by SIGSTOP or a debugger; kill -CONT {pid} continues it)"

    def _status(self) -> str:
        if self._process is None:
            return psutil.STATUS_RUNNING
        try:
            return str(self._process.status()) if self._process.is_running() else psutil.STATUS_DEAD
        except psutil.NoSuchProcess:
            return psutil.STATUS_DEAD
        except (psutil.Error, OSError):
            return psutil.STATUS_RUNNING
