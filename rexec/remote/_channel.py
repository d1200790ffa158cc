"""Requests to the agent on a controller: puts it there, and connects again when the connection breaks."""

import inspect
import logging
import os
import re
import threading
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

from rexec.remote import _shipped_agent, _shipped_jobs
from rexec.remote._errors import StateLost, remote_exception
from rexec.wire.pc_rpc import Client

_log = logging.getLogger(__name__)
_ATTEMPTS: Final = 3
_FAREWELL: Final = 1.0
"""Seconds that a client which leaves gives a controller that may have gone."""


def agent_source() -> str:
    """Return the source of the agent as one module: two files, since either is long enough."""
    texts = [inspect.getsource(_shipped_jobs), inspect.getsource(_shipped_agent)]
    # In one module the names of the first are there for the second.
    second = re.sub(r"(?m)^from (__future__|rexec\.remote\.[\w.]+) import .*$", "", texts[1])
    return texts[0] + "\n\n" + second


SOURCE: Final = agent_source()
KEY: Final = "_rexec_agent_" + sha256(SOURCE.encode()).hexdigest()[:12]
_STUB: Final = f'''
def _rexec_boot(source):
    agent = controller_initial_namespace.get("{KEY}")
    if agent is None and source is not None:
        import linecache, types
        module = types.ModuleType("rexec_agent")
        file = "{_shipped_jobs.SELF_FILE}"
        linecache.cache[file] = (len(source), None, source.splitlines(True), file)
        exec(compile(source, file, "exec"), module.__dict__)
        agent = controller_initial_namespace["{KEY}"] = module.Agent(controller_initial_namespace)
    return agent is not None


def _rexec_request(session, action, payload):
    return controller_initial_namespace["{KEY}"].request(globals(), session, action, payload)
'''


class Channel:
    """Speaks with the agent through any client that has `add_code` and `call`.

    Args:
        client: Of this or the reference library.
        where: Device, for messages.
        lease: Seconds without a word from here after which the controller ends this client's jobs.
        level: Of the log records that are wanted.
        reconnect: Returns a new client; for clients that do not connect again by themselves.

    """

    def __init__(
        self, client: Any, where: str, lease: float, level: int, reconnect: Callable[[], Any] | None
    ) -> None:
        self.client = client
        self.where = where
        self.lock = threading.RLock()
        self.session = os.urandom(8).hex()
        self._hello = {"lease": lease, "level": level}
        self._reconnect = reconnect
        self._ready = False
        self._leaving = False
        self._agent: str | None = None

    @property
    def was_used(self) -> bool:
        """Whether the agent of the controller knows of this client."""
        return self._agent is not None

    def request(self, action: str, payload: Any = None) -> Any:
        """Ask the agent; every request may be repeated, so a broken connection is made again.

        Raises:
            StateLost: The controller has been restarted since; the next request works.
            ConnectionError: It cannot be reached.
            TypeError: A value cannot travel.
            Exception: What the agent met while it did as asked.

        """
        with self.lock:
            for attempt in range(_ATTEMPTS):
                try:
                    if not self._ready:
                        self._boot()
                    answer = self._call("call", "_rexec_request", self.session, action, payload)
                except KeyError as error:
                    if "_rexec_" not in str(error) or attempt == _ATTEMPTS - 1:
                        raise
                    self._ready = False  # a new connection: its namespace is empty
                    continue
                except StateLost:
                    raise
                except (OSError, EOFError) as error:
                    self._broken(error, last=attempt == _ATTEMPTS - 1)
                    continue
                if answer is None:
                    self._broken(ConnectionError("no answer"), last=attempt == _ATTEMPTS - 1)
                elif "unknown" in answer:
                    self._ready = False
                elif "error" in answer:
                    raise remote_exception(answer["error"], self.where)
                else:
                    return answer["ok"]
            raise ConnectionError(f"{self.where}: the controller forgets the agent as soon as it has it")

    def leave(self) -> None:
        """Have this client's jobs ended; a controller that has gone is asked once.

        Raises:
            ConnectionError: It cannot be told.

        """
        self._leaving = True
        self.request("close")

    def _call(self, method: str, *args: Any) -> Any:
        if self._leaving and isinstance(self.client, Client):
            return self.client.rpc_call(method, args, timeout=_FAREWELL)
        return getattr(self.client, method)(*args)

    def _broken(self, error: Exception, *, last: bool) -> None:
        self._ready = False
        if last or (self._leaving and self._reconnect is None):
            raise error
        _log.info("%s: the connection broke (%s): trying again", self.where, error)
        if self._reconnect is not None:
            self.client = self._reconnect()

    def _boot(self) -> None:
        """Put the agent there unless it is, and make this client known to it."""
        self._call("add_code", _STUB)
        if not self._call("call", "_rexec_boot", None):
            self._call("call", "_rexec_boot", SOURCE)
        answer = self._call("call", "_rexec_request", self.session, "hello", self._hello)["ok"]
        self._ready = True
        state = f"{answer['agent']} {answer['since']}"
        if self._agent not in (None, state):
            self._agent = state
            raise StateLost(
                f"{self.where} was restarted, or has not heard of this client for long: what remote functions had "
                "kept there is gone. They have been made ready again: call once more if that does not matter, or "
                "declare them stateless=True"
            )
        self._agent = state

    def heartbeat(self) -> None:
        """Tell the controller that this client lives."""
        self.request("jobs_alive")
