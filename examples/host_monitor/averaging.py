"""Sent to the controller: reads the instrument often there, and gives only averages back.

The controller has `controller_driver` and `controller_initial_namespace` in the namespace already.
"""

import statistics
import time
from typing import Any

controller_driver: Any = globals().get("controller_driver")
controller_initial_namespace: Any = globals().get("controller_initial_namespace")


def average(samples: int, interval: float) -> dict[str, float]:
    """Return the averages of some readings, and broadcast each reading of the CPU as it comes.

    Args:
        samples: How many readings.
        interval: Seconds from one to the next.

    Returns:
        cpu and cpu_deviation (%), memory (bytes), received and sent (bytes/s).

    """
    dataset_db = controller_initial_namespace["dataset_db"]
    readings = [controller_driver.read()]
    for _ in range(samples):
        time.sleep(interval)
        readings.append(controller_driver.read())
        dataset_db.set("host_monitor.cpu_now", readings[-1]["cpu"], metadata={"unit": "%"})
    seconds = readings[-1]["time"] - readings[0]["time"]
    cpu = [reading["cpu"] for reading in readings[1:]]
    return {
        "cpu": statistics.fmean(cpu),
        "cpu_deviation": statistics.pstdev(cpu),
        "memory": statistics.fmean(reading["memory"] for reading in readings[1:]),
        "received": (readings[-1]["received"] - readings[0]["received"]) / seconds,
        "sent": (readings[-1]["sent"] - readings[0]["sent"]) / seconds,
    }
