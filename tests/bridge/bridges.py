"""A bridge in a thread of the test."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rexec.bridge import Bridge, Plan
from rexec.wire.tls import SimpleSSLConfig
from tests.supervise.controllers import within

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
        assert within(20.0, lambda: self.bridge.state().changes >= changes), (self.bridge.state(), self.lines)

    def told(self, text: str) -> None:
        """Wait until it has told a text."""
        assert within(20.0, lambda: any(text in line for line in self.lines)), self.lines

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
    made: list[Running] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    end = asyncio.Event()
    failures: list[BaseException] = []

    async def main() -> None:
        lines: list[str] = []
        facts = Plan(folder, mode, f"{LOCAL}:{port}", **{"refresh": 0.2, **plan})  # type: ignore[arg-type]
        bridge = Bridge(facts, LOCAL, port, ssl_config, tell=lines.append)
        made.append(Running(bridge, folder, lines))
        ready.set()
        await bridge.run(end, wait=wait)

    def run() -> None:
        try:
            loop.run_until_complete(main())
        except Exception as error:
            failures.append(error)
        finally:
            loop.close()

    thread = threading.Thread(target=run, name="bridge under test", daemon=True)
    thread.start()
    assert ready.wait(10.0)
    try:
        if not wait:
            made[0].told(" datasets")
        yield made[0]
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(end.set)
        thread.join(40.0)
        assert not thread.is_alive()
    assert not failures, failures
