"""Waiting, with a bound, for what other threads and processes do."""

import socket
import time
from collections.abc import Callable


def within(seconds: float, condition: Callable[[], object]) -> bool:
    """Whether a condition comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def wait_for(port: int, seconds: float = 150.0) -> None:
    """Wait until something listens on loopback."""
    assert within(seconds, lambda: listens(port)), f"nobody listens at port {port}"


def listens(port: int) -> bool:
    """Whether something listens on loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True
