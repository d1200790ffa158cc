"""`rexec record`: keeps a session with real controllers."""

import argparse
import logging
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from devicedb.cli.parser import CommandParser
from rexec.cli._logging import log_to
from rexec.cli._options import add_device_db, add_master, chosen_database, tls_files
from rexec.cli._signals import set_on_signals
from rexec.common_args import listening_port, verbosity_args
from rexec.simulate.database import through_proxies, write_database
from rexec.simulate.offers import ask
from rexec.simulate.recorder import Recorder
from rexec.simulate.recording import RecordingWriter
from rexec.wire.errors import shown_address

logger = logging.getLogger(__name__)


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `rexec record`."""
    parser = CommandParser(
        prog="rexec record",
        description="Listen between clients and real controllers, and keep what they say in a file that `rexec\n"
        "simulate --recording FILE` answers from. Clients connect to the proxy: through the database that --write-db\n"
        "writes, or by --port. Every byte is passed on as it came; the file is good up to the last answered call,\n"
        "whatever happens.",
        epilog="examples:\n"
        "  rexec record camera -o monday.rec --write-db recorded.py\n"
        "  rexec run experiment.py --device-db recorded.py        meanwhile\n"
        "  rexec simulate camera --recording monday.rec --write-db simulated.py\n\n"
        "What code of remote execution asks of the driver passes no wire and is not recorded; its own answers are.\n\n"
        "Exit status: 0 Ctrl-C or SIGTERM ended it, 2 it could not begin or go on.",
    )
    add = parser.add_argument
    add("names", metavar="NAME", nargs="+", help="controllers, aliases or targets")
    add("-o", "--output", metavar="FILE", type=Path, required=True, help="where the recording goes")
    add("--overwrite", action="store_true", help="replace the recording, if there is one of that name")
    add_device_db(parser)
    add_master(
        parser, "take the device database of the ARTIQ master on HOST instead of a file", ssl="--master-ssl"
    )
    add(
        "--write-db",
        metavar="FILE",
        type=Path,
        help="write a device database that leads through the proxies; the other devices are as they were",
    )
    add(
        "--bind",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="where the proxies listen (default: %(default)s; without --ssl anybody who reaches it can use the "
        "controllers)",
    )
    add(
        "--port",
        metavar="PORT",
        type=listening_port,
        default=0,
        help="TCP port of the proxy, for one controller only (default: one that the system gives)",
    )
    add(
        "--ssl",
        nargs=3,
        metavar=("CERT", "KEY", "PEER"),
        help="speak TLS with clients: the proxy's certificate, its private key, and the client certificates to trust. "
        "Between proxy and controller it is as in the device database",
    )
    verbosity_args(parser, "show no progress")
    return parser


def main(argv: Sequence[str]) -> int:
    """Record until a signal ends it; return the exit status."""
    parser = get_argparser()
    options = parser.parse_args(argv)
    console = Console(stderr=True)
    log_to(console, options)
    end = threading.Event()
    with ExitStack() as stack:
        database = chosen_database(options)
        names = dict.fromkeys(database.endpoint(name).controller for name in options.names)
        if options.port and len(names) > 1:
            parser.error("--port is for one controller; with several use --write-db")
        sources = [ask(database, name) for name in names]
        # Before this a signal ends the program at once: a controller that does not answer is no reason to wait.
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
            print(f"recording {name}: clients connect to {shown_address(host, port)}")
        print(f"into {options.output}; Ctrl-C ends it", flush=True)
        began, told = time.monotonic(), 0
        while not end.wait(0.2) and not recorder.wait(0.0):
            total = sum(recorder.calls.values())
            if total != told and options.quiet == 0 and console.is_terminal:
                console.print(f"{total} calls", end="\r", highlight=False)
            told = total
        if recorder.failure is not None:
            raise recorder.failure
    kept = ", ".join(f"{count} call{'s' * (count != 1)} of {name}" for name, count in recorder.calls.items())
    print(f"kept {kept} in {time.monotonic() - began:.1f} s: {options.output}")
    return 0
