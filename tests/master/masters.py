"""A master in a thread of the test, on ports of the system's choice, and followers that collect what comes."""

import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devicedb import from_dict
from rexec.datasets import DatasetDB
from rexec.ground.loop_thread import LoopThread
from rexec.master import DeviceFile, Devices, Master, Ports
from rexec.wire.pc_rpc import Client
from rexec.wire.sync_struct import Subscriber
from rexec.wire.tls import SimpleSSLConfig
from tests.serving import ending
from tests.waiting import within

LOCAL = "127.0.0.1"
DEVICES = 'device_db = {"core": {"type": "dummy"}, "alias": "core"}\n'


@dataclass
class Served:
    """A master that serves, and the thread in which it does."""

    master: Master
    thread: LoopThread[Master]

    def port(self, part: str) -> int:
        """Return one of its ports."""
        return self.master.addresses[part][0][1]

    def client(self, target: str) -> Client:
        """Return a client of one of its targets."""
        return Client(LOCAL, self.port("control"), target)

    def end(self) -> None:
        """End the master before the context ends."""
        self.thread.end()

    @contextlib.contextmanager
    def following(self, name: str) -> Iterator[dict[Any, Any]]:
        """Yield a structure that follows one of its notifiers."""
        struct: dict[Any, Any] = {}
        arrived = threading.Event()

        def build(init: dict[Any, Any]) -> dict[Any, Any]:
            struct.clear()
            struct.update(init)
            return struct

        subscriber = Subscriber(name, build, lambda mod: arrived.set())

        self.thread.call(subscriber.connect, LOCAL, self.port("notify"))
        try:
            assert arrived.wait(150.0)
            yield struct
        finally:
            self.thread.call(subscriber.close)

    @contextlib.contextmanager
    def deaf(self, name: str) -> Iterator[socket.socket]:
        """Subscribe and read nothing."""
        with socket.create_connection((LOCAL, self.port("notify")), 150.0) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.sendall(b"ARTIQ sync_struct\n" + name.encode() + b"\n")
            assert within(
                150.0, lambda: any(each["name"] == name for each in self.master.status()["followers"])
            )
            yield sock


@contextlib.contextmanager
def serving(
    folder: Path,
    devices: str | None = DEVICES,
    *,
    notify: int = 0,
    ssl_config: SimpleSSLConfig | None = None,
    **options: Any,
) -> Iterator[Served]:
    """Serve `dataset_db.mdb` and `device_db.py` of a folder while the context lasts, or until it is ended.

    Without a text for the latter, nothing is loaded, and no device served.
    """
    file = folder / "device_db.py"
    if devices is not None:
        file.write_text(devices)

    @contextlib.asynccontextmanager
    async def listening() -> AsyncIterator[Master]:
        with DatasetDB(folder / "dataset_db.mdb") as datasets:
            known = Devices(from_dict({}, "none")) if devices is None else await DeviceFile.open(file)
            master = Master(datasets, known, Ports(notify, 0, 0, 0), **options)
            async with ending(thread, master.wait_terminate()):
                try:
                    await master.start([LOCAL], ssl_config)
                    yield master
                finally:
                    await master.stop()

    thread = LoopThread(listening, name="master under test", timeout=150.0)
    with thread as master:
        yield Served(master, thread)
    assert thread.wait(0.0), "the master has not ended"
