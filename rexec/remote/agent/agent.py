"""Runs on the controller, of any make: answers the requests of clients.

It lives in the controller-wide namespace, so jobs outlive the connection that started them. Requests are short:
none waits for the instrument, since a stock controller answers nobody else meanwhile.
"""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from rexec.ground.clock import wall_clock
from rexec.remote.agent.assembly import Builder
from rexec.remote.agent.dispatcher import Dispatcher
from rexec.remote.agent.driver_queue import DriverQueue
from rexec.remote.agent.exceptions import pack
from rexec.remote.agent.execution import Execution
from rexec.remote.agent.output import FORWARD
from rexec.remote.agent.tenant import Tenant


class Agent:
    """All clients of a controller."""

    def __init__(self, shared: dict[str, Any]) -> None:
        self.shared = shared
        self.instance = os.urandom(8).hex()
        self.tenants: dict[str, Tenant] = {}
        queue: DriverQueue = shared.setdefault("_rexec_driver_queue", DriverQueue())
        self.dispatcher = Dispatcher(queue, self.tenants)
        logging.getLogger().addHandler(FORWARD)

    def request(
        self,
        provided: dict[str, Any],
        name: str,
        action: str,
        payload: Any,
        hello: dict[str, Any] | None,
    ) -> dict[str, Any]:
        """Answer a client: {"ok": value}, {"error": …}, {"unknown": …} or {"lost": …}; never waits for the instrument.

        On a new connection it says hello, and with that which state of this agent it takes for granted.
        """
        tenant = self.tenants.get(name)
        if tenant is None and hello is not None:
            tenant = self.tenants[name] = Tenant(name, self.shared, hello)
            self.dispatcher.wake()
        if tenant is None:
            return {"unknown": "session"}
        tenant.seen = time.monotonic()
        state = f"{self.instance} {tenant.since}"
        if hello is not None and hello["state"] not in (None, state):
            return {"lost": state}
        answer: dict[str, Any] = {} if hello is None else {"state": state}
        try:
            answer["ok"] = getattr(self, f"do_{action}")(tenant, provided, payload)
        except Exception as error:
            answer["error"] = pack(error, tenant.workspace.files)
        return answer

    def do_clock(self, tenant: Tenant, provided: dict[str, Any], payload: Any) -> float:
        return wall_clock()

    def do_jobs_alive(self, tenant: Tenant, provided: dict[str, Any], payload: Any) -> None:
        """Do nothing: the client has been heard of."""

    def do_piece(self, tenant: Tenant, provided: dict[str, Any], payload: list[Any]) -> None:
        """Take a step of a value that is too large for one request; the first one begins anew."""
        first, step = payload
        if first:
            tenant.builder = Builder()
        tenant.builder.take(step)

    def do_whole(self, tenant: Tenant, provided: dict[str, Any], action: str) -> Any:
        return getattr(self, f"do_{action}")(tenant, provided, self.whole(tenant))

    def whole(self, tenant: Tenant) -> Any:
        """Return what came in pieces, and forget it here."""
        builder, tenant.builder = tenant.builder, Builder()
        return builder.value()

    def whole_call(self, name: str) -> list[Any]:
        """Return function, arguments and keyword arguments of a call that came in pieces."""
        found: list[Any] = self.whole(self.tenants[name])
        return found

    def do_ship(self, tenant: Tenant, provided: dict[str, Any], bundles: list[dict[str, Any]]) -> None:
        tenant.workspace.take(bundles, provided)

    def do_submit(self, tenant: Tenant, provided: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
        """Start a job, with what it needs, once; return what is known of it a moment later."""
        self.do_forget(tenant, provided, spec["forget"])
        missing = [name for name in spec["wanted"] if name not in provided]
        if missing:
            return {"missing": missing}
        job = tenant.jobs.get(spec["id"])
        if job is None:
            tenant.workspace.take(spec["bundles"], provided)
            function = tenant.workspace.namespaces[spec["key"]][spec["function"]]
            files = tenant.workspace.files
            job = Execution(spec, function, self.dispatcher.queue, self.dispatcher.inbox, files, tenant.who)
            tenant.jobs[job.id] = job
            self.dispatcher.submit(job)
        if spec["quick"]:
            job.wait_a_moment()
        return job.poll(0, 0)

    def do_start(self, tenant: Tenant, provided: dict[str, Any], payload: list[Any]) -> float | None:
        """Tell a job the time of the common start; return the seconds until then."""
        job = self.find(payload[0])
        return None if job is None else job.start_together(payload[1])

    def do_news(self, tenant: Tenant, provided: dict[str, Any], payload: list[Any]) -> list[Any]:
        """Return the news of the followed jobs that have any, and of those that are followed from now on.

        Jobs whose outcome has arrived are forgotten. Those that are not known have None for news.
        """
        number, marks, ended, followed = payload
        self.do_forget(tenant, provided, ended)
        found = {name: self.find(name) for name in followed}
        for job in found.values():
            if job is not None:
                tenant.follow(job)
        number, news = tenant.news(number, marks)
        return [number, news + [[name, None] for name, job in found.items() if job is None]]

    def do_poll(self, tenant: Tenant, provided: dict[str, Any], payload: list[Any]) -> dict[str, Any] | None:
        """Return the news of one job; None if there is none of that id.

        A consumer that waits for the next item of a stream is not told at once that there is none yet.
        """
        name, events, items, spent = payload
        job = self.find(name)
        if job is None:
            return None
        if spent is not None:
            job.take_back(items, spent)
            job.wait_a_moment()
        return job.poll(events, items)

    def do_cancel(self, tenant: Tenant, provided: dict[str, Any], name: str) -> bool:
        """Ask a job to end; return whether no result of it will come."""
        job = self.find(name)
        return job is not None and job.cancel()

    def do_driver(self, tenant: Tenant, provided: dict[str, Any], payload: Any) -> list[Any] | None:
        """Return the holder of the driver and its time in seconds; None if the driver is free."""
        holder = self.dispatcher.queue.holder
        if holder is None:
            return None
        # The ticket may be of an agent of another release.
        since = getattr(holder, "since", None)
        return [getattr(holder, "who", "another client"), 0.0 if since is None else time.monotonic() - since]

    def do_abandon(self, tenant: Tenant, provided: dict[str, Any], names: list[str]) -> None:
        """Have jobs end, and forgotten then: nobody will ask for their outcome."""
        for job in [job for name in names if (job := self.find(name)) is not None]:
            job.abandoned = True
            job.end("cancelled")

    def do_forget(self, tenant: Tenant, provided: dict[str, Any], names: list[str]) -> None:
        """Drop jobs whose outcome has arrived, of whichever client."""
        for name in names:
            for each in list(self.tenants.values()):
                each.forget(name)

    def do_discard(self, tenant: Tenant, provided: dict[str, Any], payload: list[str]) -> None:
        """Replace a value that could not travel by an error."""
        job = self.find(payload[0])
        if job is not None:
            job.discard(payload[1])

    def do_jobs(self, tenant: Tenant, provided: dict[str, Any], payload: Any) -> list[dict[str, Any]]:
        jobs = [job for each in list(self.tenants.values()) for job in list(each.jobs.values())]
        return [
            {"id": job.id, "name": job.name, "state": job.state, "progress": job.fraction} for job in jobs
        ]

    def do_close(self, tenant: Tenant, provided: dict[str, Any], payload: Any) -> None:
        """End the jobs of a client that leaves; it is forgotten when the last one has ended."""
        tenant.closed = True
        tenant.end_jobs("client closed")

    def find(self, name: str) -> Execution | None:
        """Return a job of any client."""
        return next((each.jobs[name] for each in list(self.tenants.values()) if name in each.jobs), None)
