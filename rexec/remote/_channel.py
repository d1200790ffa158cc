"""Requests to the agent on a controller: puts it there, and connects again when the connection breaks."""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from rexec.ground import forks
from rexec.ground.client_label import client_label
from rexec.remote._bootstrap import STUB
from rexec.remote._errors import RemoteClosed, RemoteFunctionError, StateLost, remote_exception
from rexec.remote._pieces import steps, weight
from rexec.wire.call_lock import CallLock
from rexec.wire.errors import ConnectionFailed, MessageTooLong
from rexec.wire.pc_rpc import Client

T = TypeVar("T")
_ATTEMPTS: Final = 3
_FAREWELL: Final = 1.0
"""Seconds that a closing client waits for the controller, which may be gone."""
_STOCK_REQUEST: Final = 3 << 20
"""Bytes of arguments that fit into one request to a stock server, which reads 4 MiB."""


class Channel:
    """Speaks with the agent through any client that has `add_code` and `call`.

    Args:
        client: Of this or the reference library.
        where: Device, for messages.
        lease: Seconds without a request after which the controller ends this client's jobs.
        reconnect: Returns a new client; for clients that do not connect again by themselves.

    """

    def __init__(self, client: Any, where: str, lease: float, reconnect: Callable[[], Any] | None) -> None:
        self.client = client
        self.where = where
        self.lease = lease
        self.closed = False
        self.log = logging.getLogger(f"rexec.remote.{where}")
        self._hello = {"lease": lease, "level": self.log.getEffectiveLevel(), "who": client_label()}
        self._reconnect = reconnect
        self._when_lost: list[Callable[[StateLost], None]] = []
        self._when_forked: list[Callable[[], None]] = []
        self._leaving = False
        self._asked: float | None = None
        """Time (monotonic) since when an answer is waited for."""
        self._lock = CallLock(f"a request to {where}", RemoteFunctionError)
        self._begin()

    def _begin(self) -> None:
        """Begin a session; the agent knows nothing of it yet."""
        self.session = os.urandom(8).hex()
        self._ready = False
        self.state: str | None = None
        """Name of the state that the agent keeps for this client; another name shows that the agent was restarted."""
        self._generation = forks.generation

    def when_state_is_lost(self, do: Callable[[StateLost], None]) -> None:
        """Register a function to call when the controller was restarted."""
        self._when_lost.append(do)

    def when_forked(self, do: Callable[[], None]) -> None:
        """Register a function to call in a child process before its first request."""
        self._when_forked.append(do)

    @property
    def inherited(self) -> bool:
        """Whether the session belongs to the process that this one was forked from."""
        return self._generation != forks.generation

    def leave_the_parent_alone(self) -> None:
        """In a forked child, begin a session of its own: the inherited one is still the parent's.

        Raises:
            RemoteFunctionError: The client shares its connection with the parent process.

        """
        if not self.inherited:
            return
        with self._lock:
            if self.inherited:  # no other thread has done it meanwhile
                self._leave_the_parent()

    def _leave_the_parent(self) -> None:
        if self._reconnect is not None:
            # The old one is not closed, which would end the parent's connection.
            self.client = self._reconnect()
        elif not isinstance(self.client, Client):  # ours connects anew by itself
            raise RemoteFunctionError(
                f"{self.where}: this process was forked and has no connection of its own: make a client, and "
                "rexec.remote.wrap(client), in this process"
            )
        for do in self._when_forked:
            do()
        self._begin()

    def in_turn(self, use: Callable[[Any], T]) -> T:
        """Use the client for one exchange; a re-entrant one would take its answer.

        Args:
            use: Called with the client.

        Raises:
            RemoteFunctionError: This thread uses it already: the caller is a signal handler or a finalizer.

        """
        self.leave_the_parent_alone()
        with self._lock:
            self._asked = time.monotonic()
            try:
                return use(self.client)
            finally:
                self._asked = None

    @property
    def silence(self) -> float:
        """Seconds for which an answer has been waited for; 0 if none is."""
        asked = self._asked
        return 0.0 if asked is None else time.monotonic() - asked

    def request(self, action: str, payload: Any = None) -> Any:
        """Ask the agent; every request may be repeated, so a broken connection is made again.

        Raises:
            StateLost: The controller has been restarted since; the next request works.
            ConnectionError: It cannot be reached.
            RemoteFunctionError: The channel is closed.
            TypeError: A value cannot travel.
            Exception: What the request raised in the agent.

        """
        return self._exchange_in_turn(lambda: self._ask(action, payload))

    def call(self, function: str, args: Any, kwargs: Any) -> Any:
        """Call a function that `add_code` has put there, its arguments in pieces; raises what it raises."""
        value = [function, list(args), dict(kwargs)]

        def send(client: Any) -> Any:
            self._exchange(lambda: self._in_pieces(value) or {"ok": None})
            # Never repeated: it may have run.
            return self._call("call", "_rexec_call", self.session)

        return self._telling_of_loss(send)

    def _exchange_in_turn(self, ask: Callable[[], Any]) -> Any:
        return self._telling_of_loss(lambda client: self._exchange(ask))

    def _telling_of_loss(self, use: Callable[[Any], Any]) -> Any:
        try:
            return self.in_turn(use)
        except StateLost as error:
            for do in self._when_lost:
                do(error)
            raise

    def _refuse_if_closed(self) -> None:
        if self.closed:
            raise RemoteClosed(f"{self.where}: the remote is closed")

    def _exchange(self, ask: Callable[[], Any]) -> Any:
        """Send the agent if it is missing, ask, and repeat both after a broken connection."""
        self._refuse_if_closed()
        for attempt in range(_ATTEMPTS):
            last = attempt == _ATTEMPTS - 1
            try:
                if not self._ready:
                    self._call("add_code", STUB)
                answer = ask()
            except KeyError:
                # Errors of the agent come as values, so this KeyError is its own name: the connection is new.
                if last:
                    raise
                self._ready = False
                continue
            except (StateLost, PermissionError):  # a server that refuses answers: the connection is whole
                raise
            except (OSError, EOFError) as error:
                self._broken(error, last=last)
                continue
            if answer is None:
                self._broken(ConnectionError("no answer"), last=last)
            elif "unknown" in answer:
                self._ready = False
            elif "lost" in answer:
                self.state = answer["lost"]
                raise StateLost(
                    f"{self.where} was restarted, or has not heard of this client for long: what remote functions "
                    "had kept there is gone. They have been made ready again: call once more if that does not "
                    "matter, or declare them stateless=True"
                )
            elif "error" in answer:
                raise remote_exception(answer["error"], self.where)
            else:
                return answer["ok"]
        raise ConnectionError(f"{self.where}: the controller forgets the agent as soon as it has it")

    def leave(self) -> None:
        """End this client's jobs, and close. A controller that hangs or is gone is asked once, for a second."""
        self._leaving = True
        if self.state is not None and not self.inherited:
            # Not every client has a timeout, and another thread may be in the middle of a request.
            farewell = threading.Thread(
                target=self._say_farewell, name=f"rexec {self.where} end", daemon=True
            )
            try:
                farewell.start()
            except RuntimeError as error:
                # Python 3.12 starts none while it ends. The controller ends the jobs when the lease has run out.
                self.log.debug("%s: left without a word: %s", self.where, error)
            else:
                farewell.join(_FAREWELL)
        self.closed = True
        if not self.inherited or isinstance(self.client, Client):
            self.client.close_rpc()

    def _say_farewell(self) -> None:
        try:
            self._exchange_in_turn(lambda: self._ask("close", None))
        except Exception as error:
            self.log.debug("%s: gone before it was told: %s", self.where, error)

    def _ask(self, action: str, payload: Any) -> Any:
        # A client of ours knows what its server takes; nothing is known of others'.
        if isinstance(self.client, Client) or weight(payload, _STOCK_REQUEST) <= _STOCK_REQUEST:
            try:
                return self._request(action, payload)
            except MessageTooLong:
                self.log.debug("%s: more than the controller reads at once: %s in pieces", self.where, action)
        return self._in_pieces(payload) or self._call("call", "_rexec_request", self.session, "whole", action)

    def _in_pieces(self, value: Any) -> Any:
        """Send a value to the agent in pieces; return None, or the answer that says why that failed."""
        for number, step in enumerate(steps(value)):
            answer = self._request("piece", [number == 0, step])
            if answer is None or "ok" not in answer:
                return answer or {"unknown": "session"}
        return None

    def _request(self, action: str, payload: Any) -> Any:
        if self._ready:
            return self._call("call", "_rexec_request", self.session, action, payload)
        hello = {**self._hello, "state": self.state}
        answer = self._call("call", "_rexec_request", self.session, action, payload, hello)
        if answer is not None:
            self.state = answer.pop("state", self.state)
            self._ready = True
        return answer

    def _call(self, method: str, *args: Any) -> Any:
        return getattr(self.client, method)(*args)

    def _broken(self, error: Exception, *, last: bool) -> None:
        self._ready = False
        self._refuse_if_closed()
        # A client of ours has tried for some time to connect again before it says that this failed.
        tried = self._leaving or isinstance(error, ConnectionFailed)
        if last or (tried and self._reconnect is None):
            error.add_note(f"while {self.where} was asked")
            raise error
        self.log.info("%s: the connection broke (%s): trying again", self.where, error)
        if self._reconnect is not None:
            self.client = self._reconnect()
            if self.closed:
                self.client.close_rpc()  # `leave` may have seen the old one only
                self._refuse_if_closed()
