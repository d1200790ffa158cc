"""A master in a thread of its own, beside a run: what clients of an ARTIQ master expect, as long as the run lasts."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Final

from devicedb import DeviceDatabase, from_dict
from rexec.datasets import DatasetDB
from rexec.master.devices import Devices
from rexec.master.server import Master, Ports

CONTROL_ONLY: Final = Ports(notify=None, control=0, broadcast=None, logging=None)
"""Datasets for remote code, on a port that the system chooses, so that two runs never collide."""


class MasterThread:
    """Serves a dataset database of this process until `close`; what clients change, its listeners hear at once.

    A `rexec.datasets.DatasetManager` over the database takes a client's change over into the run's journal before the
    client has its answer.

    Args:
        datasets: The datasets.
        devices: The device database of the run; it cannot be scanned.
        bind: Addresses to listen on; None for all interfaces.
        ports: Which ports.

    Raises:
        MasterError: A port cannot be listened on.

    """

    def __init__(
        self,
        datasets: DatasetDB,
        devices: DeviceDatabase | None = None,
        bind: Sequence[str] | None = ("127.0.0.1",),
        ports: Ports = CONTROL_ONLY,
    ) -> None:
        self._loop: Final = asyncio.new_event_loop()
        started: Future[Master] = Future()
        database = from_dict({}, "no device database") if devices is None else devices
        self._thread: Final = threading.Thread(
            target=self._run,
            args=(started, datasets, database, bind, ports),
            name="rexec-master",
            daemon=True,
        )
        self._thread.start()
        try:
            self._master = started.result()
        except BaseException:
            self._thread.join()
            raise
        self.addresses: Final = dict(self._master.addresses)
        """Where is listened, by the names of `Ports`: [(address, port), ...]."""

    @property
    def port(self) -> int:
        """The control port."""
        return self.addresses["control"][0][1]

    def __enter__(self) -> "MasterThread":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections and stop serving. Twice is no error."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._master.terminate)
            self._thread.join()

    def _run(
        self,
        started: "Future[Master]",
        datasets: DatasetDB,
        devices: DeviceDatabase,
        bind: Sequence[str] | None,
        ports: Ports,
    ) -> None:
        try:
            self._loop.run_until_complete(_serve(started, datasets, devices, bind, ports))
        finally:
            self._loop.close()


async def _serve(
    started: "Future[Master]",
    datasets: DatasetDB,
    devices: DeviceDatabase,
    bind: Sequence[str] | None,
    ports: Ports,
) -> None:
    master = Master(datasets, Devices(devices), ports, is_lasting=False)
    try:
        await master.start(bind)
    except BaseException as error:
        await master.stop()
        started.set_exception(error)
        return
    started.set_result(master)
    try:
        await master.wait_terminate()
    finally:
        await master.stop()
