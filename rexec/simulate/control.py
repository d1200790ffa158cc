"""The target `simulation`: faults are set, controllers die and come back while a simulation runs."""

from typing import TYPE_CHECKING, Any

from rexec.simulate.faults import Fault

if TYPE_CHECKING:
    from rexec.simulate._laboratory import Laboratory


class Control:
    """Tells a simulation what to do; its methods are quick.

    Args:
        laboratory: The simulation.

    """

    def __init__(self, laboratory: "Laboratory") -> None:
        self._laboratory = laboratory

    def fault(
        self,
        device: str,
        delay: float = 0.0,
        error: float = 0.0,
        death: int | None = None,
        silence: int | None = None,
    ) -> None:
        """Set the fault of a device, or of one of its methods: "camera.get_frame".

        Args:
            device: Name in the device database.
            delay: Seconds before each call.
            error: Probability that a call raises.
            death: The server dies at this call, counted from now; 1 for the next.
            silence: From this call on nothing is answered; 0 for now.

        """
        self._laboratory.fault(device, Fault(delay, error, death, silence))

    def clear(self, device: str) -> None:
        """Take the faults of a device, or of one of its methods, away."""
        self._laboratory.clear(device)

    def die(self, device: str) -> None:
        """Let the controller of a device die now: its connections are closed, its port refuses new ones."""
        self._laboratory.die(device)

    def revive(self, device: str) -> None:
        """Start the controller of a device again, with fresh drivers, whether it is dead, silent or well."""
        self._laboratory.revive(device)

    def calls(self, device: str) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
        """Return the last calls of a device's driver, oldest first: (method, args, kwargs)."""
        return [(each.method, each.args, each.kwargs) for each in self._laboratory.calls(device)]

    def status(self) -> dict[str, dict[str, Any]]:
        """Return state, address, targets and faults of each simulated controller."""
        return self._laboratory.status()

    def ping(self) -> bool:
        """Tell that the simulation runs."""
        return True
