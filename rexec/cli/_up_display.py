"""What `rexec up` shows: a live table on a terminal, lines elsewhere, JSON if asked."""

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rexec.devices import peers
from rexec.supervise.status import TROUBLE, Status, as_dicts

logger = logging.getLogger(__name__)

STATES: Final = logging.getLogger("rexec.up")
"""Logs each change of a controller's state, for a master that logs are forwarded to; nothing of it is printed."""
STATES.propagate = False
STATES.addHandler(logging.NullHandler())
STATES.setLevel(logging.INFO)

_STYLES: Final = {"up": "green", "busy": "yellow", "waiting": "red", "elsewhere": "magenta"}
_MEMORY_EVERY: Final = 5.0
"""Seconds between two looks at the memory of processes."""
_LOUD: Final = 300.0
"""Seconds without an answer after which a busy controller is shown in red."""


class Teller:
    """Prints each change of a controller's state: as text, as JSON, or above a live table only what is wrong.

    Args:
        as_json: Whether to print JSON, to standard output.
        console: Of standard error, for the table.

    """

    def __init__(self, as_json: bool, console: Console) -> None:
        self._json = as_json
        self._console = console
        self._lock = threading.Lock()
        self._told: dict[str, str] = {}
        self._is_heard = True

    def __call__(self, status: Status) -> None:
        """Tell of one change."""
        # One write a line, one at a time: each controller has a thread of its own.
        with self._lock:
            # A controller that fails every few seconds in the same way is not to bury the others.
            is_news = self._told.get(status.name) != status.reason
            if status.state in TROUBLE:
                self._told[status.name] = status.reason
            said = line(status) if is_news else line(status).partition("\n")[0]
            STATES.log(logging.WARNING if status.state in TROUBLE else logging.INFO, "%s", said)
            if self._json:
                self._print(json.dumps({"time": time.time(), **as_dicts([status])[0]}))
            elif not self._console.is_terminal:
                self._print(said)
            elif status.state in TROUBLE and is_news:
                at = time.strftime("%H:%M:%S")
                self._console.print(f"{at} {said}", markup=False, highlight=False, soft_wrap=True)

    def _print(self, text: str) -> None:
        if self._is_heard:
            try:
                print(text, flush=True)
            except OSError as error:
                # Whoever read it has gone, or the disk is full: no reason to leave controllers alone.
                self._is_heard = False
                logger.warning("changes are not printed any more: %s", error.strerror or error)


def line(status: Status) -> str:
    """Return a change of state as text; the last lines of a controller's output are lines of their own."""
    reason = f": {status.reason}" if status.reason and status.state in {*TROUBLE, "ended"} else ""
    pid = f" (pid {status.pid})" if status.pid is not None else ""
    return f"{status.name} at {status.address}: {status.state}{pid}{reason}"


class Display:
    """A live table of the controllers.

    Args:
        live: Where it is shown.

    """

    def __init__(self, live: Live) -> None:
        self._live = live
        self._memory: dict[int, int] = {}
        self._looked = -_MEMORY_EVERY

    def show(self, found: list[Status], left_out: Mapping[str, str]) -> None:
        """Show the controllers as they are now."""
        if time.monotonic() > self._looked + _MEMORY_EVERY:
            self._looked = time.monotonic()
            self._memory = peers.memories(each.pid for each in found if each.pid is not None)
        height = self._live.console.size.height
        self._live.update(table(found, left_out, self._memory, time.time(), height))


@contextmanager
def display_on(console: Console, as_json: bool) -> Iterator[Display | None]:
    """Show a live table meanwhile, if there is a terminal for it."""
    if as_json or not console.is_terminal:
        yield None
        return
    with Live(console=console, auto_refresh=True, refresh_per_second=2) as live:
        yield Display(live)


def table(
    found: list[Status], left_out: Mapping[str, str], memory: Mapping[int, int], now: float, height: int
) -> Group:
    """Return a table of the controllers, and below it what is wrong with some.

    Args:
        found: The controllers.
        left_out: Those that are not run here.
        memory: Of processes, in bytes.
        now: Seconds since the epoch.
        height: Of the terminal, in lines; those that are up are left out first.

    """
    notes = [f"{each.name}: {each.reason.splitlines()[0]}" for each in found if each.reason]
    notes += [f"not run here: {', '.join(left_out)}"] if left_out else []
    room = max(3, height - 3 - len(notes))
    shown = found
    if len(found) > room:
        shown = sorted(found, key=lambda each: each.state == "up")[:room]
        notes.insert(0, f"{len(found) - room} more are {'up' if shown[-1].state == 'up' else 'not shown'}")
    made = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("controller", "state", "pid", "uptime", "restarts", "last ping", "memory"):
        made.add_column(heading, no_wrap=True)
    for status in shown:
        loud = status.silent_since is not None and now - status.silent_since > _LOUD
        style = "bold red" if loud else _STYLES.get(status.state, "")
        row = cells(status, memory.get(status.pid or 0), now)
        made.add_row(*(Text(cell, style if at == 1 else "") for at, cell in enumerate(row)))
    # Whole reasons are above the table.
    return Group(made, *(Text(note, no_wrap=True, overflow="ellipsis") for note in notes))


def cells(status: Status, memory: int | None, now: float) -> list[str]:
    """Return the cells of a controller's row."""
    ping = ""
    if status.ping is not None and status.pinged is not None:
        ping = f"{status.ping * 1e3:.0f} ms, {duration(now - status.pinged)} ago"
    state: str = status.state
    if status.silent_since is not None:
        state += f" {duration(now - status.silent_since)}"
    if status.retry_at is not None:
        state += f", again in {duration(max(0.0, status.retry_at - now))}"
    return [
        status.name,
        state,
        str(status.pid or ""),
        duration(now - status.since) if status.since else "",
        str(status.restarts),
        ping,
        f"{memory / 1e6:.0f} MB" if memory else "",
    ]


def duration(seconds: float) -> str:
    """Return a duration as people read it: 12 s, 3 min, 5 h, 2 d."""
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"
