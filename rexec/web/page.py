"""What the page shows, together: the parts, one clock, and what is new of them since a version."""

import secrets
from dataclasses import dataclass, field
from typing import Any, Final

from rexec.web.clock import VersionClock
from rexec.web.device_rows import DeviceRows
from rexec.web.live_datasets import LiveDatasets
from rexec.web.live_master import LiveMaster
from rexec.web.log_lines import LogLines

PARTS: Final = frozenset({"datasets", "log", "sources", "devices"})


@dataclass
class Page:
    """All parts of the page. Belongs to one event loop.

    Attributes:
        clock: Counts the changes of all parts.
        datasets: The datasets of the master.
        log: The log.
        devices: The devices; None: there are none.
        source: Follows the master; None: there is none.
        instance: Differs between two starts of the server: versions of another one mean nothing.

    """

    clock: VersionClock
    datasets: LiveDatasets
    log: LogLines
    devices: DeviceRows | None = None
    source: LiveMaster | None = None
    instance: str = field(default_factory=lambda: secrets.token_hex(8))

    def news(self, parts: frozenset[str], since: int) -> dict[str, Any]:
        """Return what is new in some parts after a version, for the header of a message."""
        found: dict[str, Any] = {}
        if "sources" in parts and (since < 1 or (self.source is not None and self.source.version > since)):
            found["source"] = None if self.source is None else self.source.state()
        if "datasets" in parts:
            is_whole = since < max(self.datasets.forgotten, 1)
            rows = [each.row() for each in self.datasets.changed_since(0 if is_whole else since)]
            gone = [] if is_whole else self.datasets.gone_since(since)
            if rows or gone or is_whole:
                found["datasets"] = {"rows": rows[::-1], "gone": gone, "is_whole": is_whole}
        if "log" in parts:
            lines, more = self.log.since(since)
            if lines:
                found["log"] = {"lines": lines, "left_out": more}
        if "devices" in parts and self.devices is not None:
            devices = self.devices.since(since)
            if devices is not None:
                found["devices"] = devices
        return found
