"""Stands in for `artiq.experiment` in simulated runs where ARTIQ is not installed; it is on no package index.

Experiments that say `from artiq.experiment import *` then run as they are; for kernels see `rexec.experiment.language`.
The modules of drivers (`artiq.coredevice`) have their constants, errors, and names for annotations.
"""

import contextlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, Final, NoReturn

from devicedb.catalogue.names import artiq_names
from rexec.experiment import arguments, environment, errors, language, scan
from rexec.ground import units
from rexec.sipyco import answered_imports

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


def modules() -> dict[str, dict[str, Any]]:
    """Return the names that each stand-in module has, by module."""
    parts = {
        "artiq.language.core": {
            **{name: getattr(language, name) for name in language.CORE},
            "TerminationRequested": errors.TerminationRequested,
        },
        "artiq.language.environment": {
            **{name: getattr(environment, name) for name in _ENVIRONMENT},
            **{name: getattr(arguments, name) for name in _ARGUMENTS},
            **{name: getattr(errors, name) for name in _ERRORS},
        },
        "artiq.language.scan": {name: getattr(scan, name) for name in _SCANS},
        "artiq.language.units": dict(units.UNITS),
        "artiq.language.types": {name: getattr(language, name) for name in language.TYPES},
    }
    everything = {name: value for names in parts.values() for name, value in names.items()}
    return {
        "artiq": {},
        "artiq.language": everything,
        **parts,
        "artiq.coredevice": {},
        **{module: _driver_module(module, names) for module, names in artiq_names().items()},
        "artiq.experiment": {**everything, **_KERNEL_ERRORS},
    }


def adc_mu_to_volt(data: int, gain: int = 0, corrected_fs: bool = True) -> float:
    """Return a word of the Sampler's converter in volts, as `artiq.coredevice.sampler` does.

    Args:
        data: Signed, 16 bits.
        gain: Setting of the amplifier, 0 to 3: 1 to 1000 times.
        corrected_fs: Whether full scale is 10.24 V (Samplers after version 2.1), else 10 V.

    """
    return data * ((20.48 if corrected_fs else 20.0) / (65536 * 10.0**gain))


_FUNCTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "artiq.coredevice.sampler": {"adc_mu_to_volt": adc_mu_to_volt}
}
"""Functions of drivers' modules that experiments call outside of kernels, too."""

_KERNEL_ERRORS: Final = {"RTIOUnderflow": language.RTIOUnderflow, "RTIOOverflow": language.RTIOOverflow}


class _DriverType(type):
    """Type of the stand-ins for driver classes: a simulated device of that driver is an instance."""

    def __instancecheck__(cls, instance: object) -> bool:
        driver = getattr(instance, "simulated_driver", None)
        return driver == f"{cls.__module__}.{cls.__name__}" or super().__instancecheck__(instance)


def _driver_module(module: str, names: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands in for a module of drivers: its constants, errors, and names of classes and functions."""
    kind = {"__module__": module}
    found = {
        **names["constants"],
        **{
            name: _DriverType(name, (), {**kind, "__init__": _refusal(module, name)})
            for name in names["classes"]
        },
        **{name: type(name, (Exception,), dict(kind)) for name in names["errors"]},
        **{name: _function(module, name) for name in names["functions"]},
        **_FUNCTIONS.get(module, {}),
    }
    return found | {name: error for name, error in _KERNEL_ERRORS.items() if name in found}


def _function(module: str, name: str) -> Callable[..., NoReturn]:
    return _refuse(
        f"{module}.{name}() is code of ARTIQ, which is not installed here. Install it, or define the function in the "
        "experiment"
    )


def _refusal(module: str, name: str) -> Callable[..., NoReturn]:
    return _refuse(
        f"{module}.{name} is only a name here, for annotations, because ARTIQ is not installed. Get the device from "
        "the device database, or install ARTIQ"
    )


def _refuse(text: str) -> Callable[..., NoReturn]:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(text)

    return refuse


def missing(error: ImportError) -> str:
    """Return what to do about a failed import, as the end of a message; "" if that is not known."""
    top = (error.name or "").partition(".")[0]
    if top != "artiq":
        is_missing = isinstance(error, ModuleNotFoundError) and top
        return (
            f". Install the package that has {top!r}, or put its folder on PYTHONPATH" if is_missing else ""
        )
    if (error.name or "").startswith("artiq.protocols"):
        return ". Since ARTIQ 5 its modules are in `sipyco` (here in `rexec.wire`): change the import"
    if getattr(sys.modules.get("artiq"), "__doc__", None) == _DOC:
        return ". ARTIQ is not installed here, and this part of it has no stand-in: install ARTIQ"
    return ". ARTIQ is not installed here: import from rexec.experiment, or run with --simulate"


_DOC: Final = "Stands in for a module of ARTIQ in a simulated run."


@contextlib.contextmanager
def artiq_language() -> Iterator[bool]:
    """Make `artiq.experiment` importable while the block lasts, unless ARTIQ is installed; yield whether it did.

    So are the modules of the reference library that ARTIQ brings along, answered by ours.
    """
    if "artiq" in sys.modules or importlib.util.find_spec("artiq") is not None:
        yield False
        return
    names = modules()
    for name, contents in names.items():
        module = ModuleType(name, _DOC)
        module.__path__ = []  # a package, so that an import of a missing part is a ModuleNotFoundError
        vars(module).update(contents)
        # Not its parts: `types` of a star import would hide that of Python.
        module.__dict__["__all__"] = [each for each in contents if not each.startswith("_")]
        sys.modules[name] = module
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, module)
    try:
        with answered_imports():
            yield True
    finally:
        for name in names:
            sys.modules.pop(name, None)
