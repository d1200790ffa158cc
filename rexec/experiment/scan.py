"""Scans, arguments that are a sequence of values; names, meaning and descriptions as in `artiq.experiment`."""

import itertools
import math
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, Final

from rexec.experiment.arguments import _Processor
from rexec.experiment.errors import NoDefault
from rexec.ground.units import UNITS


class ScanObject(ABC):
    """Base of the scans: an iterable of known length that can be iterated repeatedly."""

    @abstractmethod
    def __iter__(self) -> Iterator[Any]: ...

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return a dict of the kind (`ty`) and its fields, as PYON can encode it."""


class NoScan(ScanObject):
    """One value, repeated.

    Args:
        value: The value.
        repetitions: How often.

    """

    def __init__(self, value: Any, repetitions: int = 1) -> None:
        self.value = value
        self.repetitions = repetitions

    def __iter__(self) -> Iterator[Any]:
        return itertools.repeat(self.value, self.repetitions)

    def __len__(self) -> int:
        return self.repetitions

    def describe(self) -> dict[str, Any]:
        """Return kind and fields."""
        return {"ty": "NoScan", "value": self.value, "repetitions": self.repetitions}


class _Sequence(ScanObject):
    """A scan whose values are known when it is made."""

    sequence: Sequence[Any]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.sequence)

    def __len__(self) -> int:
        return len(self.sequence)


class RangeScan(_Sequence):
    """Values at equal distances from `start` to `stop`, both included.

    Args:
        start, stop: Ends.
        npoints: How many values.
        randomize: Whether their order is random.
        seed: Of that order.

    """

    def __init__(
        self, start: float, stop: float, npoints: int, randomize: bool = False, seed: int | None = None
    ) -> None:
        self.start = start
        self.stop = stop
        self.npoints = npoints
        self.randomize = randomize
        self.seed = seed
        step = (stop - start) / (npoints - 1) if npoints > 1 else 0
        # A scan of one point is the start as it was given, of whatever type; npoints 0 has none.
        self.sequence = [start] if npoints == 1 else [index * step + start for index in range(npoints)]
        if randomize:
            random.Random(seed).shuffle(self.sequence)

    def describe(self) -> dict[str, Any]:
        """Return kind and fields."""
        fields = ("start", "stop", "npoints", "randomize", "seed")
        return {"ty": "RangeScan", **{field: getattr(self, field) for field in fields}}


class CenterScan(_Sequence):
    """Values from the center outwards, alternating between both sides.

    Args:
        center: The first value.
        span: Distance of the outermost ones from each other, at most.
        step: Distance of neighbours.
        randomize: Whether their order is random.
        seed: Of that order.

    """

    def __init__(
        self, center: float, span: float, step: float, randomize: bool = False, seed: int | None = None
    ) -> None:
        self.center = center
        self.span = span
        self.step = step
        self.randomize = randomize
        self.seed = seed
        # 1e-9: a span of ten steps has ten, whatever the rounding of the division.
        self.sequence = [center + 0 * step]
        for index in range(1, 1 + int(span / 2 / step + 1e-9) if step else 1):
            self.sequence += [center - index * step, center + index * step]
        if randomize:
            random.Random(seed).shuffle(self.sequence)

    def describe(self) -> dict[str, Any]:
        """Return kind and fields."""
        fields = ("center", "step", "span", "randomize", "seed")
        return {"ty": "CenterScan", **{field: getattr(self, field) for field in fields}}


class ExplicitScan(_Sequence):
    """Given values.

    Args:
        sequence: The values.

    """

    def __init__(self, sequence: Sequence[Any]) -> None:
        self.sequence = sequence

    def describe(self) -> dict[str, Any]:
        """Return kind and values."""
        return {"ty": "ExplicitScan", "sequence": self.sequence}


class MultiScanManager:
    """All combinations of several scans; iterating yields objects with one attribute a scan.

    Args:
        args: (name, scan) of each; the last one changes fastest.

    """

    def __init__(self, *args: tuple[str, ScanObject]) -> None:
        self.names: Final = [name for name, _ in args]
        self.scans: Final = [scan for _, scan in args]

    def __iter__(self) -> Iterator[Any]:
        for values in itertools.product(*self.scans):
            yield SimpleNamespace(**dict(zip(self.names, values, strict=True)))

    def __len__(self) -> int:
        return math.prod(len(scan) for scan in self.scans)


_KINDS: Final = {each.__name__: each for each in (NoScan, RangeScan, CenterScan, ExplicitScan)}


class Scannable(_Processor):
    """An argument that is a scan.

    Args:
        default: A scan, or several, of which the first is the default and the others are offered.
        unit: Symbol that a user interface shows.
        scale: Factor from what is shown to what the experiment gets; default: what the symbol says, 1 without one.
        global_step: Of the buttons up and down; default a tenth of `scale`.
        global_min, global_max: Bounds that a user interface keeps.
        precision: Digits after the point that a user interface shows.
        ndecimals: The name of `precision` before ARTIQ 8.

    """

    def __init__(
        self,
        default: Any = NoDefault,
        unit: str = "",
        *,
        scale: float | None = None,
        global_step: float | None = None,
        global_min: float | None = None,
        global_max: float | None = None,
        precision: int = 2,
        ndecimals: int | None = None,
    ) -> None:
        if scale is None:
            if unit and unit not in UNITS:
                raise KeyError(f"Unit {unit} is unknown, you must specify the scale manually")
            scale = UNITS[unit] if unit else 1.0
        self.unit = unit
        self.scale = scale
        self.global_step = scale / 10.0 if global_step is None else global_step
        self.global_min = global_min
        self.global_max = global_max
        self.precision = precision if ndecimals is None else ndecimals
        if default is not NoDefault:
            self.default_values = list(default) if isinstance(default, list | tuple) else [default]
            self.default_value = self.default_values[0]

    def process(self, x: Any) -> ScanObject:
        """Return the scan of a description; a scan is returned as it is."""
        if isinstance(x, ScanObject):
            return x
        kind = _KINDS.get(x.get("ty", "")) if isinstance(x, dict) else None
        if kind is None:
            raise ValueError(
                f'{x!r} is no scan; write {{"ty": "RangeScan", "start": 0, "stop": 1, "npoints": 5}}'
            )
        try:
            return kind(**{key: value for key, value in x.items() if key != "ty"})
        except (TypeError, ValueError, ZeroDivisionError) as error:
            raise ValueError(f"{x!r}: {error}") from None

    def describe(self) -> dict[str, Any]:
        """Return kind, defaults, unit, scale, step, bounds and precision."""
        fields = ("unit", "scale", "global_step", "global_min", "global_max", "precision")
        found = {**super().describe(), **{field: getattr(self, field) for field in fields}}
        return found

    def _described_default(self) -> Any:
        return [each.describe() for each in self.default_values]
