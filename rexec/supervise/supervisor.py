"""Keeps the controllers of a device database running, and follows its changes."""

import logging
import threading
from collections.abc import Callable
from typing import Any, Final

from devicedb.suggest import did_you_mean
from rexec.supervise.guardian import Guardian
from rexec.supervise.keeper import Keeper
from rexec.supervise.selection import Selection
from rexec.supervise.status import Status, as_dicts

logger = logging.getLogger(__name__)


class Supervisor:
    """The controllers that this process keeps running.

    Args:
        changed: Called with the status of a controller whenever its state changes; from any thread.

    """

    def __init__(self, changed: Callable[[Status], None]) -> None:
        self._changed: Final = changed
        self._guardian = Guardian()
        self._keepers: dict[str, Keeper] = {}
        self._lock = threading.RLock()
        self._is_closed = False
        self._order: list[str] = []
        self.left_out: dict[str, str] = {}
        """Controllers that do not run here, and why."""

    def follow(self, selection: Selection) -> None:
        """Run what `selection` says: what is new or has changed is (re)started, what is gone is ended.

        A controller whose entry is as before is not touched. Returns when what is to end has ended.
        """
        with self._lock:
            if self._is_closed:
                return
            old = [name for name, keeper in self._keepers.items() if selection.specs.get(name) != keeper.spec]
            self._end(old)
            for name in old:
                del self._keepers[name]
            for name, reason in selection.left_out.items():
                if self.left_out.get(name) != reason:
                    logger.info("controller %r is not run here: %s", name, reason)
            self.left_out = dict(selection.left_out)
            self._order = list(selection.specs)
            for name, spec in selection.specs.items():
                if name not in self._keepers:
                    keeper = self._keepers[name] = Keeper(spec, self._guardian, self._changed)
                    keeper.start()

    def status(self) -> list[Status]:
        """Return the controllers as they are now, in the order of the database."""
        place = {name: at for at, name in enumerate(self._order)}
        found = [keeper.status() for keeper in list(self._keepers.values())]
        return sorted(found, key=lambda status: place.get(status.name, -1))

    def retry_now(self, name: str) -> None:
        """Start a controller that waits for its next attempt; KeyError if it is not run here."""
        self._keeper(name).retry_now()

    def restart(self, name: str) -> None:
        """End a controller, whatever it does, and start it again; KeyError if it is not run here."""
        self._keeper(name).restart()

    def _keeper(self, name: str) -> Keeper:
        keeper = self._keepers.get(name)
        if keeper is None:
            reason = self.left_out.get(name)
            why = f"it is left out: {reason}" if reason else did_you_mean(name, list(self._keepers)).strip()
            raise KeyError(f"no controller {name!r} is run here. {why}".strip())
        return keeper

    def close(self) -> None:
        """End all controllers, last first."""
        with self._lock:
            self._is_closed = True
            self._end(list(self._keepers))
        self._guardian.close()

    def kill(self) -> None:
        """End all processes at once."""
        for keeper in list(self._keepers.values()):
            keeper.kill()

    def _end(self, names: list[str]) -> None:
        """End controllers in reverse order; all are asked first, so that slow ones do not add up."""
        ending = [self._keepers[name] for name in reversed(names)]
        for keeper in ending:
            keeper.end()
        for keeper in ending:
            keeper.join()


class Control:
    """The target `ctlmgr`: what dashboards ask of a controller manager.

    Args:
        supervisor: Who does it.

    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def retry_now(self, name: str) -> None:
        """Start a controller that waits for its next attempt."""
        self._supervisor.retry_now(name)

    def restart(self, name: str) -> None:
        """End a controller, even a busy one, and start it again at once."""
        self._supervisor.restart(name)

    def status(self) -> list[dict[str, Any]]:
        """Return the controllers as they are now."""
        return as_dicts(self._supervisor.status())

    def ping(self) -> bool:
        """Answer."""
        return True
