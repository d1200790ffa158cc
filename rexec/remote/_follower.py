"""Follows the jobs of one client until they end: one thread a controller, which asks for news of all of them."""

import logging
import os
import threading
import time
from collections import deque
from typing import Any, Final

from rexec.remote._channel import Channel
from rexec.remote._errors import CannotTravel, StateLost
from rexec.remote._jobs import Job, News
from rexec.remote._pieces import weight
from rexec.remote._shipment import Shipment
from rexec.remote._shipper import Shipper

_log = logging.getLogger(__name__)
_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.1
_PATIENCE: Final = 0.015
"""An end is noticed late by this part of what the job took."""
_SHARE: Final = 0.001
"""Seconds that a thread waits for each other one that asks, so that many controllers do not cost a processor."""
_SMALL: Final = 1 << 16

_asking: set["Follower"] = set()
"""Those with a thread that asks, in this process."""


class Follower:
    """Starts jobs, and learns how they go on.

    Args:
        channel: To the controller's agent.
        shipper: Sends what functions need.

    """

    def __init__(self, channel: Channel, shipper: Shipper) -> None:
        self.channel = channel
        self._shipper = shipper
        self._jobs: dict[str, Job[Any]] = {}
        self._streams: set[str] = set()
        self._abandoned: deque[str] = deque()
        self._ended: deque[str] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        channel.when_state_is_lost(self.fail)

    @property
    def busy(self) -> bool:
        """Whether jobs or streams of this client run."""
        return bool(self._jobs or self._streams)

    def start(self, shipment: Shipment, spec: dict[str, Any]) -> tuple[Job[Any], News]:
        """Send what is needed, start a job, and return it with its first news."""
        job: Job[Any] = Job(self.channel, os.urandom(8).hex(), shipment.function)
        try:
            news = self._shipper.submit(shipment, {**spec, "id": job.id, "forget": self._take_ended()})
        except CannotTravel:
            raise
        except TypeError as error:
            if not self.channel.request("known", job.id):
                text = str(error)
                for part in ("args", "kwargs"):
                    text = text.replace(f"call(): args[3]['{part}']", f"{job.name}(): {part}")
                raise TypeError(text) from None  # an argument cannot travel
            polled = job.poll()
            if polled is None:
                raise
            news = polled
        except Exception:
            raise
        except BaseException:
            # Interrupted: whether the function has started is not known.
            self._ask_to_end(job)
            raise
        return job, news

    def follow(self, job: Job[Any], news: News) -> None:
        """Take the first news of a job, and look after it until it ends."""
        job.take(news)
        if news["outcome"] is None:
            self.find(job)
        else:
            self.end(job, news["outcome"])

    def find(self, job: Job[Any]) -> None:
        """Look after a job that runs already."""
        with self._lock:
            self._jobs[job.id] = job
        self._keep_asking()

    def keep_alive(self, job: Job[Any]) -> None:
        """Keep a stream alive while its consumer is busy."""
        with self._lock:
            self._streams.add(job.id)
        self._keep_asking()

    def end(self, job: Job[Any], outcome: News) -> None:
        """Take the outcome of a job; the controller drops it with the next request, at once if it is large."""
        self._ended.append(job.id)
        with self._lock:
            self._streams.discard(job.id)
        if weight(outcome.get("value"), _SMALL) > _SMALL:
            self._forget_ended()
        job.finish(outcome)

    def abandon(self, job: Job[Any]) -> None:
        """Have a job ended, soon; for finalizers, which run anywhere and may wait for nothing."""
        self._abandoned.append(job.id)

    def stop(self, wait: float) -> None:
        """End the thread."""
        self._wake.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(wait)

    def fail(self, error: BaseException) -> None:
        """End all jobs on this side."""
        with self._lock:
            jobs = list(self._jobs.values())
            self._jobs.clear()
            self._streams.clear()
        for job in jobs:
            job.fail(error)

    def _ask_to_end(self, job: Job[Any]) -> None:
        try:
            job.cancel()
        except Exception as error:
            _log.debug("%s: %s could not be ended: %s", self.channel.where, job.name, error)

    def _take_ended(self) -> list[str]:
        return [self._ended.popleft() for _ in range(len(self._ended))]

    def _forget_ended(self) -> None:
        if not self.channel.closed and (ended := self._take_ended()):
            self.channel.request("forget", ended)

    def _keep_asking(self) -> None:
        with self._lock:
            # A callback of a job may start another one and wait for it: then a new thread takes over.
            if self._thread in (None, threading.current_thread()) or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name=f"rexec {self.channel.where}", daemon=True
                )
                self._thread.start()
        self._wake.set()

    def _run(self) -> None:
        _asking.add(self)
        try:
            self._ask_until_none_is_left()
        finally:
            if self._thread in (None, threading.current_thread()):
                _asking.discard(self)

    def _ask_until_none_is_left(self) -> None:
        began = heard = time.monotonic()
        while not self.channel.closed:
            shortest = max(_FIRST_PAUSE, _SHARE * len(_asking))
            pause = max(shortest, _PATIENCE * (time.monotonic() - began))
            if self._wake.wait(min(_LONGEST_PAUSE, pause)):
                self._wake.clear()
                began = time.monotonic()
                time.sleep(shortest)  # its first news is known
            with self._lock:
                if self._thread is not threading.current_thread():
                    return
                jobs, streams = list(self._jobs.values()), bool(self._streams)
                if not jobs and not streams:
                    self._thread = None
                    return
            try:
                while self._abandoned:
                    self._end_abandoned(self._abandoned.popleft())
                if jobs:
                    self._ask(jobs)
                elif time.monotonic() - heard > self.channel.lease / 5:
                    heard = time.monotonic()
                    self.channel.request("jobs_alive")
            except StateLost as error:
                _log.debug("%s", error)  # the jobs have failed with it already
            except Exception as error:
                self.fail(error)

    def _end_abandoned(self, job_id: str) -> None:
        self.channel.request("cancel", [job_id, "cancelled"])
        with self._lock:
            self._streams.discard(job_id)
        self._ended.append(job_id)

    def _ask(self, jobs: list[Job[Any]]) -> None:
        for job, news in zip(jobs, self._news(jobs), strict=True):
            if news is None:
                outcome: News | None = {"cancelled": "the controller does not know it any more"}
            else:
                job.take(news)
                outcome = news["outcome"]
            if outcome is not None:
                with self._lock:
                    self._jobs.pop(job.id, None)
                self.end(job, outcome)

    def _news(self, jobs: list[Job[Any]]) -> list[News | None]:
        ended = self._take_ended()
        try:
            return list(self.channel.request("poll", [[job.asked() for job in jobs], ended]))
        except TypeError:
            # One of them has a value that cannot travel.
            return [job.poll() for job in jobs]
