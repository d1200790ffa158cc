"""The child process of `rexec.simulate.process`."""

import logging
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from devicedb import DeviceDatabase, DeviceDBError
from rexec.common_args import LineCountFormatter
from rexec.record.errors import RecordingError
from rexec.record.recording import load_recordings
from rexec.simulate._laboratory import Laboratory
from rexec.simulate.behaviours import Behaviours, load_behaviours
from rexec.simulate.driver import origins
from rexec.simulate.errors import SimulationError
from rexec.wire import pyon


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


def main(lines: "queue.SimpleQueue[bytes]", say: Callable[[bytes], None]) -> None:
    """Simulate until the parent ends this process."""
    order = pyon.decode(lines.get())
    handler = logging.StreamHandler()
    handler.setFormatter(LineCountFormatter())
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(order.get("log_level", logging.WARNING))
    try:
        laboratory = laboratory_of(order)
        laboratory.start()
    except (SimulationError, RecordingError, DeviceDBError) as error:
        say(_line({"error": str(error)}))
        return
    drivers = {
        f"{server.name}, target {name}": origins(driver.methods.values())
        for server in laboratory.servers
        for name, driver in server.drivers.items()
    }
    say(_line({"database": laboratory.database.raw, "origins": drivers}))
    threading.Event().wait()


def _line(answer: dict[str, Any]) -> bytes:
    return pyon.encode(answer).encode("ascii")
