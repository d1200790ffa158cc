"""Stand-ins for local devices: the core device and what hangs on it, in the experiment's own process, without hardware.

A stand-in notes and logs each call, and answers with a plain value. Kernels run here, as the Python that they are: that
shows what host code and control flow do, nothing of compilation, timing or underflows.

ARTIQ's own device manager can construct these classes, too; they need nothing of ARTIQ.
"""

import contextlib
import logging
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from devicedb.catalogue.methods import artiq_driver
from devicedb.drivers.methods import DriverFacts, facts_of_class
from devicedb.drivers.sources import SourceFinder
from devicedb.suggest import did_you_mean
from rexec.simulate.behaviours import Behaviours, construct, load_behaviours
from rexec.simulate.database import CORE_DRIVERS
from rexec.simulate.timeline import Timeline
from rexec.simulate.values import plain_value

KEPT_CALLS: Final = 100_000
"""How many calls a stand-in remembers."""

_OTHER_NAMES: Final = {"bus": "spi_device"}
"""Attributes of ARTIQ's drivers that are not called after the argument that they come from."""

_ABSENT: Final = frozenset({"close_rpc", "close", "notify_run_end", "kernel_invariants", "artiq_embedded"})
"""What a device manager or a decorator asks for, and a stand-in has not."""

_LASTING: Final = frozenset({"pulse", "gate_rising", "gate_falling", "gate_both"})
"""Methods of ARTIQ's TTL drivers that move the cursor by their first argument: seconds; with _mu machine units."""

_ANSWERS: Final[Mapping[str, Any]] = {
    "count": 0, "timestamp_mu": -1, "sample_get": 0, "sample_get_nonrt": 0, "watch_done": True,
    "fetch_count": 0, "fetch_timestamped_count": (-1, 0),
}  # fmt: skip
"""Answers of ARTIQ's inputs where nothing has come in."""


@dataclass(frozen=True)
class LocalCall:
    """A call of a stand-in.

    Attributes:
        now_mu: The timeline's cursor, in machine units.
        method: Name.
        args: Positional arguments.
        kwargs: Keyword arguments.

    """

    now_mu: int
    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


_loaded: dict[str, Behaviours] = {}
"""Behaviours by their file, or by a name that stands for classes of this process."""


def remember(behaviours: Behaviours) -> str | None:
    """Return by what stand-ins are told of behaviours: their file, or a name that this process knows."""
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
    `sw_device`); methods. Where the driver is known, from its source or the catalogue of ARTIQ's drivers, what it
    has not is an AttributeError.

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
        kind = _behaviour(behaviours, device)
        self._behaviour = construct(kind, device) if kind is not None else None
        self._log = logging.getLogger(f"rexec.simulate.{device}")
        self.simulated_calls: deque[LocalCall] = deque(maxlen=KEPT_CALLS)
        """The last calls, oldest first."""

    def __repr__(self) -> str:
        return f"<simulated {self._device}: {self._driver}>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        behaviour = self._behaviour
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
        facts = self._facts
        if facts.methods and facts.is_closed and name not in facts.methods:
            what = f"the simulated device {self._device!r} ({self._driver})"
            if name in facts.attributes:
                raise AttributeError(
                    f"{what}: the value of {name!r} is not known. Give it by a behaviour: "
                    f"class {self._device}: {name} = …"
                )
            raise AttributeError(f"{what} has no {name!r}.{did_you_mean(name, facts.methods)}")
        return self._method(name, None)

    def _linked(self, name: str) -> str | None:
        """The device that an attribute is, by the driver's arguments."""
        keys = [f"{name}_device", _OTHER_NAMES.get(name, "")]
        found = next((self._arguments[key] for key in keys if key in self._arguments), None)
        if found is None and name == "core":
            found = self._arguments.get("core", "core")
        return found if isinstance(found, str) else None

    def _method(self, name: str, behaviour: Callable[..., Any] | None) -> Callable[..., Any]:
        facts = self._facts.methods.get(name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if facts is not None:
                try:
                    facts.signature.bind(*args, **kwargs)
                except TypeError as error:
                    raise TypeError(f"{self._device}.{name}(): {error}") from None
            self._note(name, args, kwargs)
            if behaviour is not None:
                return behaviour(*args, **kwargs)
            return self._answer(name, args, facts.returns if facts is not None else None)

        call.__name__ = call.__qualname__ = name
        call.__doc__ = facts.doc if facts is not None else None
        return call

    def _note(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        now = timeline().get_time_mu()
        self.simulated_calls.append(LocalCall(now, name, args, kwargs))
        if self._log.isEnabledFor(logging.INFO):
            shown = [f"{each!r:.60}" for each in args] + [
                f"{key}={value!r:.60}" for key, value in kwargs.items()
            ]
            self._log.info("at %d mu: %s(%s)", now, name, ", ".join(shown))

    def _answer(self, name: str, args: tuple[Any, ...], returns: str | None) -> Any:
        """What a call returns where no behaviour says it."""
        if self._driver.startswith(CORE_DRIVERS):
            lasting = name.removesuffix("_mu")
            if lasting in _LASTING and args:
                (timeline().take_time_mu if name.endswith("_mu") else timeline().take_time)(args[0])
                return timeline().get_time_mu() if lasting != "pulse" else None
            if name in _ANSWERS:
                return _ANSWERS[name]
            if self._driver == f"{CORE_DRIVERS}dma.CoreDMA" and name == "record":
                return contextlib.nullcontext()
            if self._driver == f"{CORE_DRIVERS}cache.CoreCache" and name == "get":
                return []
        return plain_value(returns)


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
        """Run a kernel, here."""
        self._note("run", (getattr(function, "__qualname__", repr(function)),), {})
        return getattr(function, "__wrapped__", function)(*args, **kwargs)

    def precompile(self, function: Any, *args: Any, **kwargs: Any) -> Callable[[], Any]:
        """Return what runs a kernel with these arguments; nothing is compiled."""
        return lambda: self.run(function, args, kwargs)

    def reset(self) -> None:
        """Put the cursor where the hardware's counter is, and some slack."""
        self._note("reset", (), {})
        self._timeline.set_time_mu(self._timeline.counter() + self._slack())

    def break_realtime(self) -> None:
        """Put the cursor beyond the hardware's counter, if it is not."""
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
        """Return the hardware's counter: it runs with the clock of this computer."""
        return self._timeline.counter()

    def wait_until_mu(self, cursor_mu: int) -> None:
        """Let the hardware's counter reach a place; nobody waits for it."""
        self._timeline.wait_until(cursor_mu)

    def get_rtio_destination_status(self, destination: int) -> bool:
        """Tell that a destination is there."""
        return True

    def close(self) -> None:
        """Nothing is open."""


_current = Timeline()


def timeline() -> Timeline:
    """Return the timeline of the core device of this process."""
    return _current


def use_timeline(new: Timeline) -> Timeline:
    """Make a timeline the one of this process, and of ARTIQ's language where that is loaded; return it."""
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
    """The class that a behaviours file has for a device; each file is run once a process."""
    if path is None:
        return None
    if path not in _loaded:
        _loaded[path] = load_behaviours(Path(path))
    return _loaded[path].of([device])
