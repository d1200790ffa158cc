"""Serves datasets and devices as an ARTIQ master does, to clients, dashboards, applets and controller managers."""

from rexec.master.devices import DeviceFile, Devices
from rexec.master.errors import MasterError, NotServedError
from rexec.master.server import Master, Ports
from rexec.master.thread import MasterThread

__all__ = ["DeviceFile", "Devices", "Master", "MasterError", "MasterThread", "NotServedError", "Ports"]
