"""Signals to a command and to whatever it has started: its process group, where the system has these."""

import contextlib
import os
import signal
import subprocess
from typing import Final

import psutil

HAS_GROUPS: Final = hasattr(os, "killpg")
"""Whether the system has process groups; Windows has none."""


def signal_group(process: "subprocess.Popen[bytes]", *, is_hard: bool) -> None:
    """End a process that leads its group, and the rest of the group.

    Args:
        process: The process, started with `start_new_session=True`.
        is_hard: SIGKILL rather than SIGTERM.

    """
    if not HAS_GROUPS:
        _signal_family(process.pid, is_hard=is_hard)
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):  # none is left, or only dead ones
        os.killpg(process.pid, signal.SIGKILL if is_hard else signal.SIGTERM)  # type: ignore[attr-defined, unused-ignore]


def _signal_family(pid: int, *, is_hard: bool) -> None:
    """End a process and its descendants, as far as their parents are alive to tell of them."""
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for each in (*parent.children(recursive=True), parent):
            with contextlib.suppress(psutil.NoSuchProcess):
                if is_hard:
                    each.kill()
                else:
                    each.terminate()
