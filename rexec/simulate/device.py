"""What simulated drivers of controllers and stand-ins of local devices share: behaviour, call log, plain answers."""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import Signature
from typing import Any, Final

from devicedb.drivers.methods import Method
from rexec.simulate.behaviours import construct, public_methods
from rexec.simulate.values import plain_value


@dataclass(frozen=True)
class Call:
    """A call of a simulated device.

    Attributes:
        method: Name.
        args: Positional arguments.
        kwargs: Keyword arguments.
        time: Time of the call, in seconds since the epoch.
        now_mu: Cursor of the core device's timeline, in machine units; 0 for the driver of a controller.

    """

    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    time: float
    now_mu: int = 0

    def __str__(self) -> str:
        shown = [f"{each!r:.60}" for each in self.args]
        shown += [f"{key}={value!r:.60}" for key, value in self.kwargs.items()]
        return f"{self.method}({', '.join(shown)})"


class SimulatedDevice:
    """A simulated device: its methods, its behaviour, and its last calls.

    Args:
        name: Name in the device database.
        methods: Methods of the driver, as far as they are known.
        behaviour: Class of what the device does; None: nothing of its own.
        kept: Number of calls to remember.

    Raises:
        BehaviourError: The behaviour cannot be constructed.

    """

    def __init__(
        self, name: str, methods: Mapping[str, Method], behaviour: type[Any] | None, kept: int
    ) -> None:
        self.name: Final = name
        self.methods: Final = methods
        self.behaviour: Final = construct(behaviour, name) if behaviour is not None else None
        self.calls: Final[deque[Call]] = deque(maxlen=kept)
        self.behaves: Final = frozenset(public_methods(behaviour) if behaviour is not None else ())
        """Names of the behaviour's methods."""
        self._memory: Final[dict[str, Any]] = {}

    def check(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Check the arguments of a call, as far as the method is known.

        Raises:
            TypeError: The driver does not take these arguments.

        """
        known = self.methods.get(method)
        if known is not None:
            try:
                known.signature.bind(*args, **kwargs)
            except TypeError as error:
                if any(_fits(each, args, kwargs) for each in known.older):
                    return
                raise TypeError(f"{self.name}.{method}(): {error}") from None

    def note(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], now_mu: int = 0) -> Call:
        """Remember a call, and return it."""
        call = Call(method, args, kwargs, time.time(), now_mu)
        self.calls.append(call)
        return call

    def plain(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the answer of a method that nothing else answers.

        `get_X()` returns what `set_X` was last given. Any other method returns the plain value of its return type.
        """
        verb, _, what = method.partition("_")
        given = [*args, *kwargs.values()]
        # Many clients call at once. A name never leaves the memory, so that no lock is needed.
        if verb == "set" and len(given) == 1:
            self._memory[what] = given[0]
        elif verb == "get" and not given and what in self._memory:
            return self._memory[what]
        known = self.methods.get(method)
        return plain_value(known.returns if known is not None else None)


def _fits(signature: Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True
