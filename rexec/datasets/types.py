"""What a dataset is, and what its neighbours (a database, a journal) are asked to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

Metadata: TypeAlias = dict[str, Any]
"""Those given of `unit` (str), `scale` (number), `precision` (int)."""

Entry: TypeAlias = tuple[bool, Any, Metadata]
"""A dataset as an ARTIQ master publishes it: (persist, value, metadata)."""

Mod: TypeAlias = Mapping[str, Any]
"""A modification as sync_struct writes it: `{"action": "append", "path": [key, 1], "x": value}` and so on."""

Origin: TypeAlias = Literal["run", "client", "neighbour"]
"""Who changed a database: the run that owns it, a client (code on a controller, a dashboard), or another process that
shares its file."""

Recorded: TypeAlias = Literal["run", "client"]
"""Whose changes are kept in a run's file."""


@dataclass(frozen=True)
class Dataset:
    """One dataset of a run. The value is the manager's own copy: read it, do not change it."""

    value: Any
    metadata: Metadata = field(default_factory=dict)
    broadcast: bool = False
    persist: bool = False


class DatasetStore(Protocol):
    """A dataset database: ours in this process, or a client of a master's."""

    def get(self, key: str) -> Any:
        """Return the value of a dataset, or raise KeyError."""

    def get_metadata(self, key: str) -> Metadata:
        """Return the metadata of a dataset, or raise KeyError."""

    def set(
        self, key: str, value: Any, persist: bool | None = None, metadata: Metadata | None = None
    ) -> None:
        """Set a dataset, or raise and change nothing."""

    def update(self, mod: Mod) -> object:
        """Apply a modification, `mod`, inside a dataset, or raise and change nothing."""

    def delete(self, key: str) -> None:
        """Remove a dataset, or raise KeyError."""


class ListAppender(Protocol):
    """Appends numbers to one list of a run. Its methods may be called from any thread."""

    def append(self, value: Any) -> bool:
        """Append a value everywhere, or raise and do it nowhere.

        Returns:
            Whether it was appended. Where it was not, nothing was done: `DatasetSink.append` takes the value.

        """

    def stop(self) -> None:
        """Take nothing from now on."""


class DatasetSink(Protocol):
    """Where the changes of a run are kept: `rexec.results.ResultsWriter` is one.

    Each method returns when the change is kept, and raises when it is not.
    """

    @property
    def position(self) -> int:
        """A number that grows with each change that is kept, and only then."""

    def set(
        self,
        key: str,
        value: Any,
        metadata: Metadata,
        *,
        broadcast: bool,
        persist: bool,
        archive: bool,
        origin: Recorded,
    ) -> None:
        """Keep that a dataset was set; `archive` tells whether it belongs into the result file."""

    def append(self, key: str, value: Any, *, origin: Recorded) -> Any:
        """Keep that a value was appended to a list.

        Returns:
            What may stand for the value in memory: itself, or a `rexec.ground.kept.KeptArray`.

        """

    def appender(self, key: str, items: list[Any]) -> ListAppender | None:
        """Return what keeps that a number was appended to a list, and appends it to `items`; None: there is none."""

    def mutate(self, key: str, index: Any, value: Any, *, origin: Recorded) -> None:
        """Keep that `dataset[index] = value` was done; the index is as `rexec.datasets.indexing` makes it."""

    def delete(self, key: str, *, origin: Recorded) -> None:
        """Keep that a dataset was removed from the run."""

    def archive(self, key: str, value: Any, metadata: Metadata) -> None:
        """Keep a value that the run has read, and that belongs under `archive/` in the result file."""

    def set_storage(self, key: str, **settings: Any) -> None:
        """Keep how a dataset is stored in the result file."""

    def declare_plot(self, signal: str, axes: Sequence[str] = ()) -> None:
        """Keep which dataset viewers of the result file show first, against which others."""

    def add_degraded(self, text: str, *, unkept: bool = False) -> None:
        """Keep that something is not as it was asked for; `unkept`: something that was to be kept was not."""

    def remove_degraded(self, text: str) -> None:
        """Keep that it is as it was asked for again."""

    def write_hdf5(self, file: Any) -> None:
        """Write the groups `datasets` and `archive` into an open HDF5 file."""


class NoSink:
    """Keeps nothing, and counts the changes: for datasets that are in memory only."""

    def __init__(self) -> None:
        self.position = 0

    def _count(self, *_: Any, **__: Any) -> None:
        self.position += 1

    def append(self, _key: str, value: Any, *, origin: Recorded) -> Any:
        """Count, and return the value."""
        self.position += 1
        return value

    def _ignore(self, *_: Any, **__: Any) -> None:
        pass

    def appender(self, _key: str, _items: list[Any]) -> None:
        """Have none."""

    set = mutate = delete = archive = _count
    set_storage = declare_plot = add_degraded = remove_degraded = _ignore

    def write_hdf5(self, _: Any) -> None:
        """Refuse: nothing was kept."""
        raise TypeError("this dataset manager keeps values in memory only: give it a ResultsWriter as sink")
