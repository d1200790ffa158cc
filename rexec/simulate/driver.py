"""A simulated driver: the methods of the real one, answered from a recording, a behaviour, or plain values."""

import asyncio
import inspect
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

from devicedb.drivers.methods import DriverFacts, Method
from devicedb.suggest import did_you_mean
from rexec.simulate.behaviours import check_class, method_of, public_methods
from rexec.simulate.device import Call, SimulatedDevice
from rexec.simulate.errors import NotRecorded
from rexec.simulate.faults import End, Faults, Strike
from rexec.wire.pc_rpc import while_busy

logger = logging.getLogger(__name__)

_MOST_TEXTS: Final = 8
"""Recorded calls that an error names."""
KEPT_CALLS: Final = 1000
"""Number of calls that a simulated driver remembers."""


class Replay(Protocol):
    """Answers that were recorded."""

    def has(self, method: str) -> bool:
        """Whether any call of a method was recorded."""

    def recorded(self) -> list[str]:
        """Return the recorded calls as text."""

    def answer(self, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[bool, Any]:
        """Return whether this call was recorded, and what it returned; raises what it raised."""


@dataclass
class DriverSpec:
    """What one simulated driver is made from.

    Attributes:
        device: Its name, for people.
        facts: What is known of the real one.
        behaviour: Class of what it does, None: nothing of its own.
        replay: Recorded answers, None: there is no recording.
        remote: Recorded calls of remote functions beside the driver.
        faults: Its faults.
        end: Called when a fault ends the server; returns once the call may go on.

    """

    device: str
    facts: DriverFacts
    faults: Faults
    behaviour: type[Any] | None = None
    replay: Replay | None = None
    remote: Replay | None = None
    end: Callable[[End], None] = lambda _: None


def make_driver(spec: DriverSpec) -> "SimulatedDriver":
    """Return a new simulated driver.

    Raises:
        BehaviourError: The behaviour does not fit the driver.

    """
    if spec.behaviour is not None:
        check_class(spec.behaviour, spec.facts, spec.device)
    methods = methods_of(spec)
    namespace: dict[str, Any] = {
        "__doc__": spec.facts.doc or f"Simulation of {spec.device}.",
        "__module__": __name__,
        **{name: _function(method) for name, method in methods.items()},
    }
    return SimulatedDriver(spec, methods, type(spec.facts.name, (DriverObject,), namespace))


def methods_of(spec: DriverSpec) -> dict[str, Method]:
    """Return the methods of a simulated driver; `origin` says where each comes from."""
    methods = dict(spec.facts.methods)
    for name, value in public_methods(spec.behaviour).items() if spec.behaviour is not None else ():
        methods[name] = method_of(name, value, methods.get(name))
    if spec.replay is not None:
        for name, method in methods.items():
            if spec.replay.has(name):
                methods[name] = replace(method, origin="the recording")
    if "ping" not in methods:
        # Answered beside other calls, because it does not use the instrument.
        methods["ping"] = Method(
            "ping",
            inspect.Signature(return_annotation="bool"),
            "Tell that the controller lives.",
            "",
            while_busy=True,
        )
    return methods


def origins(methods: Iterable[Method]) -> str:
    """Return the origin of methods as text: "get_frame from behaviours.py; ping made up"."""
    groups: dict[str, list[str]] = {}
    for each in methods:
        file = each.origin.rpartition(":")[0] or each.origin
        groups.setdefault(Path(file).name if file else "", []).append(each.name)
    known = [f"{', '.join(names)} from {file}" for file, names in groups.items() if file]
    return "; ".join(known + [f"{', '.join(names)} made up" for names in [groups.get("")] if names])


class DriverObject:
    """Base of the objects that clients and remote code see; attributes other than methods are the behaviour's."""

    def __init__(self, driver: "SimulatedDriver") -> None:
        self._driver = driver

    def __getattr__(self, name: str) -> Any:
        if name != "_driver" and not name.startswith("__"):
            driver = self._driver
            if driver.behaviour is not None and hasattr(driver.behaviour, name):
                return getattr(driver.behaviour, name)
            hint = did_you_mean(name, driver.methods)
            raise AttributeError(f"the simulated driver of {driver.name!r} has no {name!r}.{hint}")
        raise AttributeError(name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute of the behaviour, as remote code sets one of a real driver."""
        behaviour = self._driver.behaviour if name != "_driver" else None
        if behaviour is not None:
            setattr(behaviour, name, value)
        else:
            object.__setattr__(self, name, value)


class SimulatedDriver(SimulatedDevice):
    """The simulated driver of a controller: carries out the calls of its object.

    Args:
        spec: What it is made from.
        methods: Its methods.
        kind: Class of its object.

    """

    def __init__(self, spec: DriverSpec, methods: Mapping[str, Method], kind: type[DriverObject]) -> None:
        super().__init__(spec.device, methods, spec.behaviour, KEPT_CALLS)
        self._spec: Final = spec
        self.object: Final = kind(self)

    def begin(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Strike:
        """Log a call, check its arguments, and return the faults of this call.

        Raises:
            TypeError: The driver does not take these arguments.

        """
        self.check(name, args, kwargs)
        self.note(name, args, kwargs)
        return self._spec.faults.strike(name, beside=self.methods[name].while_busy)

    def strike(self, strike: Strike) -> None:
        """Carry out a fault.

        Raises:
            ConnectionAbortedError: The server has died.
            RuntimeError: The call is to fail.

        """
        if strike.end is not None:
            self._spec.end(strike.end)
            raise ConnectionAbortedError(f"the simulated controller of {self.name!r} has ended")
        if strike.error is not None:
            raise RuntimeError(strike.error)

    def result(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the result of a call, an awaitable if the behaviour is a coroutine.

        Raises:
            NotRecorded: A recording was to answer it, and has no such call.
            Exception: What the behaviour raises, or what was recorded.

        """
        if self._spec.replay is not None:
            found, value = self._spec.replay.answer(name, args, kwargs)
            if found:
                return value
        if name in self.behaves:
            return getattr(self.behaviour, name)(*args, **kwargs)
        if name == "ping":
            return True
        if self._spec.replay is not None:
            raise NotRecorded(
                f"{self.name}.{Call(name, args, kwargs, 0.0)} was not recorded. Record it, or write a behaviour "
                f"for it: class {self.name}: def {name}(self, …). {self._recorded()}"
            )
        return self.plain(name, args, kwargs)

    def _recorded(self) -> str:
        """Return what was recorded of this device, for the error about what was not."""
        kinds = (("calls", self._spec.replay), ("remote functions", self._spec.remote))
        found = []
        for kind, replay in kinds:
            texts = replay.recorded() if replay is not None else []
            more = f" and {len(texts) - _MOST_TEXTS} more" if len(texts) > _MOST_TEXTS else ""
            found += [f"{kind} {', '.join(texts[:_MOST_TEXTS])}{more}"] if texts else []
        return f"Recorded are: {'; '.join(found) or 'no calls'}"


def _function(method: Method) -> Any:
    """Return the function that a simulated driver's class has for a method."""
    name = method.name

    def plain(self: DriverObject, *args: Any, **kwargs: Any) -> Any:
        driver = self._driver
        strike = driver.begin(name, args, kwargs)
        if strike.delay:
            time.sleep(strike.delay)
        driver.strike(strike)
        return driver.result(name, args, kwargs)

    async def coroutine(self: DriverObject, *args: Any, **kwargs: Any) -> Any:
        driver = self._driver
        strike = driver.begin(name, args, kwargs)
        if strike.delay:
            await asyncio.sleep(strike.delay)
        driver.strike(strike)
        result = driver.result(name, args, kwargs)
        return await result if inspect.isawaitable(result) else result

    function: Any = coroutine if method.is_coroutine else plain
    function.__name__ = function.__qualname__ = name
    function.__doc__ = method.doc
    function.__signature__ = _with_self(method.signature)
    return while_busy(function) if method.while_busy and not method.is_coroutine else function


def _with_self(signature: inspect.Signature) -> inspect.Signature:
    """Return a signature with `self` in front."""
    first = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    if not any(each.kind is inspect.Parameter.POSITIONAL_ONLY for each in signature.parameters.values()):
        first = first.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if "self" in signature.parameters:
        return signature
    return signature.replace(parameters=[first, *signature.parameters.values()])
