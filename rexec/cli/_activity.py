"""What a run waits for, and what its remote functions do, for the status line."""

import time
from typing import Any

from devicedb import Endpoint
from devicedb.printable import printable
from rexec.cli._pending import PATIENCE, PendingCalls
from rexec.remote import Job, open_remotes


def activities(
    connecting: tuple[Endpoint, float] | None, calls: PendingCalls | None = None, waiting: str | None = None
) -> list[str]:
    """Return what to tell of a run, the most urgent first.

    Args:
        connecting: Controller that is being connected to, and since when (monotonic time).
        calls: Of the run's drivers.
        waiting: What it waits for, because another client uses a device.

    """
    now = time.monotonic()
    found = [] if waiting is None else [waiting]
    if connecting is not None and now - connecting[1] > PATIENCE:
        endpoint, since = connecting
        found.append(f"connects to {endpoint.controller} at {endpoint.address}, {now - since:.0f} s")
    if calls is not None:
        found += calls.long_ones(now)
    remotes = open_remotes()
    found += [
        f"{each.name} has not answered for {each.silence:.0f} s"
        for each in remotes
        if each.silence > PATIENCE
    ]
    jobs = [job for each in remotes for job in each.active_jobs if not job.cancelled()]
    jobs.sort(key=lambda job: job.state == "waiting")
    if jobs:
        more = f" (and {len(jobs) - 1} more)" if len(jobs) > 1 else ""
        found.append(printable(job_activity(jobs[0], now)) + more)
    return found


def job_activity(job: Job[Any], now: float) -> str:
    """Return what a job does or waits for.

    Args:
        job: It has not ended.
        now: Monotonic time.

    """
    if job.state == "waiting" and job.holder is not None:
        who, since = job.holder
        client, opening, detail = who.partition(" (")
        return f"waits for the driver of {job.where}: {client}, {now - since:.0f} s{opening}{detail}"
    fraction, message = job.progress
    told = f" {fraction:.0%}" if fraction else ""
    said = message or (job.output[-1] if job.output else "")
    return f"{job.where}: {job.name}{told}{f' {said}' if said else ''}"
