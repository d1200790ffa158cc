"""Polls a controller for news of one client's jobs until they end, in one thread a controller."""

import logging
import os
import threading
import time
from collections import deque
from typing import Any, Final

from rexec.ground.reentrant_event import ReentrantEvent
from rexec.remote._channel import Channel
from rexec.remote._delivery import Delivery, wait_no_more
from rexec.remote._errors import CannotTravel, RemoteFunctionError, StateLost
from rexec.remote._jobs import Job, News
from rexec.remote._pieces import weight
from rexec.remote._shipment import Shipment
from rexec.remote._shipper import Shipper
from rexec.remote.agent.sendable import problem_of
from rexec.wire.call_lock import CallLock

_log = logging.getLogger(__name__)
_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.1
_PAUSE_SHARE: Final = 0.015
"""Poll interval as a fraction of the jobs' run time so far."""
_THREAD_SHARE: Final = 0.001
"""Seconds of poll interval for each thread that polls, so that many controllers do not cost a processor."""
_HOLDER_EVERY: Final = 1.0
"""Seconds between two questions who has the driver, while jobs wait for it."""
_SMALL: Final = 1 << 16

_polling: set["Poller"] = set()
"""Those with a running thread, in this process."""


class Poller:
    """Starts jobs, and polls for their news.

    Args:
        channel: To the controller's agent.
        shipper: Sends what functions need.

    """

    def __init__(self, channel: Channel, shipper: Shipper) -> None:
        self.channel = channel
        self._shipper = shipper
        self._lock = CallLock(f"a request to {channel.where}", RemoteFunctionError)
        """For starting and ending the thread. The collections need no lock: their operations are atomic."""
        self._begin()
        channel.when_state_is_lost(self.fail)
        channel.when_forked(self._begin)

    def _begin(self) -> None:
        """Begin without jobs; after a fork they belong to the parent process."""
        self._jobs: dict[str, Job[Any]] = {}
        self._streams: dict[str, Job[Any]] = {}
        self._new: deque[str] = deque()
        self._abandoned: deque[str] = deque()
        self._ended: deque[str] = deque()
        self._delivery = Delivery(self.channel.where)
        self._marks: dict[str, list[Any]] = {}
        self._number = 0
        self._wake = ReentrantEvent()
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether jobs or streams of this client run."""
        return bool(self._jobs or self._streams or self._abandoned or self._delivery)

    @property
    def active(self) -> list[Job[Any]]:
        """Jobs of this client that have not ended, those of streams included."""
        return [*list(self._jobs.values()), *list(self._streams.values())]

    def start(self, shipment: Shipment, spec: dict[str, Any]) -> tuple[Job[Any], News]:
        """Send what is needed, start a job, and return it with its first news."""
        self.channel.leave_the_parent_alone()
        self._lock.refuse_reentry()
        job: Job[Any] = Job(self.channel, os.urandom(8).hex(), shipment.function)
        try:
            news = self._shipper.submit(shipment, {**spec, "id": job.id, "forget": self._take(self._ended)})
        except (OSError, CannotTravel, RemoteFunctionError):
            raise
        except Exception:
            for part in ("args", "kwargs"):
                if problem := problem_of(spec[part], part):
                    raise TypeError(f"{job.name}(): {problem}") from None
            polled = job.poll()
            if polled is None:
                raise  # it was not started
            news = polled
        except BaseException:
            # Interrupted: whether the function has started is not known.
            self.abandon(job)
            self._keep_asking()
            raise
        return job, news

    def follow(self, job: Job[Any], news: News) -> None:
        """Take the first news of a job, and poll for more until it ends."""
        job.take(news)
        if news["outcome"] is None:
            self.find(job)
        else:
            self.end(job, news["outcome"])

    def find(self, job: Job[Any]) -> None:
        """Poll for news of a job that runs already."""
        self._jobs[job.id] = job
        self._marks[job.id] = job.mark
        self._new.append(job.id)
        self._keep_asking()

    def keep_alive(self, job: Job[Any]) -> None:
        """Keep a stream alive while its consumer is busy."""
        self._streams[job.id] = job
        self._keep_asking()

    def end(self, job: Job[Any], outcome: News) -> None:
        """Take the outcome of a job; the controller drops it with the next request, at once if it is large."""
        job.finish(outcome)
        self._drop_there(job, outcome)

    def _drop_there(self, job: Job[Any], outcome: News) -> None:
        self._ended.append(job.id)
        self._streams.pop(job.id, None)
        if weight(outcome.get("value"), _SMALL) > _SMALL and not self.channel.closed:
            ended = self._take(self._ended)
            try:
                self.channel.request("forget", ended)
            except (OSError, RemoteFunctionError) as error:
                self._ended.extend(ended)
                _log.debug("%s drops the value of %s later: %s", self.channel.where, job.name, error)

    def abandon(self, job: Job[Any]) -> None:
        """Let the thread end and forget a job. For finalizers, which run anywhere and must not wait."""
        self._abandoned.append(job.id)

    def stop(self, wait: float) -> None:
        """End the thread."""
        self._wake.set()
        wait_no_more()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(wait)

    def fail(self, error: BaseException) -> None:
        """End the futures of all jobs with an error."""
        self._streams.clear()
        for name in list(self._jobs):
            if job := self._forget(name):
                self._delivery.add(job, error)
        self._delivery.deliver()

    def _forget(self, name: str) -> Job[Any] | None:
        """Remove a job and return it, to one thread only."""
        self._marks.pop(name, None)
        return self._jobs.pop(name, None)

    @staticmethod
    def _take(names: "deque[str]") -> list[str]:
        """Remove all names and return them, each to one thread only."""
        taken: list[str] = []
        try:
            while True:
                taken.append(names.popleft())
        except IndexError:
            return taken

    def _keep_asking(self) -> None:
        with self._lock:
            # What handles log records may start a job and wait for it: then a new thread takes over.
            if self._thread in (None, threading.current_thread()) or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name=f"rexec {self.channel.where}", daemon=True
                )
                self._thread.start()
        self._wake.set()
        wait_no_more()

    def _is_over(self) -> bool:
        """Return whether this thread ends, because another has taken over or no job is left."""
        with self._lock:
            if self._thread is not threading.current_thread():
                return True
            if not self.busy:
                self._thread = None
            return self._thread is None

    def _run(self) -> None:
        _polling.add(self)
        try:
            self._ask_until_none_is_left()
        finally:
            if self._thread in (None, threading.current_thread()):
                _polling.discard(self)

    def _ask_until_none_is_left(self) -> None:
        began = heard = told = time.monotonic()
        while not self.channel.closed:
            shortest = max(_FIRST_PAUSE, _THREAD_SHARE * len(_polling))
            pause = max(shortest, _PAUSE_SHARE * (time.monotonic() - began))
            if self._wake.wait(min(_LONGEST_PAUSE, pause)):
                self._wake.clear()
                began = time.monotonic()
                time.sleep(shortest)  # its first news has arrived with its start
            if self._is_over():
                return
            try:
                self._delivery.deliver()  # what is left by one that waits
                if self._abandoned:
                    self._end_abandoned()
                if self._jobs:
                    self._ask()
                elif time.monotonic() - heard > self.channel.lease / 5:
                    heard = time.monotonic()
                    self.channel.request("jobs_alive")
                if time.monotonic() - told > _HOLDER_EVERY:
                    told = time.monotonic()
                    self._learn_who_has_the_driver()
            except StateLost as error:
                _log.debug("%s", error)  # the jobs have failed with it already
            except Exception as error:
                self.fail(error)

    def _learn_who_has_the_driver(self) -> None:
        waiting = [job for job in self.active if job.state == "waiting"]
        if not waiting:
            return
        found = self.channel.request("driver")
        for job in waiting:
            if job.holder is None and found is not None:
                self.channel.log.info("[%s] %s waits for the driver: %s", job.where, job.name, found[0])
            job.holder = None if found is None else (found[0], time.monotonic() - found[1])

    def _end_abandoned(self) -> None:
        names = self._take(self._abandoned)
        for name in names:
            self._streams.pop(name, None)
        self.channel.request("abandon", names)

    def _ask(self) -> None:
        for name, news in self._news():
            job = self._jobs.get(name)
            if job is None:
                continue
            if news is None:
                outcome: News | None = {"cancelled": "the controller does not know it any more"}
            else:
                known = job.mark
                job.take(news)
                if job.mark != known:  # else the agent knows it, or it is among those still to be sent
                    self._marks[name] = job.mark
                outcome = news["outcome"]
            if outcome is not None and self._forget(name):
                self._delivery.add(job, outcome)
                self._drop_there(job, outcome)
        self._delivery.deliver()

    def _news(self) -> list[tuple[str, News | None]]:
        """Return the news of the jobs that have any."""
        ended, new = self._take(self._ended), self._take(self._new)
        marks = dict(self._marks)
        try:
            number, found = self.channel.request("news", [self._number, list(marks.values()), ended, new])
        except (OSError, RemoteFunctionError):
            self._ended.extendleft(reversed(ended))
            self._new.extendleft(reversed(new))
            raise
        except Exception:
            # The value of one job cannot be sent: only a request for each job alone shows which one.
            self._new.extend(new)
            return [(job.id, job.poll()) for job in list(self._jobs.values())]
        self._number = number
        for name, mark in marks.items():
            if self._marks.get(name) is mark:
                self._marks.pop(name, None)  # the agent knows it
        return [(name, news) for name, news in found]
