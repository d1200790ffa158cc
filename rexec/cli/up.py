"""`rexec up`: keeps the controllers of this machine running."""

import argparse
import json
import logging
import logging.handlers
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rexec.cli._logging import log_to
from rexec.supervise.control import ControlServer
from rexec.supervise.errors import ControllerStartError
from rexec.supervise.export import FORMATS, export
from rexec.supervise.keeper import Status
from rexec.supervise.selection import Selection, select
from rexec.supervise.sources import FileSource, MasterSource
from rexec.supervise.supervisor import Control, Supervisor

logger = logging.getLogger(__name__)

_STYLES = {"up": "green", "busy": "yellow", "waiting": "red", "elsewhere": "magenta"}


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `rexec up`."""
    parser = argparse.ArgumentParser(
        prog="rexec up",
        description="Start the controllers of this machine from their commands, ping them, restart those that "
        "fail, and end them all on Ctrl-C or SIGTERM (a second one kills them). A change of the device database is "
        "followed; controllers whose entries are as before are not touched.",
        epilog="A controller that does not answer a ping while a client is connected to it is taken for busy and "
        "left alone.",
    )
    add = parser.add_argument
    add(
        "names",
        metavar="NAME",
        nargs="*",
        help="controllers, aliases or targets (default: all of this machine)",
    )
    add("--device-db", metavar="FILE", type=Path, default=Path("device_db.py"), help="default: %(default)s")
    add("--master", metavar="HOST", help="follow the devices of the ARTIQ master on HOST instead of a file")
    add(
        "--master-port",
        metavar="PORT",
        type=int,
        default=3251,
        help="its control port (default: %(default)d)",
    )
    add("--master-port-notify", metavar="PORT", type=int, default=3250, help="default: %(default)d")
    add(
        "--folder",
        metavar="DIR",
        type=Path,
        help="working folder of the commands (default: the device database's)",
    )
    add("--json", action="store_true", help="print each change of a controller's state as a line of JSON")
    add(
        "--log-dir",
        metavar="DIR",
        type=Path,
        help="keep the output of each controller in DIR/NAME.log, 5 x 1 MB",
    )
    add(
        "--export",
        choices=FORMATS,
        help="start nothing: write the configuration of a process manager that does it instead",
    )
    add("--output", metavar="DIR", type=Path, help="folder for the files of --export (default: print them)")
    control = parser.add_argument_group(
        "control", "target ctlmgr, with retry_now(name), status(), terminate()"
    )
    control.add_argument(
        "--bind", metavar="ADDRESS", action="append", help="where to listen (default: 127.0.0.1)"
    )
    control.add_argument(
        "--port-control", metavar="PORT", type=int, default=3249, help="default: %(default)d"
    )
    level = parser.add_argument_group("verbosity")
    level.add_argument("-v", "--verbose", action="count", default=0, help="log more; repeat for all")
    level.add_argument("-q", "--quiet", action="count", default=0, help="log less")
    return parser


def main(argv: Sequence[str]) -> int:
    """Keep the controllers running until a signal or a client ends it; return the exit status."""
    options = get_argparser().parse_args(argv)
    console = Console(stderr=True)
    log_to(console, options)
    end = threading.Event()
    with ExitStack() as stack:
        source = open_source(options)
        stack.callback(source.close)
        folder = (options.folder or folder_of(source)).absolute()
        if options.export is not None:
            selection = select(source.database, options.names, folder)
            tell_left_out(selection, console)
            write_export(export(options.export, selection.specs, os.environ), options.output)
            return 0
        supervisor = Supervisor(Teller(options.json, console))
        stack.enter_context(signals(end, supervisor))
        control = ControlServer(
            Control(supervisor), options.bind or ["127.0.0.1"], options.port_control, end.set
        )
        stack.callback(control.close)
        stack.callback(supervisor.close)
        selection = select(source.database, options.names, folder)
        log_files(options.log_dir, [*selection.specs])
        tell_left_out(selection, console)
        supervisor.follow(selection)
        live = stack.enter_context(table_of(console, options.json))
        while not end.wait(0.5):
            if source.poll():
                selection = select(source.database, options.names, folder)
                log_files(options.log_dir, [*selection.specs])
                supervisor.follow(selection)
            if live is not None:
                live.update(table(supervisor))
    return 0


def tell_left_out(selection: Selection, console: Console) -> None:
    """Say which controllers are not run here, and why."""
    for name, reason in selection.left_out.items():
        console.print(f"{name}: not run here: {reason}", markup=False, highlight=False, soft_wrap=True)


def write_export(files: Mapping[str, str], folder: Path | None) -> None:
    """Write the files of a configuration, or print them; ControllerStartError where they cannot be written."""
    for name, text in files.items():
        if folder is None:
            print(f"# {name}\n{text}")
            continue
        try:
            folder.mkdir(parents=True, exist_ok=True)
            temporary = folder / f".{name}.tmp"
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(folder / name)
        except OSError as error:
            raise ControllerStartError(
                f"{folder / name} cannot be written: {error.strerror or error}"
            ) from error
        print(folder / name)


def open_source(options: argparse.Namespace) -> FileSource | MasterSource:
    """Open the device database that the options name."""
    if options.master is not None:
        return MasterSource(options.master, options.master_port, options.master_port_notify)
    return FileSource(options.device_db)


def folder_of(source: FileSource | MasterSource) -> Path:
    """Return the folder of the device database; the current one for that of a master."""
    return Path(source.database.origin).parent if isinstance(source, FileSource) else Path()


@contextmanager
def signals(end: threading.Event, supervisor: Supervisor) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM end the program, and the next kill what is left."""

    def handle(number: int, frame: object) -> None:
        if end.is_set():
            supervisor.kill()
        end.set()

    before = {each: signal.signal(each, handle) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


class Teller:
    """Prints each change of a controller's state: as text where no table is shown, or as JSON.

    Args:
        as_json: Whether to print JSON, to standard output.
        console: Of standard error, for text.

    """

    def __init__(self, as_json: bool, console: Console) -> None:
        self._json = as_json
        self._console = console
        self._lock = threading.Lock()

    def __call__(self, status: Status) -> None:
        """Tell of one change."""
        # One write a line, one at a time: each controller has a thread of its own.
        with self._lock:
            self._tell(status)

    def _tell(self, status: Status) -> None:
        if self._json:
            print(json.dumps({"time": time.time(), **status.as_dict()}), flush=True)
        elif not self._console.is_terminal:
            reason = f": {status.reason}" if status.reason and status.state != "starting" else ""
            pid = f" (pid {status.pid})" if status.pid is not None else ""
            print(f"{status.name} at {status.address}: {status.state}{pid}{reason}", flush=True)


@contextmanager
def table_of(console: Console, as_json: bool) -> Iterator[Live | None]:
    """Show a live table meanwhile, if there is a terminal for it."""
    if as_json or not console.is_terminal:
        yield None
        return
    with Live(console=console, auto_refresh=True, refresh_per_second=2) as live:
        yield live


def table(supervisor: Supervisor) -> Table:
    """Return a table of the controllers as they are now."""
    made = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("controller", "state", "pid", "uptime", "restarts", "ping", "memory", ""):
        made.add_column(heading, no_wrap=heading != "")
    for status in supervisor.status():
        row = cells(status.as_dict(), time.time())
        made.add_row(
            *(Text(cell, _STYLES.get(status.state, "") if at == 1 else "") for at, cell in enumerate(row))
        )
    return made


def cells(status: dict[str, Any], now: float) -> list[str]:
    """Return the cells of a controller's row."""
    up = now - status["since"] if status["since"] else None
    ping = (
        f"{status['ping'] * 1e3:.0f} ms, {duration(now - status['pinged'])} ago" if status["pinged"] else ""
    )
    return [
        status["name"],
        status["state"],
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


def log_files(folder: Path | None, names: Sequence[str]) -> None:
    """Keep the output of controllers in files that are rotated, one each."""
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        log = logging.getLogger(f"controller.{name}")
        if not log.handlers:
            handler = logging.handlers.RotatingFileHandler(
                folder / f"{name}.log", maxBytes=1_000_000, backupCount=4, encoding="utf-8"
            )
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
            log.addHandler(handler)
            log.setLevel(logging.DEBUG)
