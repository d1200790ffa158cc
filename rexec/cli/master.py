"""`rexec master`: datasets and devices for everyone who expects an ARTIQ master."""

import argparse
import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from devicedb.cli.parser import CommandParser
from rexec.cli._logging import log_to
from rexec.cli._options import add_device_db, mebibytes, tls_files
from rexec.cli._signals import ENDING, on_signals
from rexec.common_args import bind_address_from_args, simple_network_args, verbosity_args
from rexec.datasets import DatasetDB
from rexec.master import DeviceFile, Master, Ports
from rexec.wire.errors import shown_address

logger = logging.getLogger(__name__)

_WATCH = 1.0
"""Seconds between two looks at the device database file."""


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `rexec master`."""
    parser = CommandParser(
        prog="rexec master",
        description="Serve the datasets and the devices of a laboratory as an ARTIQ master does, to dashboards, "
        "applets,\ncontroller managers, `rexec up --master` and `rexec run --master`. It runs no experiments itself.",
        epilog="examples:\n"
        "  rexec master                       datasets in dataset_db.mdb, devices of device_db.py, for this machine\n"
        "  rexec master --bind 192.168.1.2    for the laboratory's network, too\n"
        "  rexec call ::1 3251 -t master_management status    who follows what, and what was dropped\n\n"
        "A persistent dataset is on the disk before whoever set it has the answer. `artiq_client scan-devices` or "
        "SIGHUP\nreads the device database again; a bad file changes nothing. Ctrl-C or SIGTERM ends it.\n\n"
        "Exit status: 0 it was ended, 2 it could not begin.",
    )
    databases = parser.add_argument_group("databases")
    add_device_db(databases)
    databases.add_argument(
        "--dataset-db",
        metavar="FILE",
        type=Path,
        default=Path("dataset_db.mdb"),
        help="persistent datasets, an LMDB file as ARTIQ's (default: %(default)s in the current folder, made if "
        "missing)",
    )
    databases.add_argument(
        "--watch", action="store_true", help="read the device database again whenever its file has changed"
    )
    parser.add_argument(
        "--name", metavar="NAME", help="name for people, as dashboards show it (default: none)"
    )
    parser.add_argument(
        "--backlog",
        metavar="MIB",
        type=mebibytes,
        default=16 << 20,
        help="what may wait for a slow follower; of what goes beyond it, it gets the latest values (default: 16)",
    )
    parser.add_argument(
        "--for-artiq",
        metavar="RELEASE",
        type=int,
        choices=(7, 8, 9),
        default=9,
        help="release that dashboards, applets and controller managers are of: 9 (default), 8 or 7. The protocol "
        "has no way to find out; control connections do without",
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
    )
    verbosity_args(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Serve until a signal or a client ends it; return the exit status."""
    options = get_argparser().parse_args(argv)
    console = Console(stderr=True)
    log_to(console, options)
    for handler in logging.getLogger().handlers:
        # Messages that controller managers send say where they come from.
        handler.setFormatter(
            logging.Formatter("%(levelname)s:%(source)s:%(name)s:%(message)s", defaults={"source": "master"})
        )
    with DatasetDB(options.dataset_db) as datasets:
        asyncio.run(serve(options, datasets))
    return 0


async def serve(options: argparse.Namespace, datasets: DatasetDB) -> None:
    """Serve the databases until the end."""
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

    try:
        with on_signals({**dict.fromkeys(ENDING, master.terminate), "SIGHUP": scan}):
            await master.start(bind_address_from_args(options), tls_files(options.ssl))
            if options.watch:
                tasks.add(asyncio.create_task(devices.watch(_WATCH)))
            count, persistent = datasets.count()
            print(f"{count} datasets, {persistent} of them persistent: {datasets.path}")
            print(f"{len(devices.database)} devices: {options.device_db}")
            for part, addresses in master.addresses.items():
                print(f"{part}: {', '.join(shown_address(*address) for address in addresses)}")
            print("rexec master is now ready.", flush=True)
            await master.wait_terminate()
    finally:
        for task in list(tasks):
            task.cancel()
        await master.stop()
