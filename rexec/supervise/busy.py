"""Whether a controller that answers no ping is to be left alone (docs/decisions/0020-a-busy-controller.md)."""

from collections.abc import Sequence
from dataclasses import dataclass

from rexec.supervise.ping import Unanswered


@dataclass(frozen=True)
class Verdict:
    """What to do about a controller that answers no ping."""

    is_left_alone: bool
    reason: str


def judge(ping: Unanswered, silence: float, clients: Sequence[str] | None, limit: float | None) -> Verdict:
    """Return what to do about a controller that did not answer a ping.

    Args:
        ping: How the last ping ended.
        silence: Seconds since the first ping was sent that was not answered.
        clients: Who is connected to it; None: the system does not tell.
        limit: Seconds of silence after which it is restarted all the same; None: never.

    """
    if clients is not None and not clients:
        return Verdict(False, f"no answer to a ping: {ping.reason}; no client is connected")
    who = (
        "the system does not tell whether a client is connected" if clients is None
        else f"connected: {', '.join(clients[:3])}{f' and {len(clients) - 3} more' if len(clients) > 3 else ''}"
    )  # fmt: skip
    how = (
        "in a call (it still shakes hands)"
        if ping.shook_hands
        else "in a call, or hung (it does not even shake hands)"
    )
    said = f"no answer for {silence:.0f} s: {how}; {who}"
    if limit is not None and silence >= limit:
        return Verdict(False, f"{said}: longer than its busy_limit of {limit:g} s")
    return Verdict(True, f"{said}: left alone")
