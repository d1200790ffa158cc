"""Records averages of the machine's counters; the readings themselves stay beside the driver."""

import inspect
from typing import Any

import averaging

from rexec.experiment import EnvExperiment, NumberValue
from rexec.remote_exec import connect_global_rpc

UNITS = {"cpu": "%", "cpu_deviation": "%", "memory": "B", "received": "B/s", "sent": "B/s"}


class RecordHost(EnvExperiment):
    """Record averages of the machine's counters."""

    points: int
    samples: int
    interval: float
    host_monitor_rexec: Any

    def build(self) -> None:
        """Ask for arguments and devices."""
        self.setattr_argument("points", NumberValue(5, precision=0, step=1, min=1, type="int"))
        self.setattr_argument("samples", NumberValue(10, precision=0, step=1, min=1, type="int"))
        self.setattr_argument("interval", NumberValue(0.05, unit="s", min=0.001))
        self.setattr_device("host_monitor_rexec")

    def run(self) -> None:
        """Take the averages."""
        connect_global_rpc(self.host_monitor_rexec)
        self.host_monitor_rexec.add_code(inspect.getsource(averaging))
        for name, unit in UNITS.items():
            self.set_dataset(f"host_monitor.{name}", [], unit=unit, broadcast=True)
        for _ in range(self.points):
            point = self.host_monitor_rexec.call("average", self.samples, self.interval)
            for name in UNITS:
                self.append_to_dataset(f"host_monitor.{name}", point[name])

    def analyze(self) -> None:
        """File what the remote code broadcast last, too."""
        self.set_dataset("host_monitor.cpu_last", self.get_dataset("host_monitor.cpu_now"), unit="%")
