"""The options for simulated devices, shared by `rexec run` and `rexec simulate`."""

import argparse
from pathlib import Path
from typing import Any


def add_simulation_arguments(group: Any) -> None:
    """Add --behaviours, --recording, --timing, --fault and --seed to a parser or group."""
    add = group.add_argument
    add(
        "--behaviours",
        metavar="FILE",
        type=Path,
        help="Python file of behaviours: a class named after a device has the methods of the simulated device",
    )
    add(
        "--recording",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="replay the answers of a real controller from a file of `rexec record`; may be repeated",
    )
    add("--timing", action="store_true", help="delay recorded answers as long as the real ones took")
    add(
        "--fault",
        metavar="DEVICE[.METHOD]:KIND=VALUE",
        action="append",
        default=[],
        help="cause a fault: delay=SECONDS, error=PROBABILITY (0 to 1), death[=CALL], silence[=CALL] (at that call, "
        "counted from 1); separate several kinds by commas; may be repeated",
    )
    add(
        "--seed",
        metavar="N",
        type=int,
        default=0,
        help="seed of random faults; the same seed gives the same faults (default: %(default)d)",
    )


def simulation_order(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options as an order for `rexec.simulate.process.SimulationProcess`."""
    return {
        "behaviours": str(options.behaviours.absolute()) if options.behaviours is not None else None,
        "recordings": [str(each.absolute()) for each in options.recording],
        "timing": options.timing,
        "faults": list(options.fault),
        "seed": options.seed,
    }
