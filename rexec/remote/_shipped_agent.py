"""Runs on the controller, of any make: answers the requests of clients.

It lives in the controller-wide namespace, so jobs outlive the connection that started them. Requests are short:
none waits for the instrument, since a stock controller answers nobody else meanwhile.
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading
import time
from typing import Any

from rexec.remote._shipped_errors import pack
from rexec.remote._shipped_jobs import Cancelled, Job, Turns
from rexec.remote._shipped_output import FORWARD
from rexec.remote._shipped_pieces import Builder
from rexec.remote._shipped_session import Session

# Seconds that a job has for its end once it is asked to.
GRACE = 10.0
# Seconds without a word from a client after which it is forgotten.
KEEP = 600.0


class Agent:
    """All clients of a controller."""

    def __init__(self, shared: dict[str, Any]) -> None:
        self.shared = shared
        self.instance = os.urandom(8).hex()
        self.turns: Turns = shared.setdefault("_rexec_turns", Turns())
        self.sessions: dict[str, Session] = {}
        self.lock = threading.Lock()
        self.watcher: threading.Thread | None = None
        logging.getLogger().addHandler(FORWARD)

    def request(
        self,
        provided: dict[str, Any],
        session_id: str,
        action: str,
        payload: Any,
        hello: dict[str, Any] | None,
    ) -> dict[str, Any]:
        """Answer a client: {"ok": value}, {"error": …}, {"unknown": …} or {"lost": …}; never waits for the instrument.

        On a new connection it says hello, and with that which state of this agent it takes for granted.
        """
        session = self.sessions.get(session_id)
        if session is None and hello is not None:
            session = self.sessions[session_id] = Session(
                self.shared, self.turns, hello["lease"], hello["level"]
            )
            self.watch()
        if session is None:
            return {"unknown": "session"}
        session.seen = time.monotonic()
        state = f"{self.instance} {session.since}"
        if hello is not None and hello["state"] not in (None, state):
            return {"lost": state}
        answer: dict[str, Any] = {} if hello is None else {"state": state}
        try:
            answer["ok"] = getattr(self, f"do_{action}")(session, provided, payload)
        except Exception as error:
            answer["error"] = pack(error, session.files)
        return answer

    def do_clock(self, session: Session, provided: dict[str, Any], payload: Any) -> float:
        """Return the time."""
        return time.time()

    def do_jobs_alive(self, session: Session, provided: dict[str, Any], payload: Any) -> None:
        """Do nothing: the client has been heard of."""

    def do_piece(self, session: Session, provided: dict[str, Any], payload: list[Any]) -> None:
        """Take a step of a value that is too large for one request; the first one begins anew."""
        first, step = payload
        if first:
            session.builder = Builder()
        session.builder.take(step)

    def do_whole(self, session: Session, provided: dict[str, Any], action: str) -> Any:
        """Do what came in pieces."""
        return getattr(self, f"do_{action}")(session, provided, self.whole(session))

    def whole(self, session: Session) -> Any:
        """Return what came in pieces, and forget it here."""
        builder, session.builder = session.builder, Builder()
        return builder.value()

    def whole_call(self, session_id: str) -> list[Any]:
        """Return function, arguments and keyword arguments of a call that came in pieces."""
        found: list[Any] = self.whole(self.sessions[session_id])
        return found

    def do_ship(self, session: Session, provided: dict[str, Any], bundles: list[dict[str, Any]]) -> None:
        """Put definitions into modules."""
        session.take(bundles, provided)

    def do_submit(self, session: Session, provided: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
        """Start a job, with what it needs; return what is known of it a moment later."""
        self.do_forget(session, provided, spec["forget"])
        missing = [name for name in spec["wanted"] if name not in provided]
        if missing:
            return {"missing": missing}
        if spec["id"] not in session.jobs:
            session.take(spec["bundles"], provided)
        return session.submit(spec).poll(0, 0)

    def do_start(self, session: Session, provided: dict[str, Any], payload: list[Any]) -> float | None:
        """Tell a job the time of the common start; return the seconds until then."""
        job = self.find(payload[0])
        return None if job is None else job.start_together(payload[1])

    def do_known(self, session: Session, provided: dict[str, Any], name: str) -> bool:
        """Return whether there is a job of an id."""
        return self.find(name) is not None

    def do_poll(self, session: Session, provided: dict[str, Any], payload: list[Any]) -> list[Any]:
        """Return the news of jobs, and forget those whose outcome has arrived."""
        asked, ended = payload
        self.do_forget(session, provided, ended)
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
        """Drop jobs whose outcome has arrived, of whichever client."""
        for name in names:
            for each in list(self.sessions.values()):
                each.forget(name)

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
        """End the jobs of a client that leaves; it is forgotten when the last one has ended."""
        session.close()

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
            for key, each in list(self.sessions.items()):
                if each.idle(now) > KEEP:
                    self.sessions.pop(key, None)
                    each.drop_sources()
            with self.lock:
                running = list(self.sessions.values())
                if not running:
                    self.watcher = None
                    return
            jobs = [job for each in running for job in list(each.jobs.values()) if job.outcome is None]
            for job in jobs:
                since = asked.setdefault(job.id, now) if job.end_reason() else now
                if now - since > GRACE and job.thread is not None:
                    asked[job.id] = now
                    self.interrupt(job, job.thread)
            alive = {job.id for job in jobs}
            asked = {key: when for key, when in asked.items() if key in alive}

    def interrupt(self, job: Job, thread: threading.Thread) -> None:
        """Have Cancelled raised in the thread of a job, at its next line of Python."""
        if thread.is_alive():
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Cancelled)
            )
        elif job.outcome is None:
            # It met an earlier interruption on its very last lines.
            job.finish({"cancelled": job.reason})
