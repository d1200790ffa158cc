"""What is running: the wire, remote execution, devices, experiments, datasets, results, controllers."""

from rexec._version import __version__

__all__ = ["__version__"]
