"""Runs on the controller, of any make: sessions of clients, what they shipped, and the requests they make.

It lives in the controller-wide namespace, so jobs outlive the connection that started them. Requests are short:
none waits for the instrument, since a stock controller answers nobody else meanwhile.
"""

from __future__ import annotations

import builtins
import ctypes
import hashlib
import linecache
import logging
import os
import sys
import threading
import time
import types
from typing import Any

from rexec.remote._shipped_jobs import CURRENT, PREFIX, Cancelled, Forward, Job, Turns, pack, show

# Seconds in which most short functions end; many controllers in one process wait for each other meanwhile.
QUICK = 0.001
GRACE = 10.0
KEEP = 600.0
PROVIDED = ("controller_driver", "controller_initial_namespace")
FUTURE_ANNOTATIONS = 0x1000000


class Session:
    """One client: its shipped code and its jobs. It survives a broken connection."""

    def __init__(self, agent: Agent, lease: float, level: int) -> None:
        self.agent = agent
        self.lease = lease
        self.level = level
        self.seen = time.monotonic()
        self.since = os.urandom(4).hex()
        self.jobs: dict[str, Job] = {}
        self.namespaces: dict[str, dict[str, Any]] = {}
        self.modules = {"rexec.remote": self.stand_in()}
        self.files: dict[str, str] = {}
        self.builtins = {**vars(builtins), "print": show, "__import__": self.import_module}

    def stand_in(self) -> types.ModuleType:
        """Return what shipped modules get as `rexec.remote`: the things that its placeholders stand for."""
        module = types.ModuleType("rexec.remote")
        shared = self.agent.shared
        module.__dict__.update({name: shared[name] for name in PROVIDED if name in shared})
        module.__dict__.update(
            job=CURRENT, remote=lambda function: function, provided=lambda name, kind: shared[name]
        )
        return module

    def lost(self) -> bool:
        """Return whether the client has not been heard of for too long."""
        return time.monotonic() - self.seen > self.lease

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

    def ship(self, bundle: dict[str, Any], provided: dict[str, Any]) -> None:
        """Put definitions into the globals of a module."""
        namespace = self.namespace(bundle["key"], bundle["module"])
        for name, value in bundle["values"].items():
            namespace[name] = value
        for name, module, attribute in bundle["imports"]:
            found = self.import_module(module, None, None, ["*"])
            namespace[name] = found if attribute is None else getattr(found, attribute)
        for name, key, other in bundle["binds"]:
            namespace[name] = self.namespaces[key][other]
        for name, other in bundle["provided"].items():
            namespace[name] = CURRENT if other == "job" else provided[other]
        for line, text in bundle["pieces"]:
            self.execute(text, line, bundle["file"], namespace)

    def ship_module(self, name: str, file: str, text: str) -> None:
        """Make a whole module importable for the shipped code of this client."""
        module = types.ModuleType(name)
        sys.modules.setdefault(PREFIX + name, types.ModuleType(PREFIX + name))
        module.__dict__.update({"__name__": PREFIX + name, "__builtins__": self.builtins, "__file__": file})
        logging.getLogger(PREFIX + name).setLevel(self.level)
        self.execute(text, 1, file, module.__dict__)
        self.modules[name] = module

    def submit(self, spec: dict[str, Any]) -> dict[str, Any]:
        """Start a job, once; return what is known of it a moment later."""
        job = self.jobs.get(spec["id"])
        if job is None:
            job = Job(self, spec)
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
            self.agent.watch()
        with job.condition:
            if job.outcome is None and not job.items:
                job.condition.wait(QUICK)
        return job.poll(0, 0)

    def close(self) -> None:
        """End the jobs of a client that leaves, and forget what it shipped."""
        for job in self.jobs.values():
            if not job.detached:
                job.reason = job.reason or "client closed"
        for name in self.files:
            linecache.cache.pop(name, None)


class Agent:
    """All sessions of a controller."""

    def __init__(self, shared: dict[str, Any]) -> None:
        self.shared = shared
        self.instance = os.urandom(8).hex()
        self.turns: Turns = shared.setdefault("_rexec_turns", Turns())
        self.sessions: dict[str, Session] = {}
        self.lock = threading.Lock()
        self.watcher: threading.Thread | None = None
        handler = Forward()
        logging.getLogger().addHandler(handler)

    def request(self, provided: dict[str, Any], session_id: str, action: str, payload: Any) -> Any:
        """Answer a client: {"ok": value}, {"error": …} or {"unknown": …}; never waits for the instrument."""
        session = self.sessions.get(session_id)
        if action == "hello":
            if session is None:
                session = self.sessions[session_id] = Session(self, payload["lease"], payload["level"])
            session.seen = time.monotonic()
            return {
                "ok": {"agent": self.instance, "python": list(sys.version_info[:3]), "since": session.since}
            }
        if action == "clock":
            return {"ok": time.time()}
        if session is None:
            return {"unknown": "session"}
        session.seen = time.monotonic()
        try:
            return {"ok": getattr(self, f"do_{action}")(session, provided, payload)}
        except Exception as error:
            return {"error": pack(error, session.files)}

    def do_jobs_alive(self, session: Session, provided: dict[str, Any], payload: Any) -> None:
        """Do nothing: the client has been heard of."""

    def do_missing(self, session: Session, provided: dict[str, Any], names: list[str]) -> list[str]:
        """Return those names that the controller does not provide."""
        return [name for name in names if name not in provided]

    def do_ship(self, session: Session, provided: dict[str, Any], bundles: list[dict[str, Any]]) -> None:
        """Put definitions into modules."""
        for bundle in bundles:
            if "text" in bundle:
                session.ship_module(bundle["module"], bundle["file"], bundle["text"])
            else:
                session.ship(bundle, provided)

    def do_submit(self, session: Session, provided: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
        """Start a job."""
        return session.submit(spec)

    def do_known(self, session: Session, provided: dict[str, Any], name: str) -> bool:
        """Return whether there is a job of an id."""
        return self.find(name) is not None

    def do_poll(self, session: Session, provided: dict[str, Any], asked: list[list[Any]]) -> list[Any]:
        """Return the news of jobs."""
        found = [(self.find(name), events, items) for name, events, items in asked]
        return [None if job is None else job.poll(events, items) for job, events, items in found]

    def do_cancel(self, session: Session, provided: dict[str, Any], payload: list[str]) -> bool:
        """Ask a job to end."""
        job = self.find(payload[0])
        if job is None or job.outcome is not None:
            return False
        job.reason = job.reason or payload[1]
        return True

    def do_forget(self, session: Session, provided: dict[str, Any], names: list[str]) -> None:
        """Drop jobs whose outcome has arrived."""
        for name in names:
            job = self.find(name)
            if job is not None and job.outcome is not None:
                job.session.jobs.pop(name, None)

    def do_discard(self, session: Session, provided: dict[str, Any], payload: list[str]) -> None:
        """Replace a value that could not travel by an error."""
        job = self.find(payload[0])
        if job is not None:
            job.discard(payload[1])

    def do_jobs(self, session: Session, provided: dict[str, Any], payload: Any) -> list[dict[str, Any]]:
        """List the jobs of this controller."""
        jobs = [job for each in list(self.sessions.values()) for job in list(each.jobs.values())]
        return [
            {"id": job.id, "name": job.name, "state": job.state, "progress": job.fraction} for job in jobs
        ]

    def do_close(self, session: Session, provided: dict[str, Any], payload: Any) -> None:
        """Forget a client."""
        session.close()
        if not any(job.detached for job in session.jobs.values()):
            self.sessions = {key: each for key, each in self.sessions.items() if each is not session}

    def find(self, name: str) -> Job | None:
        """Return a job of any session."""
        return next((each.jobs[name] for each in list(self.sessions.values()) if name in each.jobs), None)

    def watch(self) -> None:
        """Have jobs ended that do not look whether they should, as long as there are jobs."""
        with self.lock:
            if self.watcher is None:
                self.watcher = threading.Thread(target=self.watch_jobs, name="rexec watch", daemon=True)
                self.watcher.start()

    def watch_jobs(self) -> None:
        """Interrupt jobs of clients that have gone, some time after the polite request; drop old sessions."""
        asked: dict[str, float] = {}
        while True:
            time.sleep(0.2)
            now = time.monotonic()
            with self.lock:
                self.sessions = {
                    key: each
                    for key, each in self.sessions.items()
                    if now - each.seen < KEEP or any(job.outcome is None for job in each.jobs.values())
                }
                jobs = [
                    job
                    for each in self.sessions.values()
                    for job in each.jobs.values()
                    if job.outcome is None
                ]
                if not jobs and not self.sessions:
                    self.watcher = None
                    return
            for job in jobs:
                since = asked.setdefault(job.id, now) if job.end_reason() else now
                if now - since > GRACE and job.reason != "cancelled" and job.thread is not None:
                    asked[job.id] = now
                    identity = ctypes.c_ulong(job.thread.ident or 0)
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(identity, ctypes.py_object(Cancelled))
            alive = {job.id for job in jobs}
            asked = {key: when for key, when in asked.items() if key in alive}
