"""What the catalogue knows of one result file: plain facts, which an index keeps as text. No I/O, no arrays."""

import json
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

Scalar: TypeAlias = bool | int | float | str

FileKind: TypeAlias = Literal["run", "artiq", "artiq_run", "record", "mirror", "foreign", "unreadable"]
"""What a file is: of `rexec run`; of an ARTIQ master; of `artiq_run -o`; a bridge's; other HDF5; not to be read."""

KINDS: Final[tuple[FileKind, ...]] = get_args(FileKind)

STATUSES: Final = (
    "running",
    "killed",
    "completed",
    "failed",
    "interrupted",
    "recovered",
    "unfinished",
    "unknown",
)
"""Status of a run. "unfinished": a copy of the file of a run that went on; "unknown": ARTIQ's files do not say."""


class NamedValue(NamedTuple):
    """One argument or dataset of a run.

    Attributes:
        value: Its value, if it is one number, text or bool; None for anything else.
        text: Of anything else: what it is, in a few words.
        unit: The unit in which it is shown; "" without one.
        scale: What a stored number is divided by to be shown in that unit.

    """

    value: Scalar | None = None
    text: str = ""
    unit: str = ""
    scale: float = 1.0


@dataclass(frozen=True)
class RunFacts:
    """What is known of one result file.

    Attributes:
        kind: What the file is.
        time: When the run was built; of a file that does not say it, when it was written (seconds since the epoch).
        rid: Number of the run.
        class_name: Name of the experiment class.
        status: How the run ended, as the file says; the catalogue adds "running" and "killed" from the journal.
        file: File of the experiment.
        run_time: When run() began.
        last_change: When a dataset was changed last.
        person: Who ran it.
        person_known_by: How that is known.
        host: Machine on which it ran.
        program: Program that ran it.
        database: SHA-256 of the device database.
        commit: Git commit of the experiment's repository.
        branch: Git branch.
        dirty: Whether tracked files differed from the commit; None: not known.
        simulated: Whether its data come from a simulation.
        codes: SHA-256 of each source text.
        devices: Devices that the run used.
        arguments: Arguments by name.
        datasets: Datasets by name.
        problem: Why the file cannot be read, or what the run failed with: one line.

    """

    kind: FileKind
    time: float
    rid: int | None = None
    class_name: str = ""
    status: str = "unknown"
    file: str = ""
    run_time: float | None = None
    last_change: float | None = None
    person: str = ""
    person_known_by: str = ""
    host: str = ""
    program: str = ""
    database: str = ""
    commit: str = ""
    branch: str = ""
    dirty: bool | None = None
    simulated: bool = False
    codes: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    arguments: dict[str, NamedValue] = field(default_factory=dict)
    datasets: dict[str, NamedValue] = field(default_factory=dict)
    problem: str = ""

    def as_text(self) -> str:
        """Return the facts as JSON, without default values."""
        fields = {name: value for name, value in vars(self).items() if value not in _EMPTY}
        for name in ("arguments", "datasets"):
            if name in fields:
                fields[name] = {key: _short(each) for key, each in fields[name].items()}
        return json.dumps(fields, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> "RunFacts":
        """Return the facts that `as_text` wrote.

        Raises:
            ValueError: It is no such text.

        """
        try:
            fields: dict[str, Any] = json.loads(text)
            for name in ("arguments", "datasets"):
                if name in fields:
                    fields[name] = {key: NamedValue(*each) for key, each in fields[name].items()}
            for name in ("codes", "devices"):
                if name in fields:
                    fields[name] = tuple(fields[name])
            return cls(**fields)
        except (AttributeError, TypeError) as error:
            raise ValueError(f"these are no facts of a run: {error}") from error


_EMPTY: Final[tuple[Any, ...]] = (None, "", (), {})


def _short(value: NamedValue) -> list[Any]:
    """Return the fields of a value without trailing default values."""
    if value.unit or value.scale != 1.0:
        return list(value)
    return [value.value, value.text] if value.text else [value.value]


def storable(text: str) -> str:
    """Return text as an index can hold and compare it: surrogates and NUL are escaped."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
