"""The datasets of a running master, under the interface of a dataset database of our own."""

from types import TracebackType
from typing import Any, Final

from rexec.devices import MasterUnreachable
from rexec.wire.errors import WireError
from rexec.wire.pc_rpc import Client

TARGETS: Final = ("dataset_db", "master_dataset_db")
"""Names of the target: of ARTIQ 9, and before."""


class MasterDatasets:
    """A `rexec.datasets.DatasetStore` that is a master's.

    Args:
        host, port: The master's, port of its control.
        timeout: Seconds for each step of connecting.

    Raises:
        MasterUnreachable: Nothing answers there, or what answers has no datasets.

    """

    def __init__(self, host: str, port: int = 3251, timeout: float = 10.0) -> None:
        what = f"datasets of the master at {host}:{port}"
        try:
            self._client = Client(host, port, None, handshake_timeout=timeout)
        except (WireError, OSError) as error:
            raise MasterUnreachable(f"{what}: {error}. Is artiq_master running there?") from error
        targets = self._client.get_rpc_id()[0]
        target = next((each for each in TARGETS if each in targets), None)
        if target is None:
            self._client.close_rpc()
            raise MasterUnreachable(f"{what}: the server there has no datasets, it has {', '.join(targets)}")
        self._client.select_rpc_target(target)

    def get(self, key: str) -> Any:
        """Return the value of a dataset, or raise KeyError."""
        return self._client.get(key)

    def get_metadata(self, key: str) -> dict[str, Any]:
        """Return the metadata of a dataset, or raise KeyError; masters before ARTIQ 8 have none."""
        if not hasattr(self._client, "get_metadata"):
            self._client.get(key)
            return {}
        found: dict[str, Any] = self._client.get_metadata(key)
        return found

    def set(
        self, key: str, value: Any, persist: bool | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        """Set a dataset."""
        self._client.set(key, value, persist, metadata)

    def update(self, mod: Any) -> None:
        """Apply a modification inside a dataset."""
        self._client.update(dict(mod))

    def delete(self, key: str) -> None:
        """Remove a dataset, or raise KeyError."""
        self._client.delete(key)

    def __enter__(self) -> "MasterDatasets":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self._client.close_rpc()
