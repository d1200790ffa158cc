"""What a dataset is, and what its neighbours (a database, a journal) are asked to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

Metadata: TypeAlias = dict[str, Any]
"""Those given of `unit` (str), `scale` (number), `precision` (int)."""

Entry: TypeAlias = tuple[bool, Any, Metadata]
"""A dataset as an ARTIQ master publishes it: (persist, value, metadata)."""

Mod: TypeAlias = Mapping[str, Any]
"""A modification as sync_struct writes it: `{"action": "append", "path": [key, 1], "x": value}` and so on."""

Origin: TypeAlias = Literal["run", "client"]
"""Who changed a database: the run that owns it, or a client (code on a controller, a dashboard)."""


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
        """Set a dataset."""

    def update(self, mod: Mod) -> None:
        """Apply a modification inside a dataset."""

    def delete(self, key: str) -> None:
        """Remove a dataset, or raise KeyError."""


class DatasetSink(Protocol):
    """Where the changes of a run are kept: `rexec.results.ResultsWriter` is one.

    Each method returns when the change is kept, and raises when it is not.
    """

    def set(
        self,
        key: str,
        value: Any,
        metadata: Metadata,
        *,
        broadcast: bool,
        persist: bool,
        archive: bool,
        origin: Origin,
    ) -> None:
        """Keep that a dataset was set; `archive` tells whether it belongs into the result file."""

    def append(self, key: str, value: Any, *, origin: Origin) -> None:
        """Keep that a value was appended to a list."""

    def mutate(self, key: str, index: Any, value: Any, *, origin: Origin) -> None:
        """Keep that `dataset[index] = value` was done; the index is an int, a slice or a tuple of slices."""

    def delete(self, key: str, *, origin: Origin) -> None:
        """Keep that a dataset was removed from the run."""

    def archive(self, key: str, value: Any, metadata: Metadata) -> None:
        """Keep a value that the run has read, and that belongs under `archive/` in the result file."""
