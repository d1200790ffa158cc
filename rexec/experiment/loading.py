"""Imports the file of an experiment as ARTIQ does, and finds the experiment class in it."""

import inspect
import linecache
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import devicedb
import rexec
import schemas
from devicedb.load import look_again
from devicedb.suggest import did_you_mean
from devicedb.whole_file import read_whole
from rexec.experiment.environment import EnvExperiment, Experiment
from rexec.experiment.errors import ExperimentClassError, ExperimentFileError
from rexec.ground.spawned import found_by_children, module_name

_OURS: Final = (schemas, devicedb, rexec)


def check_names(folder: Path) -> None:
    """Raise ExperimentFileError if a module of `folder` hides one of this program's packages.

    A folder that has all of them is a clone of this project and hides nothing: the imported packages stay.
    """
    if all((folder / package.__name__ / "__init__.py").is_file() for package in _OURS):
        return
    for package in _OURS:
        name = package.__name__
        own = Path(str(package.__file__)).resolve().parent
        for candidate in (folder / f"{name}.py", folder / name / "__init__.py"):
            if candidate.is_file() and candidate.resolve().parent != own:
                raise ExperimentFileError(
                    f"{candidate} hides a package of this program: `import {name}` would find it instead. Rename it"
                )


@contextmanager
def importable(folders: Sequence[Path]) -> Iterator[None]:
    """Put the experiment's folder first on `sys.path` while it runs, and further ones last; in its children, too.

    `sys.path` is another list meanwhile, for other threads that import: see `devicedb.load.siblings_importable`.
    """
    before = sys.path
    sys.path = [str(folders[0]), *before, *map(str, folders[1:])]
    look_again()
    try:
        with found_by_children():
            yield
    finally:
        sys.path = before


def import_file(path: Path) -> ModuleType:
    """Import the file of an experiment.

    Its folder must be importable already; see `importable`. Exceptions of the file are
    not caught, so that its frames can be shown; see `rexec.experiment.tracebacks`.

    Raises:
        ExperimentFileError: The file cannot be read, or is no Python.

    """
    path = path.absolute()
    try:
        code = compile(read_whole(path), str(path), "exec", dont_inherit=True)
    except FileNotFoundError:
        raise ExperimentFileError(f"{path}: there is no such experiment file") from None
    except OSError as error:
        raise ExperimentFileError(f"{path}: cannot be read: {error.strerror or error}") from None
    except SyntaxError as error:
        raise ExperimentFileError(f"{path}:{error.lineno or 1}: syntax error: {error.msg}") from None
    except ValueError as error:
        raise ExperimentFileError(f"{path}: is no Python source: {error}") from None
    name = module_name(path)
    module = ModuleType(name)
    module.__file__ = str(path)
    # Registered, unlike in ARTIQ: dataclasses and pickle look the module up.
    sys.modules[name] = module
    linecache.checkcache(str(path))
    try:
        exec(code, module.__dict__)  # noqa: S102  # an experiment is a program
    except BaseException:
        del sys.modules[name]
        raise
    return module


def experiment_classes(module: ModuleType) -> dict[str, type[Any]]:
    """Return the public experiment classes that a module has, by name, in the order of the file."""
    bases, abstract = _bases()
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, bases)
        and value not in abstract
        and not name.startswith("_")
    }


def choose_class(module: ModuleType, path: Path, class_name: str | None) -> tuple[str, type[Any]]:
    """Return the class to run and its name in the file: the one that is named, else the only one of the file.

    A name with dots (`Outer.Inner`) is that of a nested class. The name is not the class's own `__name__`, which a
    factory may have made. Classes that the file only imports count where it defines none itself.

    Raises:
        ExperimentClassError: There is no such class, none, or several; the text lists the classes.

    """
    classes = experiment_classes(module)
    listing = ", ".join(classes)
    if class_name is not None:
        named: Any = module
        for part in class_name.split("."):
            named = getattr(named, part, None)
        if inspect.isclass(named) and issubclass(named, _bases()[0]):
            return class_name, named
        has = f"it has {listing}.{did_you_mean(class_name, classes)}" if classes else "it has none"
        raise ExperimentClassError(f"{path} has no experiment class {class_name!r}: {has}")
    own = {name: each for name, each in classes.items() if each.__module__ == module.__name__}
    candidates = list((own or classes).items())
    if not candidates:
        raise ExperimentClassError(
            f"{path} has no experiment: a public class that derives from EnvExperiment"
        )
    if len(candidates) > 1:
        raise ExperimentClassError(
            f"{path} has several experiments, choose one with -c: {', '.join(own or classes)}"
        )
    return candidates[0]


def title(experiment: type[Any]) -> str:
    """Return the first line of the class's docstring, its name where it has none."""
    text = (experiment.__doc__ or "").strip()
    return text.splitlines()[0].strip() if text else experiment.__name__


def _bases() -> tuple[tuple[type[Any], ...], set[type[Any]]]:
    """Return the base classes of experiments, and the classes that are no experiments; ARTIQ's, too, if loaded."""
    bases: list[type[Any]] = [Experiment]
    abstract: set[type[Any]] = {Experiment, EnvExperiment}
    theirs = sys.modules.get("artiq.language.environment")
    if theirs is not None:
        bases.append(theirs.Experiment)
        abstract |= {theirs.Experiment, theirs.EnvExperiment}
    return tuple(bases), abstract
