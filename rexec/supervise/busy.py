"""Decides whether a controller that answers no ping is busy or must be restarted (docs/decisions/0020)."""

from collections.abc import Sequence
from dataclasses import dataclass

from rexec.supervise.ping import Unanswered


@dataclass(frozen=True)
class Verdict:
    """Whether a controller that answers no ping is left alone, and why."""

    is_left_alone: bool
    reason: str


def judge(ping: Unanswered, silence: float, clients: Sequence[str] | None, limit: float | None) -> Verdict:
    """Decide about a controller that did not answer a ping.

    Args:
        ping: Outcome of the last ping.
        silence: Seconds since the first unanswered ping was sent.
        clients: Connected clients; None if the system does not list them.
        limit: Seconds of silence after which a busy controller is restarted; None: never.

    """
    if clients is not None and not clients:
        return Verdict(False, f"no answer to a ping: {ping.reason}; no client is connected")
    who = (
        "the system does not list connected clients" if clients is None
        else f"connected: {', '.join(clients[:3])}{f' and {len(clients) - 3} more' if len(clients) > 3 else ''}"
    )  # fmt: skip
    how = (
        "in a call (it still shakes hands)"
        if ping.shook_hands
        else "in a call, or hung (it does not shake hands)"
    )
    said = f"no answer for {silence:.0f} s: {how}; {who}"
    if limit is not None and silence >= limit:
        return Verdict(False, f"{said}: longer than its busy_limit of {limit:g} s")
    return Verdict(True, f"{said}: left alone")
