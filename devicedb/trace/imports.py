"""Instruments the laboratory's modules that a device database imports."""

import ast
import importlib.machinery
import os
import site
import sysconfig
from collections.abc import Sequence
from types import CodeType, ModuleType
from typing import Any

from devicedb.trace.duplicates import duplicates
from devicedb.trace.instrument import instrument
from devicedb.trace.recorder import SiteRecorder


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a source file instrumented, without a bytecode cache."""

    recorder: SiteRecorder

    def get_code(self, fullname: str) -> CodeType:
        """Compile the file anew."""
        path = self.get_filename(fullname)
        return compile_traced(self.get_data(path), path, self.recorder)


class TracingFinder:
    """Finds modules as Python does; those of the laboratory are loaded instrumented."""

    def __init__(self, recorder: SiteRecorder) -> None:
        self.recorder = recorder
        self.installed = _installed_folders()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of a module of the laboratory, None for any other."""
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or type(spec.loader) is not importlib.machinery.SourceFileLoader:
            return None
        file = os.path.realpath(spec.loader.path)
        if any(file.startswith(folder) for folder in self.installed):
            return None
        loader = _Loader(fullname, spec.loader.path)
        loader.recorder = self.recorder
        spec.loader = loader
        return spec


def compile_traced(source: bytes, file: str, recorder: SiteRecorder) -> CodeType:
    """Compile a source file so that its run tells the recorder where values are made."""
    tree: Any = ast.parse(source, file)
    recorder.duplicates += duplicates(tree, file)
    return compile(instrument(tree, file, recorder), file, "exec", dont_inherit=True)


def _installed_folders() -> tuple[str, ...]:
    """Folders of installed packages."""
    folders = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= (
        {*site.getsitepackages(), site.getusersitepackages()} if hasattr(site, "getsitepackages") else set()
    )
    return tuple(os.path.realpath(each) + os.sep for each in folders if each)
