"""Writes the datasets of a running master into HDF5 files: as they are now, or every change of them."""

from rexec.bridge.bridge import Bridge
from rexec.bridge.errors import BridgeError
from rexec.bridge.plan import Plan
from rexec.bridge.selection import Selection

__all__ = ["Bridge", "BridgeError", "Plan", "Selection"]
