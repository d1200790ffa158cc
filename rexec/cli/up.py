"""`rexec up`: keeps the controllers of this machine running."""

import argparse
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from devicedb.cli.parser import CommandParser
from rexec.cli._logging import log_to
from rexec.cli._options import add_device_db, add_master, add_master_port, master_tls, positive
from rexec.cli._signals import set_on_signals
from rexec.cli._up_display import Display, Teller, display_on
from rexec.cli._up_logs import forwarded, log_files
from rexec.cli.errors import CommandError
from rexec.common_args import listening_port, verbosity_args
from rexec.supervise.control import ControlServer
from rexec.supervise.export import FORMATS, export
from rexec.supervise.follower import Follower
from rexec.supervise.selection import Selection, Selector
from rexec.supervise.sources import FileSource, MasterSource
from rexec.supervise.supervisor import Control, Supervisor
from rexec.wire.tls import SimpleSSLConfig


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `rexec up`."""
    parser = CommandParser(
        prog="rexec up",
        description="Start the controllers of this machine from their commands, ping them, restart those that "
        "fail, and end\nthem all on Ctrl-C or SIGTERM (a second one kills them). A change of the device database is "
        "followed;\ncontrollers whose entries are as before are not touched.",
        epilog="examples:\n"
        "  rexec up                              all controllers of ./device_db.py that belong on this machine\n"
        "  rexec up camera --log-dir logs        one of them, its output kept in logs/camera.log\n"
        "  rexec up --master lab1 --forward-logs lab1\n"
        "                                        in the place of artiq_ctlmgr\n"
        "  rexec up --export systemd --output units\n"
        "  rexec call 127.0.0.1 3249 restart \"'camera'\"\n"
        "                                        restart one while `rexec up` runs, even if it is busy\n\n"
        "A controller that answers no ping while a client is connected to it is taken for busy and left alone, for\n"
        "ever unless --busy-limit or busy_limit in its entry says otherwise.\n\n"
        "Exit status: 0 ended by a signal or a client, 2 it could not start.",
    )
    add = parser.add_argument
    add(
        "names",
        metavar="NAME",
        nargs="*",
        help="controllers, aliases or targets (default: all of this machine)",
    )
    add(
        "--folder",
        metavar="DIR",
        type=Path,
        help="working folder of the commands (default: that of the device database)",
    )
    add(
        "--busy-limit",
        metavar="SECONDS",
        type=positive,
        help="restart a controller that has not answered for so long though a client is connected (default: never)",
    )
    add("--json", action="store_true", help="print each change of a controller's state as a line of JSON")
    source = parser.add_argument_group("device database")
    add_device_db(source)
    add_master(
        source,
        "follow the devices of the ARTIQ master on HOST instead of a file",
        ports=("control", "notify"),
    )
    logs = parser.add_argument_group("logs")
    add = logs.add_argument
    add(
        "--log-dir",
        metavar="DIR",
        type=Path,
        help="keep the output of controllers in DIR/NAME.log, at most 5 files of 1 MB",
    )
    add("--forward-logs", metavar="HOST", help="send the output of controllers to the ARTIQ master on HOST")
    add_master_port(logs, "logging")
    others = parser.add_argument_group("other process managers")
    add = others.add_argument
    add("--export", choices=FORMATS, help="start nothing: write the configuration of this manager")
    add("--output", metavar="DIR", type=Path, help="folder for the files of --export (default: print them)")
    control = parser.add_argument_group(
        "control", "target ctlmgr: retry_now(name), restart(name), status(), terminate()"
    )
    add = control.add_argument
    add(
        "--bind",
        metavar="ADDRESS",
        action="append",
        help="where to listen (default: localhost; whoever reaches it can restart controllers); may be repeated",
    )
    add(
        "--port-control",
        metavar="PORT",
        type=listening_port,
        default=3249,
        help="TCP port to listen on (default: %(default)d)",
    )
    verbosity_args(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Keep the controllers running until a signal or a client ends it; return the exit status."""
    options = get_argparser().parse_args(argv)
    console = Console(stderr=True)
    log_to(console, options)
    end = threading.Event()
    with ExitStack() as stack:
        tls = master_tls(options.master_ssl, options.master or options.forward_logs)
        source = open_source(options, tls)
        stack.callback(source.close)
        folder = (options.folder or folder_of(source)).absolute()
        selector = Selector(options.names, folder, options.busy_limit)
        selection = selector.select(source.database)
        tell_left_out(selection, console)
        if options.export is not None:
            write_export(export(options.export, selection.specs, os.environ), options.output)
            return 0
        log_files(options.log_dir, selection.specs)
        supervisor = Supervisor(Teller(options.json, console))
        stack.enter_context(set_on_signals(end, again=supervisor.kill))
        stack.enter_context(forwarded(options.forward_logs, options.master_port_logging, tls))
        control = ControlServer(
            Control(supervisor), options.bind or ["localhost"], options.port_control, end.set
        )
        stack.callback(control.close)
        follower = Follower(source, selector, supervisor, lambda it: log_files(options.log_dir, it.specs))
        follower.start(selection)
        display = stack.enter_context(display_on(console, options.json))
        while not end.wait(0.5):
            show(display, supervisor)
        if display is not None:
            console.print("ending the controllers; Ctrl-C again kills them")

        def close() -> None:
            follower.close()
            supervisor.close()

        ending = threading.Thread(target=close, name="ends the controllers")
        ending.start()
        while ending.is_alive():
            ending.join(0.2)
            show(display, supervisor)
    return 0


def show(display: Display | None, supervisor: Supervisor) -> None:
    """Refresh the table, if there is one."""
    if display is not None:
        display.show(supervisor.status(), supervisor.left_out)


def tell_left_out(selection: Selection, console: Console) -> None:
    """Say which controllers are not run here, and why."""
    for name, reason in selection.left_out.items():
        console.print(f"{name}: not run here: {reason}", markup=False, highlight=False, soft_wrap=True)


def write_export(files: Mapping[str, str], folder: Path | None) -> None:
    """Write the files of a configuration, or print them; CommandError where they cannot be written."""
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
            raise CommandError(f"{folder / name} cannot be written: {error.strerror or error}") from error
        print(folder / name)


def open_source(options: argparse.Namespace, tls: SimpleSSLConfig | None) -> FileSource | MasterSource:
    """Open the device database that the options name."""
    if options.master is not None:
        return MasterSource(options.master, options.master_port, options.master_port_notify, tls)
    return FileSource(options.device_db)


def folder_of(source: FileSource | MasterSource) -> Path:
    """Return the folder of the device database; the current one for that of a master."""
    return Path(source.database.origin).parent if isinstance(source, FileSource) else Path()
