"""Pings a controller in a thread, so that its watchdog does not block."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from devicedb import Endpoint
from rexec.access.rights import is_refusal
from rexec.devices.connect import ssl_config
from rexec.wire.errors import CallTimeout, WireError
from rexec.wire.pc_rpc import Client


@dataclass(frozen=True)
class Answered:
    """The controller answered the ping."""

    seconds: float


@dataclass(frozen=True)
class Unwell:
    """The ping failed, or the server is gone."""

    reason: str


@dataclass(frozen=True)
class Unanswered:
    """The ping timed out."""

    shook_hands: bool
    """Whether the server still completes handshakes, as one of ours does during a call."""
    reason: str


PingResult = Answered | Unwell | Unanswered


class Ping:
    """One ping, in its own thread.

    Args:
        endpoint: Endpoint of the controller.
        limit: Seconds for the handshake, and for the answer.
        done: Called in that thread when `outcome` is set.

    """

    def __init__(self, endpoint: Endpoint, limit: float, done: Callable[[], None]) -> None:
        self.began = time.monotonic()
        self.outcome: PingResult | None = None
        self._done = done
        threading.Thread(
            target=self._run, args=(endpoint, limit), name=f"ping of {endpoint.controller}", daemon=True
        ).start()

    def _run(self, endpoint: Endpoint, limit: float) -> None:
        try:
            self.outcome = ping(endpoint, limit)
        finally:
            self._done()


def ping(endpoint: Endpoint, limit: float) -> PingResult:
    """Connect to a controller and call its method `ping`, if it has one.

    Args:
        endpoint: Endpoint of the controller.
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
                return Unwell("its ping() reports a problem")
    except PermissionError as error:
        if not is_refusal(error):
            return Unwell(f"its ping() raised {type(error).__name__}: {error}")
        # Only a server that works refuses in words.
    except (WireError, OSError, IndexError) as error:
        was_slow = isinstance(error, CallTimeout) or isinstance(error.__cause__, TimeoutError)
        return Unanswered(shook_hands, str(error)) if was_slow else Unwell(f"no answer to a ping: {error}")
    except Exception as error:
        return Unwell(f"its ping() raised {type(error).__name__}: {error}")
    return Answered(time.monotonic() - began)
