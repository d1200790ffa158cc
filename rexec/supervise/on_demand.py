"""Starts controllers when an experiment asks for their devices, and ends them afterwards."""

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final

from devicedb import DeviceDatabase, Endpoint, command_line
from rexec.devices.hosts import is_this_machine
from rexec.supervise.access_files import AccessFiles
from rexec.supervise.guardian import Guardian
from rexec.supervise.process import TERMINATE_WAIT, ControllerProcess, answer, environment

logger = logging.getLogger(__name__)


class OnDemand:
    """Starts controllers of this host from their commands; leaving the context ends them.

    `ensure` is the hook `before_connect` of a `rexec.devices.DeviceManager`. A controller that already runs is used and
    left running.

    Args:
        database: The device database with the commands.
        folder: Working folder of the commands.
        timeout: Seconds for a controller to answer after its start.

    """

    def __init__(self, database: DeviceDatabase, folder: Path, timeout: float = 30.0) -> None:
        self._database: Final = database
        self._folder: Final = folder
        self._timeout: Final = timeout
        self._guardian = Guardian()
        self._running: dict[str, tuple[ControllerProcess, float]] = {}
        self._seen: set[str] = set()
        self._ready: set[str] = set()
        self._access: AccessFiles | None = None

    def ensure(self, endpoint: Endpoint) -> None:
        """Start the controller of an endpoint unless it already answers, is on another host, or has no command.

        Raises:
            ControllerStartError: The controller could not be started, ended at once, or does not answer.
            CommandTemplateError: The command cannot be formatted.

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
            logger.warning("controller %r runs on %s, not on this machine: not started", name, endpoint.host)
            return
        resolution = self._database.resolve(name)
        entry = resolution.entry
        if entry.type != "controller":  # `endpoint` has checked it
            raise TypeError(f"{name!r} is not a controller")
        own = {**os.environ, **entry.environment}
        words = command_line(name, resolution.raw, bind=endpoint.host, ssl_dir=own.get("ARTIQ_SSL_DIR"))
        began = time.monotonic()
        env = environment(os.environ, {**entry.environment, **self._access_variables(name)})
        process = ControllerProcess(endpoint, words, env, self._folder, self._guardian)
        self._running[name] = (process, min(entry.term_timeout, TERMINATE_WAIT))
        process.wait_ready(self._timeout)
        self._ready.add(name)
        logger.info(
            "controller %r answers at %s after %.1f s", name, endpoint.address, time.monotonic() - began
        )

    def _access_variables(self, name: str) -> Mapping[str, str]:
        """Return the variables of a controller's command; the file that they name is made for the first one."""
        if self._access is None:
            self._access = AccessFiles()
            self._access.write(self._database)
        return self._access.variables(name)

    def started(self) -> dict[str, int]:
        """Return the process numbers of the started controllers, by name."""
        return {name: process.pid for name, (process, _) in self._running.items()}

    def close(self) -> None:
        """End the started controllers in reverse order; log which had ended by themselves."""
        try:
            while self._running:
                name, (process, step) = self._running.popitem()
                ended = process.ended()
                if ended is not None and name in self._ready:
                    logger.warning("controller %r %s meanwhile%s", name, ended, process.last_lines())
                process.end(step)
        finally:
            self._guardian.close()
            if self._access is not None:
                self._access.close()

    def __enter__(self) -> "OnDemand":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self.close()
