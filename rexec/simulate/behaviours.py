"""Behaviours: what simulated devices do, as small Python classes named after the devices.

    class camera:                     # a device of the database, or a target of its controller
        def __init__(self):
            self.exposure = 0.01

        def set_exposure(self, seconds):
            self.exposure = seconds

        def get_frame(self):
            return np.random.default_rng(1).poisson(self.exposure * 1e4, (480, 640)).astype(np.uint16)

One object a start of the controller. Names that begin with `_` are for the file's own use.
"""

import inspect
import os
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from inspect import Parameter, Signature
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from devicedb import DeviceDatabase
from devicedb.drivers.methods import DriverFacts, Method
from devicedb.load import siblings_importable
from devicedb.suggest import did_you_mean
from devicedb.whole_file import read_whole
from rexec.simulate.errors import BehaviourError
from rexec.wire.pc_rpc import is_marked


@dataclass(frozen=True)
class Behaviours:
    """The classes of a behaviours file, by name.

    Attributes:
        classes: Name of a device or target, its class.
        path: The file, None where they came from elsewhere.

    """

    classes: Mapping[str, type[Any]] = field(default_factory=dict)
    path: Path | None = None

    def of(self, names: Iterable[str]) -> type[Any] | None:
        """Return the class of the first name that has one; None if none has."""
        return next((self.classes[name] for name in names if name in self.classes), None)


def load_behaviours(path: str | os.PathLike[str]) -> Behaviours:
    """Run a behaviours file and return its classes; its folder is importable meanwhile.

    Raises:
        BehaviourError: It cannot be read, is no Python, raises, or has no public class; with file and line.

    """
    file = Path(path).absolute()
    try:
        code = compile(read_whole(file), str(file), "exec", dont_inherit=True)
    except OSError as error:
        raise BehaviourError(f"behaviours {file}: {error.strerror or error}") from None
    except SyntaxError as error:
        raise BehaviourError(f"{file}:{error.lineno or 1}: syntax error: {error.msg}") from None
    except ValueError as error:
        raise BehaviourError(f"{file}: is no Python source: {error}") from None
    module = ModuleType(f"rexec_behaviours_{file.stem}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module  # dataclasses and pickle look it up
    with siblings_importable(file.parent):
        try:
            exec(code, module.__dict__)  # noqa: S102  # a behaviours file is a program
        except (Exception, SystemExit) as error:
            lines = [each for each in traceback.extract_tb(error.__traceback__) if each.filename == str(file)]
            where = f"{file}:{lines[-1].lineno}" if lines else str(file)
            text = " ".join(str(error).split())
            raise BehaviourError(f"{where}: raises {type(error).__name__}: {text}") from error
    classes = {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }
    if not classes:
        raise BehaviourError(
            f"{file}: has no class. Behaviours are classes named after devices: `class camera:` with methods"
        )
    return Behaviours(classes, file)


def check_names(behaviours: Behaviours, database: DeviceDatabase, targets: Iterable[str]) -> None:
    """Raise BehaviourError if a class has the name of no device or target.

    Args:
        behaviours: The classes.
        database: Its names count.
        targets: Names of targets, which count, too.

    """
    known = {*database, *targets}
    for name, each in behaviours.classes.items():
        if name not in known:
            raise BehaviourError(
                f"{place(each)}: class {name}: {database.origin} has no such device.{did_you_mean(name, known)} "
                "A class for the file's own use gets a name that begins with _"
            )


def public_methods(behaviour: type[Any]) -> dict[str, Any]:
    """Return the public methods of a class and its bases, not bound to an object."""
    found: dict[str, Any] = {}
    for each in behaviour.__mro__:
        if each is not object:
            for name, value in vars(each).items():
                if not name.startswith("_") and isinstance(value, FunctionType | staticmethod | classmethod):
                    found.setdefault(name, value)
    return found


def check_class(behaviour: type[Any], facts: DriverFacts, device: str) -> None:
    """Raise BehaviourError if a class has a method that the driver lacks, or refuses arguments that the driver takes.

    Args:
        behaviour: The class.
        facts: What is known of the driver.
        device: For the message.

    """
    for name, value in public_methods(behaviour).items():
        method = facts.methods.get(name)
        if method is None:
            if facts.is_closed and facts.methods and name != "ping":
                raise BehaviourError(
                    f"{place(value)}: {device}.{name}(): the driver has no such method ({facts.name} in "
                    f"{facts.origin}).{did_you_mean(name, facts.methods)} A helper gets a name that begins with _"
                )
            continue
        own = caller_signature(value)
        if not accepts(own, method.signature):
            raise BehaviourError(
                f"{place(value)}: {device}.{name}{own} does not take what the driver takes: "
                f"{name}{method.signature} ({method.origin})"
            )


def construct(behaviour: type[Any], device: str) -> Any:
    """Return an object of a behaviour's class; BehaviourError says where its constructor raised."""
    try:
        return behaviour()
    except Exception as error:
        lines = traceback.extract_tb(error.__traceback__)
        where = f"{lines[-1].filename}:{lines[-1].lineno}" if len(lines) > 1 else place(behaviour)
        text = " ".join(str(error).split())
        raise BehaviourError(
            f"{where}: the behaviour of {device} cannot be made: {type(error).__name__}: {text}. Its constructor "
            "takes no arguments"
        ) from error


def method_of(name: str, value: Any, known: Method | None) -> Method:
    """Return the method of a behaviour, with the driver's signature if that is known."""
    function = value.__func__ if isinstance(value, staticmethod | classmethod) else value
    return Method(
        name,
        known.signature if known is not None else caller_signature(value),
        inspect.getdoc(function) or (known.doc if known is not None else None),
        place(value),
        inspect.iscoroutinefunction(function),
        is_marked(function),
    )


def caller_signature(value: Any) -> Signature:
    """Return the signature of an unbound method without `self`, its annotations as texts."""
    is_static = isinstance(value, staticmethod)
    function = value.__func__ if isinstance(value, staticmethod | classmethod) else value
    whole = inspect.signature(function)
    parameters = [
        each.replace(annotation=_text(each.annotation))
        for each in list(whole.parameters.values())[not is_static :]
    ]
    return Signature(parameters, return_annotation=_text(whole.return_annotation))


def _text(annotation: Any) -> Any:
    if annotation is Parameter.empty or isinstance(annotation, str):
        return annotation
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)


def accepts(own: Signature, wanted: Signature) -> bool:
    """Whether a call that fits one signature fits another one, by position and by keyword."""
    each_of = list(wanted.parameters.values())
    positional = [each for each in each_of if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    only = [each for each in each_of if each.kind is each.POSITIONAL_ONLY]
    named = [each for each in each_of if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    keyword_only = [each for each in each_of if each.kind is each.KEYWORD_ONLY]

    def fits(args: list[Parameter], kwargs: list[Parameter]) -> bool:
        try:
            own.bind(*args, **{each.name: each for each in kwargs})
        except TypeError:
            return False
        return True

    def required(some: list[Parameter]) -> list[Parameter]:
        return [each for each in some if each.default is each.empty]

    return (
        fits(positional, keyword_only)
        and fits(only, named)
        and fits(required(positional), required(keyword_only))
    )


def place(value: Any) -> str:
    """Return file and line of a class or function, for messages."""
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    code = getattr(value, "__code__", None)
    if code is not None:
        return f"{code.co_filename}:{code.co_firstlineno}"
    try:
        return f"{inspect.getsourcefile(value)}:{inspect.getsourcelines(value)[1]}"
    except (OSError, TypeError):
        return f"{value.__module__}.{value.__qualname__}"
