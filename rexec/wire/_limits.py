"""Limits on what clients use of a server."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits on memory and sockets used by clients, chiefly before the handshake is complete.

    Attributes:
        handshake_line: Longest line before a target (or name to follow) is chosen, in bytes; with its
            introduction a client of this project sends up to 2500.
        handshake_timeout: Longest time until it is chosen, in seconds.
        connections: Most connections at once; beyond it the oldest unfinished handshake gives way, or the new
            connection is refused.
        descriptor_reserve: File descriptors that connections leave to the rest of the process, of those that it may
            have (RLIMIT_NOFILE); at most a quarter of these.
        line: Longest request, in bytes, raw buffers included; None for any length.

    """

    handshake_line: int = 4096
    handshake_timeout: float = 60.0
    connections: int = 4096
    descriptor_reserve: int = 256
    line: int | None = None
