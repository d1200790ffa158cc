"""Writes the datasets of a running master into HDF5 files: their current values, or every change."""

from rexec.bridge.bridge import Bridge
from rexec.bridge.errors import BridgeError
from rexec.bridge.plan import BridgePlan
from rexec.bridge.selection import DatasetSelection

__all__ = ["Bridge", "BridgeError", "BridgePlan", "DatasetSelection"]
