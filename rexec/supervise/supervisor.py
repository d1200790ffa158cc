"""Keeps the controllers of a device database running."""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from devicedb.suggest import did_you_mean
from rexec.supervise.guardian import Guardian
from rexec.supervise.selection import ControllerSelection
from rexec.supervise.status import ControllerStatus
from rexec.supervise.watchdog import Watchdog

logger = logging.getLogger(__name__)


class Supervisor:
    """The controllers that this process keeps running.

    Args:
        changed: Called from any thread with each new status of a controller, and whether a person should be told.
        variables: Returns further environment variables for the command of a controller, by its name.

    """

    def __init__(
        self,
        changed: Callable[[ControllerStatus, bool], None],
        variables: Callable[[str], Mapping[str, str]] = lambda name: {},
    ) -> None:
        self._changed: Final = changed
        self._variables: Final = variables
        self._guardian = Guardian()
        self._watchdogs: dict[str, Watchdog] = {}
        self._lock = threading.RLock()
        self._is_closed = False
        self._left_out: dict[str, str] = {}

    def follow(self, selection: ControllerSelection) -> None:
        """Start new controllers, restart changed ones, end those that are gone; the others are not touched.

        Returns when the controllers to end have ended.
        """
        with self._lock:
            if self._is_closed:
                return
            old = [
                name
                for name, watchdog in self._watchdogs.items()
                if selection.specs.get(name) != watchdog.spec
            ]
            self._end(old)
            for name in old:
                del self._watchdogs[name]
            for name, reason in selection.left_out.items():
                if self._left_out.get(name) != reason:
                    logger.info("controller %r does not run here: %s", name, reason)
            self._left_out = dict(selection.left_out)
            for name, spec in selection.specs.items():
                if name not in self._watchdogs:
                    watchdog = self._watchdogs[name] = Watchdog(
                        spec, self._guardian, self._changed, self._variables(name)
                    )
                    watchdog.start()

    def retry_now(self, name: str) -> None:
        """Start a waiting controller now; KeyError if it does not run here."""
        self._watchdog(name).retry_now()

    def restart(self, name: str) -> None:
        """End a controller, even a busy one, and start it again; KeyError if it does not run here."""
        self._watchdog(name).restart()

    def _watchdog(self, name: str) -> Watchdog:
        watchdog = self._watchdogs.get(name)
        if watchdog is None:
            reason = self._left_out.get(name)
            why = f"it is left out: {reason}" if reason else did_you_mean(name, list(self._watchdogs)).strip()
            raise KeyError(f"no controller {name!r} runs here. {why}".strip())
        return watchdog

    def close(self) -> None:
        """End all controllers in reverse order."""
        with self._lock:
            self._is_closed = True
            self._end(list(self._watchdogs))
        self._guardian.close()

    def kill(self) -> None:
        """End all processes at once."""
        for watchdog in list(self._watchdogs.values()):
            watchdog.kill()

    def _end(self, names: list[str]) -> None:
        """End controllers in reverse order; all are asked first, so that their times do not add up."""
        ending = [self._watchdogs[name] for name in reversed(names)]
        for watchdog in ending:
            watchdog.end()
        for watchdog in ending:
            watchdog.join()


class ManagerTarget:
    """The RPC target `ctlmgr`, which dashboards use."""

    def __init__(self, supervisor: Supervisor, status: Callable[[], list[dict[str, Any]]]) -> None:
        self._supervisor = supervisor
        self._status = status

    def retry_now(self, name: str) -> None:
        """Start a waiting controller now."""
        self._supervisor.retry_now(name)

    def restart(self, name: str) -> None:
        """End a controller, even a busy one, and start it again at once."""
        self._supervisor.restart(name)

    def status(self) -> list[dict[str, Any]]:
        """Return the status of all controllers."""
        return self._status()

    def ping(self) -> bool:
        """Return True."""
        return True
