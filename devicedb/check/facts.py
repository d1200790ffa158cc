"""What running a device database told, before any entry is looked at."""

from dataclasses import dataclass, field
from typing import Any

from devicedb.check.located import Place


@dataclass(frozen=True)
class FileFacts:
    """How a file ran."""

    path: str
    ended: str = "finished"
    """"finished", "hung", "exited", "killed", "bomb", or "static" where it was not run."""
    status: int = 0
    seconds: float = 0.0
    """The time limit."""
    output: str = ""
    error: dict[str, Any] | None = None
    """`kind`, `text`, `file`, `line`, `column` of the exception that ended it."""
    missing: tuple[str, ...] | None = None
    """The global names of a file that defines no `device_db`."""
    root_kind: str = "dict"
    """Type of `device_db`."""
    root_place: Place | None = None
    duplicates: tuple[dict[str, Any], ...] = ()
    unknown: tuple[tuple[str, Place], ...] = field(default=())
    """Without running the file: what could not be told, and where."""

    @property
    def start(self) -> Place:
        """The first line of the file, where nothing better is known."""
        return Place(self.path, 1, 0, 1, 0)
