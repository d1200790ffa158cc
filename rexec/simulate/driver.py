"""A simulated driver: an object with the methods of the real one, that does what a recording or a behaviour says."""

import asyncio
import inspect
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

from devicedb.drivers.methods import DriverFacts, Method
from devicedb.suggest import did_you_mean
from rexec.simulate.behaviours import check_class, construct, method_of, public_methods
from rexec.simulate.errors import NotRecorded
from rexec.simulate.faults import End, Faults, Strike
from rexec.simulate.method_list import with_self
from rexec.simulate.values import plain_value
from rexec.wire.pc_rpc import while_busy

logger = logging.getLogger(__name__)

KEPT_CALLS: Final = 1000
"""How many calls a simulated driver remembers."""


@dataclass(frozen=True)
class Call:
    """A call of a simulated device.

    Attributes:
        method: Name.
        args: Positional arguments.
        kwargs: Keyword arguments.
        time: When it came, seconds since the epoch.

    """

    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    time: float


class Replay(Protocol):
    """Answers that were recorded."""

    def has(self, method: str) -> bool:
        """Whether there is any answer of a method."""

    def answer(self, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[bool, Any]:
        """Return whether this call was recorded, and what it returned; raises what it raised."""


@dataclass
class Part:
    """All that makes one simulated driver.

    Attributes:
        device: Its name, for people.
        facts: What is known of the real one.
        behaviour: Class of what it does, None: nothing of its own.
        replay: Recorded answers, None: there is no recording.
        faults: What goes wrong.
        end: Called when a fault ends the whole server; it does not return before the call may go on.

    """

    device: str
    facts: DriverFacts
    faults: Faults
    behaviour: type[Any] | None = None
    replay: Replay | None = None
    end: Callable[[End], None] = lambda _: None


def make_driver(part: Part) -> "Performer":
    """Return a new simulated driver, as the `driver` of what carries out its calls.

    Raises:
        BehaviourError: The behaviour does not fit the driver.

    """
    if part.behaviour is not None:
        check_class(part.behaviour, part.facts, part.device)
    methods = methods_of(part)
    namespace: dict[str, Any] = {
        "__doc__": part.facts.doc or f"Simulation of {part.device}.",
        "__module__": __name__,
        **{name: _function(method) for name, method in methods.items()},
    }
    return Performer(part, methods, type(part.facts.name, (SimulatedDriver,), namespace))


def methods_of(part: Part) -> dict[str, Method]:
    """Return the methods of a simulated driver; their origins say from where each one comes."""
    methods = dict(part.facts.methods)
    for name, value in public_methods(part.behaviour).items() if part.behaviour is not None else ():
        methods[name] = method_of(name, value, methods.get(name))
    if part.replay is not None:
        for name, method in methods.items():
            if part.replay.has(name):
                methods[name] = replace(method, origin="the recording")
    if "ping" not in methods:
        # Ours to answer: nobody asks the instrument, so it never has to wait for a turn.
        methods["ping"] = Method(
            "ping",
            inspect.Signature(return_annotation="bool"),
            "Tell that the controller lives.",
            "",
            while_busy=True,
        )
    return methods


def origins(methods: Iterable[Method]) -> str:
    """Return from where methods come, for people: "get_frame from behaviours.py; ping made up"."""
    groups: dict[str, list[str]] = {}
    for each in methods:
        file = each.origin.rpartition(":")[0] or each.origin
        groups.setdefault(Path(file).name if file else "", []).append(each.name)
    known = [f"{', '.join(names)} from {file}" for file, names in groups.items() if file]
    return "; ".join(known + [f"{', '.join(names)} made up" for names in [groups.get("")] if names])


class SimulatedDriver:
    """Base of all simulated drivers: attributes that it has not are those of its behaviour."""

    def __init__(self, performer: "Performer") -> None:
        self._performer = performer

    def __getattr__(self, name: str) -> Any:
        if name != "_performer" and not name.startswith("__"):
            performer = self._performer
            if performer.behaviour is not None and hasattr(performer.behaviour, name):
                return getattr(performer.behaviour, name)
            hint = did_you_mean(name, performer.methods)
            raise AttributeError(f"the simulated driver of {performer.part.device!r} has no {name!r}.{hint}")
        raise AttributeError(name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute where the behaviour sees it: remote code does so with a real driver, too."""
        behaviour = self._performer.behaviour if name != "_performer" else None
        if behaviour is not None:
            setattr(behaviour, name, value)
        else:
            object.__setattr__(self, name, value)


class Performer:
    """Carries out the calls of one simulated driver.

    Args:
        part: What it is made of.
        methods: Its methods.
        kind: Class of the driver.

    """

    def __init__(self, part: Part, methods: Mapping[str, Method], kind: type[SimulatedDriver]) -> None:
        self.part = part
        self.driver: Final = kind(self)
        self.methods = methods
        self.behaviour = construct(part.behaviour, part.device) if part.behaviour is not None else None
        self._own = frozenset(public_methods(part.behaviour) if part.behaviour is not None else ())
        self.calls: deque[Call] = deque(maxlen=KEPT_CALLS)
        self._memory: dict[str, Any] = {}
        self._lock = threading.Lock()

    def begin(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Strike:
        """Note a call, check its arguments, and return what is to happen to it.

        Raises:
            TypeError: The driver does not take these arguments.

        """
        try:
            self.methods[name].signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.part.facts.name}.{name}(): {error}") from None
        self.calls.append(Call(name, args, kwargs, time.time()))
        return self.part.faults.strike(name, beside=self.methods[name].while_busy)

    def strike(self, strike: Strike) -> None:
        """Let a fault happen.

        Raises:
            ConnectionAbortedError: The server has died.
            RuntimeError: The call is to fail.

        """
        if strike.end is not None:
            self.part.end(strike.end)
            raise ConnectionAbortedError(f"the simulated controller of {self.part.device!r} has ended")
        if strike.error is not None:
            raise RuntimeError(strike.error)

    def result(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what a call returns; an awaitable where the behaviour is a coroutine.

        Raises:
            NotRecorded: A recording was to answer it, and has no such call.
            Exception: What the behaviour raises, or what was recorded.

        """
        if self.part.replay is not None:
            found, value = self.part.replay.answer(name, args, kwargs)
            if found:
                return value
        if self.behaviour is not None and name in self._own:
            return getattr(self.behaviour, name)(*args, **kwargs)
        if name == "ping":
            return True
        if self.part.replay is not None:
            shown = [repr(each)[:60] for each in args] + [
                f"{key}={value!r:.60}" for key, value in kwargs.items()
            ]
            raise NotRecorded(
                f"{self.part.device}.{name}({', '.join(shown)}) was not recorded. Record it, or write a behaviour "
                f"for it: class {self.part.device}: def {name}(self, …)"
            )
        return self._remembered(name, [*args, *kwargs.values()])

    def _remembered(self, name: str, arguments: list[Any]) -> Any:
        """Return what `set_X` was last given where `get_X` asks for it, else the plain value of the type."""
        verb, _, what = name.partition("_")
        with self._lock:
            if verb == "set" and len(arguments) == 1:
                self._memory[what] = arguments[0]
            elif verb == "get" and not arguments and what in self._memory:
                return self._memory[what]
        return plain_value(self.methods[name].returns)


def _function(method: Method) -> Any:
    """Return the function that a simulated driver's class has for a method."""
    name = method.name

    def plain(self: SimulatedDriver, *args: Any, **kwargs: Any) -> Any:
        performer = self._performer
        strike = performer.begin(name, args, kwargs)
        if strike.delay:
            time.sleep(strike.delay)
        performer.strike(strike)
        return performer.result(name, args, kwargs)

    async def coroutine(self: SimulatedDriver, *args: Any, **kwargs: Any) -> Any:
        performer = self._performer
        strike = performer.begin(name, args, kwargs)
        if strike.delay:
            await asyncio.sleep(strike.delay)
        performer.strike(strike)
        result = performer.result(name, args, kwargs)
        return await result if inspect.isawaitable(result) else result

    function: Any = coroutine if method.is_coroutine else plain
    function.__name__ = function.__qualname__ = name
    function.__doc__ = method.doc
    function.__signature__ = with_self(method.signature)
    return while_busy(function) if method.while_busy and not method.is_coroutine else function
