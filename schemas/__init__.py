"""What may be written down: models of device database entries, reports, runs and results. No I/O.

The models are imported from their modules, `schemas.device_db` and `schemas.report`: only who uses them pays for them.
"""

from schemas.run import GitState, RunIdentity

__all__ = ["GitState", "RunIdentity"]
