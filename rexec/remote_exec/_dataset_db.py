"""Where the dataset database of this process's experiment is, for code that it sends to controllers."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

DEFAULT_PORT: Final = 3251
"""TCP port on which an ARTIQ master serves its dataset database."""


@dataclass(frozen=True)
class DatasetDBOffer:
    """Where a dataset database is reached.

    Args:
        port: TCP port.
        host: Name or address; None: this end of whatever connection a controller is reached by.

    """

    port: int
    host: str | None = None


_offers: list[DatasetDBOffer] = []
_lock: Final = threading.Lock()


@contextlib.contextmanager
def offer_dataset_db(port: int, host: str | None = None) -> Iterator[DatasetDBOffer]:
    """Announce, while the context lasts, the dataset database that `connect_global_rpc` is to use.

    Args:
        port: Its TCP port.
        host: Where controllers reach it; None: the local end of each connection to a controller.

    """
    offer = DatasetDBOffer(port, host)
    with _lock:
        _offers.append(offer)
    try:
        yield offer
    finally:
        with _lock:
            _offers[:] = [each for each in _offers if each is not offer]


def offered_dataset_db() -> DatasetDBOffer | None:
    """Return the dataset database announced last in this process, None if there is none."""
    with _lock:
        return _offers[-1] if _offers else None
