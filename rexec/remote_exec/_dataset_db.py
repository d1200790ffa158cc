"""The address of the running experiment's dataset database, for the code that it sends to controllers."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

DEFAULT_PORT: Final = 3251
"""TCP port on which an ARTIQ master serves its dataset database."""


@dataclass(frozen=True)
class DatasetDBOffer:
    """The address of a dataset database.

    Args:
        port: TCP port.
        host: Name or address; None: the local address of the connection to a controller.

    """

    port: int
    host: str | None = None


_offers: list[DatasetDBOffer] = []
_lock: Final = threading.Lock()


@contextlib.contextmanager
def offer_dataset_db(port: int, host: str | None = None) -> Iterator[DatasetDBOffer]:
    """Set the dataset database that `connect_global_rpc` uses while the context lasts.

    Args:
        port: TCP port.
        host: Host for controllers; None: the local address of each connection to a controller.

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
    """Return the dataset database that was set last in this process, or None."""
    with _lock:
        return _offers[-1] if _offers else None
