"""`rexec record`: records a session with real controllers."""

import argparse
import logging
import os
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.control import Control
from rich.segment import ControlType

from devicedb.cli import output
from devicedb.cli.parser import CommandParser
from devicedb.cli.terminal import say
from rexec.cli._chosen import chosen_database
from rexec.cli._logging import log_to
from rexec.cli._options import add_device_db, add_master
from rexec.cli._signals import set_on_signals
from rexec.cli._tls import tls_files
from rexec.common_args import listening_port, verbosity_args
from rexec.record.offers import ask
from rexec.record.recorder import Recorder
from rexec.record.recording import RecordingWriter
from rexec.simulate.database import check_replaceable, through_proxies, write_database
from rexec.wire.errors import shown_address

logger = logging.getLogger(__name__)


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `rexec record`."""
    parser = CommandParser(
        prog="rexec record",
        description="Record the traffic between clients and real controllers, for `rexec simulate --recording FILE` "
        "to\nreplay. Clients connect to a proxy: through the device database that --write-db writes, or by --port. "
        "The\nproxy passes every byte on unchanged. After a crash the file is valid up to the last answered call.",
        epilog="examples:\n"
        "  rexec record camera -o monday.rec --write-db recorded.py\n"
        "  rexec run experiment.py --device-db recorded.py        at the same time\n"
        "  rexec simulate camera --recording monday.rec --write-db simulated.py\n\n"
        "Driver calls of remote code are not recorded, because they do not pass the proxy; the results of remote code "
        "are.\n\nExit status: 0 ended by Ctrl-C or SIGTERM, 2 could not start or continue.",
    )
    add = parser.add_argument
    add("names", metavar="NAME", nargs="+", help="controllers, aliases or targets")
    add("-o", "--output", metavar="FILE", type=Path, required=True, help="file of the recording")
    add("--overwrite", action="store_true", help="replace an existing recording of that name")
    add_device_db(parser)
    add_master(
        parser, "take the device database of the ARTIQ master on HOST instead of a file", ssl="--master-ssl"
    )
    add(
        "--write-db",
        metavar="FILE",
        type=Path,
        help="write a device database that leads through the proxies; other devices stay unchanged",
    )
    add(
        "--bind",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="address on which the proxies listen (default: %(default)s; without --ssl any client can use the "
        "controllers)",
    )
    add(
        "--port",
        metavar="PORT",
        type=listening_port,
        default=0,
        help="TCP port of the proxy, for one controller only (default: chosen by the system)",
    )
    add(
        "--ssl",
        nargs=3,
        metavar=("CERT", "KEY", "PEER"),
        help="speak TLS with clients: the proxy's certificate, its private key, and the client certificates to trust. "
        "The connection to the controller follows the device database",
    )
    verbosity_args(parser, "show no progress")
    return parser


def main(argv: Sequence[str]) -> int:
    """Record until a signal ends it; return the exit status."""
    parser = get_argparser()
    options = parser.parse_args(argv)
    console = output.console(stderr=True)
    log_to(console, options)
    end = threading.Event()
    with ExitStack() as stack:
        database = chosen_database(options)
        if options.write_db is not None:  # before the recording is begun
            check_replaceable(options.write_db)
            if _full(options.write_db) == _full(options.output):
                parser.error("--write-db and --output name the same file")
        names = dict.fromkeys(database.endpoint(name).controller for name in options.names)
        if options.port and len(names) > 1:
            parser.error("--port works with one controller; for several, use --write-db")
        sources = [ask(database, name) for name in names]
        # Signals are handled only from here on, so that Ctrl-C works while a controller does not answer.
        stack.enter_context(set_on_signals(end))
        writer = RecordingWriter(options.output, overwrite=options.overwrite)
        recorder = stack.enter_context(
            Recorder(
                sources,
                writer,
                options.bind,
                dict.fromkeys(names, options.port),
                tls_files(options.ssl),
            )
        )
        if options.write_db is not None:
            raw = through_proxies(database, recorder.addresses, keep_tls=options.ssl is not None)
            write_database(
                options.write_db, raw, f"Devices of {database.origin}, through the proxies of rexec record."
            )
        for name, (host, port) in recorder.addresses.items():
            say(f"recording {name}: clients connect to {shown_address(host, port)}")
        say(f"into {options.output}; Ctrl-C ends it", flush=True)
        began, told = time.monotonic(), 0
        while not end.wait(0.2) and not recorder.wait(0.0):
            total = sum(recorder.calls.values())
            if total != told and options.quiet == 0 and console.is_terminal:
                console.print(f"{total} calls", end="", highlight=False)
                console.control(Control(ControlType.CARRIAGE_RETURN))
            told = total
        if recorder.failure is not None:
            raise recorder.failure
    kept = ", ".join(f"{count} call{'s' * (count != 1)} of {name}" for name, count in recorder.calls.items())
    say(f"kept {kept} in {time.monotonic() - began:.1f} s: {options.output}")
    return 0


def _full(path: Path) -> str:
    return os.path.normcase(os.path.abspath(path))
