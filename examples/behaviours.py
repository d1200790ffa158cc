"""What the devices of all three laboratories do where they are simulated: that of each laboratory's own file."""

import camera.behaviours as _camera
import host_monitor.behaviours as _host
import scpi_bench.behaviours as _bench


class camera(_camera.camera):  # noqa: N801  # named after the device
    """The camera that sees a spot."""


class host_monitor(_host.host_monitor):  # noqa: N801
    """The machine of known counters."""


class generator(_bench.generator):  # noqa: N801
    """The generator that remembers."""


class multimeter(_bench.multimeter):  # noqa: N801
    """The multimeter behind the filter."""
