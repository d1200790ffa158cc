"""A bridge in a thread of the test."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rexec.bridge import Bridge, BridgePlan
from rexec.ground.loop_thread import LoopThread
from rexec.wire.tls import SimpleSSLConfig
from tests.waiting import within

LOCAL = "127.0.0.1"


@dataclass
class Running:
    """A bridge that runs."""

    bridge: Bridge
    folder: Path
    lines: list[str] = field(default_factory=list)
    """What it has told."""

    def caught_up(self, changes: int) -> None:
        """Wait until it has received so many changes."""
        assert within(150.0, lambda: self.bridge.state().changes >= changes), (
            self.bridge.state(),
            self.lines,
        )

    def told(self, text: str) -> None:
        """Wait until it has told a text."""
        assert within(150.0, lambda: any(text in line for line in self.lines)), self.lines

    def files(self) -> list[Path]:
        """Return the files, oldest name first."""
        return sorted(self.folder.rglob("*.h5"))


@contextlib.contextmanager
def bridging(
    folder: Path,
    port: int,
    mode: str = "mirror",
    *,
    wait: bool = False,
    ssl_config: SimpleSSLConfig | None = None,
    **plan: Any,
) -> Iterator[Running]:
    """Bridge a master's datasets into a folder while the context lasts; afterwards its files are finished."""
    lines: list[str] = []
    facts = BridgePlan(folder, mode, f"{LOCAL}:{port}", **{"refresh": 0.2, **plan})  # type: ignore[arg-type]

    @contextlib.asynccontextmanager
    async def following() -> AsyncIterator[Running]:
        bridge = Bridge(facts, LOCAL, port, ssl_config, tell=lines.append)
        end = asyncio.Event()
        task = asyncio.create_task(bridge.run(end, wait=wait))
        try:
            yield Running(bridge, folder, lines)
        finally:
            end.set()
            await task

    thread = LoopThread(following, name="bridge under test", timeout=150.0)
    with thread as running:
        if not wait:
            running.told(" datasets")
        yield running
    assert thread.wait(0.0), "the bridge has not ended"
