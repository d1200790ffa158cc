"""The texts of persistent datasets: PYON of (value, metadata), of ARTIQ of any release or of ours."""

from typing import Any

from rexec.datasets.types import Metadata
from rexec.wire import pyon, pyon_v1


def encoded(value: Any, metadata: Metadata) -> bytes:
    """Return the text of a dataset; TypeError or ValueError where there is none."""
    return pyon.encode((value, metadata)).encode("ascii")


def decoded(text: bytes) -> tuple[Any, Metadata]:
    """Return the value and metadata of a text.

    Raises:
        ValueError: It is no such text.

    """
    try:
        found = pyon.decode(text) if text[:1] == b"{" else pyon_v1.decode(text.decode("utf-8"))
        value, metadata = found
        return value, dict(metadata)
    except (TypeError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"it is not PYON of (value, metadata): {error}; it begins {text[:60]!r}") from error
