"""Keeps one controller running: starts, pings, restarts and ends it, in a thread of its own."""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from rexec.devices.connect import ssl_config
from rexec.supervise import peers
from rexec.supervise.errors import ControllerStartError
from rexec.supervise.guardian import Guardian
from rexec.supervise.process import ControllerProcess, answers, environment
from rexec.supervise.selection import Spec
from rexec.wire.errors import CallTimeout, WireError
from rexec.wire.pc_rpc import Client

logger = logging.getLogger(__name__)

State = Literal["starting", "up", "busy", "elsewhere", "waiting", "ending", "ended"]
"""`elsewhere`: something that this supervisor did not start answers there; `waiting`: for the next attempt."""

START_TIMEOUT: Final = 60.0
"""Seconds that a controller has to answer after its start."""

_LOOK: Final = 0.2
"""Seconds between two looks whether the process still runs."""


@dataclass
class Status:
    """A controller as it is now."""

    name: str
    address: str
    state: State = "starting"
    pid: int | None = None
    since: float = 0.0
    """When the process was started, seconds since the epoch; 0: it is not."""
    restarts: int = 0
    pinged: float | None = None
    """When the last ping was answered, seconds since the epoch."""
    ping: float | None = None
    """How long that took, in seconds."""
    reason: str = ""
    """Why it is not up."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, and the memory in bytes."""
        return {**asdict(self), "memory": peers.memory(self.pid) if self.pid is not None else None}


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
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._delay = spec.retry_timer
        self._process: ControllerProcess | None = None
        self._thread = threading.Thread(target=self._keep, name=f"keeper of {spec.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def status(self) -> Status:
        """Return a copy of the status."""
        with self._lock:
            return Status(**asdict(self._status))

    def retry_now(self) -> None:
        """Do not wait any longer for the next attempt."""
        self._wake.set()

    def end(self) -> None:
        """Ask the keeper to end its controller; `join` waits for that."""
        self._ending.set()
        self._wake.set()

    def kill(self) -> None:
        """End the process at once."""
        process = self._process
        if process is not None:
            process.kill()

    def join(self) -> None:
        """Wait until the controller has ended; each of its three steps is bounded."""
        self._thread.join(3 * self.spec.term_timeout + self.spec.ping_timeout + 10.0)

    def _keep(self) -> None:
        try:
            while not self._ending.is_set():
                if self._start():
                    self._watch()
                    self._stop("waiting")
                if not self._ending.is_set():
                    self._wake.wait(self._delay)
                    self._delay *= self.spec.retry_timer_backoff
                if not self._ending.is_set():
                    self._wake.clear()
        except Exception:
            logger.exception("the keeper of controller %r failed", self.spec.name)
        finally:
            self._stop("ended")
            self._set("ended")

    def _start(self) -> bool:
        """Start the controller and wait until it answers; return whether it runs."""
        endpoint, spec = self.spec.endpoint, self.spec
        there = answers(endpoint.host, endpoint.port, endpoint.tls, 2.0)
        if there is not False:
            who = peers.owner(endpoint.port) or "a process that the system does not name"
            said = "a controller that was not started here answers" if there else "the port is in use"
            self._set("elsewhere" if there else "waiting", f"{said}: {who}")
            return False
        self._set("starting")
        try:
            env = environment(os.environ, spec.environment)
            process = ControllerProcess(endpoint, list(spec.words), env, spec.folder, self._guardian)
            self._process = process
            with self._lock:
                self._status.pid, self._status.since = process.pid, time.time()
            process.wait_ready(START_TIMEOUT, self._ending.is_set)
        except ControllerStartError as error:
            self._stop("waiting", str(error))
            return False
        return not self._ending.is_set()

    def _watch(self) -> None:
        """Ping the controller until it is to end, or has."""
        while True:
            reason = self._ping()
            if reason is not None or self._ending.is_set():
                self._fail(reason)
                return
            until = time.monotonic() + self.spec.ping_timer
            while time.monotonic() < until and not self._ending.is_set():
                ended = self._process.ended() if self._process is not None else "is gone"
                if ended is not None:
                    self._fail(ended)
                    return
                self._ending.wait(_LOOK)

    def _ping(self) -> str | None:
        """Ping once; return why the controller must be restarted, None if it need not be."""
        endpoint, began = self.spec.endpoint, time.monotonic()
        limit = self.spec.ping_timeout
        try:
            client = Client(
                endpoint.host, endpoint.port, None, limit, ssl_config(endpoint.tls), handshake_timeout=limit
            )
            try:
                targets = client.get_rpc_id()[0]
                client.select_rpc_target(
                    endpoint.target_name if endpoint.target_name in targets else targets[0]
                )
                if hasattr(client, "ping") and not client.rpc_call("ping", timeout=limit):
                    return "its ping() says that it is not well"
            finally:
                client.close_rpc()
        except (WireError, OSError, IndexError) as error:
            return self._unanswered(error, began)
        except Exception as error:
            return f"its ping() raised {type(error).__name__}: {error}"
        with self._lock:
            self._status.pinged, self._status.ping = time.time(), time.monotonic() - began
        self._delay = self.spec.retry_timer
        self._set("up")
        return None

    def _unanswered(self, error: Exception, began: float) -> str | None:
        """Return why a controller must be restarted that did not answer a ping, None if it is only busy."""
        process = self._process
        ended = process.ended() if process is not None else "is gone"
        if ended is not None:
            return ended
        if process is not None and _was_slow(error):
            count = peers.clients(process.pid, self.spec.endpoint.port)
            if count > 0:
                seconds = time.monotonic() - began
                plural = "" if count == 1 else "s"
                self._set(
                    "busy", f"no answer in {seconds:.0f} s, but {count} client{plural} connected: left alone"
                )
                return None
        return f"no answer to a ping: {error}"

    def _fail(self, reason: str | None) -> None:
        if reason is not None and not self._ending.is_set():
            lines = self._process.last_lines() if self._process is not None else ""
            self._stop("waiting", f"{reason}{lines}")

    def _stop(self, state: State, reason: str | None = None) -> None:
        """End the process if there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        if self._ending.is_set():
            self._set("ending")
        process.end(self.spec.term_timeout)
        with self._lock:
            self._status.pid, self._status.since = None, 0.0
            if not self._ending.is_set():
                self._status.restarts += 1
        self._set("ended" if self._ending.is_set() else state, reason)

    def _set(self, state: State, reason: str | None = None) -> None:
        """Change the state; without a reason the last one stays while the controller waits."""
        with self._lock:
            before = (self._status.state, self._status.reason)
            self._status.state = state
            if reason is not None or state in ("up", "ended"):
                self._status.reason = reason or ""
            after = (state, self._status.reason)
        if after != before:
            self._changed(self.status())


def _was_slow(error: Exception) -> bool:
    """Whether an error means that no answer came in time, rather than that nobody is there."""
    return isinstance(error, CallTimeout) or isinstance(error.__cause__, TimeoutError)
