"""The datasets of a running master as a `DatasetStore`."""

import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

from rexec.datasets import DatasetDB, Entry
from rexec.datasets.targets import NAMES
from rexec.devices import MasterUnreachable
from rexec.results import DegradedStates
from rexec.wire.errors import CallTimeout, ConnectionBroken, ConnectionFailed, WireError, shown_address
from rexec.wire.pc_rpc import Client
from rexec.wire.tls import SimpleSSLConfig

_log = logging.getLogger(__name__)

RETRY: Final = 2.0
"""Minimum seconds between attempts to reconnect to the master."""

_SHARE: Final = 10.0
"""Pause after an attempt, in durations of that attempt: a dead host costs at most a tenth of the run's time."""

_GONE: Final = (ConnectionFailed, ConnectionBroken, CallTimeout)


class MasterDatasets:
    """The datasets of a master, as a `rexec.datasets.DatasetStore`.

    If the master ends, the run continues: it warns once, and sets its broadcast datasets again when the master is back.
    Reading a dataset, and setting a persistent one, needs the master.

    Args:
        host: Host of the master.
        port: Control port of the master.
        timeout: Seconds for each step of connecting.
        ssl_config: TLS files, or None.
        degraded: Where to say that the master is gone, or has not taken a dataset.

    Raises:
        MasterUnreachable: No server answers there, or it has no datasets.

    """

    def __init__(
        self,
        host: str,
        port: int = 3251,
        timeout: float = 10.0,
        ssl_config: SimpleSSLConfig | None = None,
        degraded: DegradedStates | None = None,
    ) -> None:
        self._degraded: Final = DegradedStates() if degraded is None else degraded
        self._where: Final = f"the master at {shown_address(host, port)}"
        what = f"datasets of {self._where}"
        try:
            # reconnect_timeout 0: the client makes one attempt, this class decides when.
            self._client = Client(
                host, port, None, ssl_config=ssl_config, handshake_timeout=timeout, reconnect_timeout=0.0
            )
        except (WireError, OSError) as error:
            raise MasterUnreachable(
                f"{what}: {error}. Is artiq_master or `rexec master` running there?"
            ) from error
        targets = self._client.get_rpc_id()[0]
        target = next((each for each in NAMES if each in targets), None)
        if target is None:
            self._client.close_rpc()
            raise MasterUnreachable(f"{what}: the server there has no datasets, it has {', '.join(targets)}")
        self._client.select_rpc_target(target)
        self._shown: Final = DatasetDB()
        """The datasets that this run has set, kept so that they can be set again."""
        self._is_gone = False
        self._gone = ""
        """Since when and why it is gone."""
        self._retry_at = 0.0

    def get(self, key: str) -> Any:
        """Return the value of a dataset, or raise KeyError."""
        return self._read(lambda: self._client.get(key))

    def get_metadata(self, key: str) -> dict[str, Any]:
        """Return the metadata of a dataset, or raise KeyError; masters before ARTIQ 8 have none."""
        if not hasattr(self._client, "get_metadata"):
            self.get(key)
            return {}
        found: dict[str, Any] = self._read(lambda: self._client.get_metadata(key))
        return found

    def set(
        self, key: str, value: Any, persist: bool | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        """Set a dataset, or raise and change nothing here."""
        before = self._shown_entry(key)
        self._shown.set(key, value, persist, metadata)
        try:
            self._show(lambda: self._set(key, value, persist, metadata), is_needed=persist is True)
        except BaseException:
            # Otherwise a master that comes back would get the value whose change has failed.
            self._put_back(key, before)
            raise

    def update(self, mod: Any) -> None:
        """Apply a modification inside a dataset, or raise."""
        key = mod["path"][0] if mod["path"] else None
        if key is None or not self._shown.has(key):
            # Not this run's: only the master can tell what it is.
            self._show(lambda: self._client.update(dict(mod)), is_needed=key is not None)
            return
        is_needed = self._shown.persists(key)
        before = self._shown_entry(key) if is_needed else None
        done = dict(self._shown.update(mod))
        try:
            self._show(lambda: self._client.update(done), is_needed=is_needed)
        except BaseException:
            if before is not None:
                self._put_back(key, before)
            raise

    def delete(self, key: str) -> None:
        """Remove a dataset, or raise KeyError."""
        try:
            self._shown.delete(key)
        except KeyError:
            _log.debug("dataset %s was not set by this run", key)
        self._show(lambda: self._client.delete(key), is_needed=False)

    def _shown_entry(self, key: str) -> Entry | None:
        return self._shown.get_entry(key) if self._shown.has(key) else None

    def _put_back(self, key: str, entry: Entry | None) -> None:
        if entry is not None:
            self._shown.set(key, entry[1], entry[0], entry[2])
        elif self._shown.has(key):
            self._shown.delete(key)

    def __enter__(self) -> "MasterDatasets":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        try:
            self._show_again()
        except _GONE:
            _log.warning(
                "%s is still unreachable: the datasets of this run are only in its result file", self._where
            )
        self._client.close_rpc()

    def _set(self, key: str, value: Any, persist: bool | None, metadata: dict[str, Any] | None) -> None:
        if hasattr(self._client, "get_metadata"):
            self._client.set(key, value, persist, metadata)
        else:
            self._client.set(key, value, persist)

    def _read(self, action: Callable[[], Any]) -> Any:
        results: list[Any] = []
        if self._is_gone:
            self._attempt(self._show_again, is_needed=True)
        self._attempt(lambda: results.append(action()), is_needed=True)
        return results[0]

    def _show(self, change: Callable[[], Any], *, is_needed: bool) -> None:
        """Make a change at the master; if `is_needed`, raise if the master cannot be reached."""
        if self._is_gone:
            if is_needed or time.monotonic() >= self._retry_at:
                # `_shown` already has the change.
                self._attempt(self._show_again, is_needed=is_needed)
            return
        self._attempt(change, is_needed=is_needed)

    def _attempt(self, action: Callable[[], Any], *, is_needed: bool) -> None:
        begun = time.monotonic()
        try:
            action()
        except _GONE as error:
            if not self._is_gone:
                self._is_gone = True
                _log.warning(
                    "%s is gone: %s. The run continues; its datasets go to the result file, and to the master when it "
                    "is back",
                    self._where,
                    error,
                )
                self._gone = (
                    f"{self._where} was gone from {time.strftime('%H:%M:%S')} on: {error}. Datasets that were "
                    "broadcast since then may be in the result file only"
                )
                self._degraded.add(self._gone)
            now = time.monotonic()
            self._retry_at = now + max(RETRY, _SHARE * (now - begun))
            if is_needed:
                raise

    def _show_again(self) -> None:
        """Set all datasets of this run again, after the master was gone."""
        if not self._is_gone:
            return
        for key, (persist, value, metadata) in self._shown.snapshot().items():
            try:
                self._set(key, value, persist, metadata)
            except _GONE:
                raise
            except Exception as error:  # the master has refused this dataset before
                _log.error("dataset %s was not set again: %s", key, error)
                text = f"dataset {key} was not set again at {self._where} when that was back: {error}"
                self._degraded.add(text, unkept=persist is True)
        self._is_gone = False
        self._degraded.remove(self._gone)
        _log.warning("%s is back: the datasets of this run were set again", self._where)
