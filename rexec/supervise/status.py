"""The status of a controller that is kept running."""

from dataclasses import dataclass
from typing import Final, Literal

State = Literal["starting", "up", "busy", "frozen", "elsewhere", "waiting", "ending", "ended"]
"""`busy`: answers no ping, but a client is connected; `elsewhere`: a server that this supervisor did not start answers
at the address; `frozen`: its process is stopped; `waiting`: waits for the next attempt."""

TROUBLE: Final = frozenset({"busy", "frozen", "elsewhere", "waiting"})
"""States with a reason that is shown."""


@dataclass(frozen=True)
class ControllerStatus:
    """A controller as it is now."""

    name: str
    address: str
    state: State = "waiting"
    pid: int | None = None
    since: float = 0.0
    """Start of the process, in seconds since the epoch; 0 if it does not run."""
    restarts: int = 0
    pinged: float | None = None
    """Time of the last answered ping, in seconds since the epoch."""
    ping: float | None = None
    """Round trip of that ping, in seconds."""
    silent_since: float | None = None
    """Time of the first unanswered ping, in seconds since the epoch."""
    retry_at: float | None = None
    """Time of the next attempt to start, in seconds since the epoch."""
    reason: str = ""
    """Why the controller is not up."""
