"""Faults on demand: delay, errors, death, silence. The same seed gives the same faults at the same calls."""

import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from devicedb.suggest import did_you_mean
from rexec.simulate.errors import FaultError

KINDS: Final = ("delay", "error", "death", "silence")

End = Literal["death", "silence"]


@dataclass(frozen=True)
class Fault:
    """What goes wrong with the calls of a device, or of one of its methods.

    Attributes:
        delay: Seconds before each call is carried out.
        error: Probability, 0 to 1, that a call raises instead.
        death: The server dies at this call, counted from 1: it closes all connections and its port. None: never.
        silence: From this call on, counted from 1, nothing is answered any more, though connections are accepted;
            0: from now on. None: never.

    """

    delay: float = 0.0
    error: float = 0.0
    death: int | None = None
    silence: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.delay <= 86400:
            raise FaultError(f"delay={self.delay!r}: give seconds, 0 to 86400")
        if not 0 <= self.error <= 1:
            raise FaultError(f"error={self.error!r}: give a probability, 0 to 1")
        if self.death is not None and self.death < 1:
            raise FaultError(
                f"death={self.death!r}: give the number of the call at which it dies, 1 for the next"
            )
        if self.silence is not None and self.silence < 0:
            raise FaultError(
                f"silence={self.silence!r}: give the number of the first call without answer, 0 for now"
            )

    def __or__(self, other: "Fault") -> "Fault":
        """Return both faults in one; a kind that both have is the other's."""
        return Fault(**{**_said(self), **_said(other)})


def _said(fault: Fault) -> dict[str, Any]:
    """Return the fields that are set."""
    nothing = Fault.__dataclass_fields__
    return {name: getattr(fault, name) for name in nothing if getattr(fault, name) != nothing[name].default}


def parse_fault(text: str) -> tuple[str, Fault]:
    """Return device (or DEVICE.METHOD) and fault of a text such as "camera:delay=2,error=0.1".

    Raises:
        FaultError: It is no such text.

    """
    device, colon, rest = text.rpartition(":")
    if not colon or not device or not rest:
        raise FaultError(
            f"fault {text!r}: write DEVICE:KIND=VALUE, such as camera:delay=2 or camera.get_frame:error=0.1; "
            f"kinds are {', '.join(KINDS)}"
        )
    found: dict[str, Any] = {}
    for part in rest.split(","):
        kind, _, value = part.partition("=")
        kind = kind.strip()
        if kind not in KINDS:
            raise FaultError(
                f"fault {text!r}: there is no {kind!r}; kinds are {', '.join(KINDS)}.{did_you_mean(kind, KINDS)}"
            )
        try:
            if kind in ("delay", "error"):
                found[kind] = float(value)
            else:
                found[kind] = int(value or {"death": "1", "silence": "0"}[kind])
        except ValueError:
            raise FaultError(f"fault {text!r}: {kind}={value!r} is no number") from None
    try:
        return device, Fault(**found)
    except FaultError as error:
        raise FaultError(f"fault {text!r}: {error}") from None


@dataclass(frozen=True)
class Strike:
    """What happens to one call.

    Attributes:
        delay: Seconds that it waits.
        error: Text of what it raises, None if it does not.
        end: What happens to the whole server.

    """

    delay: float = 0.0
    error: str | None = None
    end: End | None = None


class Faults:
    """The faults of one device. For any thread.

    Args:
        device: Its name.
        seed: Of the random numbers; each method has a sequence of its own.

    """

    def __init__(self, device: str, seed: int = 0) -> None:
        self._device = device
        self._seed = seed
        self._lock = threading.Lock()
        self._faults: dict[str | None, Fault] = {}
        self._counts: dict[tuple[str | None, str], int] = {}
        self._random: dict[str, random.Random] = {}

    def set(self, method: str | None, fault: Fault) -> None:
        """Set the fault of a method, None for all methods; its calls are counted from now on."""
        with self._lock:
            self._faults[method] = fault
            self._forget(method)

    def clear(self, method: str | None = None) -> None:
        """Take the fault of a method away; None: all of them."""
        with self._lock:
            if method is None:
                self._faults.clear()
                self._counts.clear()
            else:
                self._faults.pop(method, None)
                self._forget(method)

    def active(self) -> Mapping[str, Fault]:
        """Return the faults by method; "*" for all methods."""
        with self._lock:
            return {name or "*": fault for name, fault in self._faults.items()}

    def strike(self, method: str, *, beside: bool = False) -> Strike:
        """Count a call of a method and return its strike.

        `ping`, and whatever else is answered beside all calls, is left alone by what is said of all methods: a slow or
        failing instrument still lives.

        Args:
            method: Its name.
            beside: Whether it is answered beside all calls.

        """
        with self._lock:
            delay, error, end = 0.0, None, None
            for key in (None, method):
                fault = self._faults.get(key)
                if fault is None or (key is None and (beside or method == "ping")):
                    continue
                number = self._count(key, "*" if key is None else method)
                delay += fault.delay
                # A fault that ends the server strikes once: the server lives after its next start.
                if fault.death is not None and number >= fault.death:
                    end = "death"
                    self._faults[key] = replace(fault, death=None)
                elif fault.silence is not None and number >= fault.silence and end is None:
                    end = "silence"
                    self._faults[key] = replace(fault, silence=None)
                if fault.error and error is None and self._dice(method).random() < fault.error:
                    error = (
                        f"simulated fault: {self._device}.{method} fails with probability {fault.error:g} "
                        f"(call {number}, seed {self._seed})"
                    )
            return Strike(delay, error, end)  # type: ignore[arg-type]

    def _count(self, key: str | None, method: str) -> int:
        self._counts[key, method] = number = self._counts.get((key, method), 0) + 1
        return number

    def _forget(self, key: str | None) -> None:
        if key is None:
            self._random.clear()
        else:
            self._random.pop(key, None)
        for each in [each for each in self._counts if each[0] == key]:
            del self._counts[each]

    def _dice(self, method: str) -> random.Random:
        if method not in self._random:
            self._random[method] = random.Random(f"{self._seed}:{self._device}:{method}")
        return self._random[method]
