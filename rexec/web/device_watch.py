"""Follows the devices of a laboratory: reads the device database, examines the controllers, asks their supervisor.

Controllers are examined while somebody looks, and not more often than every `EVERY` seconds: an examination makes a
connection and a call to each.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from devicedb import DeviceDatabase
from devicedb.errors import ExpectedError
from rexec.doctor import Audit
from rexec.doctor import run as run_audit
from rexec.ground.left_behind import left_behind
from rexec.laboratory import LiveSnapshot
from rexec.laboratory.entries import entry_facts
from rexec.laboratory.examined import put_diagnoses, put_statuses
from rexec.supervise.sources import FileSource, MasterSource
from rexec.web.device_rows import DeviceRows
from rexec.web.labels import LONG, bounded, label
from rexec.wire.errors import WireError
from rexec.wire.pc_rpc import Client
from rexec.wire.tls import SimpleSSLConfig

_log = logging.getLogger(__name__)

EVERY: Final = 30.0
"""Seconds between two examinations."""

_LOOK: Final = 1.0
_TIMEOUT: Final = 5.0


class DeviceSource(Protocol):
    """Where the device database is from: a file, or a master."""

    database: DeviceDatabase

    def poll(self) -> bool:
        """Return whether `database` is new."""

    def close(self) -> None:
        """Let go of it."""


class DeviceWatch:
    """Keeps the entries and controllers of a snapshot true.

    Args:
        laboratory: The snapshot; this is its writer.
        rows: Told after each change.
        open_source: Opens the device database; may fail, and is then tried again.
        supervisor: Host and control port of `rexec up`, or None.
        is_looked_at: Whether somebody looks at the devices now.

    """

    def __init__(
        self,
        laboratory: LiveSnapshot,
        rows: DeviceRows,
        open_source: Callable[[], DeviceSource],
        supervisor: tuple[str, int] | None,
        is_looked_at: Callable[[], bool],
    ) -> None:
        self._laboratory: Final = laboratory
        self._writer: Final = laboratory.writer()
        self._rows: Final = rows
        self._open: Final = open_source
        self._supervisor: Final = supervisor
        self._is_looked_at: Final = is_looked_at
        self._source: DeviceSource | None = None
        self._examined = 0.0
        self._failure = ""

    @property
    def database(self) -> DeviceDatabase | None:
        """The device database; None: it could not be read yet."""
        return None if self._source is None else self._source.database

    def device(self, shown: str) -> str | None:
        """Return the name of the device that a page shows under a label; None: there is none."""
        names = () if self.database is None else self.database.raw
        return next((each for each in names if label(each) == shown), None)

    async def run(self) -> None:
        """Follow until cancelled."""
        try:
            while True:
                await self._look_and_say()
                await asyncio.sleep(_LOOK)
        finally:
            if self._source is not None:
                self._source.close()

    async def _look_and_say(self) -> None:
        try:
            await self._look()
        except Exception as error:
            # A master may send anything, and the page shows the rest of the laboratory.
            failure = bounded(f"the devices cannot be followed: {type(error).__name__}: {error}")
            if failure != self._failure:
                _log.exception("the devices cannot be followed")
            self._failure = failure
            self._rows.tell(problem=failure)
        else:
            if self._failure:
                self._failure = ""
                self._rows.tell(problem="")

    async def _look(self) -> None:
        if self._source is None:
            await self._read_first()
        elif await asyncio.to_thread(self._source.poll):
            self._take_entries()
        if self._source is not None and self._is_looked_at():
            await self._ask_supervisor()
            if time.monotonic() >= self._examined + EVERY or not self._examined:
                await self._examine(self._source.database)
        self._rows.refresh()

    async def _read_first(self) -> None:
        try:
            self._source = await left_behind(self._open)  # a database file may run for ever
        except ExpectedError as error:
            self._rows.tell(problem=bounded(str(error), LONG))
            return
        self._take_entries()

    def _take_entries(self) -> None:
        assert self._source is not None  # noqa: S101  # the callers have checked
        self._writer.become("entries", entry_facts(self._source.database))
        self._rows.tell(database=self._source.database.origin, problem="")
        self._examined = 0.0

    async def _examine(self, database: DeviceDatabase) -> None:
        self._rows.tell(is_examining=True)
        try:
            findings = await asyncio.to_thread(run_audit, Audit(database, _TIMEOUT), ())
        except Exception as error:  # an internal error: the page goes on
            _log.exception("the devices cannot be examined")
            self._rows.tell(problem=bounded(f"the devices cannot be examined: {error}"))
        else:
            put_diagnoses(self._writer, findings)
        self._examined = time.monotonic()
        self._rows.tell(is_examining=False, examined=time.time())

    async def _ask_supervisor(self) -> None:
        if self._supervisor is None:
            return
        answer = await asyncio.to_thread(_status, *self._supervisor)
        kept = [
            name
            for name, fact in self._laboratory.snapshot()["controllers"].items()
            if fact.status is not None
        ]
        put_statuses(self._writer, answer, kept)


def _status(host: str, port: int) -> Any:
    try:
        with Client(host, port, "ctlmgr", timeout=_TIMEOUT) as client:
            return client.status()
    except (WireError, OSError, AttributeError):
        return None


def source_opener(
    path: Path | None, master: tuple[str, int, int] | None, ssl_config: SimpleSSLConfig | None
) -> Callable[[], DeviceSource]:
    """Return what opens the device database: of a file, else of a master (host, control and notification port)."""

    def opened() -> DeviceSource:
        if path is not None:
            return FileSource(path)
        if master is None:
            raise ExpectedError("no device database: name one with --device-db FILE")
        return MasterSource(*master, ssl_config=ssl_config)

    return opened
