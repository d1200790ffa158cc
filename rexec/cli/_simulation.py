"""The options that say what simulated devices do, for the commands that have them."""

import argparse
from pathlib import Path
from typing import Any

from devicedb import DeviceDatabase, load_file
from rexec.devices import fetch_database


def add_database_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --device-db, --master and --master-port."""
    add = parser.add_argument
    add("--device-db", metavar="FILE", type=Path, default=Path("device_db.py"), help="default: %(default)s")
    add("--master", metavar="HOST", help="the database of the ARTIQ master on HOST instead of a file")
    add(
        "--master-port",
        metavar="PORT",
        type=int,
        default=3251,
        help="its control port (default: %(default)d)",
    )


def chosen_database(options: argparse.Namespace) -> DeviceDatabase:
    """Return the database that the options name; DeviceDBError or DeviceError where it cannot be had."""
    if options.master is not None:
        return fetch_database(options.master, options.master_port)
    return load_file(options.device_db)


def add_simulation_arguments(group: Any) -> None:
    """Add --behaviours, --recording, --timing, --fault and --seed to a parser or a group of one."""
    add = group.add_argument
    add(
        "--behaviours",
        metavar="FILE",
        type=Path,
        help="Python file with classes named after devices, whose methods are what the simulated devices do",
    )
    add(
        "--recording",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="answer as a real controller did while `rexec record` listened; may be repeated",
    )
    add("--timing", action="store_true", help="let recorded answers take as long as they took")
    add(
        "--fault",
        metavar="DEVICE[.METHOD]:KIND=VALUE",
        action="append",
        default=[],
        help="let something go wrong: delay=SECONDS, error=PROBABILITY, death[=CALL], silence[=CALL] (at that call, "
        "counted from 1); several kinds are separated by commas; may be repeated",
    )
    add("--seed", metavar="N", type=int, default=0, help="of the faults (default: %(default)d)")


def simulation_order(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options as an order for `rexec.simulate.process.SimulationProcess`."""
    return {
        "behaviours": str(options.behaviours.absolute()) if options.behaviours is not None else None,
        "recordings": [str(each.absolute()) for each in options.recording],
        "timing": options.timing,
        "faults": list(options.fault),
        "seed": options.seed,
    }
