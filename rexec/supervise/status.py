"""What is known of a controller while it is kept running."""

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from rexec.devices import peers

State = Literal["starting", "up", "busy", "elsewhere", "waiting", "ending", "ended"]
"""`busy`: answers no ping, but has a client; `elsewhere`: something that this supervisor did not start answers there;
`waiting`: for the next attempt."""

TROUBLE: Final = frozenset({"busy", "elsewhere", "waiting"})
"""States whose reason somebody should read."""


@dataclass
class Status:
    """A controller as it is now."""

    name: str
    address: str
    state: State = "waiting"
    pid: int | None = None
    since: float = 0.0
    """When the process was started, seconds since the epoch; 0: it is not."""
    restarts: int = 0
    pinged: float | None = None
    """When the last ping was answered, seconds since the epoch."""
    ping: float | None = None
    """How long that took, in seconds."""
    silent_since: float | None = None
    """When the first ping was sent that has not been answered, seconds since the epoch."""
    retry_at: float | None = None
    """When the next attempt to start it is due, seconds since the epoch."""
    reason: str = ""
    """Why it is not up."""


def as_dicts(found: list[Status]) -> list[dict[str, Any]]:
    """Return the fields of controllers, and for those that run `memory` in bytes."""
    pids = [each.pid for each in found if each.pid is not None]
    used = peers.memories(pids) if pids else {}
    return [{**asdict(each), "memory": used.get(each.pid or 0)} for each in found]
