"""`rexec master`: serves datasets and devices to clients of an ARTIQ master."""

import argparse
import asyncio
import logging
import signal
from collections.abc import Sequence
from pathlib import Path

from devicedb.cli import output
from devicedb.cli.parser import CommandParser
from devicedb.cli.terminal import say
from rexec.cli._laboratory import DATASETS
from rexec.cli._logging import ConsoleHandler, log_to
from rexec.cli._options import add_device_db, mebibytes
from rexec.cli._signals import on_signals
from rexec.cli._tls import tls_files
from rexec.common_args import bind_address_from_args, simple_network_args, verbosity_args
from rexec.datasets import DatasetDB
from rexec.ground.signals import has_terminal
from rexec.master import DeviceFile, Master, Ports
from rexec.wire.errors import shown_address

logger = logging.getLogger(__name__)

_WATCH = 1.0
"""Poll interval of the device database file, in seconds."""


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `rexec master`."""
    parser = CommandParser(
        prog="rexec master",
        description="Serve the datasets and the devices of a laboratory as an ARTIQ master does, to dashboards, "
        "applets,\ncontroller managers, `rexec up --master` and `rexec run --master`. It runs no experiments.",
        epilog="examples:\n"
        "  rexec master                       datasets in dataset_db.mdb, devices of device_db.py, this machine only\n"
        "  rexec master --bind 192.168.1.2    also serve the laboratory's network\n"
        "  rexec call ::1 3251 -t master_management status    list subscribers and dropped changes\n\n"
        "A persistent dataset is on disk before the client that set it gets the answer. `artiq_client scan-devices` or "
        "\nSIGHUP reads the device database again; a bad file changes nothing. Ctrl-C, SIGTERM or the loss of the "
        "\nterminal ends the master.\n\n"
        "Exit status: 0 ended by a signal or a client, 2 could not start.",
    )
    databases = parser.add_argument_group("databases")
    add_device_db(databases)
    databases.add_argument(
        "--dataset-db",
        metavar="FILE",
        type=Path,
        help="LMDB file of the persistent datasets, as ARTIQ's (default: dataset_db.mdb in the folder of the "
        "device database; created if missing)",
    )
    databases.add_argument(
        "--watch", action="store_true", help="read the device database again when its file changes"
    )
    parser.add_argument("--name", metavar="NAME", help="name that dashboards show (default: none)")
    parser.add_argument(
        "--backlog",
        metavar="MIB",
        type=mebibytes,
        default=16 << 20,
        help="buffer per subscriber; a slower one gets only the latest value of each dataset (default: 16)",
    )
    parser.add_argument(
        "--for-artiq",
        metavar="RELEASE",
        type=int,
        choices=(7, 8, 9),
        default=9,
        help="ARTIQ release of the dashboards, applets and controller managers: 9 (default), 8 or 7. Subscribers do "
        "not tell it; control connections work with any",
    )
    simple_network_args(
        parser,
        [
            ("notify", "notification", 3250),
            ("control", "control", 3251),
            ("logging", "remote logging", 1066),
            ("broadcast", "broadcast", 1067),
        ],
        ssl=True,
        access=False,
    )
    verbosity_args(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Serve until a signal or a client ends it; return the exit status."""
    options = get_argparser().parse_args(argv)
    console = output.console(stderr=True)
    log_to(console, options)
    # Its own handlers only: a program that calls this has others. `source` is set by messages from controller managers.
    for handler in (each for each in logging.getLogger().handlers if isinstance(each, ConsoleHandler)):
        handler.setFormatter(
            logging.Formatter("%(levelname)s:%(source)s:%(name)s:%(message)s", defaults={"source": "master"})
        )
    path = options.dataset_db or options.device_db.parent / DATASETS
    with DatasetDB(path, is_master=True, pyon_v1=options.for_artiq < 9) as datasets:
        asyncio.run(serve(options, datasets))
    return 0


async def serve(options: argparse.Namespace, datasets: DatasetDB) -> None:
    """Serve the databases until a signal or a client ends the master."""
    devices = await DeviceFile.open(options.device_db)
    ports = Ports(options.port_notify, options.port_control, options.port_broadcast, options.port_logging)
    master = Master(
        datasets, devices, ports, name=options.name, artiq=options.for_artiq, backlog=options.backlog
    )
    tasks: set[asyncio.Task[None]] = set()

    def scan() -> None:
        task = asyncio.get_running_loop().create_task(devices.scan_and_log())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    had_terminal = has_terminal()

    def hung_up() -> None:
        """End if the terminal was lost; else somebody sent the signal to have the file read."""
        if had_terminal and not has_terminal():
            master.terminate()
        else:
            scan()

    try:
        hangup = getattr(signal, "SIGHUP", None)  # Windows has none
        with on_signals(master.terminate, {hangup: hung_up} if hangup is not None else None):
            await master.start(bind_address_from_args(options), tls_files(options.ssl))
            if options.watch:
                tasks.add(asyncio.create_task(devices.watch(_WATCH)))
            count, persistent = datasets.count()
            say(f"{count} datasets, {persistent} of them persistent: {datasets.path}")
            say(f"{len(devices.database)} devices: {options.device_db}")
            for part, addresses in master.addresses.items():
                say(f"{part}: {', '.join(shown_address(*address) for address in addresses)}")
            say("rexec master is now ready.", flush=True)
            await master.wait_terminate()
    finally:
        for task in list(tasks):
            task.cancel()
        await master.stop()
