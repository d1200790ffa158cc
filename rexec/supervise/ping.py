"""Asks a controller how it is, without making its keeper wait for the answer."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from devicedb import Endpoint
from rexec.devices.connect import ssl_config
from rexec.wire.errors import CallTimeout, WireError
from rexec.wire.pc_rpc import Client


@dataclass(frozen=True)
class Answered:
    """The controller is well."""

    seconds: float


@dataclass(frozen=True)
class Unwell:
    """It answers, and is not well; or nobody is there any more."""

    reason: str


@dataclass(frozen=True)
class Unanswered:
    """No answer came in time."""

    shook_hands: bool
    """Whether its server still greets: a call is going on then."""
    reason: str


Outcome = Answered | Unwell | Unanswered


class Ping:
    """One ping, in a thread of its own.

    Args:
        endpoint: Of the controller.
        limit: Seconds for the handshake, and for the answer.
        done: Called when `outcome` is there, in that thread.

    """

    def __init__(self, endpoint: Endpoint, limit: float, done: Callable[[], None]) -> None:
        self.began = time.monotonic()
        self.outcome: Outcome | None = None
        self._done = done
        threading.Thread(
            target=self._run, args=(endpoint, limit), name=f"ping of {endpoint.controller}", daemon=True
        ).start()

    def _run(self, endpoint: Endpoint, limit: float) -> None:
        try:
            self.outcome = ping(endpoint, limit)
        finally:
            self._done()


def ping(endpoint: Endpoint, limit: float) -> Outcome:
    """Return how a controller is.

    Connects to it, and calls its method ping where it has one.

    Args:
        endpoint: Of the controller.
        limit: Seconds for each step of the handshake, and for the answer.

    """
    began = time.monotonic()
    shook_hands = False
    try:
        with Client(
            endpoint.host, endpoint.port, None, limit, ssl_config(endpoint.tls), handshake_timeout=limit,
            reconnect_timeout=0.0,
        ) as client:  # fmt: skip
            shook_hands = True
            targets = client.get_rpc_id()[0]
            client.select_rpc_target(endpoint.target_name if endpoint.target_name in targets else targets[0])
            if hasattr(client, "ping") and not client.rpc_call("ping", timeout=limit):
                return Unwell("its ping() says that it is not well")
    except (WireError, OSError, IndexError) as error:
        was_slow = isinstance(error, CallTimeout) or isinstance(error.__cause__, TimeoutError)
        return Unanswered(shook_hands, str(error)) if was_slow else Unwell(f"no answer to a ping: {error}")
    except Exception as error:
        return Unwell(f"its ping() raised {type(error).__name__}: {error}")
    return Answered(time.monotonic() - began)
