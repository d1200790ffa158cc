"""The child process of `rexec.simulate.process`: reads its order from standard input, and ends when that ends."""

import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any, Final

from devicedb import DeviceDatabase, DeviceDBError
from rexec.common_args import LineCountFormatter
from rexec.simulate._laboratory import Laboratory
from rexec.simulate.behaviours import Behaviours, load_behaviours
from rexec.simulate.driver import origins
from rexec.simulate.errors import SimulationError
from rexec.simulate.recording import load_recordings
from rexec.wire import pyon

START_LIMIT: Final = 50.0
"""Seconds after which a start that hangs is given up."""


def laboratory_of(order: dict[str, Any]) -> Laboratory:
    """Return the laboratory that an order describes.

    Args:
        order: `database` and `origin`; optionally `behaviours` (a path), `recordings` (paths), `timing`, `faults`,
            `seed`, `experiments` (paths).

    Raises:
        SimulationError: Something in it is wrong.
        DeviceDBError: A name is.

    """
    behaviours = order.get("behaviours")
    return Laboratory(
        DeviceDatabase(order["database"], order["origin"]),
        behaviours=load_behaviours(behaviours) if behaviours is not None else Behaviours(),
        recordings=load_recordings(
            [Path(each) for each in order.get("recordings", ())], timing=order.get("timing", False)
        ),
        faults=order.get("faults", ()),
        seed=order.get("seed", 0),
        experiments=[Path(each) for each in order.get("experiments", ())],
    )


def main() -> None:
    """Simulate until standard input ends."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what behaviours and remote code print is no answer
    order = pyon.decode(sys.stdin.buffer.readline())
    handler = logging.StreamHandler()
    handler.setFormatter(LineCountFormatter())
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(order.get("log_level", logging.WARNING))
    late = threading.Timer(START_LIMIT, _give_up, (out,))
    late.daemon = True
    late.start()
    try:
        laboratory = laboratory_of(order)
        laboratory.start()
        answer: dict[str, Any] = {
            "database": laboratory.database.raw,
            "origins": {
                f"{server.name}, target {name}": origins(performer.methods.values())
                for server in laboratory.servers
                for name, performer in server.performers.items()
            },
        }
    except (SimulationError, DeviceDBError) as error:
        answer = {"error": str(error)}
    late.cancel()
    _say(out, answer)
    if "error" not in answer:
        sys.stdin.buffer.read()
    # A call may hang in a thread, as in a real controller: nobody waits for it.
    os._exit(0)


def _say(out: Any, answer: dict[str, Any]) -> None:
    try:
        out.write(pyon.encode(answer).encode("ascii") + b"\n")
        out.flush()
    except BrokenPipeError:
        logging.getLogger(__name__).debug("whoever asked has gone")


def _give_up(out: Any) -> None:
    _say(
        out,
        {"error": f"the simulation did not start within {START_LIMIT:g} s. Does the behaviours file hang?"},
    )
    os._exit(2)


if __name__ == "__main__":
    main()
