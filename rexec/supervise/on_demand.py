"""Starts the controllers that devices need when they are asked for, and ends them afterwards."""

import logging
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Final

from devicedb import DeviceDatabase, Endpoint, command_line
from rexec.devices.hosts import is_this_machine
from rexec.supervise.guardian import Guardian
from rexec.supervise.process import TERMINATE_WAIT, ControllerProcess, answer, environment
from schemas import Controller

logger = logging.getLogger(__name__)


class OnDemand:
    """Starts controllers of this host from their commands; a context that ends what it started.

    `ensure` is the hook `before_connect` of a `rexec.devices.DeviceManager`. A controller that answers
    already is used and left running.

    Args:
        database: Where the commands are.
        folder: Working folder of the commands: that of the device database.
        timeout: Seconds that a controller has to answer after its start.

    """

    def __init__(self, database: DeviceDatabase, folder: Path, timeout: float = 30.0) -> None:
        self._database: Final = database
        self._folder: Final = folder
        self._timeout: Final = timeout
        self._guardian = Guardian()
        self._running: dict[str, tuple[ControllerProcess, float]] = {}
        self._seen: set[str] = set()

    def ensure(self, endpoint: Endpoint) -> None:
        """Start the controller of an endpoint unless it answers, is elsewhere, or has no command.

        Raises:
            ControllerStartError: It could not be started, ended at once, or does not answer.
            CommandTemplateError: Its command cannot be formatted.

        """
        name = endpoint.controller
        if name in self._seen:
            return
        self._seen.add(name)
        there = answer(endpoint, 2.0)
        if not there.is_refused:
            said = there.reason or "answers already"
            logger.info("controller %r at %s is not started: %s", name, endpoint.address, said)
            return
        if endpoint.command is None:
            logger.warning("controller %r at %s has no command: not started", name, endpoint.address)
            return
        if not is_this_machine(endpoint.host):
            logger.warning(
                "controller %r belongs on %s, not on this machine: not started", name, endpoint.host
            )
            return
        resolution = self._database.resolve(name)
        entry = resolution.entry
        if not isinstance(entry, Controller):  # an endpoint has passed it already
            raise TypeError(f"{name!r} is no controller")
        own = {**os.environ, **entry.environment}
        words = command_line(name, resolution.raw, bind=endpoint.host, ssl_dir=own.get("ARTIQ_SSL_DIR"))
        began = time.monotonic()
        env = environment(os.environ, entry.environment)
        process = ControllerProcess(endpoint, words, env, self._folder, self._guardian)
        self._running[name] = (process, min(entry.term_timeout, TERMINATE_WAIT))
        process.wait_ready(self._timeout)
        logger.info(
            "controller %r answers at %s after %.1f s", name, endpoint.address, time.monotonic() - began
        )

    def started(self) -> dict[str, int]:
        """Return the process numbers of the controllers that were started, by name."""
        return {name: process.pid for name, (process, _) in self._running.items()}

    def close(self) -> None:
        """End what was started, last first."""
        try:
            while self._running:
                _, (process, step) = self._running.popitem()
                process.end(step)
        finally:
            self._guardian.close()

    def __enter__(self) -> "OnDemand":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self.close()
