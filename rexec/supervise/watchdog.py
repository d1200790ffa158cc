"""Keeps one controller running in its own thread: starts, pings, restarts and ends it."""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from rexec.devices import peers
from rexec.ground.waits import join_all
from rexec.supervise.busy import judge
from rexec.supervise.errors import ControllerStartError
from rexec.supervise.guardian import Guardian
from rexec.supervise.ping import Answered, Ping, Unanswered
from rexec.supervise.process import ControllerProcess, answer, environment
from rexec.supervise.selection import Spec
from rexec.supervise.status import ControllerStatus, State

logger = logging.getLogger(__name__)

START_TIMEOUT: Final = 60.0
"""Minimum time limit for a controller to answer after its start, in seconds."""

LONGEST_DELAY: Final = 300.0
"""Upper limit of the exponential back-off between attempts, in seconds; a longer retry_timer replaces it."""

_DYING: Final = 1.0
"""Seconds within which a process that refuses connections may end, so that its end is told and not the refusal."""

_LOOK: Final = 1.0
"""Poll interval of the process, in seconds; the end of its output is noticed at once."""


class Watchdog:
    """Keeps one controller running until `end` is called.

    Args:
        spec: The controller.
        guardian: Ends the process if this one dies.
        changed: Called from the watchdog's thread with each new status, and whether a person should be told.
        variables: Further environment variables for the command.

    """

    def __init__(
        self,
        spec: Spec,
        guardian: Guardian,
        changed: Callable[[ControllerStatus, bool], None],
        variables: Mapping[str, str],
    ) -> None:
        self._variables = variables
        self.spec: Final = spec
        self._guardian = guardian
        self._changed = changed
        self._status = ControllerStatus(spec.name, spec.endpoint.address)
        # Monotonic, so that setting the clock does not end a busy controller.
        self._silent_from: float | None = None
        self._told_silence = 0.0
        self._frozen_from: float | None = None
        self._wake = threading.Event()  # the process or a ping has ended
        self._hurry = threading.Event()  # skip the delay before the next attempt
        self._ending = threading.Event()
        self._restart = threading.Event()
        self._delay = spec.retry_timer
        self._process: ControllerProcess | None = None
        self._thread = threading.Thread(target=self._keep, name=f"watchdog of {spec.name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._update()
        self._thread.start()

    def retry_now(self) -> None:
        """Skip the delay before the next attempt; no effect while the controller runs."""
        if self._process is None:
            self._hurry.set()

    def restart(self) -> None:
        """End the controller, even a busy one, and start it again at once."""
        self._restart.set()
        self._hurry.set()
        self._wake.set()

    def end(self) -> None:
        """Begin to end the controller; `join` waits for it."""
        self._ending.set()
        self._hurry.set()
        self._wake.set()

    def kill(self) -> None:
        """End the process at once."""
        process = self._process
        if process is not None:
            process.kill()

    def join(self) -> None:
        """Wait until the controller has ended; each of the three steps is bounded."""
        join_all([self._thread], 3 * self.spec.term_timeout + 10.0)

    def _keep(self) -> None:
        try:
            while not self._ending.is_set():
                self._hurry.clear()
                self._restart.clear()
                self._attempt()
                self._update(retry_at=time.time() + self._delay)
                if not self._hurry.wait(self._delay):
                    longest = max(LONGEST_DELAY, self.spec.retry_timer)
                    self._delay = min(self._delay * self.spec.retry_timer_backoff, longest)
        except Exception as error:
            logger.exception("the watchdog of controller %r failed", self.spec.name)
            self._set("ended", f"its watchdog failed: {type(error).__name__}: {error}")
        finally:
            self._stop("ended")

    def _attempt(self) -> None:
        """Start the controller and watch it until `end` is called or it fails."""
        if not self._is_free():
            return
        self._set("starting", retry_at=None)
        try:
            reason = self._run()
        except ControllerStartError as error:
            reason = error.reason
        self._stop("waiting", reason)

    def _is_free(self) -> bool:
        """Whether the port is free; if not, the status names its owner."""
        endpoint = self.spec.endpoint
        there = answer(endpoint, 2.0)
        if there.is_refused:
            return True
        who = peers.Connections().owner(endpoint.port)
        if there.is_there:
            said = f"another controller answers at this address: {who or peers.UNKNOWN}"
            self._set("elsewhere", said)
        elif who is not None:
            self._set("waiting", f"the port is in use: {who}")
        else:
            self._set("waiting", f"the port may be in use: {there.reason}")
        return False

    def _run(self) -> str | None:
        """Start and watch the controller; return why it must be restarted, or None after `end`."""
        spec = self.spec
        env = environment(os.environ, {**spec.environment, **self._variables})
        process = ControllerProcess(
            spec.endpoint, list(spec.words), env, spec.folder, self._guardian, self._wake.set
        )
        self._process = process
        self._update(pid=process.pid, since=time.time())
        reason = self._wait_ready(process) or self._watch(process)
        if reason is None or self._ending.is_set():
            return None
        return f"{reason}{process.last_lines()}"

    def _wait_ready(self, process: ControllerProcess) -> str | None:
        """Wait until the controller answers; return why it must be replaced, or None."""
        reason = None

        def give_up() -> bool:
            nonlocal reason
            reason = self._frozen(process)
            return reason is not None or self._is_interrupted()

        process.wait_ready(max(START_TIMEOUT, self.spec.ping_timer + self.spec.ping_timeout), give_up)
        return reason

    def _is_interrupted(self) -> bool:
        return self._ending.is_set() or self._restart.is_set()

    def _watch(self, process: ControllerProcess) -> str | None:
        """Ping the controller until `end` is called (None) or it must be restarted (the reason)."""
        while not self._ending.is_set():
            ping = Ping(self.spec.endpoint, self.spec.ping_timeout, self._wake.set)
            while ping.outcome is None:
                reason = self._glance(process)
                if reason is not None or self._ending.is_set():
                    return reason
            reason = self._heard(ping, process)
            until = time.monotonic() + self.spec.ping_timer
            while reason is None and time.monotonic() < until and not self._ending.is_set():
                was_frozen = self._frozen_from is not None
                reason = self._glance(process)
                # The next ping tells whether it goes on, or another process of the command answers.
                if process.serving.has_ended() or (was_frozen and self._frozen_from is None):
                    break
            if reason is not None:
                return reason
        return None

    def _glance(self, process: ControllerProcess) -> str | None:
        """Wait up to one poll interval; return why the controller must be restarted, or None."""
        self._wake.wait(_LOOK)
        self._wake.clear()
        if self._restart.is_set():
            return "restarted on request"
        return process.ended() or self._frozen(process)

    def _frozen(self, process: ControllerProcess) -> str | None:
        """Record whether the process is stopped; return why it must be replaced, or None."""
        stopped = process.serving.stopped()
        now = time.monotonic()
        if stopped is None:
            self._frozen_from = None
            return None
        if self._frozen_from is None:
            self._frozen_from = now
        if now - self._frozen_from >= self.spec.ping_timeout:
            return f"{stopped}, for {now - self._frozen_from:.0f} s"
        self._set(
            "frozen", f"{stopped}. It is replaced after its ping_timeout of {self.spec.ping_timeout:g} s"
        )
        return None

    def _heard(self, ping: Ping, process: ControllerProcess) -> str | None:
        """Record the outcome of a ping; return why the controller must be restarted, or None."""
        outcome = ping.outcome
        if isinstance(outcome, Answered):
            self._update(pinged=time.time(), ping=outcome.seconds, silent_since=None)
            self._silent_from, self._told_silence = None, 0.0
            self._delay = self.spec.retry_timer
            process.serving.find()
            if process.serving.stopped() is not None:
                return None  # it answered just before
            self._set("up")
            return None
        ended = process.ended()
        if ended is not None:
            return ended
        if self._frozen_from is not None:
            return None
        if isinstance(outcome, Unanswered):
            return self._unanswered(outcome, ping.began, process)
        return None if outcome is None else self._ended_soon(process) or outcome.reason

    def _ended_soon(self, process: ControllerProcess) -> str | None:
        """Return how the process ended: the kernel closes its sockets some time before it can be waited for."""
        until = time.monotonic() + _DYING
        while (ended := process.ended()) is None and time.monotonic() < until and not self._is_interrupted():
            self._wake.wait(_LOOK)
            self._wake.clear()
        return ended

    def _unanswered(self, outcome: Unanswered, began: float, process: ControllerProcess) -> str | None:
        if self._silent_from is None:
            self._silent_from = began
        silence = time.monotonic() - self._silent_from
        self._update(silent_since=time.time() - silence)
        connected = peers.Connections().clients(self.spec.endpoint.port, process.pid)
        verdict = judge(outcome, silence, connected, self.spec.busy_limit)
        if not verdict.is_left_alone:
            return verdict.reason
        # Reported once, and again each time the silence has doubled.
        is_news = silence >= 2 * self._told_silence
        if is_news:
            self._told_silence = silence
        self._set("busy", verdict.reason, is_news)
        return None

    def _stop(self, state: State, reason: str | None = None) -> None:
        process, self._process = self._process, None
        self._silent_from, self._told_silence, self._frozen_from = None, 0.0, None
        if process is not None:
            if self._ending.is_set():
                self._set("ending")
            process.end(self.spec.term_timeout)
        is_restart = process is not None and not self._ending.is_set()
        self._set(
            "ended" if self._ending.is_set() else state,
            reason,
            pid=None,
            since=0.0,
            silent_since=None,
            retry_at=None,
            restarts=self._status.restarts + is_restart,
        )

    def _set(self, state: State, reason: str | None = None, is_news: bool = True, **further: Any) -> None:
        """Change the state; without a new reason, a waiting controller keeps the last one."""
        if reason is None:
            reason = "" if state == "up" or self._ending.is_set() else self._status.reason
        is_other = (self._status.state, self._status.reason) != (state, reason)
        self._update(is_news and is_other, state=state, reason=reason, **further)

    def _update(self, is_news: bool = False, **fields: Any) -> None:
        self._status = replace(self._status, **fields)
        self._changed(self._status, is_news)
