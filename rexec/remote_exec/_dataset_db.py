"""The address of the running experiment's dataset database, for the code that it sends to controllers."""

import contextlib
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


_offers: Final[dict[object, DatasetDBOffer]] = {}
"""The last one counts. Every operation on it is atomic: neither another thread nor Ctrl-C sees half of one."""


@contextlib.contextmanager
def offer_dataset_db(port: int, host: str | None = None) -> Iterator[DatasetDBOffer]:
    """Set the dataset database that `connect_global_rpc` uses while the context lasts.

    Args:
        port: TCP port.
        host: Host for controllers; None: the local address of each connection to a controller.

    """
    key, offer = object(), DatasetDBOffer(port, host)
    try:
        _offers[key] = offer
        yield offer
    finally:
        _offers.pop(key, None)


def offered_dataset_db() -> DatasetDBOffer | None:
    """Return the dataset database that was set last in this process, or None."""
    offers = list(_offers.values())
    return offers[-1] if offers else None
