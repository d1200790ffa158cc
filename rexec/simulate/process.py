"""A simulation in a child process, which ends with this one.

Remote code has an interpreter of its own, as on a real controller.
"""

import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final

from devicedb import DeviceDatabase, from_dict
from rexec.ground.child import Child, ChildLost, ChildSilent
from rexec.simulate.errors import SimulationError
from rexec.wire import pyon

_END_TIMEOUT: Final = 5.0

START_LIMIT: Final = 50.0
"""Seconds until a start that hangs is given up."""


class SimulationProcess:
    """A simulated laboratory in a child process. A context.

    Args:
        database: The device database.
        options: Of the simulation; see `rexec.simulate.child.laboratory_of`.

    """

    def __init__(self, database: DeviceDatabase, options: Mapping[str, Any]) -> None:
        self._order = {"database": database.raw, "origin": database.origin, **options}
        self._origin = database.origin
        self._child: Child | None = None
        self.report: dict[str, Any] = {}
        """The answer of the child."""

    def __enter__(self) -> DeviceDatabase:
        """Start, and return the database of the simulation.

        Raises:
            SimulationError: It does not start; with its reason.

        """
        try:
            order = pyon.encode({**self._order, "log_level": logging.getLogger().getEffectiveLevel()})
        except (TypeError, ValueError) as error:
            raise SimulationError(f"{self._origin} cannot be handed to the simulation: {error}") from error
        try:
            self._child = Child("rexec.simulate.child", purpose="the simulation")
            self._child.send(order.encode("ascii"))
            self.report = pyon.decode(self._child.receive(START_LIMIT))
            if "error" in self.report:
                raise SimulationError(self.report["error"])
        except ChildSilent as error:
            self.close()
            raise SimulationError(f"{error}. Does the behaviours file hang?") from None
        except ChildLost as error:
            self.close()
            raise SimulationError(f"{error}; its reason is above") from None
        except BaseException:
            self.close()
            raise
        return from_dict(self.report["database"], self._origin)

    def close(self) -> None:
        """End the process; it is killed if it does not end within seconds."""
        if self._child is not None:
            self._child.close(_END_TIMEOUT)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self.close()
