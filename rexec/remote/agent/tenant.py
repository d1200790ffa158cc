"""Runs on the controller, of any make: one client, its code and its jobs. It survives a broken connection."""

from __future__ import annotations

import os
import time
from typing import Any

from rexec.remote.agent.assembly import Builder
from rexec.remote.agent.execution import Execution
from rexec.remote.agent.workspace import Workspace

# Seconds for which the result of a detached job waits to be fetched: a night and a morning.
KEEP_DETACHED = 86400.0


class Tenant:
    """One client of the agent.

    Args:
        name: Its session's id.
        shared: The controller-wide namespace.
        hello: What it said of itself.

    """

    def __init__(self, name: str, shared: dict[str, Any], hello: dict[str, Any]) -> None:
        self.name = name
        self.lease: float = hello["lease"]
        self.who: str = hello["who"]
        self.workspace = Workspace(shared, hello["level"])
        self.builder = Builder()
        self.closed = False
        self.seen = time.monotonic()
        self.since = os.urandom(4).hex()
        self.jobs: dict[str, Execution] = {}
        self.changes: dict[str, Execution] = {}
        self.unconfirmed: dict[str, Execution] = {}
        self.marks: dict[str, tuple[int, int]] = {}
        self.number = 0

    def lost(self, now: float) -> bool:
        """Return whether the lease of the client has run out."""
        return now - self.seen > self.lease

    def idle(self, now: float) -> float:
        """Return the seconds since its last request; 0 while a job runs or has a result to fetch."""
        if not self.closed and now - self.seen < 60:
            return 0.0
        jobs = list(self.jobs.values())
        if any(job.outcome is None or (job.detached and now - job.ended < KEEP_DETACHED) for job in jobs):
            return 0.0
        return float("inf") if self.closed else now - self.seen

    def follow(self, job: Execution) -> None:
        """Report news of a job from now on, present news included."""
        job.followers[self.name] = self.changes
        self.changes[job.id] = job

    def news(self, number: int, marks: list[list[Any]]) -> list[Any]:
        """Return a number, and the news of the jobs that have any since the answer of another number.

        News of an answer that did not arrive come again with the next one.

        Args:
            number: Of the last answer that has arrived.
            marks: Of jobs whose news have arrived: id, events and items seen.

        """
        for name, events, items in marks:
            self.marks[name] = (events, items)
        if number == self.number:
            self.unconfirmed.clear()  # it has arrived
        while self.changes:
            name, job = self.changes.popitem()
            self.unconfirmed[name] = job
        self.number += 1
        found = self.unconfirmed.items()
        return [self.number, [[name, job.poll(*self.marks.get(name, (0, 0)))] for name, job in found]]

    def forget(self, name: str) -> None:
        """Drop a job whose outcome has arrived."""
        job = self.jobs.get(name)
        if job is not None and job.outcome is not None:
            del self.jobs[name]
            job.forgotten = True
            job.followers.pop(self.name, None)
            self.changes.pop(name, None)
            self.unconfirmed.pop(name, None)
            self.marks.pop(name, None)

    def end_jobs(self, reason: str) -> None:
        """Ask the jobs to end that do not go on without their client."""
        for job in list(self.jobs.values()):
            if not job.detached and job.outcome is None and not job.reason:
                job.end(reason)
