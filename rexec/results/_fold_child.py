"""The process beside a run that keeps its result file, so that this takes nothing from the experiment's own loop.

It takes commands on standard input, a line each (`refresh SIZE`, `finish SIZE END`), and answers each on standard
output with a line of JSON; while it works it says `busy` every second. It ends at once when its run has ended, however
that came about: what was not finished then is for `recover`.
"""

import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rexec.results.errors import ResultsError
from rexec.results.folder import Folder

if TYPE_CHECKING:
    import queue

HEARTBEAT: Final = 1.0
"""Seconds between two signs of life."""

_ANSWER: Final[dict[str, Any]] = {"error": None, "shown": False, "problems": []}


def main(commands: "queue.SimpleQueue[bytes]", path: str, journal: str, replaces: bool, parent: int) -> None:
    """Keep a result file; the process ends when standard input does, or when its parent has ended.

    Args:
        commands: The lines of standard input.
        path: The result file.
        journal: Its journal.
        replaces: As for `Folder`.
        parent: Number of the run's process.

    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(5)  # type: ignore[attr-defined, unused-ignore]
    threading.Thread(target=_live, args=(parent,), daemon=True).start()
    try:
        folder = Folder(Path(path), Path(journal), replaces=replaces)
        _say(_ANSWER)
        while True:
            _say(_carry_out(folder, *commands.get().strip().split(b" ", 2)))
    except BaseException:  # a fault of this program: the run goes on without it, and somebody should see why
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def _carry_out(folder: Folder, command: bytes, size: bytes, end: bytes = b"null") -> dict[str, Any]:
    error = None
    try:
        if command == b"finish":
            folder.finish(int(size), json.loads(end))
        else:
            folder.refresh(int(size))
    except ResultsError as failure:
        error = str(failure)
    return _ANSWER | {"error": error, "shown": folder.shown, "problems": folder.problems}


def _live(parent: int) -> None:
    pause = threading.Event()
    while not pause.wait(HEARTBEAT):
        # A process that the run has forked may hold the other end of standard input.
        if os.getppid() != parent:
            os._exit(0)
        _say("busy")


def _say(answer: Any) -> None:
    try:
        os.write(1, json.dumps(answer).encode() + b"\n")
    except OSError:
        os._exit(0)
