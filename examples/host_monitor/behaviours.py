"""What the host monitor does where it is simulated: a machine whose load rises evenly."""


class host_monitor:  # noqa: N801  # named after the device
    """A machine of known counters."""

    def __init__(self) -> None:
        self.readings = 0

    def read(self) -> dict[str, float]:
        """Return one reading."""
        self.readings += 1
        return {
            "time": 1e9 + self.readings,
            "cpu": float(self.readings),
            "memory": 4e9,
            "received": 1000.0 * self.readings,
            "sent": 500.0 * self.readings,
        }
