"""A running `rexec up`, for tests of what it does."""

import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rexec.wire.pc_rpc import Client
from tests.ending import interrupt
from tests.serving import free_port


class Up:
    """A running `rexec up --json`."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.control = free_port()
        command = [sys.executable, "-P", "-m", "rexec", "up", "--json", "--port-control", str(self.control)]
        with (folder / "err").open("w") as err:
            self.process = subprocess.Popen(
                [*command, *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
            )
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self.seen: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(json.loads(line))

    def next(self, name: str, state: str, seconds: float = 150.0) -> dict[str, Any]:
        """Wait for a controller to get into a state."""
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            try:
                line = self._lines.get(timeout=max(left, 0.01))
            except queue.Empty:
                raise AssertionError((name, state, self.seen, self.err())) from None
            self.seen.append(line)
            if (line["name"], line["state"]) == (name, state):
                return line

    def err(self) -> str:
        """Return what it wrote to standard error so far."""
        return (self.folder / "err").read_text()

    def end(self, number: int = signal.SIGINT) -> int:
        """End it: in order, or with number 9 at once."""
        if self.process.poll() is None:
            if number == 9:
                self.process.kill()
            else:
                interrupt(self.process, number)
        try:
            self.process.wait(150)
        finally:
            self.process.kill()
            self.process.wait(150)
            self._thread.join(150)
            assert self.process.stdout is not None
            self.process.stdout.close()
        return self.process.returncode


@contextmanager
def up(folder: Path, *arguments: str) -> Iterator[Up]:
    """Run it meanwhile."""
    running = Up(folder, *arguments)
    try:
        yield running
    finally:
        running.end()


def write(folder: Path, raw: object) -> None:
    """Write the device database in one step."""
    (folder / "new").write_text(f"device_db = {raw!r}\n")
    (folder / "new").replace(folder / "device_db.py")


def call(port: int, method: str, *args: Any) -> Any:
    with Client("127.0.0.1", port, None) as client:
        client.select_rpc_target(client.get_rpc_id()[0][0])
        return getattr(client, method)(*args)


def states(running: Up) -> dict[str, str]:
    try:
        return {each["name"]: each["state"] for each in call(running.control, "status")}
    except ConnectionError:
        return {}


def pids(running: Up) -> dict[str, int]:
    return {each["name"]: each["pid"] for each in call(running.control, "status")}
