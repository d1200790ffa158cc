"""What clients can make a server hold."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What clients can make a server hold, above all those that have not said yet what they want.

    Attributes:
        handshake_line: Longest line before a target (or name to follow) is chosen, in bytes.
        handshake_timeout: Longest time until it is chosen, in seconds.
        connections: Most connections at once; beyond it the oldest unfinished handshake gives way, or the new
            connection is refused.
        line: Longest request, in bytes, raw buffers included; None for any length.

    """

    handshake_line: int = 4096
    handshake_timeout: float = 60.0
    connections: int = 4096
    line: int | None = None
