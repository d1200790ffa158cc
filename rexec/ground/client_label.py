"""How this client is named to others that wait for the same driver."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_labels: list[str] = []


@contextmanager
def labelled(label: str) -> Iterator[None]:
    """Name the clients of this process meanwhile: "run 41".

    Args:
        label: What the process does.

    """
    _labels.append(label)
    try:
        yield
    finally:
        _labels.remove(label)


def current_label() -> str:
    """Return what the process does now: "run 41"; empty where nothing was set."""
    return _labels[-1] if _labels else ""


def program_name() -> str:
    """Return the name of this program: "rexec"."""
    return Path(sys.argv[0] if sys.argv else "").name or "python"


def client_label() -> str:
    """Return the name of a new client of this process: "run 41 (pid 312 on lab1)"."""
    return f"{current_label() or program_name()} (pid {os.getpid()} on {socket.gethostname()})"
