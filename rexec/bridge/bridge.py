"""The bridge itself: what a master tells goes into the files of the parts."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from rexec.bridge.differences import differences
from rexec.bridge.errors import BridgeError
from rexec.bridge.following import Follower
from rexec.bridge.part import Part
from rexec.bridge.plan import Plan
from rexec.datasets.changes import client_change
from rexec.results import recover_folder
from rexec.wire.sync_struct import Mod
from rexec.wire.tls import SimpleSSLConfig

TICK: Final = 0.5
"""Seconds between two looks at what is due."""


@dataclass(frozen=True)
class State:
    """How a bridge goes on.

    Attributes:
        is_connected: Whether the master is there.
        datasets: Datasets that are kept.
        changes: Changes received.
        files: Files that are open.
        size: Bytes of changes in them.
        changed: When the last change was received, in seconds since the epoch; None before the first.

    """

    is_connected: bool
    datasets: int
    changes: int
    files: int
    size: int
    changed: float | None


class Bridge:
    """Follows a master and keeps its datasets. Belongs to the event loop in which it is made.

    Args:
        plan: What to keep, and where.
        host: The master's.
        port: Port of its notifiers.
        ssl_config: TLS, if any.
        tell: Called with a line of text for people, from any thread.

    """

    def __init__(
        self,
        plan: Plan,
        host: str,
        port: int = 3250,
        ssl_config: SimpleSSLConfig | None = None,
        *,
        tell: Callable[[str], None],
    ) -> None:
        self._plan: Final = plan
        self._tell: Final = tell
        self._parts: Final[dict[str, Part]] = {}
        self._executor: Final = ThreadPoolExecutor(2, "rexec-bridge")
        self._present: dict[str, dict[str, Any]] = {}
        self._changes = 0
        self._changed: float | None = None
        self._follower: Final = Follower(
            host, port, ssl_config, pictured=self._pictured, changed=self._take, lost=self._lost
        )

    async def run(self, end: asyncio.Event, *, wait: bool = False) -> None:
        """Keep what the master tells until `end` is set; then finish the files.

        Args:
            end: Ends it.
            wait: Whether to wait for a master that is not there at first.

        Raises:
            BridgeError: There is none at first, or what answers is none.

        """
        self._claim_folder()
        for recovery in recover_folder(self._plan.folder):
            self._tell(str(recovery))
        following = asyncio.ensure_future(self._follower.run(wait=wait))
        ending = asyncio.ensure_future(end.wait())
        try:
            while not (following.done() or ending.done()):
                await asyncio.wait({following, ending}, timeout=TICK, return_when=asyncio.FIRST_COMPLETED)
                for part in list(self._parts.values()):
                    part.tick()
        finally:
            for task in (following, ending):
                task.cancel()
            await asyncio.wait({following, ending})
            await asyncio.to_thread(self._close)
        if not following.cancelled():
            following.result()

    def state(self) -> State:
        """Return how it goes on."""
        parts = self._parts.values()
        return State(
            is_connected=self._follower.is_connected,
            datasets=sum(map(len, self._present.values())),
            changes=self._changes,
            files=sum(part.path is not None for part in parts),
            size=sum(part.size for part in parts),
            changed=self._changed,
        )

    def _claim_folder(self) -> None:
        folder = self._plan.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise BridgeError(
                f"cannot keep datasets in {folder}: {error.strerror}; name another folder"
            ) from error

    def _close(self) -> None:
        for part in self._parts.values():
            part.close()
        self._executor.shutdown()

    def _part(self, name: str) -> Part:
        part = self._parts.get(name)
        if part is None:
            part = self._parts[name] = Part(
                self._plan, name, lambda: self._present.get(name, {}), self._executor, self._tell
            )
        return part

    def _pictured(self, datasets: dict[str, Any], reason: str, missed: float | None) -> None:
        """Take over a picture of all datasets, as differences from what is held."""
        selection = self._plan.selection
        held, self._present = self._present, {}
        for key, published in datasets.items():
            name = selection.part(key)
            if name is not None:
                self._present.setdefault(name, {})[key] = published
        names = dict.fromkeys([*held, *self._present])
        count = sum(map(len, self._present.values()))
        self._tell(f"{reason} to the master at {self._follower.name}: {count} datasets")
        for name in names:
            found = differences(held.get(name, {}), self._present.get(name, {}))
            self._changes += len(found)
            self._part(name).compare(found, reason, missed)

    def _take(self, datasets: dict[str, Any], mod: Mod) -> None:
        """Take over one change."""
        change = client_change(mod)
        name = self._plan.selection.part(change.key)
        if name is None:
            return
        self._changes += 1
        self._changed = time.time()
        present = self._present.setdefault(name, {})
        if change.key in datasets:
            present[change.key] = datasets[change.key]
        else:
            present.pop(change.key, None)
        self._part(name).keep(change)

    def _lost(self, problem: str) -> None:
        self._tell(f"the master at {self._follower.name}: {problem}. Trying again until it is there")
