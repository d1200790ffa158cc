"""What a bridge is to do, and what its files say of it."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rexec._version import __version__
from rexec.bridge.selection import Selection
from schemas import RunIdentity


@dataclass(frozen=True)
class Plan:
    """What a bridge is to do.

    Attributes:
        folder: Where the files go.
        mode: "mirror": each file holds the values as they are. "record": every change, in a new file now and then.
        master: Name of the master, for the files' identity.
        selection: Which datasets go where.
        rotate_size: Bytes of changes after which a recording goes on in another file, and a mirror's file is written
            anew.
        rotate_every: When a recording goes on in another file: "hour", "day" (local time) or "never".
        refresh: Seconds between two refreshes of a file.
        idle: Seconds without a change after which a file of one part (not the main one) is finished.

    """

    folder: Path
    mode: Literal["mirror", "record"]
    master: str
    selection: Selection = field(default_factory=Selection)
    rotate_size: int = 256 << 20
    rotate_every: Literal["hour", "day", "never"] = "day"
    refresh: float = 5.0
    idle: float = 600.0


def identity(plan: Plan, part: str) -> RunIdentity:
    """Return the identity of a file that is begun now: a bridge is no run, so its number is 0."""
    recording = {
        "mode": plan.mode,
        "master": plan.master,
        "part": part,
        "include": list(plan.selection.include),
        "exclude": list(plan.selection.exclude),
        "split": list(plan.selection.split),
    }
    return RunIdentity.model_validate(
        {
            "rid": 0,
            "class_name": "Recording" if plan.mode == "record" else "Mirror",
            "start_time": time.time(),
            "versions": {"artiq-rexec": __version__},
            "recording": recording,
        }
    )
