"""Stand-ins for local devices: the core device and what hangs on it, in the experiment's own process, without hardware.

A stand-in logs each call, and answers with a plain value. Kernels run here as plain Python. This tests host code and
control flow; it does not test compilation, timing or underflows.

ARTIQ's own device manager can construct these classes, too; they need nothing of ARTIQ.
"""

import contextlib
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from devicedb.catalogue.methods import artiq_driver
from devicedb.drivers.methods import DriverFacts, facts_of_class
from devicedb.drivers.sources import SourceFinder
from devicedb.suggest import did_you_mean
from rexec.simulate.behaviours import Behaviours, load_behaviours
from rexec.simulate.database import CORE_DRIVERS, SIM_DRIVERS
from rexec.simulate.device import SimulatedDevice
from rexec.simulate.timeline import Timeline

KEPT_CALLS: Final = 100_000
"""Number of calls that a stand-in remembers."""

_OTHER_NAMES: Final = {"bus": "spi_device"}
"""Attributes of ARTIQ's drivers whose names differ from the argument that they come from."""

_ABSENT: Final = frozenset({"close_rpc", "close", "notify_run_end", "kernel_invariants", "artiq_embedded"})
"""Attributes that device managers and decorators look for, and a stand-in lacks."""

_LASTING: Final = frozenset({"pulse", "gate_rising", "gate_falling", "gate_both"})
"""Methods of ARTIQ's TTL drivers that move the cursor by their last argument: seconds; with _mu machine units."""

_ANSWERS: Final[Mapping[str, Any]] = {
    "count": 0, "timestamp_mu": -1, "sample_get": 0, "sample_get_nonrt": 0, "watch_done": True,
    "fetch_count": 0, "fetch_timestamped_count": (-1, 0),
}  # fmt: skip
"""Answers of ARTIQ's inputs without any event."""


_loaded: dict[str, Behaviours] = {}
"""Behaviours by their file; those that are classes of this process, by a made-up name."""


def remember(behaviours: Behaviours) -> str | None:
    """Keep behaviours, and return the key by which stand-ins find them: their file, or a made-up name."""
    if not behaviours.classes:
        return None
    key = (
        str(behaviours.path)
        if behaviours.path is not None
        else f"<classes {id(behaviours):x} of this process>"
    )
    _loaded[key] = behaviours
    return key


class StandIn:
    """Stands in for a driver of a local device.

    Attributes are, in this order: those of its behaviour; the devices and values of its arguments (`sw` of
    `sw_device`, `cplds` of `cpld_devices`); methods. Where the driver is known, from its source or the catalogue of
    ARTIQ's drivers, what it has not is an AttributeError.

    Args:
        dmgr: Device manager.
        device: Name of the device.
        driver: Module and class of the driver: "artiq.coredevice.ttl.TTLOut".
        arguments: Those of the driver.
        behaviours: Behaviours file, which may have a class for the device.

    """

    def __init__(
        self,
        dmgr: Any,
        device: str,
        driver: str,
        arguments: Mapping[str, Any] | None = None,
        behaviours: str | None = None,
    ) -> None:
        self._manager = dmgr
        self._device = device
        self._driver = driver
        self._arguments = dict(arguments or {})
        self._facts = driver_facts(driver)
        self._simulated = SimulatedDevice(
            device, self._facts.methods, _behaviour(behaviours, device), KEPT_CALLS
        )
        self._log = logging.getLogger(f"rexec.simulate.{device}")
        self.simulated_calls = self._simulated.calls
        """The last calls, oldest first."""

    def __repr__(self) -> str:
        return f"<simulated {self._device}: {self._driver}>"

    @property
    def simulated_driver(self) -> str:
        """Module and class of the driver that this stands in for."""
        return self._driver

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        behaviour = self._simulated.behaviour
        if behaviour is not None and hasattr(behaviour, name):
            value = getattr(behaviour, name)
            return self._method(name, value) if callable(value) else value
        if name in _ABSENT:
            raise AttributeError(name)
        linked = self._linked(name)
        if linked is not None:
            return self._manager.get(linked)
        if name in self._arguments:
            return self._arguments[name]
        if (names := self._linked_list(name)) is not None:
            return [self._manager.get(each) for each in names]
        facts = self._facts
        if facts.methods and facts.is_closed and name not in facts.methods:
            if name in facts.attributes and name.endswith("_mu") and self._driver.startswith(CORE_DRIVERS):
                return 0  # machine units: kernels add and subtract them
            what = f"the simulated device {self._device!r} ({self._driver})"
            if name in facts.attributes:
                raise AttributeError(
                    f"{what}: the value of {name!r} is not known. Give it by a behaviour: "
                    f"class {self._device}: {name} = …"
                )
            raise AttributeError(f"{what} has no {name!r}.{did_you_mean(name, facts.methods)}")
        return self._method(name, None)

    def _linked(self, name: str) -> str | None:
        """Return the name of the device that an attribute is, by the driver's arguments; None if it is none."""
        keys = [f"{name}_device", _OTHER_NAMES.get(name, "")]
        found = next((self._arguments[key] for key in keys if key in self._arguments), None)
        if found is None and name == "core":
            found = self._arguments.get("core", "core")
        return found if isinstance(found, str) else None

    def _linked_list(self, name: str) -> Sequence[str] | None:
        """Return the names of the devices that an attribute lists (`cplds` of `cpld_devices`), or None."""
        for end in ("s", "es"):
            found = self._arguments.get(f"{name.removesuffix(end)}_devices") if name.endswith(end) else None
            if isinstance(found, list | tuple):
                return found
        return None

    def _method(self, name: str, behaviour: Callable[..., Any] | None) -> Callable[..., Any]:
        facts = self._facts.methods.get(name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._simulated.check(name, args, kwargs)
            self._note(name, args, kwargs)
            if behaviour is not None:
                return behaviour(*args, **kwargs)
            return self._answer(name, args, kwargs)

        call.__name__ = call.__qualname__ = name
        call.__doc__ = facts.doc if facts is not None else None
        return call

    def _note(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        call = self._simulated.note(name, args, kwargs, timeline().get_time_mu())
        if self._log.isEnabledFor(logging.INFO):
            self._log.info("at %d mu: %s", call.now_mu, call)

    def _answer(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the answer of a method that the behaviour lacks."""
        if self._driver.startswith((CORE_DRIVERS, SIM_DRIVERS)):
            lasting = name.removesuffix("_mu")
            if lasting in _LASTING and args:
                (timeline().take_time_mu if name.endswith("_mu") else timeline().take_time)(args[-1])
                return timeline().get_time_mu() if lasting != "pulse" else None
            if name == "get_next_frame_mu":
                return timeline().get_time_mu()
            if name in _ANSWERS:
                return _ANSWERS[name]
            if self._driver == f"{CORE_DRIVERS}dma.CoreDMA" and name == "record":
                return contextlib.nullcontext()
            if self._driver == f"{CORE_DRIVERS}cache.CoreCache" and name == "get":
                return []
        return self._simulated.plain(name, args, kwargs)


class Core(StandIn):
    """Stands in for the core device: kernels run on this computer, time is that of a simulated timeline.

    Args:
        dmgr: Device manager.
        rest: Further arguments of the base.

    """

    def __init__(self, dmgr: Any, **rest: Any) -> None:
        super().__init__(dmgr, **rest)
        self.ref_period = float(self._arguments.get("ref_period", 1e-9))
        self.ref_multiplier = int(self._arguments.get("ref_multiplier", 8))
        self.coarse_ref_period = self.ref_period * self.ref_multiplier
        self._timeline = use_timeline(Timeline(self.ref_period))

    def run(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a kernel in this process."""
        self._note("run", (getattr(function, "__qualname__", repr(function)),), {})
        return getattr(function, "__wrapped__", function)(*args, **kwargs)

    def precompile(self, function: Any, *args: Any, **kwargs: Any) -> Callable[[], Any]:
        """Return a function that calls a kernel with these arguments; nothing is compiled."""
        # A call, because a bound method gets its `self` only in a call.
        return lambda: function(*args, **kwargs)

    def reset(self) -> None:
        """Set the cursor to the hardware's counter plus some slack."""
        self._note("reset", (), {})
        self._timeline.set_time_mu(self._timeline.counter() + self._slack())

    def break_realtime(self) -> None:
        """Move the cursor ahead of the hardware's counter, if it is behind."""
        self._note("break_realtime", (), {})
        now = self._timeline.get_time_mu()
        self._timeline.set_time_mu(max(now, self._timeline.counter() + self._slack()))

    def _slack(self) -> int:
        return self._timeline.to_mu(125e-6)

    def mu_to_seconds(self, mu: int) -> float:
        """Return machine units in seconds."""
        return mu * self.ref_period

    def seconds_to_mu(self, seconds: float) -> int:
        """Return seconds in machine units."""
        return self._timeline.to_mu(seconds)

    def get_rtio_counter_mu(self) -> int:
        """Return the hardware's counter, which follows the clock of this computer."""
        return self._timeline.counter()

    def wait_until_mu(self, cursor_mu: int) -> None:
        """Move the hardware's counter to a time, without waiting."""
        self._timeline.wait_until(cursor_mu)

    def get_rtio_destination_status(self, destination: int) -> bool:
        """Return True: every destination is up."""
        return True

    def close(self) -> None:
        """Do nothing."""


_current = Timeline()


def timeline() -> Timeline:
    """Return the timeline of the core device of this process."""
    return _current


def use_timeline(new: Timeline) -> Timeline:
    """Use a timeline in this process, and in ARTIQ's language if that is loaded; return it."""
    global _current
    _current = new
    language = sys.modules.get("artiq.language.core")
    if language is not None:
        language.set_time_manager(new)
    return new


def driver_facts(driver: str) -> DriverFacts:
    """Return what is known of a local device's driver: from its source, else from the catalogue of ARTIQ's drivers.

    Args:
        driver: Module and class.

    """
    module, _, name = driver.rpartition(".")
    finder = SourceFinder(tuple(path or "." for path in sys.path))
    source = finder.source(module)
    found = finder.find_class(source, name) if source is not None else None
    if found is not None:
        return facts_of_class(found, finder)
    return artiq_driver(module, name) or DriverFacts(name)


def _behaviour(path: str | None, device: str) -> type[Any] | None:
    """Return the class of a device in a behaviours file, which is run once a process."""
    if path is None:
        return None
    if path not in _loaded:
        _loaded[path] = load_behaviours(Path(path))
    return _loaded[path].of([device])
