"""A simulation as a process of its own, which ends with this one, however that ends.

Remote code then has an interpreter apart from the experiment's, as on a real controller.
"""

import logging
import subprocess
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final

from devicedb import DeviceDatabase, from_dict
from rexec.simulate.errors import SimulationError
from rexec.wire import pyon

_END_TIMEOUT: Final = 5.0


class SimulationProcess:
    """A simulated laboratory in a child process. A context.

    Args:
        database: The device database.
        options: Of the simulation; see `rexec.simulate.child.Order`.

    """

    def __init__(self, database: DeviceDatabase, options: Mapping[str, Any]) -> None:
        self._order = {"database": database.raw, "origin": database.origin, **options}
        self._origin = database.origin
        self._process: subprocess.Popen[bytes] | None = None
        self.report: dict[str, Any] = {}
        """What the child said of itself."""

    def __enter__(self) -> DeviceDatabase:
        """Start, and return the database of the simulation.

        Raises:
            SimulationError: It does not start; with its reason.

        """
        try:
            order = pyon.encode({**self._order, "log_level": logging.getLogger().getEffectiveLevel()})
        except (TypeError, ValueError) as error:
            raise SimulationError(f"{self._origin} cannot be handed to the simulation: {error}") from error
        self._process = process = subprocess.Popen(  # our own module
            [sys.executable, "-P", "-m", "rexec.simulate.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the experiment; the simulation ends after it
        )
        try:
            self.report = self._answer(process, order)
        except BaseException:
            self.close()
            raise
        return from_dict(self.report["database"], self._origin)

    def _answer(self, process: "subprocess.Popen[bytes]", order: str) -> dict[str, Any]:
        if process.stdin is None or process.stdout is None:
            raise SimulationError("the simulation has no pipes")
        try:
            process.stdin.write(order.encode("ascii") + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise SimulationError("the simulation ended at once; its reason is above") from None
        # The child bounds its own start; it ends by itself or answers.
        line = process.stdout.readline()
        if not line:
            raise SimulationError("the simulation ended before it was ready; its reason is above")
        found: dict[str, Any] = pyon.decode(line)
        if "error" in found:
            raise SimulationError(found["error"])
        return found

    def close(self) -> None:
        """End the process: closing its standard input tells it to; killed if it does not within seconds."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # it has ended already
        try:
            process.wait(_END_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_END_TIMEOUT)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self.close()
