"""A master in a thread beside a run: serves what clients of an ARTIQ master expect while the run lasts."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from devicedb import DeviceDatabase, from_dict
from rexec.datasets import DatasetDB
from rexec.ground.loop_thread import LoopThread
from rexec.master.devices import Devices
from rexec.master.server import Master, Ports

CONTROL_ONLY: Final = Ports(notify=None, control=0, broadcast=None, logging=None)
"""Datasets for remote code, on a port chosen by the system, so that two runs never collide."""


class MasterThread:
    """Serves a dataset database of this process until `close`. Listeners of the database hear clients' changes at once.

    A `rexec.datasets.DatasetManager` over the database writes a client's change to the run's journal before the client
    gets its answer.

    Args:
        datasets: The datasets.
        devices: The device database of the run; it cannot be scanned.
        bind: Addresses to listen on; None for all interfaces.
        ports: TCP ports.

    Raises:
        MasterError: A port cannot be opened.

    """

    def __init__(
        self,
        datasets: DatasetDB,
        devices: DeviceDatabase | None = None,
        bind: Sequence[str] | None = ("127.0.0.1",),
        ports: Ports = CONTROL_ONLY,
    ) -> None:
        database = from_dict({}, "no device database") if devices is None else devices
        self._thread: Final = LoopThread(
            lambda: _serving(Master(datasets, Devices(database), ports, is_lasting=False), bind),
            name="rexec-master",
        )
        self._master: Final = self._thread.start()
        self.addresses: Final = dict(self._master.addresses)
        """Addresses by the names of `Ports`: [(address, port), ...]."""

    @property
    def port(self) -> int:
        """The control port."""
        return self.addresses["control"][0][1]

    def __enter__(self) -> "MasterThread":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections and stop serving. Idempotent."""
        self._thread.close()


@asynccontextmanager
async def _serving(master: Master, bind: Sequence[str] | None) -> AsyncIterator[Master]:
    try:
        await master.start(bind)
        yield master
    finally:
        await master.stop()
