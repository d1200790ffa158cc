"""Starts, watches and ends controllers, from the commands in a device database."""

from rexec.supervise.errors import ControllerStartError
from rexec.supervise.on_demand import OnDemand

__all__ = ["ControllerStartError", "OnDemand"]
