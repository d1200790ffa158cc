"""Keeps one controller running: starts, pings, restarts and ends it, in a thread of its own."""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from rexec.devices import peers
from rexec.supervise.busy import judge
from rexec.supervise.errors import ControllerStartError
from rexec.supervise.guardian import Guardian
from rexec.supervise.ping import Answered, Ping, Unanswered
from rexec.supervise.process import ControllerProcess, answer, environment
from rexec.supervise.selection import Spec
from rexec.supervise.status import State, Status

logger = logging.getLogger(__name__)

START_TIMEOUT: Final = 60.0
"""Seconds that a controller has at least to answer after its start."""

LONGEST_DELAY: Final = 300.0
"""Seconds between two attempts at most, unless retry_timer itself is longer."""

_LOOK: Final = 1.0
"""Seconds between two looks whether the process still runs; the end of its output is seen at once."""


class Keeper:
    """Keeps one controller running until it is told to end.

    Args:
        spec: The controller.
        guardian: Ends the process if this one dies.
        changed: Called with a copy of the status whenever the state or the reason changes; from any thread.

    """

    def __init__(self, spec: Spec, guardian: Guardian, changed: Callable[[Status], None]) -> None:
        self.spec: Final = spec
        self._guardian = guardian
        self._changed = changed
        self._lock = threading.Lock()
        self._status = Status(spec.name, spec.endpoint.address)
        self._silent_from: float | None = (
            None  # monotonic: a clock that is set must not end a busy controller
        )
        self._told_silence = 0.0
        self._wake = threading.Event()  # something is to be looked at
        self._hurry = threading.Event()  # the next attempt is not to be waited for
        self._ending = threading.Event()
        self._restart = threading.Event()
        self._delay = spec.retry_timer
        self._process: ControllerProcess | None = None
        self._thread = threading.Thread(target=self._keep, name=f"keeper of {spec.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def status(self) -> Status:
        """Return a copy of the status."""
        with self._lock:
            return replace(self._status)

    def retry_now(self) -> None:
        """Do not wait any longer for the next attempt; nothing if the controller runs."""
        if self._process is None:
            self._hurry.set()

    def restart(self) -> None:
        """End the controller, whatever it does, and start it again at once."""
        self._restart.set()
        self._hurry.set()
        self._wake.set()

    def end(self) -> None:
        """Ask the keeper to end its controller; `join` waits for that."""
        self._ending.set()
        self._hurry.set()
        self._wake.set()

    def kill(self) -> None:
        """End the process at once."""
        process = self._process
        if process is not None:
            process.kill()

    def join(self) -> None:
        """Wait until the controller has ended; each of its three steps is bounded."""
        self._thread.join(3 * self.spec.term_timeout + 10.0)

    def _keep(self) -> None:
        try:
            while not self._ending.is_set():
                self._hurry.clear()
                self._restart.clear()
                self._attempt()
                with self._lock:
                    self._status.retry_at = time.time() + self._delay
                if not self._hurry.wait(self._delay):
                    longest = max(LONGEST_DELAY, self.spec.retry_timer)
                    self._delay = min(self._delay * self.spec.retry_timer_backoff, longest)
        except Exception as error:
            logger.exception("the keeper of controller %r failed", self.spec.name)
            self._set("ended", f"its keeper failed: {type(error).__name__}: {error}")
        finally:
            self._stop("ended")

    def _attempt(self) -> None:
        """Start the controller and watch it until it is to end, or something is wrong."""
        if not self._is_free():
            return
        with self._lock:
            self._status.retry_at = None
        self._set("starting")
        try:
            reason = self._run()
        except ControllerStartError as error:
            reason = error.reason
        self._stop("waiting", reason)

    def _is_free(self) -> bool:
        """Whether nobody has the port; says who has it otherwise."""
        endpoint = self.spec.endpoint
        there = answer(endpoint, 2.0)
        if there.is_refused:
            return True
        who = peers.Connections().owner(endpoint.port)
        if there.is_there:
            said = f"a controller that was not started for this entry answers there: {who or peers.UNKNOWN}"
            self._set("elsewhere", said)
        elif who is not None:
            self._set("waiting", f"the port is in use: {who}")
        else:
            self._set("waiting", f"whether the port is free cannot be told: {there.reason}")
        return False

    def _run(self) -> str | None:
        """Start and watch the controller; return why it must be restarted, None where it is to end."""
        spec = self.spec
        env = environment(os.environ, spec.environment)
        process = ControllerProcess(
            spec.endpoint, list(spec.words), env, spec.folder, self._guardian, self._wake.set
        )
        self._process = process
        with self._lock:
            self._status.pid, self._status.since = process.pid, time.time()
        process.wait_ready(max(START_TIMEOUT, spec.ping_timer + spec.ping_timeout), self._is_interrupted)
        reason = self._watch(process)
        if reason is None or self._ending.is_set():
            return None
        return f"{reason}{process.last_lines()}"

    def _is_interrupted(self) -> bool:
        return self._ending.is_set() or self._restart.is_set()

    def _watch(self, process: ControllerProcess) -> str | None:
        """Ping the controller until it is to end (None), or something is wrong (what)."""
        while not self._ending.is_set():
            ping = Ping(self.spec.endpoint, self.spec.ping_timeout, self._wake.set)
            while ping.outcome is None:
                reason = self._glance(process)
                if reason is not None or self._ending.is_set():
                    return reason
            reason = self._heard(ping, process)
            until = time.monotonic() + self.spec.ping_timer
            while reason is None and time.monotonic() < until and not self._ending.is_set():
                reason = self._glance(process)
            if reason is not None:
                return reason
        return None

    def _glance(self, process: ControllerProcess) -> str | None:
        """Wait a moment; return why the controller must be restarted."""
        self._wake.wait(_LOOK)
        self._wake.clear()
        return "restarted as asked" if self._restart.is_set() else process.ended()

    def _heard(self, ping: Ping, process: ControllerProcess) -> str | None:
        """Note how a ping ended; return why the controller must be restarted, None if it need not be."""
        outcome = ping.outcome
        if isinstance(outcome, Answered):
            with self._lock:
                self._status.pinged, self._status.ping = time.time(), outcome.seconds
                self._status.silent_since = None
            self._silent_from, self._told_silence = None, 0.0
            self._delay = self.spec.retry_timer
            self._set("up")
            return None
        ended = process.ended()
        if ended is not None:
            return ended
        if isinstance(outcome, Unanswered):
            return self._unanswered(outcome, ping.began, process)
        return outcome.reason if outcome is not None else None

    def _unanswered(self, outcome: Unanswered, began: float, process: ControllerProcess) -> str | None:
        if self._silent_from is None:
            self._silent_from = began
        silence = time.monotonic() - self._silent_from
        with self._lock:
            self._status.silent_since = time.time() - silence
        connected = peers.Connections().clients(self.spec.endpoint.port, process.pid)
        verdict = judge(outcome, silence, connected, self.spec.busy_limit)
        if not verdict.is_left_alone:
            return verdict.reason
        # Told once, and again whenever it has lasted twice as long.
        is_news = silence >= 2 * self._told_silence
        if is_news:
            self._told_silence = silence
        self._set("busy", verdict.reason, is_news)
        return None

    def _stop(self, state: State, reason: str | None = None) -> None:
        """End the process if there is one."""
        process, self._process = self._process, None
        self._silent_from, self._told_silence = None, 0.0
        if process is not None:
            if self._ending.is_set():
                self._set("ending")
            process.end(self.spec.term_timeout)
        with self._lock:
            self._status.pid, self._status.since, self._status.silent_since = None, 0.0, None
            self._status.retry_at = None
            if process is not None and not self._ending.is_set():
                self._status.restarts += 1
        self._set("ended" if self._ending.is_set() else state, reason)

    def _set(self, state: State, reason: str | None = None, is_news: bool = True) -> None:
        """Change the state; without a reason the last one stays while the controller waits."""
        with self._lock:
            before = (self._status.state, self._status.reason)
            self._status.state = state
            if reason is not None:
                self._status.reason = reason
            elif state == "up" or self._ending.is_set():
                self._status.reason = ""
            after = (state, self._status.reason)
        if after != before and is_news:
            self._changed(self.status())
