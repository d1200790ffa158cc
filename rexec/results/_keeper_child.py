"""The process beside a run that keeps its result file, so that this takes nothing from the experiment's own loop.

It is started by `rexec.ground.Child`. A line is `ORDER SIZE` (bring the file up to so many bytes of the journal) or
`ORDER SIZE END` (for the last time; how the run ended, as JSON); each is answered by a line of JSON with the number
ORDER. The first line that the process says has number 0: it is ready.
"""

import json
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rexec.ground.child import BUSY
from rexec.results.errors import JournalDamaged, ResultsError
from rexec.results.journal.reader import JournalReader
from rexec.results.keeper import Keeper

HEARTBEAT: Final = 1.0
"""Seconds between two signs of life."""


def main(
    lines: "queue.SimpleQueue[bytes]", say: Callable[[bytes], None], journal: str, path: str, replaces: str
) -> None:
    """Keep a result file until standard input ends."""
    if hasattr(os, "nice"):
        os.nice(5)
    threading.Thread(target=_live, args=(say,), daemon=True).start()
    keeper = Keeper(JournalReader(Path(journal)), Path(path), replaces=replaces == "True")
    error: ResultsError | None = None
    order = "0"
    end: list[str] = []
    while True:
        answer = {
            "order": int(order),
            "error": None if error is None else str(error),
            "damaged": isinstance(error, JournalDamaged),
            "shown": keeper.shown,
            "problems": keeper.problems,
        }
        say(json.dumps(answer).encode())
        if not end and lines.empty():
            keeper.catch_up()
        order, size, *end = lines.get().decode().split(" ", 2)
        try:
            if end:
                keeper.finish(int(size), json.loads(end[0]))
            else:
                keeper.bring_up_to(int(size))
            error = None
        except ResultsError as failure:
            error = failure


def _live(say: Callable[[bytes], None]) -> None:
    pause = threading.Event()
    while not pause.wait(HEARTBEAT):
        say(BUSY)
