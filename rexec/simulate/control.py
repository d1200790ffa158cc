"""Control over a running simulation, by names of devices: set faults, let controllers die and come back."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from devicedb import DeviceDatabase
from devicedb.suggest import did_you_mean
from rexec.simulate.device import Call
from rexec.simulate.errors import FaultError
from rexec.simulate.faults import Fault
from rexec.simulate.server import SimulatedServer


class ControlledDevices:
    """Simulated devices, by the names of the device database.

    Args:
        database: The device database.
        servers: The simulated controllers.

    """

    def __init__(self, database: DeviceDatabase, servers: Sequence[SimulatedServer]) -> None:
        self.original: Final = database
        self.servers: Final = servers

    def driver(self, device: str) -> Any:
        """Return the simulated driver of a device; the attributes of its behaviour are its own."""
        server, target = self._find(device)
        return server.drivers[target].object

    def calls(self, device: str) -> list[Call]:
        """Return the last calls of a device's driver, oldest first."""
        server, target = self._find(device)
        return server.calls(target)

    def fault(self, device: str, fault: Fault) -> None:
        """Set the fault of a device, or of one of its methods: "camera.get_frame".

        Raises:
            FaultError: There is no such device or method.

        """
        server, target, method = self.place(device, fault)
        is_silent = fault.silence == 0  # from now on, until the server is started again
        server.faults[target].set(method, replace(fault, silence=None) if is_silent else fault)
        if is_silent:
            server.fall("silence")

    def place(self, device: str, fault: Fault) -> tuple[SimulatedServer, str, str | None]:
        """Return where a fault belongs: server, target, and method (None: all methods).

        Raises:
            FaultError: There is no such device or method, or it cannot have this fault.

        """
        server, target, method = self._method(device)
        known = server.drivers[target].methods
        ends = fault.delay or fault.death is not None or fault.silence is not None
        if method is not None and known[method].while_busy and ends:
            raise FaultError(
                f"fault of {device}: {method} is answered beside all calls, so that only error can be set for it. For "
                "the others name the device"
            )
        return server, target, method

    def clear(self, device: str) -> None:
        """Take the faults of a device, or of one of its methods, away."""
        server, target, method = self._method(device)
        server.faults[target].clear(method)

    def die(self, device: str) -> None:
        """Let the controller of a device die."""
        self._find(device)[0].fall("death")

    def revive(self, device: str) -> None:
        """Start the controller of a device again, with fresh drivers, at the same port."""
        self._find(device)[0].revive()

    def status(self) -> dict[str, dict[str, Any]]:
        """Return state, address, targets and faults of each simulated controller."""
        return {
            name: {
                "state": server.state,
                "host": server.address,
                "port": server.port,
                "targets": sorted(server.plan.targets),
                "faults": {
                    f"{target}.{method}": asdict(fault)
                    for target, faults in server.faults.items()
                    for method, fault in faults.active().items()
                },
            }
            for server in self.servers
            for name in server.plan.controllers
        }

    def _find(self, device: str) -> tuple[SimulatedServer, str]:
        """Return server and driver target of a device, an alias, or a target."""
        entry = self.original.resolve(device).entry_name if device in self.original else device
        for server in self.servers:
            for name, target in server.plan.targets.items():
                if entry in target.names or (entry in server.plan.controllers and len(server.drivers) == 1):
                    driver = target.driver if name not in server.drivers else name
                    if driver is not None:
                        return server, driver
        known = [
            name
            for server in self.servers
            for target in server.plan.targets.values()
            for name in target.names
        ]
        raise FaultError(f"no device {device!r} is simulated here.{did_you_mean(device, known)}")

    def _method(self, device: str) -> tuple[SimulatedServer, str, str | None]:
        try:
            return (*self._find(device), None)
        except FaultError:
            before, dot, method = device.rpartition(".")
            if not dot:
                raise
        server, target = self._find(before)
        known = server.drivers[target].methods
        if method not in known:
            raise FaultError(f"{before} has no method {method!r}.{did_you_mean(method, known)}")
        return server, target, method


class Control:
    """The target `simulation`: what clients tell a simulation to do. No method blocks.

    Args:
        devices: The simulated devices.

    """

    def __init__(self, devices: ControlledDevices) -> None:
        self._devices = devices

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
        self._devices.fault(device, Fault(delay, error, death, silence))

    def clear(self, device: str) -> None:
        """Take the faults of a device, or of one of its methods, away."""
        self._devices.clear(device)

    def die(self, device: str) -> None:
        """Let the controller of a device die now: its connections are closed, its port refuses new ones."""
        self._devices.die(device)

    def revive(self, device: str) -> None:
        """Start the controller of a device again, with fresh drivers, whether it is dead, silent or well."""
        self._devices.revive(device)

    def calls(self, device: str) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
        """Return the last calls of a device's driver, oldest first: (method, args, kwargs)."""
        return [(each.method, each.args, each.kwargs) for each in self._devices.calls(device)]

    def status(self) -> dict[str, dict[str, Any]]:
        """Return state, address, targets and faults of each simulated controller."""
        return self._devices.status()

    def ping(self) -> bool:
        """Return True: the simulation runs."""
        return True
