"""Stands in for packages that a laboratory has and this machine does not (`--assume-installed`). Runs in the child."""

import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:  # it imports archives, temporary files and random numbers
    from importlib.abc import Loader

ITERATED: list[bool] = []
"""Not empty once the file has gone through something unknown: it may define more names than are known."""


class unknown:  # noqa: N801  # the picture takes the class name: such a value is unknown, and no rule speaks of it
    """Stands for anything that a package of the laboratory gives."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return unknown()

    def _any(self, *_: Any, **__: Any) -> Any:
        return unknown()

    __call__ = __getitem__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __or__ = _any
    __truediv__ = __mod__ = __ror__ = __enter__ = _any

    def __exit__(self, *_: object) -> None:
        return None

    def __iter__(self) -> Any:
        ITERATED.append(True)
        return iter(())

    def __repr__(self) -> str:
        return "unknown"


class _AssumedModule(ModuleType):
    __path__: list[str] = []  # noqa: RUF012  # a package, so that its submodules are asked for

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return unknown()


class AssumedFinder:
    """Finds modules of the assumed packages after everything else has failed."""

    def __init__(self, packages: Sequence[str]) -> None:
        self.packages = frozenset(packages)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return a spec for a module of an assumed package, None for any other."""
        if fullname.partition(".")[0] not in self.packages:
            return None
        return importlib.machinery.ModuleSpec(fullname, cast("Loader", self), is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """Return an empty module that has every name."""
        return _AssumedModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: there is no source."""


def assume_installed(packages: Sequence[str]) -> None:
    """Let imports of packages succeed that are not installed."""
    if packages:
        sys.meta_path.append(AssumedFinder(packages))
