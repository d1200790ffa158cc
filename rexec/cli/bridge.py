"""`rexec bridge`: writes the datasets of a running master into HDF5 files."""

import argparse
import asyncio
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from devicedb.cli import output
from devicedb.cli.console import TerminalConsole
from devicedb.cli.parser import CommandParser
from devicedb.cli.terminal import say, say_error
from rexec.bridge import Bridge, BridgePlan, DatasetSelection
from rexec.bridge.bridge import State
from rexec.cli._logging import log_to
from rexec.cli._options import add_master, positive
from rexec.cli._signals import on_signals
from rexec.cli._tls import tls_files
from rexec.common_args import verbosity_args


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `rexec bridge`."""
    parser = CommandParser(
        prog="rexec bridge",
        description="Write the datasets of a running master (ARTIQ's, or `rexec master`) into HDF5 files: their "
        "current values\n(mirror), or every change with its time (record). Each change goes to a journal at once.",
        epilog="examples:\n"
        "  rexec bridge --master localhost                            bridge/datasets.h5, with the current values\n"
        "  rexec bridge record --master 192.168.1.2 -o history        history/2026-11-26/093000-datasets.h5, a new one "
        "each day\n"
        "  rexec bridge record --master localhost --include 'lab.*' --exclude '*.image'\n"
        "  rexec bridge --master localhost --split 'ndscan.rid_*.'    one more file for each run of ndscan\n\n"
        "Ctrl-C or SIGTERM finishes and verifies the files; a second one exits at once and leaves the journals. "
        "`rexec\nresults recover FOLDER`, or the next start, makes files from them.\n\n"
        "Exit status: 0 ended by a signal, 1 so, but not all is in finished files, 2 could not start, 130 ended by a\n"
        "second signal with journals left.",
    )
    parser.add_argument(
        "mode",
        nargs="?",
        choices=("mirror", "record"),
        default="mirror",
        help="mirror (default): the current values; record: every change",
    )
    add = parser.add_argument
    add_master(parser, "host of the master whose datasets are kept", ports=("notify",), is_required=True)
    add("--wait", action="store_true", help="wait for the master if it does not run yet")
    add(
        "-o",
        "--output",
        metavar="DIR",
        type=Path,
        default=Path("bridge"),
        help="folder of the files, created if missing (default: %(default)s)",
    )
    which = parser.add_argument_group("which datasets")
    which.add_argument(
        "--include",
        metavar="GLOB",
        action="append",
        help="keep only datasets whose name matches (default: all); may be repeated",
    )
    which.add_argument(
        "--exclude",
        metavar="GLOB",
        action="append",
        default=[],
        help="do not keep datasets whose name matches; may be repeated",
    )
    which.add_argument(
        "--split",
        metavar="PREFIX",
        action="append",
        default=[],
        help="write datasets whose name has this prefix to a file of their own; * matches anything but dots and "
        "slashes; may be repeated",
    )
    files = parser.add_argument_group("files")
    files.add_argument(
        "--rotate",
        choices=("hour", "day", "never"),
        default="day",
        help="start a new file of a recording every hour, every day, or never (default: %(default)s)",
    )
    files.add_argument(
        "--rotate-size",
        metavar="MIB",
        type=positive,
        default=256.0,
        help="also start a new file after this many MiB of changes (default: %(default)g)",
    )
    files.add_argument(
        "--refresh",
        metavar="SECONDS",
        type=positive,
        default=5.0,
        help="interval between refreshes of the HDF5 files (default: %(default)g)",
    )
    files.add_argument(
        "--idle",
        metavar="SECONDS",
        type=positive,
        default=600.0,
        help="finish a file of --split after this time without a change (default: %(default)g)",
    )
    verbosity_args(parser, "print nothing")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the bridge until a signal ends it; return the exit status."""
    options = get_argparser().parse_args(argv)
    console = output.console(stderr=True)
    log_to(console, options)
    plan = BridgePlan(
        folder=options.output,
        mode=options.mode,
        master=f"{options.master}:{options.master_port_notify}",
        selection=DatasetSelection(
            tuple(options.include or ["*"]), tuple(options.exclude), tuple(options.split)
        ),
        rotate_size=int(options.rotate_size * (1 << 20)),
        rotate_every=options.rotate,
        refresh=options.refresh,
        idle=options.idle,
    )
    return 0 if asyncio.run(follow(plan, options, console)) else 1


async def follow(plan: BridgePlan, options: argparse.Namespace, console: TerminalConsole) -> bool:
    """Run the bridge until a signal ends it; a second one exits at once. Return whether all is in finished files."""
    bridge = Bridge(
        plan,
        options.master,
        options.master_port_notify,
        tls_files(options.master_ssl),
        tell=teller(console, options.quiet > 0),
    )
    end = asyncio.Event()

    def stop() -> None:
        if end.is_set():
            say_error("rexec bridge: journals were left; `rexec results recover` makes files from them")
            os._exit(130)
        end.set()

    with on_signals(stop), progress(console, bridge.state, options.quiet > 0):
        return await bridge.run(end, wait=options.wait)


def teller(console: TerminalConsole, quiet: bool) -> Callable[[str], None]:
    """Return a function that prints a line: above the progress line on a terminal, to standard output elsewhere."""

    def tell(text: str) -> None:
        if quiet:
            return
        line = f"{time.strftime('%H:%M:%S')} {text}"
        if console.is_terminal:
            console.say(line)
        else:
            say(line, flush=True)

    return tell


@contextmanager
def progress(console: TerminalConsole, state: Callable[[], State], quiet: bool) -> Iterator[None]:
    """Show the state of the bridge in the last line of a terminal."""
    if quiet or not console.is_terminal:
        yield
        return
    spinner = Spinner("dots")

    def render() -> Spinner:
        spinner.update(text=Text(summary(state(), time.time())))
        return spinner

    with Live(console=console, get_renderable=render, refresh_per_second=4, transient=True):
        yield


def summary(state: State, now: float) -> str:
    """Return the state of a bridge as one line."""
    parts = [
        "connected" if state.is_connected else "waiting for the master",
        f"{state.datasets} datasets",
        f"{state.changes} changes",
        f"{state.files} file{'' if state.files == 1 else 's'}, {state.size / 1e6:.1f} MB",
    ]
    if state.changed is not None:
        parts.append(f"last change {now - state.changed:.0f} s ago")
    return " · ".join(parts)
