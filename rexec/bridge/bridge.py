"""The bridge: passes the changes of a master's datasets to output files."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from devicedb.whole_file import make_folder
from rexec.bridge.differences import differences
from rexec.bridge.errors import BridgeError
from rexec.bridge.master_subscriber import MasterSubscriber
from rexec.bridge.output_file import OutputFile
from rexec.bridge.plan import BridgePlan
from rexec.datasets.changes import client_change
from rexec.results import recover_folder
from rexec.wire.sync_struct import Mod
from rexec.wire.tls import SimpleSSLConfig

TICK: Final = 0.5
"""Seconds between calls of `OutputFile.tick`."""


@dataclass(frozen=True)
class State:
    """The state of a bridge.

    Attributes:
        is_connected: Whether the bridge is connected to the master.
        datasets: Number of datasets that are kept.
        changes: Number of changes that were received and handed to a file.
        files: Number of open files.
        size: Bytes of changes in the open files.
        changed: Time of the last change, in seconds since the epoch; None before the first.

    """

    is_connected: bool
    datasets: int
    changes: int
    files: int
    size: int
    changed: float | None


class Bridge:
    """Writes the datasets of a master into files. Belongs to the event loop in which it is made.

    Args:
        plan: Datasets to keep, and files to write.
        host: Host of the master.
        port: Notification port of the master.
        ssl_config: TLS files, or None.
        tell: Called from any thread with a line of text for people.

    """

    def __init__(
        self,
        plan: BridgePlan,
        host: str,
        port: int = 3250,
        ssl_config: SimpleSSLConfig | None = None,
        *,
        tell: Callable[[str], None],
    ) -> None:
        self._plan: Final = plan
        self._tell: Final = tell
        self._files: Final[dict[str, OutputFile]] = {}
        self._executor: Final = ThreadPoolExecutor(2, "rexec-bridge")
        self._present: dict[str, dict[str, Any]] = {}
        self._changes = 0
        self._changed: float | None = None
        self._subscriber: Final = MasterSubscriber(
            host, port, ssl_config, pictured=self._pictured, changed=self._take, lost=self._lost
        )

    async def run(self, end: asyncio.Event, *, wait: bool = False) -> bool:
        """Keep the datasets until `end` is set, then finish the files.

        Args:
            end: Ends the bridge.
            wait: Whether to wait for the master if the first attempt to connect fails.

        Returns:
            Whether finished files have all that was to be kept.

        Raises:
            BridgeError: The first attempt to connect failed, or the server is not a master.

        """
        self._claim_folder()
        for recovery in recover_folder(self._plan.folder):
            self._tell(str(recovery))
        following = asyncio.ensure_future(self._subscriber.run(wait=wait))
        ending = asyncio.ensure_future(end.wait())
        try:
            while not (following.done() or ending.done()):
                await asyncio.wait({following, ending}, timeout=TICK, return_when=asyncio.FIRST_COMPLETED)
                for file in list(self._files.values()):
                    file.tick()
        finally:
            for task in (following, ending):
                task.cancel()
            await asyncio.wait({following, ending})
            is_whole = await asyncio.to_thread(self._close)
        if not following.cancelled():
            following.result()
        return is_whole

    def state(self) -> State:
        """Return the state of the bridge."""
        parts = self._files.values()
        return State(
            is_connected=self._subscriber.is_connected,
            datasets=sum(map(len, self._present.values())),
            changes=self._changes,
            files=sum(file.path is not None for file in parts),
            size=sum(file.size for file in parts),
            changed=self._changed,
        )

    def _claim_folder(self) -> None:
        folder = self._plan.folder
        try:
            make_folder(folder)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise BridgeError(
                f"cannot write files into {folder}: {error.strerror}; choose another folder with --output"
            ) from error

    def _close(self) -> bool:
        are_whole = [file.close() for file in self._files.values()]
        self._executor.shutdown()
        return all(are_whole)

    def _file(self, name: str) -> OutputFile:
        file = self._files.get(name)
        if file is None:
            file = self._files[name] = OutputFile(
                self._plan, name, lambda: self._present.get(name, {}), self._executor, self._tell
            )
        return file

    def _pictured(self, datasets: dict[str, Any], reason: str, missed: float | None) -> None:
        """Handle a snapshot of all datasets: keep the differences from the last known values."""
        selection = self._plan.selection
        held, self._present = self._present, {}
        for key, published in datasets.items():
            name = selection.file_of(key)
            if name is not None:
                self._present.setdefault(name, {})[key] = published
        names = dict.fromkeys([*held, *self._present])
        count = sum(map(len, self._present.values()))
        self._tell(f"{reason} to the master at {self._subscriber.name}: {count} datasets")
        for name in names:
            found = differences(held.get(name, {}), self._present.get(name, {}))
            self._file(name).compare(found, reason, missed)
            self._changes += len(found)

    def _take(self, datasets: dict[str, Any], mod: Mod) -> None:
        change = client_change(mod)
        name = self._plan.selection.file_of(change.key)
        if name is None:
            return
        self._changed = time.time()
        present = self._present.setdefault(name, {})
        if change.key in datasets:
            present[change.key] = datasets[change.key]
        else:
            present.pop(change.key, None)
        self._file(name).keep(change)
        self._changes += 1

    def _lost(self, problem: str) -> None:
        self._tell(f"the master at {self._subscriber.name}: {problem}. Trying to reconnect")
