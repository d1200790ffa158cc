"""Stands in for `artiq.experiment` in simulated runs where ARTIQ is not installed; it is on no package index.

Experiments that say `from artiq.experiment import *` then run as they are. Kernels run on this computer: a call of one
goes to `self.core.run`, as in ARTIQ, and the simulated core runs the function itself. What only a compiler knows
(types, underflows, what kernels may contain) is not looked at.
"""

import contextlib
import functools
import importlib.util
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, Final

from rexec.experiment import arguments, environment, errors, scan, units

_SCANS: Final = (
    "ScanObject",
    "NoScan",
    "RangeScan",
    "CenterScan",
    "ExplicitScan",
    "MultiScanManager",
    "Scannable",
)
_ARGUMENTS: Final = ("BooleanValue", "EnumerationValue", "NumberValue", "PYONValue", "StringValue")
_ENVIRONMENT: Final = ("EnvExperiment", "Experiment", "HasEnvironment")
_ERRORS: Final = ("CancelledArgsError", "DefaultMissing", "NoDefault", "TerminationRequested")
_CORE_ERRORS: Final = (
    "RTIOUnderflow", "RTIOOverflow", "RTIODestinationUnreachable", "DMAError", "SubkernelError", "ClockFailure",
    "I2CError", "SPIError", "CacheError", "UnwrapNoneError", "CXPError",
)  # fmt: skip


class _NoTimeline:
    """What the language of kernels leads to before there is a core device."""

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(
            "delay(), now_mu() and their kin need the core device: ask for it in build() with setattr_device('core')"
        )


_manager: Any = _NoTimeline()


def set_time_manager(time_manager: Any) -> None:
    """Set what delay(), now_mu(), parallel and their kin lead to."""
    global _manager
    _manager = time_manager


class _Block:
    """A `with` block of the timeline."""

    def __init__(self, enter: str) -> None:
        self._enter = enter

    def __enter__(self) -> None:
        getattr(_manager, self._enter)()

    def __exit__(self, *_: object) -> None:
        _manager.exit()


def delay_mu(duration: int) -> None:
    """Move the timeline's cursor by machine units."""
    _manager.take_time_mu(duration)


def delay(duration: float) -> None:
    """Move the timeline's cursor by seconds."""
    _manager.take_time(duration)


def at_mu(time: int) -> None:
    """Move the timeline's cursor to a place."""
    _manager.set_time_mu(time)


def now_mu() -> Any:
    """Return the timeline's cursor, in machine units."""
    return _manager.get_time_mu()


@contextlib.contextmanager
def watchdog(timeout: float) -> Iterator[None]:
    """Do nothing: in ARTIQ the master looks at it."""
    yield


def _decorator(wrap: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """A decorator that is used both bare and with arguments."""

    def decorator(argument: Any = None, /, **options: Any) -> Any:
        if callable(argument):
            return wrap(argument, None)
        return lambda function: wrap(function, argument)

    return decorator


def _on_core(function: Any, core: Any) -> Any:
    name = core if isinstance(core, str) else "core"

    @functools.wraps(function)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(self, name).run(run, (self, *args), kwargs)

    return run


class _Type:
    """An annotation of kernels."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> "_Type":
        return _Type(f"{self._name}({', '.join(map(repr, args))})")

    def __repr__(self) -> str:
        return self._name


_TYPES: Final = tuple(
    "TNone TBool TInt32 TInt64 TFloat TStr TBytes TByteArray TList TArray TTuple TRange32 TRange64 TVar".split()
)


def _same(function: Any, _: Any) -> Any:
    return function


def _core_names() -> dict[str, Any]:
    return {
        "kernel": _decorator(_on_core),
        "portable": _decorator(_same),
        "rpc": _decorator(_same),
        "host_only": _decorator(_same),
        "subkernel": _decorator(_same),
        "parallel": _Block("enter_parallel"),
        "interleave": _Block("enter_parallel"),
        "sequential": _Block("enter_sequential"),
        "delay_mu": delay_mu,
        "delay": delay,
        "at_mu": at_mu,
        "now_mu": now_mu,
        "watchdog": watchdog,
        "set_time_manager": set_time_manager,
        "TerminationRequested": errors.TerminationRequested,
    }


def modules() -> dict[str, dict[str, Any]]:
    """Return the names that each stand-in module has, by module."""
    core = _core_names()
    language = {
        "artiq.language.core": core,
        "artiq.language.environment": {
            **{name: getattr(environment, name) for name in _ENVIRONMENT},
            **{name: getattr(arguments, name) for name in _ARGUMENTS},
            **{name: getattr(errors, name) for name in _ERRORS},
        },
        "artiq.language.scan": {name: getattr(scan, name) for name in _SCANS},
        "artiq.language.units": dict(units.UNITS),
        "artiq.language.types": {name: _Type(name) for name in _TYPES},
    }
    failures = {
        name: type(name, (Exception,), {"__module__": "artiq.coredevice.exceptions"}) for name in _CORE_ERRORS
    }
    everything = {name: value for names in language.values() for name, value in names.items()}
    return {
        "artiq": {},
        "artiq.language": everything,
        **language,
        "artiq.coredevice": {},
        "artiq.coredevice.exceptions": failures,
        "artiq.experiment": {
            **everything, "RTIOUnderflow": failures["RTIOUnderflow"], "RTIOOverflow": failures["RTIOOverflow"],
        },
    }  # fmt: skip


@contextlib.contextmanager
def artiq_language() -> Iterator[bool]:
    """Make `artiq.experiment` and its parts importable meanwhile, where ARTIQ is not there; yields whether so."""
    if "artiq" in sys.modules or importlib.util.find_spec("artiq") is not None:
        yield False
        return
    names = modules()
    for name, contents in names.items():
        module = ModuleType(name, "Stands in for a module of ARTIQ in a simulated run.")
        module.__path__ = []  # importing what is not here says that there is none
        vars(module).update(contents)
        module.__dict__["__all__"] = [each for each in contents if not each.startswith("_")]
        sys.modules[name] = module
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, module)
    try:
        yield True
    finally:
        for name in names:
            sys.modules.pop(name, None)
