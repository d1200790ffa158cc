"""What ARTIQ's language has for kernels, under ARTIQ's names: decorators, the timeline, types, errors.

ARTIQ compiles kernels. Here they run as plain Python on the stand-in of the core device in a simulated run: a call of a
kernel goes to `self.core.run`, as in ARTIQ, and the simulated core runs the function itself. A real core device refuses
them with an error that says so. Types, underflows and what kernels may contain are not checked.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final

__all__ = [
    "RTIOOverflow", "RTIOUnderflow", "TArray", "TBool", "TByteArray", "TBytes", "TFloat", "TInt32", "TInt64", "TList",
    "TNone", "TRange32", "TRange64", "TStr", "TTuple", "TVar", "at_mu", "delay", "delay_mu", "host_only", "interleave",
    "kernel", "kernel_from_string", "now_mu", "parallel", "portable", "rpc", "sequential", "set_time_manager",
    "set_watchdog_factory", "subkernel", "syscall", "watchdog",
]  # fmt: skip


class _NoTimeline:
    """Stands for the timeline before there is a core device."""

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(
            "delay(), now_mu() and their kin need the core device: ask for it in build() with setattr_device('core')"
        )


_manager: Any = _NoTimeline()


def set_time_manager(time_manager: Any) -> None:
    """Set the object, `time_manager`, that delay(), now_mu(), parallel and their kin call."""
    global _manager
    _manager = time_manager


def set_watchdog_factory(factory: Any) -> None:
    """Do nothing with the factory: there are no watchdogs here."""


class _TimelineBlock:
    """A `with` block of the timeline."""

    def __init__(self, enter: str) -> None:
        self._enter = enter

    def __enter__(self) -> None:
        getattr(_manager, self._enter)()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        _manager.exit()


parallel: Final = _TimelineBlock("enter_parallel")
interleave: Final = _TimelineBlock("enter_parallel")
sequential: Final = _TimelineBlock("enter_sequential")


def delay_mu(duration: int) -> None:
    """Move the timeline's cursor by machine units."""
    _manager.take_time_mu(duration)


def delay(duration: float) -> None:
    """Move the timeline's cursor by seconds."""
    _manager.take_time(duration)


def at_mu(time: int) -> None:
    """Move the timeline's cursor to a place, in machine units."""
    _manager.set_time_mu(time)


def now_mu() -> Any:
    """Return the timeline's cursor, in machine units."""
    return _manager.get_time_mu()


@contextlib.contextmanager
def watchdog(timeout: float) -> Iterator[None]:
    """Do nothing: there are no watchdogs here."""
    yield


def _decorator(wrap: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Return a decorator that can be used with and without arguments."""

    def decorator(argument: Any = None, /, **options: Any) -> Any:
        if callable(argument):
            return wrap(argument, None)
        return lambda function: wrap(function, argument)

    return decorator


def _on_core(function: Any, core: Any) -> Any:
    name = core if isinstance(core, str) else "core"

    @functools.wraps(function)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        device = getattr(self, name)
        if type(device).__module__.startswith("artiq."):
            raise TypeError(
                f"kernel {function.__name__}() is no kernel of ARTIQ, which alone compiles: import `kernel` from "
                "artiq.experiment"
            )
        return device.run(run, (self, *args), kwargs)

    return run


def _same(function: Any, _: Any) -> Any:
    return function


kernel: Final = _decorator(_on_core)
portable: Final = _decorator(_same)
rpc: Final = _decorator(_same)
host_only: Final = _decorator(_same)
subkernel: Final = _decorator(_same)
syscall: Final = _decorator(_same)


def kernel_from_string(
    parameters: list[Any], body_code: str, decorator: Callable[[Any], Any] = kernel
) -> Any:
    """Return a kernel made from text.

    Args:
        parameters: Names of its parameters; those with a type as (name, type).
        body_code: Its statements.
        decorator: Makes a kernel of the function.

    """
    names = ", ".join(each if isinstance(each, str) else each[0] for each in parameters)
    body = "".join(f"    {line}\n" for line in body_code.splitlines())
    space: dict[str, Any] = {}
    exec(f"def kernel_from_string_fn({names}):\n{body}", globals(), space)  # noqa: S102  # an experiment's own text
    return decorator(space["kernel_from_string_fn"])


class _Type:
    """An annotation of kernels."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> "_Type":
        return _Type(f"{self._name}({', '.join(map(repr, args))})")

    def __repr__(self) -> str:
        return self._name


TNone: Final = _Type("TNone")
TBool: Final = _Type("TBool")
TInt32: Final = _Type("TInt32")
TInt64: Final = _Type("TInt64")
TFloat: Final = _Type("TFloat")
TStr: Final = _Type("TStr")
TBytes: Final = _Type("TBytes")
TByteArray: Final = _Type("TByteArray")
TList: Final = _Type("TList")
TArray: Final = _Type("TArray")
TTuple: Final = _Type("TTuple")
TRange32: Final = _Type("TRange32")
TRange64: Final = _Type("TRange64")
TVar: Final = _Type("TVar")


class RTIOUnderflow(Exception):
    """An event came too late for the core device; never raised by a simulated one."""


class RTIOOverflow(Exception):
    """An input lost events; never raised by a simulated core device."""


TYPES: Final = tuple(name for name in __all__ if name.startswith("T"))
"""Names of the types."""
CORE: Final = tuple(name for name in __all__ if name.islower())
"""Names of decorators and of the timeline."""
