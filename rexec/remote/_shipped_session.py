"""Runs on the controller, of any make: what one client has shipped and started. It survives a broken connection."""

from __future__ import annotations

import builtins
import hashlib
import importlib
import linecache
import logging
import os
import sys
import threading
import time
import types
from typing import Any

from rexec.remote._shipped_jobs import Job, Turns
from rexec.remote._shipped_output import CURRENT, PREFIX, show
from rexec.remote._shipped_pieces import Builder

# Seconds in which most short functions end: their callers need not ask again.
QUICK = 0.001
# Seconds for which the result of a detached job waits to be fetched: a night and a morning.
KEEP_DETACHED = 86400.0
PROVIDED = ("controller_driver", "controller_initial_namespace")
FUTURE_ANNOTATIONS = 0x1000000


def unchanged(function: Any) -> Any:
    """Return a function as it is: what the decorator `remote` does on a controller."""
    return function


class StandIn(types.ModuleType):
    """What shipped code gets as `rexec.remote`: the things that its placeholders stand for."""

    def __call__(self, function: Any) -> Any:
        """Return a function as it is: a package may be the decorator, too."""
        return function

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        # A controller that has the toolkit has the rest of it.
        return getattr(importlib.import_module(self.__name__), name)


class Session:
    """One client: its shipped code and its jobs."""

    def __init__(self, shared: dict[str, Any], turns: Turns, lease: float, level: int) -> None:
        self.shared = shared
        self.turns = turns
        self.lease = lease
        self.level = level
        self.builder = Builder()
        self.closed = False
        self.seen = time.monotonic()
        self.since = os.urandom(4).hex()
        self.jobs: dict[str, Job] = {}
        self.namespaces: dict[str, dict[str, Any]] = {}
        stand_in = StandIn("rexec.remote")
        stand_in.__dict__.update({name: shared[name] for name in PROVIDED if name in shared})
        stand_in.__dict__.update(job=CURRENT, remote=unchanged, provided=lambda name, kind=None: shared[name])
        above = StandIn("rexec")
        above.__dict__.update(remote=stand_in)
        self.modules: dict[str, types.ModuleType] = {"rexec": above, "rexec.remote": stand_in}
        self.files: dict[str, str] = {}
        self.builtins = {**vars(builtins), "print": show, "__import__": self.import_module}

    def lost(self) -> bool:
        """Return whether the client has not been heard of for too long."""
        return time.monotonic() - self.seen > self.lease

    def idle(self, now: float) -> float:
        """Return the seconds since the client was heard of, less if a job of it runs or has a result to fetch."""
        jobs = list(self.jobs.values())
        if any(job.outcome is None or (job.detached and now - job.ended < KEEP_DETACHED) for job in jobs):
            return 0.0
        return float("inf") if self.closed else now - self.seen

    def drop_sources(self) -> None:
        """Forget the lines of shipped code."""
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
        """Return the globals of a shipped module."""
        if key not in self.namespaces:
            name = PREFIX + module_name
            # Numba and pickle import the module that a function says it is from.
            sys.modules.setdefault(name, types.ModuleType(name))
            logging.getLogger(name).setLevel(self.level)
            self.namespaces[key] = {"__name__": name, "__builtins__": self.builtins, "job": CURRENT}
        return self.namespaces[key]

    def execute(self, text: str, line: int, file: str, namespace: dict[str, Any]) -> None:
        """Run source that stands at a line of a file."""
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

    def submit(self, spec: dict[str, Any]) -> Job:
        """Start a job, once; return it a moment later."""
        job = self.jobs.get(spec["id"])
        if job is None:
            job = Job(spec, self.turns, self.lost, self.files)
            function = self.namespaces[spec["key"]][spec["function"]]
            thread = threading.Thread(
                target=job.run,
                args=(function, spec["args"], spec["kwargs"]),
                name=f"rexec {job.name}",
                daemon=True,
            )
            self.jobs[job.id] = job
            job.thread = thread
            thread.start()
        with job.condition:
            if spec["quick"] and job.outcome is None and not job.items:
                job.condition.wait(QUICK)
        return job

    def forget(self, name: str) -> None:
        """Drop a job whose outcome has arrived."""
        job = self.jobs.get(name)
        if job is not None and job.outcome is not None:
            del self.jobs[name]

    def close(self) -> None:
        """End the jobs of a client that leaves."""
        self.closed = True
        for job in self.jobs.values():
            if not job.detached:
                job.reason = job.reason or "client closed"
