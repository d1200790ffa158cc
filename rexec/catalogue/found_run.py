"""A run that was found: facts at once, data when they are asked for."""

from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rexec.catalogue.facts import NamedValue, RunFacts
from rexec.catalogue.notes import RunNotes
from rexec.ground.clock import local_time

if TYPE_CHECKING:
    from rexec.results.reading.runs import Run


class FoundRun:
    """One run that was found; nothing of its file is read, except by `open` and `read`.

    Args:
        path: The result file.
        facts: What the catalogue knows of it, or the text of that.
        notes: What people have noted of it.
        live: "running" or "killed" where its journal says so, else "".

    Attributes:
        path: The result file.
        comment: The comment on it; "" without one.
        tags: Its tags.

    """

    def __init__(self, path: Path, facts: RunFacts | str, notes: RunNotes, live: str) -> None:
        self.path: Final = path
        self._facts: Final = facts
        self.comment: Final = notes.comment
        self.tags: Final = notes.tags
        self._live: Final = live

    @cached_property
    def facts(self) -> RunFacts:
        """What the catalogue knows of it."""
        return self._facts if isinstance(self._facts, RunFacts) else RunFacts.from_text(self._facts)

    @property
    def rid(self) -> int | None:
        """Number of the run; None in files that have none."""
        return self.facts.rid

    @property
    def class_name(self) -> str:
        """Name of the experiment class; "" where the file does not say it."""
        return self.facts.class_name

    @property
    def status(self) -> str:
        """How the run stands: one of `rexec.catalogue.facts.STATUSES`."""
        return self._live or self.facts.status

    @property
    def time(self) -> datetime:
        """Local time at which the run was built; of a file that does not say it, at which it was written."""
        return local_time(self.facts.time)

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments by name: numbers, texts and bools as they are, anything else as text."""
        return {name: plain(value) for name, value in self.facts.arguments.items()}

    @property
    def name(self) -> str:
        """The run in a few characters: its number, or the name of its file."""
        return str(self.rid) if self.rid is not None else self.path.name

    def open(self) -> "Run":
        """Open the result file.

        Raises:
            ResultsError: It cannot be opened.

        """
        from rexec.results.reading.runs import Run

        return Run(self.path)

    def as_dict(self) -> dict[str, Any]:
        """Return what is known, as JSON has it."""
        facts = vars(self.facts)
        left_out = ("kind", "arguments", "datasets", "problem", "status")
        found: dict[str, Any] = {"path": str(self.path), "kind": self.facts.kind, "status": self.status}
        found |= {name: value for name, value in facts.items() if name not in left_out}
        found |= {"arguments": self.arguments, "datasets": list(self.facts.datasets)}
        return found | {"comment": self.comment, "tags": list(self.tags), "problem": self.facts.problem}

    def __repr__(self) -> str:
        return f"<FoundRun {self.name} of {self.class_name or self.facts.kind}: {self.status}, {self.path}>"


def plain(value: NamedValue) -> Any:
    """Return a value of one number, text or bool as it is, anything else as text."""
    return value.text if value.value is None else value.value
