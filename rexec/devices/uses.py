"""Who uses a device."""

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

_LONGEST: Final = 120
"""Characters of a text."""


@dataclass(frozen=True)
class DeviceUser:
    """A use of a device by one client, as far as it is known."""

    what: str
    """The run or program, as in "run 41" or "pid 812 (python)"."""
    person: str = ""
    machine: str = ""
    known: str = ""
    """How the person is known: `certificate`, `kernel`, `claimed`; empty: not told."""
    since: float | None = None
    """Start of the use, in seconds since the epoch."""
    is_exclusive: bool = False
    pid: int | None = None
    """Process on the client's machine."""
    is_stopped: bool = False
    """Whether that process is stopped (SIGSTOP, debugger)."""
    is_waiting: bool = False
    """Whether it does not use the device yet, but waits for it; `since` is then the start of the wait."""

    def __str__(self) -> str:
        who = f"{self.person}@{self.machine}" if self.machine else self.person
        stopped = f", whose process {self.pid} is stopped" if self.is_stopped else ""
        return f"{self.what}{f' of {who}' if who else ''}{stopped}"

    @classmethod
    def of_lease(cls, said: Mapping[str, Any]) -> "DeviceUser":
        """Return the holder of a lease from what a `LeaseTable` has `said`; invalid values are left out."""
        what, person, machine, known = (
            text[:_LONGEST].encode("utf-8", "replace").decode()
            if isinstance(text := said.get(name), str)
            else ""
            for name in ("what", "person", "machine", "known")
        )
        seconds, pid = said.get("seconds"), said.get("pid")
        return cls(
            what or "a process",
            person,
            machine,
            known,
            time.time() - seconds if isinstance(seconds, float) and math.isfinite(seconds) else None,
            bool(said.get("exclusive")),
            pid if type(pid) is int and pid > 0 else None,
            bool(said.get("stopped")),
            bool(said.get("waiting")),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)
