"""Names and texts of a dataset database: what a transaction finds and puts."""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from rexec.datasets.errors import DatasetError, DatasetTooLarge

MAX_KEY: Final = 511
"""Longest name in bytes that LMDB takes."""


@dataclass(frozen=True)
class Changes:
    """What other processes have changed, by name; None for what they have removed.

    Attributes:
        texts: The new texts.
        digests: Their digests.
        transaction: Number of the last transaction.

    """

    texts: dict[bytes, bytes | None]
    digests: dict[bytes, bytes | None]
    transaction: int


class Writing:
    """A transaction under way.

    Attributes:
        changes: What other processes have changed before it.
        digests: Of what is put, None of what is removed.

    """

    def __init__(self, transaction: Any) -> None:
        self.changes: Changes | None = None
        self.digests: dict[bytes, bytes | None] = {}
        self._transaction = transaction

    def put(self, name: bytes, text: bytes) -> None:
        """Store the text of a dataset."""
        self._transaction.put(name, text)
        self.digests[name] = digest_of(text)

    def remove(self, name: bytes) -> None:
        """Remove a dataset; one that is not there is no error."""
        if self._transaction.delete(name):
            self.digests[name] = None


def stored_name(key: str) -> bytes:
    """Return the name of a dataset as LMDB has it; DatasetTooLarge or DatasetError where it cannot have it."""
    try:
        name = key.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DatasetError(
            f"cannot persist dataset {key!r}: its name is no text of UTF-8 ({error.reason})"
        ) from None
    if not 0 < len(name) <= MAX_KEY:
        raise DatasetTooLarge(
            f"cannot persist dataset {key[:40]!r}…: its name has {len(name)} bytes, LMDB takes 1 to {MAX_KEY}"
        )
    return name


def digest_of(text: Any) -> bytes:
    """Return what tells a text from any other: 16 bytes of a hash, and its length."""
    return hashlib.blake2b(text, digest_size=16).digest() + len(text).to_bytes(8, "little")


def length_of(digest: bytes) -> int:
    """Return how many bytes the text of a digest has."""
    return int.from_bytes(digest[16:], "little")
