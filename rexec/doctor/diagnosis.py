"""The result of the audit of one device."""

from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from rexec.devices.uses import DeviceUser

Cause = Literal[
    "ok", "entry", "unresolved", "refused", "unroutable", "no-accept", "wrong-machine", "silent", "closed", "protocol",
    "old", "target", "tls", "ping-missing", "ping-failed", "busy", "rexec-failed", "clock", "check",
    "not-allowed", "not-enforced",
]  # fmt: skip
"""The cause as a word that stays the same between releases."""

WARNINGS: Final = frozenset({"old", "ping-missing", "busy", "clock", "not-allowed", "not-enforced"})
"""Causes with which the device is usable, now or soon."""


@dataclass(frozen=True)
class Diagnosis:
    """The result of the audit of one device."""

    name: str
    cause: Cause
    message: str
    """The problem and the remedy."""
    address: str = ""
    target: str | None = None
    milliseconds: float | None = None
    """Round trip of a call."""
    details: dict[str, Any] = field(default_factory=dict)
    """Facts from the device: `description`; with remote execution also `clock_offset` in seconds, `python`, `host`, and
    `versions` by package."""
    users: tuple[DeviceUser, ...] = ()
    """Who has a lease of its controller, the longest user first, and then who waits."""

    @property
    def severity(self) -> Literal["ok", "warning", "error"]:
        """The severity of the cause."""
        if self.cause == "ok":
            return "ok"
        return "warning" if self.cause in WARNINGS else "error"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields and the severity."""
        return {**asdict(self), "severity": self.severity}
