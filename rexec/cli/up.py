"""`rexec up`: keeps the controllers of this machine running."""

import argparse
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from devicedb import DeviceDatabase
from devicedb.cli import output
from devicedb.cli.console import TerminalConsole
from devicedb.cli.parser import CommandParser
from devicedb.cli.terminal import say, say_document, say_error
from devicedb.whole_file import write_all
from rexec.cli._logging import log_to
from rexec.cli._options import add_device_db, add_master, add_master_port, positive
from rexec.cli._page import page_beside
from rexec.cli._signals import set_on_signals
from rexec.cli._tls import master_tls
from rexec.cli._up_display import ChangePrinter, display_on
from rexec.cli._up_logs import forwarded, log_files
from rexec.cli.errors import CommandError
from rexec.common_args import listening_port, verbosity_args
from rexec.laboratory import LiveSnapshot
from rexec.laboratory.reader import SnapshotReader
from rexec.laboratory.supervised import SupervisedControllers
from rexec.supervise.access_files import AccessFiles, AuditPlan
from rexec.supervise.control import ControlServer
from rexec.supervise.export import FORMATS, export
from rexec.supervise.reconciler import Reconciler
from rexec.supervise.selection import ControllerSelection, Selector
from rexec.supervise.sources import FileSource, MasterSource
from rexec.supervise.supervisor import ManagerTarget, Supervisor
from rexec.wire.tls import SimpleSSLConfig

logger = logging.getLogger(__name__)

MEASURE_EVERY: Final = 5.0
"""Seconds between measurements of memory and users, while a table shows them."""


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `rexec up`."""
    parser = CommandParser(
        prog="rexec up",
        description="Start the controllers of this machine from their commands, ping them, restart those that "
        "fail, and end\nall of them on Ctrl-C or SIGTERM (a second one kills them). When the device database changes, "
        "only the\ncontrollers whose entries changed are restarted.",
        epilog="examples:\n"
        "  rexec up                              all controllers of ./device_db.py on this machine\n"
        "  rexec up camera --log-dir logs        one controller, its output in logs/camera.log\n"
        "  rexec up --master lab1 --forward-logs lab1\n"
        "                                        instead of artiq_ctlmgr\n"
        "  rexec up --export systemd --output units\n"
        "  rexec call 127.0.0.1 3249 restart \"'camera'\"\n"
        "                                        restart one controller, even a busy one\n\n"
        "A controller that answers no ping while a client is connected counts as busy. It is left alone, without "
        "limit\nunless --busy-limit or busy_limit in its entry gives one.\n\n"
        "Exit status: 0 ended by a signal or a client, 2 could not start. With --export: 1 if a controller is left\n"
        "out because its entry is wrong.",
    )
    add = parser.add_argument
    add(
        "names",
        metavar="NAME",
        nargs="*",
        help="controllers, aliases or targets (default: all on this machine)",
    )
    add(
        "--folder",
        metavar="DIR",
        type=Path,
        help="working folder of the commands (default: the device database's)",
    )
    add(
        "--busy-limit",
        metavar="SECONDS",
        type=positive,
        help="restart a busy controller after this time without an answer (default: never)",
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
    audit = parser.add_argument_group("audit")
    add = audit.add_argument
    add(
        "--audit",
        metavar="DIR",
        type=Path,
        help="have each controller record connections, remote code and refused calls in DIR/NAME.jsonl "
        "(see rexec audit; stock controllers record nothing)",
    )
    add("--audit-calls", action="store_true", help="record each call, too, without its arguments")
    add(
        "--audit-best-effort",
        action="store_true",
        help="run remote code that cannot be recorded (default: refuse it, for example on a full disk)",
    )
    others = parser.add_argument_group("other process managers")
    add = others.add_argument
    add("--export", choices=FORMATS, help="write the configuration of this process manager, start nothing")
    add("--output", metavar="DIR", type=Path, help="folder for the files of --export (default: print them)")
    control = parser.add_argument_group(
        "control", "target ctlmgr: retry_now(name), restart(name), status(), terminate()"
    )
    add = control.add_argument
    add(
        "--bind",
        metavar="ADDRESS",
        action="append",
        help="address to listen on (default: localhost; any client can restart controllers); may be repeated",
    )
    add(
        "--port-control",
        metavar="PORT",
        type=listening_port,
        default=3249,
        help="TCP port to listen on (default: %(default)d)",
    )
    add(
        "--web",
        action="store_true",
        help="show the controllers in a browser of this machine; prints the address",
    )
    verbosity_args(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Keep the controllers running until a signal or a client ends the program; return the exit status."""
    parser = get_argparser()
    options = parser.parse_args(argv)
    if options.output is not None and options.export is None:
        parser.error("--output goes with --export; for the output of controllers there is --log-dir")
    console = output.console(stderr=True)
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
            tell_not_enforced(selection, source.database, console)
            write_export(export(options.export, selection.specs, os.environ), options.output)
            return 1 if selection.wrong else 0
        log_files(options.log_dir, selection.specs)
        laboratory = LiveSnapshot()
        gathered = SupervisedControllers(laboratory)
        access = _access_files(options)
        stack.callback(access.close)
        supervisor = Supervisor(gathered.changed, access.variables)

        def run(selection: ControllerSelection) -> None:
            access.write(source.database)
            try:
                log_files(options.log_dir, selection.specs)
            except CommandError as error:
                logger.error("%s", error)
            supervisor.follow(selection)
            gathered.selected(selection)

        stack.enter_context(set_on_signals(end, again=supervisor.kill))
        stack.enter_context(forwarded(options.forward_logs, options.master_port_logging, tls, laboratory))
        control = ControlServer(
            ManagerTarget(supervisor, gathered.as_dicts),
            options.bind or ["localhost"],
            options.port_control,
            end.set,
        )
        stack.callback(control.close)
        if options.web:
            page = page_beside("", folder / "results", source.database.origin, supervisor=control.port)
            say_error(f"page of the controllers: {stack.enter_context(page)}")
        reconciler = Reconciler(source, selector, run)
        reconciler.start(selection)
        printer = ChangePrinter(options.json, console)
        stack.enter_context(SnapshotReader(laboratory, printer, 0.1, ["log"]))
        display = stack.enter_context(display_on(console, options.json, laboratory))
        if display is not None:
            stack.enter_context(SnapshotReader(laboratory, lambda _: gathered.measure(), MEASURE_EVERY))
        while not end.wait(0.5):
            access.keep()
            pass
        if display is not None:
            console.print("ending the controllers; Ctrl-C again kills them")

        def close() -> None:
            reconciler.close()
            supervisor.close()

        ending = threading.Thread(target=close, name="ends the controllers")
        ending.start()
        while ending.is_alive():
            ending.join(0.2)
    return 0


def _access_files(options: argparse.Namespace) -> AccessFiles:
    """Return what controllers are told of rights and audit; CommandError where that cannot be written."""
    if options.audit is None and (options.audit_calls or options.audit_best_effort):
        raise CommandError("--audit-calls and --audit-best-effort need --audit DIR")
    try:
        return AccessFiles(AuditPlan(options.audit, options.audit_calls, options.audit_best_effort))
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror or error}") from None


def tell_left_out(selection: ControllerSelection, console: TerminalConsole) -> None:
    """Print the controllers that are not run here, with the reasons."""
    for name, reason in selection.left_out.items():
        console.say(f"{name}: not run here: {reason}")


def tell_not_enforced(
    selection: ControllerSelection, database: DeviceDatabase, console: TerminalConsole
) -> None:
    """Warn of controllers whose `allow` an exported configuration does not enforce."""
    for name in selection.specs:
        if database.raw[name].get("allow") is not None:
            console.say(
                f"{name}: this configuration does not enforce its 'allow': add --rights FILE {name} to its command, "
                "with FILE from `devicedb show --rights`"
            )


def write_export(files: Mapping[str, str], folder: Path | None) -> None:
    """Write or print the files of a configuration, all or none; CommandError if one cannot be written."""
    if folder is None:
        for name, text in files.items():
            say_document(f"# {name}\n{text}")
        return
    try:
        write_all(folder, {name: text.encode() for name, text in files.items()})
    except OSError as error:
        where = Path(os.fsdecode(error.filename or folder))
        raise CommandError(
            f"{where} cannot be written: {error.strerror or error}. No file was changed"
        ) from error
    for name in files:
        say(folder / name)


def open_source(options: argparse.Namespace, tls: SimpleSSLConfig | None) -> FileSource | MasterSource:
    """Open the device database that the options name."""
    if options.master is not None:
        return MasterSource(options.master, options.master_port, options.master_port_notify, tls)
    return FileSource(options.device_db)


def folder_of(source: FileSource | MasterSource) -> Path:
    """Return the folder of the device database file; for a master's database, the current folder."""
    return Path(source.database.origin).parent if isinstance(source, FileSource) else Path()
