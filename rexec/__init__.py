"""What is running: the wire, remote execution, devices, experiments, datasets, results, controllers."""

import importlib
from typing import TYPE_CHECKING, Any

from rexec._version import __version__

if TYPE_CHECKING:
    from rexec import remote

__all__ = ["__version__", "remote"]


def __getattr__(name: str) -> Any:
    # `import rexec` is enough for `@rexec.remote`, and costs nothing where that is not used.
    if name == "remote":
        return importlib.import_module("rexec.remote")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
