"""TCP keep-alive, so that the end of a connection is noticed when the peer's machine or the network dies."""

import errno
import socket
from typing import Final

_AFTER_IDLE: Final = 10
_INTERVAL: Final = 10
_MAX_FAILS: Final = 3


def set_keepalive(
    sock: socket.socket,
    after_idle: int | None = None,
    interval: int | None = None,
    max_fails: int | None = None,
) -> None:
    """Turn keep-alive on. Where the system lacks one of the settings, its own value stays.

    Args:
        sock: TCP socket.
        after_idle: Seconds without data until the first probe (default: 10).
        interval: Seconds between probes (default: 10).
        max_fails: Unanswered probes after which the connection is closed (default: 3).

    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", _AFTER_IDLE if after_idle is None else after_idle),
        ("TCP_KEEPINTVL", _INTERVAL if interval is None else interval),
        ("TCP_KEEPCNT", _MAX_FAILS if max_fails is None else max_fails),
    ):
        number = getattr(socket, option, None)
        if number is None and option == "TCP_KEEPIDLE":
            number = getattr(socket, "TCP_KEEPALIVE", None)  # its name on macOS
        try:
            if number is not None:
                sock.setsockopt(socket.IPPROTO_TCP, number, value)
        except OSError as error:
            if error.errno != errno.ENOPROTOOPT:
                raise
