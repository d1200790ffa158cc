"""How a device database file ran, and the picture of what it defines."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from devicedb.model.located import NOWHERE, outline
from devicedb.place import Place


@dataclass(frozen=True)
class FileFacts:
    """How a file ran, or what reading it without running it gave."""

    path: str
    ended: str = "finished"
    """`finished`, `hung`, `exited` (with `status`), `killed` (by a signal), `bomb` (too many processes), or `static`:
    not run."""
    status: int = 0
    seconds: float = 0.0
    """The time limit."""
    output: str = ""
    """The beginning of what the file printed."""
    is_traced: bool = True
    """False: the file runs only without instruments; places are approximate."""
    picture: dict[str, Any] = field(default_factory=dict)
    """What the child process wrote: `files`, `sites`, `duplicates`, and one of `root`, `error`, `missing`."""
    unknown: tuple[tuple[str, Place], ...] = ()
    """What is not known without running the file, and where."""

    @property
    def error(self) -> dict[str, Any] | None:
        """`kind`, `text`, `file`, `line`, `column` of the exception that ended the file."""
        return self.picture.get("error")

    @property
    def missing(self) -> list[str] | None:
        """The global names of a file that defines no `device_db`."""
        return self.picture.get("missing")

    @property
    def duplicates(self) -> list[dict[str, Any]]:
        """Keys that the source writes twice; see `devicedb.trace.duplicates`."""
        found: list[dict[str, Any]] = self.picture.get("duplicates", [])
        return found

    @property
    def prints(self) -> list[dict[str, Any]]:
        """`stream`, `text`, `file` and `line` of what the file prints, the first ones."""
        found: list[dict[str, Any]] = self.picture.get("prints", [])
        return found

    @cached_property
    def root_kind(self) -> str | None:
        """Type of `device_db`; None: there is none."""
        return outline(self.picture["root"])[0] if "root" in self.picture else None

    @cached_property
    def root_place(self) -> Place | None:
        """Where `device_db` is made, if known."""
        return self.place(outline(self.picture["root"])[1]) if "root" in self.picture else None

    @property
    def start(self) -> Place:
        """The first line of the file, where nothing better is known."""
        return Place(self.path, 1, 0, 1, 0)

    def place(self, site: int) -> Place | None:
        """Return the place of a site, None where it is not known."""
        sites = self.picture.get("sites", ())
        if site == NOWHERE or site >= len(sites):
            return None
        file, *where = sites[site]
        return Place(self.picture["files"][file], *where)
