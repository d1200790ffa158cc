"""Runs on the controller, of any make: the thread that starts, wakes and ends jobs."""

from __future__ import annotations

import ctypes
import heapq
import itertools
import threading
import time
import traceback
from collections import deque
from queue import Empty, SimpleQueue

from rexec.remote.agent.driver_queue import DriverQueue
from rexec.remote.agent.exceptions import pack
from rexec.remote.agent.execution import Cancelled, Execution
from rexec.remote.agent.sendable import size_of
from rexec.remote.agent.tenant import Tenant

# Seconds that a job has for its end once it is asked to.
GRACE = 10.0
# Seconds without a request of a client after which it is forgotten.
KEEP = 600.0
# Seconds between two checks of leases, deadlines, and threads that have ended unnoticed.
TICK = 0.2
# Bytes of results and output of detached jobs that are kept; the oldest are dropped.
MOST_KEPT = 256 << 20
# What is left of a dropped result: the error that says so.
STUB = 1024


class Dispatcher:
    """Owns the queue for the driver, deadlines and leases. Its thread runs while there are clients.

    Args:
        queue: For the driver.
        tenants: The clients, by session id; those that are gone for long are removed.

    """

    def __init__(self, queue: DriverQueue, tenants: dict[str, Tenant]) -> None:
        self.queue = queue
        self.tenants = tenants
        self.inbox: SimpleQueue[Execution | None] = SimpleQueue()
        self.running: dict[str, Execution] = {}
        self.asked: dict[str, float] = {}
        self.deadlines: list[tuple[float, int, Execution]] = []
        self.numbers = itertools.count()
        self.kept: deque[tuple[Execution, int]] = deque()
        self.kept_size = 0
        self.lock = threading.Lock()
        self.thread: threading.Thread | None = None

    def wake(self) -> None:
        """Start the thread unless it runs."""
        with self.lock:
            if self.thread is None:
                self.thread = threading.Thread(target=self.run, name="rexec dispatcher", daemon=True)
                self.thread.start()

    def submit(self, job: Execution) -> None:
        """Start a job when the driver is free, or at once if it does not need it."""
        if job.queue is None or job.start_at is not None:
            self.start(job)
        else:
            job.ask_for_driver()
        job.changed()
        self.wake()

    def run(self) -> None:
        """Handle each job that comes into the inbox, and check all of them every TICK."""
        look_again = 0.0
        while True:
            job: Execution | None = None
            try:
                job = self.inbox.get(timeout=max(0.0, look_again - time.monotonic()))
            except Empty:
                job = None
            try:
                if job is not None:
                    self.look_at(job)
                self.queue.advance()
                if time.monotonic() >= look_again:
                    look_again = time.monotonic() + TICK
                    self.look_at_all(time.monotonic())
            except Exception:
                traceback.print_exc()
            with self.lock:
                if not self.tenants and self.inbox.empty():
                    self.thread = None
                    return

    def look_at(self, job: Execution) -> None:
        """Start, wake or drop a job, according to its state."""
        if job.outcome is not None:
            self.settle(job)
        elif job.thread is not None:
            job.wake()
        elif job.reason:
            job.finish({"cancelled": job.reason})
        elif job.ticket is None or job.ticket.granted:
            self.start(job)
        if job.deadline is not None and not job.timed:
            job.timed = True
            heapq.heappush(self.deadlines, (job.deadline, next(self.numbers), job))

    def start(self, job: Execution) -> None:
        job.thread = threading.Thread(target=job.main, name=f"rexec {job.name}", daemon=True)
        self.running[job.id] = job
        try:
            job.thread.start()
            job.runs = True
        except RuntimeError as error:  # too many threads
            job.finish({"error": pack(error, {})})

    def settle(self, job: Execution) -> None:
        """Do what follows the end of a job."""
        job.give_up_driver()
        self.running.pop(job.id, None)
        self.asked.pop(job.id, None)
        if job.abandoned:
            for tenant in list(self.tenants.values()):
                tenant.forget(job.id)
        elif job.detached and not job.counted:
            job.counted = True
            self.keep(job)

    def keep(self, job: Execution) -> None:
        """Count result and output of a detached job, and drop the oldest ones beyond the limit."""
        size = size_of((job.outcome or {}).get("value"), MOST_KEPT) + job.output.size + STUB
        self.kept.append((job, size))
        self.kept_size += size
        while self.kept_size > MOST_KEPT:
            oldest, size = self.kept.popleft()
            self.kept_size -= size
            if oldest.forgotten:
                continue
            if size > STUB:
                oldest.drop(
                    f"the result of {oldest.name} was dropped: over {MOST_KEPT >> 20} MiB of detached jobs"
                )
                self.kept.append((oldest, STUB))
                self.kept_size += STUB
            else:
                oldest.abandoned = True
                self.settle(oldest)

    def look_at_all(self, now: float) -> None:
        """End the jobs of clients that have gone and those past their deadlines; drop old clients."""
        for name, tenant in list(self.tenants.items()):
            if tenant.lost(now):
                tenant.end_jobs("client gone")
            if tenant.idle(now) > KEEP:
                self.tenants.pop(name, None)
                tenant.workspace.drop_sources()
        while self.deadlines and self.deadlines[0][0] <= now:
            job = heapq.heappop(self.deadlines)[-1]
            if job.outcome is None:
                job.end("deadline")
        for job in list(self.running.values()):
            thread = job.thread
            if job.outcome is None and job.runs and thread is not None and not thread.is_alive():
                # It was interrupted on its very last lines.
                job.finish({"cancelled": job.reason or "its thread has ended"})
            elif job.reason:
                self.interrupt(job, now)

    def interrupt(self, job: Execution, now: float) -> None:
        """Have Cancelled raised in a job's thread, at its next line of Python, some time after the polite request."""
        since = self.asked.setdefault(job.id, now)
        if now - since > GRACE and job.thread is not None:
            self.asked[job.id] = now
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(job.thread.ident or 0), ctypes.py_object(Cancelled)
            )
            job.wake()
