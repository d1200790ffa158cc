"""Answers imports of the reference library by modules of ours."""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from rexec.sipyco._counterparts import COUNTERPARTS, REFERENCE, missing


class _Answer(types.ModuleType):
    """A module of the reference library by name, one of ours by contents; or the package."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__all__":
            raise AttributeError(name)
        module = self.__name__.partition(".")[2]
        if not module:
            if text := missing(name):
                raise ImportError(text)
            raise AttributeError(name)  # a module that is not imported yet
        ours = import_module(COUNTERPARTS[module])
        if hasattr(ours, name):
            return getattr(ours, name)
        # An ImportError keeps its text in `from … import`, where an AttributeError loses it.
        text = missing(module, name) or f"{self.__name__} has no {name}"
        raise ImportError(text) if ":" in text else AttributeError(text)


class _ImportFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the package and its modules before any that is installed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of a module of the reference library, None for others."""
        package, _, module = fullname.partition(".")
        if package != REFERENCE:
            return None
        if module and (text := missing(module)) is not None:
            raise ModuleNotFoundError(text, name=fullname)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=not module)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """Return the module."""
        return _Answer(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Leave the module as it is: it looks its names up."""


def answer_imports() -> None:
    """Answer imports of the reference library by ours from now on, in this process.

    Raises:
        RuntimeError: The reference library itself has been imported already.

    """
    found = sys.modules.get(REFERENCE)
    if found is not None and not isinstance(getattr(found.__spec__, "loader", None), _ImportFinder):
        raise RuntimeError(f"{REFERENCE} was imported before its imports could be answered by rexec")
    if not any(isinstance(finder, _ImportFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _ImportFinder())


@contextmanager
def answered_imports() -> Iterator[None]:
    """Answer imports of the reference library by ours while the block lasts, unless it is installed."""
    if importlib.util.find_spec(REFERENCE) is not None:
        yield
        return
    before = list(sys.meta_path)
    answer_imports()
    try:
        yield
    finally:
        sys.meta_path[:] = before
        for name in [name for name in list(sys.modules) if name.partition(".")[0] == REFERENCE]:
            del sys.modules[name]
