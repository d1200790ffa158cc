"""A loaded device database, the object through which the project reads it."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from devicedb import resolve as _resolve
from devicedb.load import checked_dict, execute
from devicedb.resolve import Endpoint, Resolution

SIMULATED: Final = "simulated"
"""Key of an entry, True if its device is simulated."""


@dataclass(frozen=True)
class DeviceDatabase:
    """A device database and its origin. Entries are validated when a name is resolved."""

    raw: dict[str, Any]
    """The dict as written; read-only."""
    origin: str
    """A path, or "master HOST:PORT"."""

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)

    def __contains__(self, name: object) -> bool:
        return name in self.raw

    def simulated(self) -> list[str]:
        """Return the names of the simulated entries."""
        return [
            name
            for name, entry in self.raw.items()
            if isinstance(entry, dict) and entry.get(SIMULATED) is True
        ]

    def resolve(self, name: str) -> Resolution:
        """Return the entry that a name stands for, after following aliases.

        Raises:
            UnknownDeviceError: The name, or what an alias stands for, is not in the database.
            AliasLoopError: The aliases lead back to one of them.
            InvalidEntryError: The entry is invalid.

        """
        return _resolve.resolve(self.raw, name, self.origin)

    def endpoint(self, name: str, environ: Mapping[str, str] | None = None) -> Endpoint:
        """Return where and how to connect to a controller, or to a target of one.

        Args:
            name: Name of an entry, or an alias.
            environ: Environment for `{ARTIQ_SSL_DIR}`; default: this process's own.

        Raises:
            UnknownDeviceError: The name, or what an alias stands for, is not in the database.
            AliasLoopError: The aliases lead back to one of them.
            InvalidEntryError: The entry is invalid.
            NotAControllerError: It is not a controller: there is nothing to connect to.
            MissingVariableError: It names `{ARTIQ_SSL_DIR}`, which is not set.

        """
        return _resolve.endpoint(self.raw, name, self.origin, os.environ if environ is None else environ)


def load_file(path: str | os.PathLike[str]) -> DeviceDatabase:
    """Load a `device_db.py` as ARTIQ does: it is executed, its siblings can be imported.

    Raises:
        DatabaseLoadError: With file and line, and what to do.

    """
    return DeviceDatabase(raw=execute(Path(path)), origin=os.fspath(path))


def from_dict(raw: object, origin: str) -> DeviceDatabase:
    """Make a database of a dict, for example of a running master's.

    Args:
        raw: A dict of entries, not checked yet.
        origin: Where it comes from, for messages: "master HOST:PORT".

    Raises:
        DatabaseLoadError: It is not a dict, or a key is not a str.

    """
    return DeviceDatabase(raw=checked_dict(raw, origin), origin=origin)
