"""The options that say what simulated devices do, for the commands that have them."""

import argparse
from pathlib import Path
from typing import Any


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
        help="let something go wrong: delay=SECONDS, error=PROBABILITY (0 to 1), death[=CALL], silence[=CALL] (at that "
        "call, counted from 1); several kinds are separated by commas; may be repeated",
    )
    add(
        "--seed",
        metavar="N",
        type=int,
        default=0,
        help="seed of the faults' chances: the same seed, the same faults (default: %(default)d)",
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
