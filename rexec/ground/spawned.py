"""Experiment files as modules, also in the processes that multiprocessing spawns.

multiprocessing runs the main module of its parent in each child that is no plain fork, before it looks for the function
that the child is to call. During a run that is this module. It finds the experiment's file by the name that it has as a
module, so that functions and classes of that file can be sent to a child, and back.
"""

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Final

_PREFIX: Final = "artiq_run_"
"""ARTIQ's: an experiment never shadows a module that it imports."""


def module_name(path: Path) -> str:
    """Return the name that the file of an experiment has as a module."""
    return _PREFIX + path.stem.replace(".", "_")


@contextmanager
def found_by_children() -> Iterator[None]:
    """Have children find the files in the folders of `sys.path` by their module names."""
    main = sys.modules["__main__"]
    before = main.__spec__
    main.__spec__ = ModuleSpec(__name__, None)
    try:
        yield
    finally:
        main.__spec__ = before


class ExperimentFinder:
    """A finder of `sys.meta_path`."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where the module of an experiment is; None for any other."""
        if not name.startswith(_PREFIX):
            return None
        for folder in sys.path:
            for file in sorted(Path(folder).glob("*.py")):
                if module_name(file) == name:
                    return importlib.util.spec_from_file_location(name, file)
        return None


if __name__ == "__mp_main__":  # pragma: no cover - in a child
    sys.meta_path.append(ExperimentFinder)
