"""The facts of a snapshot, one class for each part. A fact never changes: a new value is a new fact."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, overload

from rexec.devices.uses import DeviceUser
from rexec.doctor.diagnosis import Diagnosis
from rexec.supervise.status import ControllerStatus

LONGEST_LINE: Final = 8192
"""Maximum characters of a line of the log; the rest is cut."""


@dataclass(frozen=True)
class EntryFact:
    """An entry of the device database."""

    name: str
    place: int
    """Its number in the order of the database."""
    kind: str
    """Its type: `controller`, `controller_aux_target`, `local`, `dummy`; `alias`; or `wrong`."""
    raw: Any
    """The entry as written, or the name that an alias stands for."""
    address: str = ""
    """HOST:PORT of a controller or target."""
    controller: str = ""
    """The controller of an endpoint: the entry itself, or that of an auxiliary target."""
    target: str | None = None
    error: str = ""
    """Why the entry cannot be used."""


@dataclass(frozen=True)
class ControllerFact:
    """A controller or one of its targets: what a supervisor and an examination know, and who uses it."""

    name: str
    place: int = 0
    """Its number in the order of the device database."""
    status: ControllerStatus | None = None
    """Its process, if this program keeps it running."""
    diagnosis: Diagnosis | None = None
    """Its last examination, if there was one."""
    examined: float | None = None
    """Time of that examination, in seconds since the epoch."""
    left_out: str = ""
    """Why this program does not keep it running; empty if it does."""
    users: tuple[DeviceUser, ...] = ()
    """Who uses it now, the longest user first."""
    clients: tuple[DeviceUser, ...] = ()
    """Who is connected to it without a lease, as far as a supervisor of this program has asked."""
    memory: int | None = None
    """Resident memory of its process and children, in bytes."""

    @property
    def state(self) -> str:
        """One word: a `supervise.status.State`; without a supervisor `up`, `busy` or `down`; else `unknown`."""
        if self.status is not None:
            return self.status.state
        if self.diagnosis is None:
            return "unknown"
        if self.diagnosis.cause == "busy":
            return "busy"
        return "down" if self.diagnosis.severity == "error" else "up"

    @property
    def address(self) -> str:
        """HOST:PORT, as far as it is known."""
        known = self.status or self.diagnosis
        return known.address if known is not None else ""

    @property
    def cause(self) -> str:
        """The cause of trouble as a word that stays the same between releases (`doctor.diagnosis.Cause`), or ""."""
        return self.diagnosis.cause if self.diagnosis is not None else ""

    @property
    def message(self) -> str:
        """The problem and the remedy in sentences; empty if all is well."""
        if self.status is not None and self.status.reason:
            return self.status.reason
        return self.diagnosis.message if self.diagnosis is not None else self.left_out

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        found = {key: value for key, value in asdict(self).items() if key not in ("status", "diagnosis")}
        for part in (self.diagnosis, self.status):
            found.update(asdict(part) if part is not None else {})
        found["state"], found["message"] = self.state, self.message
        return found


RunState = Literal["waiting", "running", "completed", "failed", "terminated", "lost"]
"""`lost`: its process ended without a result file."""


@dataclass(frozen=True)
class RunFact:
    """A run: one that goes on, or one with a result file."""

    rid: int
    class_name: str = ""
    file: str = ""
    status: str = "running"
    phase: str = ""
    person: str = ""
    """Who runs it, as in "alice@pc3"."""
    start_time: float | None = None
    """In seconds since the epoch."""
    end_time: float | None = None
    path: str = ""
    """Result file."""
    devices: tuple[str, ...] = ()
    """Controllers that it uses."""
    shared: Mapping[str, str] = field(default_factory=dict)
    """Controllers that others used at the same time, and who."""
    error: str = ""


@dataclass(frozen=True)
class ScheduleFact:
    """A run in a master's schedule, with ARTIQ's fields."""

    rid: int
    pipeline: str
    status: str
    priority: int
    due_date: float | None
    flush: bool
    expid: Mapping[str, Any]
    repo_msg: str = ""
    waits_for: str = ""
    """What it waits for, as in "41: camera"; empty if it does not."""


class Rows(Sequence[Any]):
    """The first rows of a list to which rows are only added: later ones share the list.

    Args:
        rows: The list. The gatherer appends to it, and changes it in no other way.
        count: How many rows this object has; None: those that are there.

    """

    __slots__ = ("_count", "_rows")

    def __init__(self, rows: list[Any], count: int | None = None) -> None:
        self._rows = rows
        self._count = len(rows) if count is None else count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> Any: ...
    @overload
    def __getitem__(self, at: slice) -> list[Any]: ...
    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            return [self._rows[each] for each in range(*at.indices(self._count))]
        return self._rows[range(self._count)[at]]

    def __iter__(self) -> Iterator[Any]:
        return (self._rows[at] for at in range(self._count))

    def is_of(self, rows: list[Any]) -> bool:
        """Return whether these are the first rows of a list."""
        return self._rows is rows

    def after(self, former: object) -> list[Any] | None:
        """Return the rows added since a former value; None if that was not the beginning of these rows."""
        if not isinstance(former, Rows) or not former.is_of(self._rows) or len(former) > self._count:
            return None
        return self._rows[len(former) : self._count]


@dataclass(frozen=True, eq=False)
class DatasetFact:
    """A dataset. Two facts are never equal, because comparing values would cost as much as sending them."""

    key: str
    value: Any
    """Its value: `Rows` for a list that grows (`after` gives what was added), else a value that nobody changes."""
    persist: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """`unit`, `scale`, `precision`."""
    rid: int | None = None
    """The run that it belongs to; None: the master's."""


@dataclass(frozen=True)
class LogFact:
    """A line of the log, or a change of a controller's state."""

    time: float
    """In seconds since the epoch."""
    level: int
    """As in `logging`."""
    source: str
    """Name of the controller, run or logger."""
    text: str
    number: int = 0
    """Its key; numbers that are missing were dropped before they were read."""
    status: ControllerStatus | None = None
    """The new status, if the line says that it changed."""
    is_repeated: bool = False
    """Whether the source said the same at its last trouble; `text` is then cut to one line."""

    def __post_init__(self) -> None:
        if len(self.text) > LONGEST_LINE:
            object.__setattr__(self, "text", f"{self.text[:LONGEST_LINE]}...")
