"""The datasets of a running master, under the interface of a dataset database of our own."""

import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

from rexec.datasets import DatasetDB
from rexec.devices import MasterUnreachable
from rexec.wire.errors import CallTimeout, ConnectionBroken, ConnectionFailed, WireError, shown_address
from rexec.wire.pc_rpc import Client
from rexec.wire.tls import SimpleSSLConfig

_log = logging.getLogger(__name__)

TARGETS: Final = ("dataset_db", "master_dataset_db")
"""Names of the target: of ARTIQ 9, and before."""

RETRY: Final = 2.0
"""Seconds at least between attempts to reach a master that is gone."""

_SHARE: Final = 10.0
"""An attempt that takes t seconds is followed by at least 10 t without one: a dead host costs a run a tenth at most."""

_GONE: Final = (ConnectionFailed, ConnectionBroken, CallTimeout)


class MasterDatasets:
    """A `rexec.datasets.DatasetStore` that is a master's.

    Datasets that do not persist are only shown there: a run does not end because the master does. It goes on, says so
    once, and shows everything again when the master is back. What is to persist, and what is read, needs the master.

    Args:
        host: The master's.
        port: Port of its control.
        timeout: Seconds for each step of connecting.
        ssl_config: TLS, if any.

    Raises:
        MasterUnreachable: Nothing answers there, or what answers has no datasets.

    """

    def __init__(
        self, host: str, port: int = 3251, timeout: float = 10.0, ssl_config: SimpleSSLConfig | None = None
    ) -> None:
        self._where: Final = f"the master at {shown_address(host, port)}"
        what = f"datasets of {self._where}"
        try:
            # One attempt to connect again at a time: when the next one is due is decided here.
            self._client = Client(
                host, port, None, ssl_config=ssl_config, handshake_timeout=timeout, reconnect_timeout=0.0
            )
        except (WireError, OSError) as error:
            raise MasterUnreachable(
                f"{what}: {error}. Is artiq_master or `rexec master` running there?"
            ) from error
        targets = self._client.get_rpc_id()[0]
        target = next((each for each in TARGETS if each in targets), None)
        if target is None:
            self._client.close_rpc()
            raise MasterUnreachable(f"{what}: the server there has no datasets, it has {', '.join(targets)}")
        self._client.select_rpc_target(target)
        self._shown: Final = DatasetDB()
        """What this run shows at the master, to show it again."""
        self._is_gone = False
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
        """Set a dataset."""
        self._shown.set(key, value, persist, metadata)
        self._show(lambda: self._set(key, value, persist, metadata), is_needed=persist is True)

    def update(self, mod: Any) -> None:
        """Apply a modification inside a dataset."""
        persist = False
        key = mod["path"][0] if mod["path"] else None
        if key is not None:
            try:
                persist = self._shown.get_entry(key)[0]
                self._shown.update(mod)
            except KeyError:
                persist = True  # not this run's: only the master can tell what it is
        self._show(lambda: self._client.update(dict(mod)), is_needed=persist)

    def delete(self, key: str) -> None:
        """Remove a dataset, or raise KeyError."""
        try:
            self._shown.delete(key)
        except KeyError:
            _log.debug("dataset %s is not this run's", key)
        self._show(lambda: self._client.delete(key), is_needed=False)

    def __enter__(self) -> "MasterDatasets":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        try:
            self._show_again()
        except _GONE:
            _log.warning(
                "%s is still away: what this run has shown there is only in its result file", self._where
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
        """Carry out a change at the master, which may be away unless the change is needed."""
        if self._is_gone:
            if is_needed or time.monotonic() >= self._retry_at:
                # What was changed is among what is shown again.
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
                    "%s is gone: %s. The run goes on, its datasets are kept in its own file and shown again when the "
                    "master is back",
                    self._where,
                    error,
                )
            now = time.monotonic()
            self._retry_at = now + max(RETRY, _SHARE * (now - begun))
            if is_needed:
                raise

    def _show_again(self) -> None:
        """Set everything that this run shows at a master that was gone; the errors are those of the connection."""
        if not self._is_gone:
            return
        for key, (persist, value, metadata) in self._shown.snapshot().items():
            try:
                self._set(key, value, persist, metadata)
            except _GONE:
                raise
            except Exception as error:  # whatever the master says: it has refused this one before, too
                _log.error("dataset %s is not shown again: %s", key, error)
        self._is_gone = False
        _log.warning("%s is back: the datasets of this run are shown again", self._where)
