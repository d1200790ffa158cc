"""Runs on the controller, of any make: the code that one client has shipped."""

from __future__ import annotations

import builtins
import hashlib
import importlib
import linecache
import logging
import sys
import types
from typing import Any

from rexec.remote.agent.output import CURRENT, PREFIX, show

PROVIDED = ("controller_driver", "controller_initial_namespace")
FUTURE_ANNOTATIONS = 0x1000000


def unchanged(function: Any) -> Any:
    """Return a function as it is: what the decorator `remote` does on a controller."""
    return function


class RemoteStandIn(types.ModuleType):
    """What shipped code gets as `rexec.remote`: the things that its placeholders stand for."""

    def __call__(self, function: Any) -> Any:
        """Return a function as it is: a package may be the decorator, too."""
        return function

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        # A controller that has the toolkit has the rest of it.
        return getattr(importlib.import_module(self.__name__), name)


def note_for_audit(text: str, where: str) -> None:
    """Record code on a controller of this project, which may keep an audit."""
    guard = sys.modules.get("rexec.access.guard")
    if guard is not None:
        guard.note_code(text, where)


class Workspace:
    """The modules, definitions and values that a client has shipped.

    Args:
        shared: The controller-wide namespace.
        level: Of the loggers of shipped modules.

    """

    def __init__(self, shared: dict[str, Any], level: int) -> None:
        self.shared = shared
        self.level = level
        self.namespaces: dict[str, dict[str, Any]] = {}
        stand_in = RemoteStandIn("rexec.remote")
        stand_in.__dict__.update({name: shared[name] for name in PROVIDED if name in shared})
        stand_in.__dict__.update(job=CURRENT, remote=unchanged, provided=lambda name, kind=None: shared[name])
        above = RemoteStandIn("rexec")
        above.__dict__.update(remote=stand_in)
        self.modules: dict[str, types.ModuleType] = {"rexec": above, "rexec.remote": stand_in}
        self.files: dict[str, str] = {}
        self.builtins = {**vars(builtins), "print": show, "__import__": self.import_module}

    def drop_sources(self) -> None:
        for name in self.files:
            linecache.cache.pop(name, None)

    def import_module(
        self, name: str, scope: Any = None, local: Any = None, fromlist: Any = (), level: int = 0
    ) -> Any:
        """Import for shipped code: what this client shipped whole comes first."""
        module = None if level else self.modules.get(name)
        if module is None:
            return builtins.__import__(name, scope, local, fromlist, level)
        if fromlist:
            return module
        # `import a.b.c` binds a, and takes b and c from it.
        for part in reversed(name.split(".")[1:]):
            parent = types.ModuleType(name)
            setattr(parent, part, module)
            module = parent
        return module

    def namespace(self, key: str, module_name: str) -> dict[str, Any]:
        if key not in self.namespaces:
            name = PREFIX + module_name
            # Numba and pickle import the module that a function says it is from.
            sys.modules.setdefault(name, types.ModuleType(name))
            logging.getLogger(name).setLevel(self.level)
            self.namespaces[key] = {"__name__": name, "__builtins__": self.builtins, "job": CURRENT}
        return self.namespaces[key]

    def execute(self, text: str, line: int, file: str, namespace: dict[str, Any]) -> None:
        """Run source that stands at a line of a file."""
        note_for_audit(text, f"{file}:{line}")
        digest = hashlib.sha256(f"{line}:{file}:{text}".encode("utf-8", "replace")).hexdigest()[:12]
        name = f"<rexec {id(self):x} {digest}> {file}"
        padded = "\n" * (line - 1) + text
        self.files[name] = file
        linecache.cache[name] = (len(padded), None, padded.splitlines(keepends=True), name)
        # Annotations are not evaluated: what only they name need not travel.
        exec(compile(padded, name, "exec", FUTURE_ANNOTATIONS, dont_inherit=True), namespace)  # noqa: S102

    def take(self, bundles: list[dict[str, Any]], provided: dict[str, Any]) -> None:
        """Put what was shipped where its functions look for it."""
        later: list[tuple[dict[str, Any], list[str]]] = []
        for bundle in bundles:
            if "text" in bundle:
                self.ship_module(bundle["module"], bundle["file"], bundle["text"])
            else:
                later += self.ship(bundle, provided)
        for namespace, (name, key, other) in later:
            namespace[name] = self.namespaces[key][other]

    def ship(
        self, bundle: dict[str, Any], provided: dict[str, Any]
    ) -> list[tuple[dict[str, Any], list[str]]]:
        """Put definitions into the globals of a module; return the names that wait for another module's definitions."""
        namespace = self.namespace(bundle["key"], bundle["module"])
        for name, value in bundle["values"]:
            namespace[name] = value
        if bundle["imports"]:  # a function that runs its argument can be among them
            lines = (f"import {m}{f'.{a}' if a else ''} as {n}" for n, m, a in bundle["imports"])
            note_for_audit("\n".join(lines), bundle["file"])
        for name, module, attribute in bundle["imports"]:
            found = self.import_module(module, None, None, ["*"])
            namespace[name] = found if attribute is None else getattr(found, attribute)
        later = []
        for bind in bundle["binds"]:
            name, key, other = bind
            if other in self.namespaces.get(key, {}):
                namespace[name] = self.namespaces[key][other]
            else:
                later.append((namespace, bind))
        for name, other in bundle["provided"]:
            namespace[name] = CURRENT if other == "job" else provided[other]
        for _, line, text in bundle["pieces"]:
            self.execute(text, line, bundle["file"], namespace)
        return later

    def ship_module(self, name: str, file: str, text: str) -> None:
        """Make a whole module importable for the shipped code of this client."""
        module = types.ModuleType(name)
        sys.modules.setdefault(PREFIX + name, types.ModuleType(PREFIX + name))
        module.__dict__.update({"__name__": PREFIX + name, "__builtins__": self.builtins, "__file__": file})
        logging.getLogger(PREFIX + name).setLevel(self.level)
        self.execute(text, 1, file, module.__dict__)
        self.modules[name] = module
