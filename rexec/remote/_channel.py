"""Requests to the agent on a controller: puts it there, and connects again when the connection breaks."""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

from rexec.remote._agent import STUB
from rexec.remote._errors import RemoteClosed, RemoteFunctionError, StateLost, remote_exception
from rexec.remote._pieces import steps, weight
from rexec.wire.errors import ConnectionFailed, MessageTooLong
from rexec.wire.pc_rpc import Client

_ATTEMPTS: Final = 3
_FAREWELL: Final = 1.0
"""Seconds that a client which leaves gives a controller that may have gone."""
_STOCK_REQUEST: Final = 3 << 20
"""Bytes of arguments that a stock server surely takes in one request: it reads 4 MiB."""


class Channel:
    """Speaks with the agent through any client that has `add_code` and `call`.

    Args:
        client: Of this or the reference library.
        where: Device, for messages.
        lease: Seconds without a word from here after which the controller ends this client's jobs.
        reconnect: Returns a new client; for clients that do not connect again by themselves.

    """

    def __init__(self, client: Any, where: str, lease: float, reconnect: Callable[[], Any] | None) -> None:
        self.client = client
        self.where = where
        self.lease = lease
        self.session = os.urandom(8).hex()
        self.closed = False
        self.log = logging.getLogger(f"rexec.remote.{where}")
        self._hello = {"lease": lease, "level": self.log.getEffectiveLevel()}
        self._reconnect = reconnect
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._when_lost: list[Callable[[StateLost], None]] = []
        self._ready = False
        self._leaving = False
        self._state: str | None = None

    def when_state_is_lost(self, do: Callable[[StateLost], None]) -> None:
        """Have something called whenever the controller turns out to have been restarted."""
        self._when_lost.append(do)

    @contextlib.contextmanager
    def turn(self) -> Iterator[Any]:
        """Have the client for one exchange; a second one inside it would take the first one's answer.

        Yields:
            The client.

        Raises:
            RemoteFunctionError: This thread has it already: the caller is a signal handler or a finalizer.

        """
        if self._owner == threading.get_ident():
            raise RemoteFunctionError(f"{self.where}: asked for something from within a request of its own")
        with self._lock:
            self._owner = threading.get_ident()
            try:
                yield self.client
            finally:
                self._owner = None

    def request(self, action: str, payload: Any = None) -> Any:
        """Ask the agent; every request may be repeated, so a broken connection is made again.

        Raises:
            StateLost: The controller has been restarted since; the next request works.
            ConnectionError: It cannot be reached.
            RemoteFunctionError: The channel is closed.
            TypeError: A value cannot travel.
            Exception: What the agent met while it did as asked.

        """
        with self._telling_of_loss(), self.turn():
            return self._exchange(lambda: self._ask(action, payload))

    def call(self, function: str, args: Any, kwargs: Any) -> Any:
        """Call a function that `add_code` has put there, its arguments in pieces; raises what it raises."""
        value = [function, list(args), dict(kwargs)]
        with self._telling_of_loss(), self.turn():
            self._exchange(lambda: self._in_pieces(value) or {"ok": None})
            # Never twice, whatever comes of it.
            return self._call("call", "_rexec_call", self.session)

    @contextlib.contextmanager
    def _telling_of_loss(self) -> Iterator[None]:
        try:
            yield
        except StateLost as error:
            for do in self._when_lost:
                do(error)
            raise

    def _refuse_if_closed(self) -> None:
        if self.closed:
            raise RemoteClosed(f"{self.where}: the remote is closed")

    def _exchange(self, ask: Callable[[], Any]) -> Any:
        """Put the agent there unless it is, ask, and do that again after a broken connection."""
        self._refuse_if_closed()
        for attempt in range(_ATTEMPTS):
            last = attempt == _ATTEMPTS - 1
            try:
                if not self._ready:
                    self._call("add_code", STUB)
                answer = ask()
            except KeyError as error:
                if "_rexec_" not in str(error) or last:
                    raise
                self._ready = False  # a new connection: its namespace is empty
                continue
            except StateLost:
                raise
            except (OSError, EOFError) as error:
                self._broken(error, last=last)
                continue
            if answer is None:
                self._broken(ConnectionError("no answer"), last=last)
            elif "unknown" in answer:
                self._ready = False
            elif "lost" in answer:
                self._state = answer["lost"]
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
        """Have this client's jobs ended, and close; a controller that has gone, or hangs, is asked once and briefly."""
        self._leaving = True
        if self._state is not None:
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
        self.client.close_rpc()

    def _say_farewell(self) -> None:
        try:
            with self.turn():
                self._exchange(lambda: self._ask("close", None))
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
        """Send a value to the agent; return nothing, or an answer that says why that failed."""
        for number, step in enumerate(steps(value)):
            answer = self._request("piece", [number == 0, step])
            if answer is None or "ok" not in answer:
                return answer or {"unknown": "session"}
        return None

    def _request(self, action: str, payload: Any) -> Any:
        if self._ready:
            return self._call("call", "_rexec_request", self.session, action, payload)
        hello = {**self._hello, "state": self._state}
        answer = self._call("call", "_rexec_request", self.session, action, payload, hello)
        if answer is not None:
            self._ready = True
            self._state = answer.pop("state", self._state)
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
