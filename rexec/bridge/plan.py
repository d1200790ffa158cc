"""The plan of a bridge, and the identity of its files."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rexec._version import __version__
from rexec.bridge.selection import DatasetSelection
from schemas import RunIdentity


@dataclass(frozen=True)
class BridgePlan:
    """Datasets to keep, and files to write.

    Attributes:
        folder: Folder of the files.
        mode: "mirror": each file holds the current values. "record": each file holds every change.
        master: Name of the master, for the identity of the files.
        selection: Assigns datasets to files.
        rotate_size: Bytes of changes after which a recording continues in a new file, and a mirror's file is rewritten.
        rotate_every: Period after which a recording continues in a new file: "hour", "day" (local time) or "never".
        refresh: Seconds between refreshes of a file.
        idle: Seconds without a change after which a file of a prefix is finished.

    """

    folder: Path
    mode: Literal["mirror", "record"]
    master: str
    selection: DatasetSelection = field(default_factory=DatasetSelection)
    rotate_size: int = 256 << 20
    rotate_every: Literal["hour", "day", "never"] = "day"
    refresh: float = 5.0
    idle: float = 600.0


def identity(plan: BridgePlan, part: str) -> RunIdentity:
    """Return the identity of a file that starts now; its run number is 0, because a bridge is not a run."""
    recording = {
        "mode": plan.mode,
        "master": plan.master,
        "part": part,
        "include": list(plan.selection.include),
        "exclude": list(plan.selection.exclude),
        "split": list(plan.selection.split),
    }
    return RunIdentity(
        rid=0,
        class_name="Recording" if plan.mode == "record" else "Mirror",
        start_time=time.time(),
        versions={"artiq-rexec": __version__},
        recording=recording,
    )
