"""Runs a device database in a process of its own, with limits, and reads back what it says."""
