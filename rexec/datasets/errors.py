"""What can go wrong with datasets in a way that a user can act on."""

from collections.abc import Sequence
from typing import Any

from devicedb.errors import ExpectedError
from devicedb.suggest import did_you_mean
from rexec.ground import forks


class DatasetError(ExpectedError):
    """Raised when a dataset or its database cannot be used; its text is the whole message."""


class DatabaseInUse(DatasetError):
    """Raised when the dataset database belongs to a program that does not share it."""


class DatabaseUnreadable(DatasetError):
    """Raised when a dataset database, or a dataset in it, is not what ARTIQ writes."""


class DatabaseLost(DatasetError):
    """Raised when the file of a dataset database was removed, replaced or cut while it was open."""


class MissingDataset(KeyError):
    """Raised when there is no dataset of a name; its text has the nearest name that there is.

    Args:
        key: The name.
        names: The names of the datasets that there are.
        what: Beginning of the text.

    """

    def __init__(self, key: str, names: Sequence[str], what: str = "there is no dataset") -> None:
        super().__init__(key)
        self._what = what
        self._names = names

    def __str__(self) -> str:
        return f"{self._what} {self.args[0]!r}.{did_you_mean(str(self.args[0]), self._names)}"

    def __reduce__(self) -> tuple[Any, ...]:
        return KeyError, self.args


class DatasetTooLarge(DatasetError):
    """Raised when a value does not fit where it should go; names the dataset, its size and the limit."""


class ForkedRun(DatasetError):
    """Raised in a forked child that uses the datasets, the journal or the connections of its parent."""


def check_process(generation: int) -> None:
    """Raise ForkedRun in a process that was forked since `forks.generation` was this number."""
    if forks.generation != generation:
        raise ForkedRun(
            "a forked child cannot use the datasets of its parent's run: return the values to it (by a pool, a "
            "queue, a pipe), and set them there"
        )
