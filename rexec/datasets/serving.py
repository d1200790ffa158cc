"""Serves a dataset database from a thread of its own while a run goes on."""

import asyncio
import threading
from concurrent.futures import Future
from typing import Final

from rexec.datasets.database import DatasetDB
from rexec.datasets.errors import DatasetError
from rexec.datasets.targets import NAMES, DatasetTarget
from rexec.wire.pc_rpc import Server


class ServedDatabase:
    """A dataset database that clients reach by RPC until `close`. Made by `serve`.

    Attributes:
        port: TCP port on which it is served.
        addresses: Every (address, port) on which it is served.

    """

    def __init__(self, db: DatasetDB, bind: str | list[str], port: int) -> None:
        self._started: Future[Server] = Future()
        self._loop: Final = asyncio.new_event_loop()
        self._thread: Final = threading.Thread(
            target=self._run, args=(db, bind, port), name="rexec-datasets", daemon=True
        )
        self._thread.start()
        try:
            server = self._started.result()
        except OSError as error:
            self._thread.join()
            raise DatasetError(
                f"cannot serve datasets on {bind} port {port}: {error.strerror or error}"
            ) from error
        self._server: Final = server
        self.addresses: Final = list(server.addresses)
        self.port: Final = server.port

    def __enter__(self) -> "ServedDatabase":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections and stop serving. Twice is no error."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._server.terminate)
            self._thread.join()

    def _run(self, db: DatasetDB, bind: str | list[str], port: int) -> None:
        try:
            self._loop.run_until_complete(self._serve(db, bind, port))
        finally:
            self._loop.close()

    async def _serve(self, db: DatasetDB, bind: str | list[str], port: int) -> None:
        target = DatasetTarget(db)
        server = Server(dict.fromkeys(NAMES, target), "datasets of a run")
        try:
            await server.start(bind, port)
        except BaseException as error:
            self._started.set_exception(error)
            return
        self._started.set_result(server)
        try:
            await server.wait_terminate()
        finally:
            await server.stop()


def serve(db: DatasetDB, bind: str | list[str] = "127.0.0.1", port: int = 0) -> ServedDatabase:
    """Serve a database to RPC clients, under the targets `dataset_db` and `master_dataset_db`.

    What a client changes goes to the listeners of the database with origin "client": a `DatasetManager` over it
    takes it over into the run's journal before the client has its answer.

    Args:
        db: The database.
        bind: Address or addresses to listen on.
        port: TCP port; 0 lets the system choose one, so that two runs never collide.

    Raises:
        DatasetError: The address cannot be listened on.

    """
    return ServedDatabase(db, bind, port)
