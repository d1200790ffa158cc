"""`rexec simulate`: serves simulations of the controllers of a device database."""

import argparse
import json
import logging
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from devicedb import DeviceDatabase, from_dict
from devicedb.cli import output
from devicedb.cli.parser import CommandParser
from devicedb.cli.terminal import say
from rexec.cli._chosen import chosen_database
from rexec.cli._logging import log_to
from rexec.cli._options import add_device_db, add_master
from rexec.cli._signals import set_on_signals
from rexec.cli._simulation import add_simulation_arguments
from rexec.cli._tls import tls_files
from rexec.common_args import listening_port, verbosity_args
from rexec.ground.waits import wait_in_slices
from rexec.record.recording import load_recordings
from rexec.simulate._laboratory import LOOPBACK, Laboratory
from rexec.simulate.behaviours import Behaviours, load_behaviours
from rexec.simulate.driver import origins
from rexec.simulate.errors import SimulationError
from rexec.simulate.plan import ServerPlan, folder_of, make_plan
from rexec.wire.errors import shown_address

logger = logging.getLogger(__name__)


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `rexec simulate`."""
    parser = CommandParser(
        prog="rexec simulate",
        description="Serve simulations of all controllers of a device database, or of those named. A simulation has "
        "the targets of the real controller, remote execution included, and the methods of its driver: from a "
        "recording, from the source of the driver, or from behaviours. A method whose return type alone is known "
        "returns a default value of that type. Every server declares itself simulated.",
        epilog="examples:\n"
        "  rexec simulate --write-db simulated.py          on loopback; run experiments with simulated.py\n"
        "  rexec simulate camera --behaviours lab.py       on the camera's own host and port\n"
        "  rexec simulate --fault camera:delay=0.5 --fault camera.get_frame:error=0.1 --write-db simulated.py\n"
        "  rexec call simulation die \"'camera'\" --device-db simulated.py    while it runs\n\n"
        "The written database has a device `simulation` with the methods fault, clear, die, revive, calls and "
        "status.\n\n"
        "Exit status: 0 ended by Ctrl-C or SIGTERM, 2 could not start.",
    )
    add = parser.add_argument
    add("names", metavar="NAME", nargs="*", help="controllers, aliases or targets (default: all)")
    add_device_db(parser)
    add_master(
        parser, "take the device database of the ARTIQ master on HOST instead of a file", ssl="--master-ssl"
    )
    add(
        "--loopback",
        action="store_true",
        help="listen on loopback, on ports chosen by the system (default: on the real hosts and ports)",
    )
    add(
        "--write-db",
        metavar="FILE",
        type=Path,
        help="write a device database of the simulation, with stand-ins for the core device and its local devices; "
        "implies --loopback",
    )
    add_simulation_arguments(parser)
    add(
        "--experiments",
        metavar="PATH",
        type=Path,
        action="append",
        default=[],
        help="file or folder of experiments: if a driver is not found, its simulation has the methods that they call; "
        "may be repeated",
    )
    add(
        "--own-simulation",
        action="store_true",
        help="use a controller's own --simulation mode if its program has one",
    )
    add(
        "--ssl",
        nargs=3,
        metavar=("CERT", "KEY", "PEER"),
        help="speak TLS on the real hosts and ports if the device database says so: the servers' certificate, its "
        "private key, and the client certificates to trust",
    )
    add(
        "--port-control",
        metavar="PORT",
        type=listening_port,
        default=0,
        help="TCP port of the target `simulation`, on loopback (default: chosen by the system)",
    )
    add(
        "--json",
        action="store_true",
        help="print the started servers and their addresses as one line of JSON",
    )
    verbosity_args(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Simulate until a signal ends it; return the exit status."""
    options = get_argparser().parse_args(argv)
    log_to(output.console(stderr=True), options)
    end = threading.Event()
    with ExitStack() as stack:
        database = chosen_database(options)
        loopback = options.loopback or options.write_db is not None
        others: dict[str, tuple[str, int]] = {}
        if options.own_simulation:
            able = [plan for plan in make_plan(database, options.names) if plan.simulates_itself]
            others = stack.enter_context(own_simulations(database, able, loopback))
        laboratory = Laboratory(
            database,
            options.names,
            behaviours=load_behaviours(options.behaviours)
            if options.behaviours is not None
            else Behaviours(),
            recordings=load_recordings(options.recording, timing=options.timing),
            faults=options.fault,
            seed=options.seed,
            experiments=options.experiments,
            loopback=loopback,
            tls=tls_files(options.ssl),
            control_port=options.port_control,
            others=others,
        )
        if not (laboratory.servers or others or options.write_db):
            raise SimulationError(f"{database.origin} has no controller to simulate")
        # Signals are handled only from here on, so that Ctrl-C works while a device database hangs.
        stack.enter_context(set_on_signals(end))
        stack.enter_context(laboratory)
        if options.write_db is not None:
            laboratory.write(options.write_db)
        tell(laboratory, others, options)
        names = ", ".join(
            name for plan in laboratory.plans if plan.simulates_itself for name in plan.controllers
        )
        if names and not options.own_simulation:
            logger.info("%s: the program has its own --simulation; --own-simulation uses it", names)
        wait_in_slices(end.wait)
    return 0


def tell(laboratory: Laboratory, others: Mapping[str, tuple[str, int]], options: argparse.Namespace) -> None:
    """Print the simulated servers, their addresses, and the origin of each method."""
    status = laboratory.status()
    if options.json:
        found: dict[str, Any] = {
            "controllers": status,
            "own_simulations": {name: list(address) for name, address in others.items()},
            "methods": {
                server.name: {name: origins(each.methods.values()) for name, each in server.drivers.items()}
                for server in laboratory.servers
            },
            "control": [LOOPBACK, laboratory.control_port],
        }
        say(json.dumps(found), flush=True)
        return
    for server in laboratory.servers:
        where = status[server.plan.controllers[0]]
        at = shown_address(where["host"], where["port"])
        say(f"SIMULATED {server.name} at {at}, targets {', '.join(where['targets']) or 'none'}")
        for name, driver in server.drivers.items():
            say(f"    {name}: {origins(driver.methods.values())}")
    for name, (host, port) in others.items():
        say(f"{name} at {shown_address(host, port)}: its own program with --simulation")
    say(f"simulation (fault, clear, die, revive, calls, status) at {LOOPBACK}:{laboratory.control_port}")
    if options.write_db is not None:
        say(f"device database of the simulation: {options.write_db}")
    say("Ctrl-C ends it", flush=True)


@contextmanager
def own_simulations(
    database: DeviceDatabase, plans: Sequence[ServerPlan], loopback: bool
) -> Iterator[dict[str, tuple[str, int]]]:
    """Start controllers from their commands with --simulation; yield their addresses."""
    raw = dict(database.raw)
    addresses: dict[str, tuple[str, int]] = {}
    for plan in plans:
        for name in plan.controllers:
            entry = dict(raw[name])
            if entry.get("command") is None:
                continue
            if loopback:
                entry |= {"host": LOOPBACK, "port": free_port()}
            raw[name] = {**entry, "command": f"{entry['command']} --simulation"}
            addresses[name] = (entry["host"], entry["port"])
    from rexec.supervise import OnDemand

    changed = from_dict(raw, database.origin)
    with OnDemand(changed, folder_of(database)) as starter:
        for name in addresses:
            starter.ensure(changed.endpoint(name))
        yield addresses


def free_port() -> int:
    """Return a free port, for a program that needs a port number; another program may still take it."""
    with socket.create_server((LOOPBACK, 0)) as probe:
        return int(probe.getsockname()[1])
