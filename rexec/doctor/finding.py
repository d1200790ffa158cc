"""What was found about one device."""

from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, get_args

Cause = Literal[
    "ok", "entry", "unresolved", "refused", "unroutable", "no-accept", "wrong-machine", "silent", "closed", "protocol",
    "old", "target", "tls", "ping-missing", "ping-failed", "busy", "rexec-failed", "clock", "check",
]  # fmt: skip
"""What is the matter, as a word that does not change between releases."""

CAUSES: Final[tuple[Cause, ...]] = get_args(Cause)
WARNINGS: Final = frozenset({"old", "ping-missing", "busy", "clock"})
"""Causes with which the device can be used, or soon again."""


@dataclass(frozen=True)
class Finding:
    """The result of the audit of one device."""

    name: str
    cause: Cause
    message: str
    """What was found, and what to do about it."""
    address: str = ""
    target: str | None = None
    milliseconds: float | None = None
    """Round trip of a call."""
    details: dict[str, Any] = field(default_factory=dict)
    """What the device tells of itself: `description`; with remote execution `clock_offset` in seconds, `python`,
    `host`, and `versions` by package."""

    @property
    def severity(self) -> Literal["ok", "warning", "error"]:
        """How bad it is."""
        if self.cause == "ok":
            return "ok"
        return "warning" if self.cause in WARNINGS else "error"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields and the severity."""
        return {**asdict(self), "severity": self.severity}
