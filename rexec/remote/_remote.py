"""Remote functions on one controller."""

import functools
import logging
import os
import threading
import time
import types
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

from rexec.remote._analysis import Shipment, analyse
from rexec.remote._channel import Channel
from rexec.remote._errors import RemoteFunctionError, StateLost
from rexec.remote._function import RemoteFunction
from rexec.remote._jobs import Job
from rexec.remote._shipper import Shipper

P = ParamSpec("P")
R = TypeVar("R")
_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.1
_PATIENCE: Final = 0.03


class Remote:
    """Runs functions beside the driver of a controller, of any make.

    Args:
        client: Has `add_code` and `call`: a client of a `NAME_rexec` target, of this or the reference library. Use it
            through this object from now on: its other attributes are here, too.
        name: Device, for messages and logs.
        lease: Seconds without a word from here after which the controller ends the jobs of this client.
        reconnect: Returns a new client after a broken connection; ours connects again by itself.

    """

    def __init__(
        self,
        client: Any,
        name: str | None = None,
        *,
        lease: float = 30.0,
        reconnect: Callable[[], Any] | None = None,
    ) -> None:
        self.name = name or client_name(client)
        self._log = logging.getLogger(f"rexec.remote.{self.name}")
        self._channel = Channel(client, self.name, lease, self._log.getEffectiveLevel(), reconnect)
        self._lease = lease
        self._shipper = Shipper(self.request, self.name)
        self._jobs: dict[str, Job] = {}
        self._streams: set[str] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._pump: threading.Thread | None = None
        self._closed = False

    def function(
        self,
        function: Callable[P, R],
        *,
        parallel: bool = False,
        stateless: bool = False,
        deadline: float | None = None,
        detached: bool = False,
        shipment: Shipment | None = None,
    ) -> "RemoteFunction[P, R]":
        """Return a function that runs on the controller.

        Its source is sent once, with the imports, helpers, classes, constants and closed-over values it uses. It sees
        `controller_driver` and whatever else the controller provides, and its own `job`.

        Args:
            function: Defined with `def`.
            parallel: Run beside other remote functions; by default they have the driver in turns, a stream between
                its items included.
            stateless: Nothing it needs is kept on the controller between calls: after a restart of the controller it
                is called again without a `StateLost`.
            deadline: Seconds after which a call is to end.
            detached: Jobs go on when this client has gone.
            shipment: What `analyse` found before, where one function goes to many controllers.

        Raises:
            CannotTravel: Something it uses cannot be sent; named, with its line.

        """
        function = getattr(function, "rexec_function", function)
        found = analyse(function) if shipment is None else shipment
        return RemoteFunction(self, function, found, parallel, stateless, deadline, detached)

    def add_module(self, module: types.ModuleType) -> None:
        """Send a whole module: remote functions of this client can import it under its own name.

        Args:
            module: Of one file. Modules of the same folder that it imports are sent as well.

        Raises:
            CannotTravel: It has no source, or is a package.

        """
        self._shipper.ship_module(module)

    def job(self, job_id: str) -> Job:
        """Return a job again, after a reconnect or from another process, by its id.

        Raises:
            LookupError: The controller knows none of that id.

        """
        found = {each["id"]: each for each in self.jobs()}
        if job_id not in found:
            raise LookupError(f"{self.name} has no job {job_id!r}; it has {', '.join(found) or 'none'}")
        job = Job(self, job_id, found[job_id]["name"])
        self._follow(job)
        return job

    def jobs(self) -> list[dict[str, Any]]:
        """Return the jobs on the controller: id, name, state and progress of each."""
        found: list[dict[str, Any]] = self.request("jobs")
        return found

    def clock_offset(self, samples: int = 8) -> float:
        """Return the seconds by which the controller's clock is ahead of this one's, from the fastest exchange."""
        best = (float("inf"), 0.0)
        for _ in range(samples):
            before = time.time()
            there = self.request("clock")
            after = time.time()
            best = min(best, (after - before, there - (before + after) / 2))
        return best[1]

    def request(self, action: str, payload: Any = None) -> Any:
        """Ask the agent of the controller; see `Channel.request`."""
        if self._closed:
            raise RemoteFunctionError(f"{self.name}: the remote is closed")
        try:
            return self._channel.request(action, payload)
        except StateLost as error:
            self._state_lost(error)
            raise

    def log(self, level: int, name: str, text: str) -> None:
        """Show a line of remote output, labelled with the device."""
        self._log.log(level or logging.INFO, "[%s] %s: %s", self.name, name, text)

    def close_rpc(self) -> None:
        """End this client's jobs on the controller, and the connection; their futures fail, those of detached jobs too.

        A controller that has gone is not waited for longer than a few seconds.
        """
        if self._closed:
            return
        self._closed = True
        self._wake.set()
        pump = self._pump
        try:
            if pump is not None and pump is not threading.current_thread():
                pump.join(5.0)
            if self._channel.was_used:
                self._channel.leave()
        except (OSError, EOFError) as error:
            self._log.debug("%s: gone before it was told: %s", self.name, error)
        finally:
            self._fail(RemoteFunctionError(f"{self.name}: the remote is closed"))
            self._channel.client.close_rpc()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_channel" not in self.__dict__:
            raise AttributeError(name)
        channel = self._channel
        attribute = getattr(channel.client, name)
        if not callable(attribute):
            return attribute

        @functools.wraps(attribute)
        def locked(*args: Any, **kwargs: Any) -> Any:
            with channel.lock:
                return getattr(channel.client, name)(*args, **kwargs)

        return locked

    def __enter__(self) -> "Remote":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close_rpc()

    # What functions, jobs and streams need.

    def start(self, shipment: Shipment, spec: dict[str, Any]) -> tuple[Job, dict[str, Any]]:
        """Send what is needed, start a job, and return it with its first news."""
        self._shipper.ship(shipment)
        job = Job(self, os.urandom(8).hex(), shipment.function)
        try:
            news = self.request("submit", {**spec, "id": job.id})
        except TypeError as error:
            if not self.request("known", job.id):
                raise  # an argument
            self._discard(job, error)
            news = self.request("poll", [[job.id, 0, 0]])[0]
        return job, news

    def _discard(self, job: Job, error: TypeError) -> None:
        self.request("discard", [job.id, f"{job.name}: its value cannot travel: {error}"])

    def follow(self, job: Job, news: dict[str, Any]) -> None:
        """Take the first news of a job, and look after it until it ends."""
        job.take(news)
        if news["outcome"] is None:
            self._follow(job)
        else:
            job.finish(news["outcome"])
            self.forget(job)

    def follow_stream(self, job: Job) -> None:
        """Keep a stream alive while its consumer is busy."""
        with self._lock:
            self._streams.add(job.id)
        self._start_pump()

    def poll_stream(self, job: Job, taken: int) -> dict[str, Any]:
        """Return the news of a stream."""
        try:
            news = self.request("poll", [[job.id, job.events_seen, taken]])[0]
        except TypeError as error:
            self._discard(job, error)
            news = self.request("poll", [[job.id, job.events_seen, taken]])[0]
        if news is None:
            raise StateLost(f"{self.name}: {job.name} is not known there any more")
        found: dict[str, Any] = news
        return found

    def forget(self, job: Job) -> None:
        """Let the controller drop a job that has ended."""
        with self._lock:
            self._streams.discard(job.id)
        if not self._closed:
            self.request("forget", [job.id])

    def _follow(self, job: Job) -> None:
        with self._lock:
            self._jobs[job.id] = job
        self._start_pump()

    def _start_pump(self) -> None:
        with self._lock:
            if self._pump is None or not self._pump.is_alive():
                self._pump = threading.Thread(target=self._look_after, name=f"rexec {self.name}", daemon=True)
                self._pump.start()
        self._wake.set()

    def _look_after(self) -> None:
        """Ask for news of all jobs until none is left."""
        began = heard = time.monotonic()
        while not self._closed:
            with self._lock:
                jobs, streams = list(self._jobs.values()), bool(self._streams)
                if not jobs and not streams:
                    self._pump = None
                    return
            try:
                if jobs:
                    self._ask(jobs)
                elif time.monotonic() - heard > self._lease / 5:
                    heard = time.monotonic()
                    self._channel.heartbeat()
            except StateLost as error:
                self._state_lost(error)
            except Exception as error:
                self._fail(error)
            # An end is noticed late by a small part of what it took; many controllers do not cost a processor.
            pause = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, _PATIENCE * (time.monotonic() - began)))
            if self._wake.wait(pause):
                self._wake.clear()
                began = time.monotonic()

    def _ask(self, jobs: list[Job]) -> None:
        for job, news in zip(jobs, self._news(jobs), strict=True):
            if news is None:
                outcome: dict[str, Any] | None = {"cancelled": "the controller does not know it any more"}
            else:
                job.take(news)
                outcome = news["outcome"]
            if outcome is not None:
                with self._lock:
                    self._jobs.pop(job.id, None)
                self.forget(job)
                job.finish(outcome)

    def _news(self, jobs: list[Job]) -> list[Any]:
        try:
            return list(self.request("poll", [[job.id, job.events_seen, 0] for job in jobs]))
        except TypeError as error:
            if len(jobs) > 1:
                return [self._news([job])[0] for job in jobs]
            self._discard(jobs[0], error)
            return list(self.request("poll", [[jobs[0].id, jobs[0].events_seen, 0]]))

    def _state_lost(self, error: StateLost) -> None:
        self._shipper.clear()
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        with self._lock:
            jobs = list(self._jobs.values())
            self._jobs.clear()
            self._streams.clear()
        for job in jobs:
            if not job.done():
                job.set_exception(error)


def client_name(client: Any) -> str:
    """Return what to call a device whose name is not given: its target."""
    try:
        return str(client.get_selected_target())
    except AttributeError:
        return "controller"
