"""`rexec bridge`: the datasets of a running master in HDF5 files."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from devicedb.cli.parser import CommandParser
from rexec.bridge import Bridge, Plan, Selection
from rexec.bridge.bridge import State
from rexec.cli._logging import log_to
from rexec.cli._options import add_master, positive, tls_files
from rexec.cli._signals import ENDING, on_signals
from rexec.common_args import verbosity_args


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `rexec bridge`."""
    parser = CommandParser(
        prog="rexec bridge",
        description="Follow the datasets of a running master (ARTIQ's, or `rexec master`) and keep them in HDF5 files: "
        "as they\nare (mirror), or every change with its time (record). What the master has told is in a journal at "
        "once.",
        epilog="examples:\n"
        "  rexec bridge --master localhost                            bridge/datasets.h5, always as the master has it\n"
        "  rexec bridge record --master 192.168.1.2 -o history        history/2026-11-26/093000-datasets.h5, a new one "
        "each day\n"
        "  rexec bridge record --master localhost --include 'lab.*' --exclude '*.image'\n"
        "  rexec bridge --master localhost --split 'ndscan.rid_*.'    one file a run of ndscan, beside the rest\n\n"
        "Ctrl-C or SIGTERM finishes and verifies the files; a second one leaves the journals at once. "
        "`rexec results\nrecover FOLDER` makes files of journals that were left; the next start does it, too.\n\n"
        "Exit status: 0 it was ended, 2 it could not begin, 130 it was ended twice and left journals.",
    )
    parser.add_argument(
        "mode",
        nargs="?",
        choices=("mirror", "record"),
        default="mirror",
        help="mirror (default): the values as they are; record: every change",
    )
    add = parser.add_argument
    add_master(
        parser, "follow the datasets of the master that runs on HOST", ports=("notify",), is_required=True
    )
    add("--wait", action="store_true", help="wait for a master that is not there yet")
    add(
        "-o",
        "--output",
        metavar="DIR",
        type=Path,
        default=Path("bridge"),
        help="folder of the files, made if missing (default: %(default)s)",
    )
    which = parser.add_argument_group("which datasets")
    which.add_argument(
        "--include",
        metavar="GLOB",
        action="append",
        help="keep only datasets whose name fits (default: all); may be repeated",
    )
    which.add_argument(
        "--exclude",
        metavar="GLOB",
        action="append",
        default=[],
        help="do not keep those whose name fits; may be repeated",
    )
    which.add_argument(
        "--split",
        metavar="PREFIX",
        action="append",
        default=[],
        help="datasets whose name begins so have a file of their own; * stands for anything but dots and slashes; "
        "may be repeated",
    )
    files = parser.add_argument_group("files")
    files.add_argument(
        "--rotate",
        choices=("hour", "day", "never"),
        default="day",
        help="when a recording goes on in a new file (default: %(default)s)",
    )
    files.add_argument(
        "--rotate-size",
        metavar="MIB",
        type=positive,
        default=256.0,
        help="changes after which it does, too (default: %(default)g)",
    )
    files.add_argument(
        "--refresh",
        metavar="SECONDS",
        type=positive,
        default=5.0,
        help="time between refreshes of the HDF5 files (default: %(default)g)",
    )
    files.add_argument(
        "--idle",
        metavar="SECONDS",
        type=positive,
        default=600.0,
        help="a file of --split is finished after so long without a change (default: %(default)g)",
    )
    verbosity_args(parser, "print nothing")
    return parser


def main(argv: Sequence[str]) -> int:
    """Keep the datasets until a signal ends it; return the exit status."""
    options = get_argparser().parse_args(argv)
    console = Console(stderr=True)
    log_to(console, options)
    plan = Plan(
        folder=options.output,
        mode=options.mode,
        master=f"{options.master}:{options.master_port_notify}",
        selection=Selection(tuple(options.include or ["*"]), tuple(options.exclude), tuple(options.split)),
        rotate_size=int(options.rotate_size * (1 << 20)),
        rotate_every=options.rotate,
        refresh=options.refresh,
        idle=options.idle,
    )
    asyncio.run(follow(plan, options, console))
    return 0


async def follow(plan: Plan, options: argparse.Namespace, console: Console) -> None:
    """Run the bridge until the end."""
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
            print(
                "rexec bridge: journals are left as they are; `rexec results recover` makes files of them",
                file=sys.stderr,
            )
            os._exit(130)
        end.set()

    with on_signals(dict.fromkeys(ENDING, stop)), progress(console, bridge.state, options.quiet > 0):
        await bridge.run(end, wait=options.wait)


def teller(console: Console, quiet: bool) -> Callable[[str], None]:
    """Return what prints a line: above the progress line on a terminal, to standard output elsewhere."""

    def tell(text: str) -> None:
        if quiet:
            return
        line = f"{time.strftime('%H:%M:%S')} {text}"
        if console.is_terminal:
            console.print(line, markup=False, highlight=False, soft_wrap=True, emoji=False)
        else:
            print(line, flush=True)

    return tell


@contextmanager
def progress(console: Console, state: Callable[[], State], quiet: bool) -> Iterator[None]:
    """Show how the bridge goes on in the last line of a terminal."""
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
    """Return how a bridge goes on as one line."""
    parts = [
        "connected" if state.is_connected else "waiting for the master",
        f"{state.datasets} datasets",
        f"{state.changes} changes",
        f"{state.files} file{'' if state.files == 1 else 's'}, {state.size / 1e6:.1f} MB",
    ]
    if state.changed is not None:
        parts.append(f"last change {now - state.changed:.0f} s ago")
    return " · ".join(parts)
