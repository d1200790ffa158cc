"""Programs, as whole processes."""

import asyncio
import threading
from pathlib import Path

from ..row import Work, program, row
from .check import literal


class Camera:
    """A driver."""

    def ping(self) -> bool:
        """Return True."""
        return True


def served() -> int:
    """Serve a camera by a thread of this process, and return its port."""
    from rexec.wire.pc_rpc import Server

    ready = threading.Event()
    ports: list[int] = []

    async def serve() -> None:
        server = Server({"camera": Camera()})
        await server.start("127.0.0.1", 0)
        ports.append(server.port)
        ready.set()
        await asyncio.Event().wait()

    threading.Thread(target=asyncio.run, args=(serve(),), daemon=True).start()
    ready.wait(20)
    return ports[0]


@row("`rexec call NAME ping`, by entries of the device database", start=1, owed="0.2 s of CPU")
def rexec_call(size: int, folder: Path) -> Work:
    entries = [f'"host": "127.0.0.1", "port": {served()}, "target_name": "camera"']
    entries += [f'"host": "10.0.0.{index}", "port": 3270' for index in range(size - 1)]
    lines = [
        f'    "camera{index}": {{"type": "controller", {entry}}},' for index, entry in enumerate(entries)
    ]
    file = folder / "device_db.py"
    file.write_text("\n".join(["device_db = {", *lines, "}", ""]))
    return program("rexec", "call", "camera0", "ping", "--device-db", file)


@row("a run without datasets, by entries of the device database", start=1, owed="0.4 s of CPU")
def rexec_run(size: int, folder: Path) -> Work:
    (folder / "device_db.py").write_text(literal(size))
    experiment = folder / "empty.py"
    experiment.write_text(
        "from rexec.experiment import EnvExperiment\n\n"
        "class Empty(EnvExperiment):\n    def build(self):\n        pass\n\n    def run(self):\n        pass\n"
    )
    return program("rexec", "run", experiment, "-q", "--device-db", folder / "device_db.py")


@row("`rexec run` of n broadcast datasets, all of the run", start=100, owed="2 s at 10,000")
def run_datasets(size: int, folder: Path) -> Work:
    (folder / "device_db.py").write_text(literal(1))
    experiment = folder / "many.py"
    experiment.write_text(
        "from rexec.experiment import EnvExperiment\n\n"
        "class Many(EnvExperiment):\n    def build(self):\n        pass\n\n    def run(self):\n"
        f"        for number in range({size}):\n            self.set_dataset(f'd{{number}}', number * 0.5)\n"
    )
    return program("rexec", "run", experiment, "-q", "--device-db", folder / "device_db.py")
