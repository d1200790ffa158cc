"""Calls of drivers that take long, for the status line of a run."""

from collections.abc import Callable
from typing import Any, Final

from rexec.wire.pc_rpc import BestEffortClient, Client

PATIENCE: Final = 2.0
"""Longest silent wait for a connection or an answer, in seconds; then a line says what is awaited."""


class PendingCalls:
    """Finds driver calls that take long, by polling, because a call itself notes no time.

    Args:
        devices: Returns the devices by name.

    """

    def __init__(self, devices: Callable[[], dict[str, Any]]) -> None:
        self._devices = devices
        self._seen: dict[str, tuple[tuple[int, str], float]] = {}

    def long_ones(self, now: float) -> list[str]:
        """Return what to tell of the calls that were pending at an earlier look, over 2 s ago.

        Args:
            now: Monotonic time.

        """
        # Two names may share a client.
        clients = {
            device: name
            for name, device in reversed(self._devices().items())
            if isinstance(device, Client | BestEffortClient)
        }
        pending = {name: call for client, name in clients.items() if (call := client.rpc_pending) is not None}
        before = self._seen
        self._seen = {
            name: before[name] if name in before and before[name][0] == call else (call, now)
            for name, call in pending.items()
        }
        return [
            f"waits for {name}: {method}(), {now - since:.0f} s"
            for name, ((_, method), since) in self._seen.items()
            if now - since > PATIENCE
        ]
