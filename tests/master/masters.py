"""A master in a thread of the test, on ports of the system's choice, and followers that collect what comes."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rexec.datasets import DatasetDB
from rexec.master import DeviceFile, Master, Ports
from rexec.wire.pc_rpc import Client
from rexec.wire.sync_struct import Subscriber
from rexec.wire.tls import SimpleSSLConfig
from tests.supervise.controllers import within

LOCAL = "127.0.0.1"
DEVICES = 'device_db = {"core": {"type": "dummy"}, "alias": "core"}\n'
T = TypeVar("T")


@dataclass
class Served:
    """A master that serves, and the loop on which it does."""

    master: Master
    loop: asyncio.AbstractEventLoop

    def port(self, part: str) -> int:
        """Return one of its ports."""
        return self.master.addresses[part][0][1]

    def client(self, target: str) -> Client:
        """Return a client of one of its targets."""
        return Client(LOCAL, self.port("control"), target)

    def end(self) -> None:
        """End the master before the context ends."""
        self.loop.call_soon_threadsafe(self.master.terminate)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on its loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30.0)

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

        async def close() -> None:
            await subscriber.close()

        self.do(subscriber.connect(LOCAL, self.port("notify")))
        try:
            assert arrived.wait(10.0)
            yield struct
        finally:
            self.do(close())

    @contextlib.contextmanager
    def deaf(self, name: str) -> Iterator[socket.socket]:
        """Subscribe and read nothing."""
        with socket.create_connection((LOCAL, self.port("notify")), 10.0) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.sendall(b"ARTIQ sync_struct\n" + name.encode() + b"\n")
            assert within(
                10.0, lambda: any(each["name"] == name for each in self.master.status()["followers"])
            )
            yield sock


@contextlib.contextmanager
def serving(
    folder: Path,
    devices: str = DEVICES,
    *,
    notify: int = 0,
    ssl_config: SimpleSSLConfig | None = None,
    **options: Any,
) -> Iterator[Served]:
    """Serve `dataset_db.mdb` and `device_db.py` of a folder while the context lasts, or until it is ended."""
    file = folder / "device_db.py"
    file.write_text(devices)
    started: Future[Served] = Future()
    loop = asyncio.new_event_loop()

    async def main() -> None:
        with DatasetDB(folder / "dataset_db.mdb") as datasets:
            try:
                master = Master(datasets, await DeviceFile.open(file), Ports(notify, 0, 0, 0), **options)
                await master.start([LOCAL], ssl_config)
            except BaseException as error:
                started.set_exception(error)
                raise
            started.set_result(Served(master, loop))
            await master.wait_terminate()
            await master.stop()

    def run() -> None:
        with contextlib.suppress(Exception):
            loop.run_until_complete(main())
        loop.close()

    thread = threading.Thread(target=run, name="master under test", daemon=True)
    thread.start()
    try:
        served = started.result(30.0)
        yield served
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(served.master.terminate)
        thread.join(30.0)
        assert not thread.is_alive()
