"""What `rexec up` shows: a live table on a terminal, lines elsewhere, JSON if asked."""

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rexec.supervise.status import TROUBLE, Status

logger = logging.getLogger(__name__)

STATES: Final = logging.getLogger("rexec.up")
"""Logs each change of a controller's state, for a master that logs are forwarded to; nothing of it is printed."""
STATES.propagate = False
STATES.addHandler(logging.NullHandler())
STATES.setLevel(logging.INFO)

_STYLES: Final = {"up": "green", "busy": "yellow", "waiting": "red", "elsewhere": "magenta"}
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
                self._print(json.dumps({"time": time.time(), **status.as_dict()}))
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


@contextmanager
def table_of(console: Console, as_json: bool) -> Iterator[Live | None]:
    """Show a live table meanwhile, if there is a terminal for it."""
    if as_json or not console.is_terminal:
        yield None
        return
    with Live(console=console, auto_refresh=True, refresh_per_second=2) as live:
        yield live


def table(found: list[Status], left_out: Mapping[str, str]) -> Table:
    """Return a table of the controllers as they are now."""
    caption = f"not run here: {', '.join(left_out)}" if left_out else None
    made = Table(box=None, header_style="bold", pad_edge=False, caption=caption, caption_justify="left")
    for heading in ("controller", "state", "pid", "uptime", "restarts", "last ping", "memory", ""):
        made.add_column(heading, no_wrap=heading != "")
    now = time.time()
    for status in found:
        loud = status.silent_since is not None and now - status.silent_since > _LOUD
        style = "bold red" if loud else _STYLES.get(status.state, "")
        *row, reason = cells(status.as_dict(), now)
        shown = [Text(cell, style if at == 1 else "") for at, cell in enumerate(row)]
        # What does not fit is above the table.
        made.add_row(*shown, Text(reason, no_wrap=True, overflow="ellipsis"))
    return made


def cells(status: dict[str, Any], now: float) -> list[str]:
    """Return the cells of a controller's row."""
    up = now - status["since"] if status["since"] else None
    ping = (
        f"{status['ping'] * 1e3:.0f} ms, {duration(now - status['pinged'])} ago" if status["pinged"] else ""
    )
    silence = f" {duration(now - status['silent_since'])}" if status["silent_since"] else ""
    again = f", again in {duration(max(0, status['retry_at'] - now))}" if status["retry_at"] else ""
    return [
        status["name"],
        status["state"] + silence + again,
        str(status["pid"] or ""),
        duration(up) if up is not None else "",
        str(status["restarts"]),
        ping,
        f"{status['memory'] / 1e6:.0f} MB" if status["memory"] else "",
        status["reason"].splitlines()[0] if status["reason"] else "",
    ]


def duration(seconds: float) -> str:
    """Return a duration as people read it: 12 s, 3 min, 5 h, 2 d."""
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"
