"""Our clients, subscribers and receivers against a real ARTIQ master, and its controller manager."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rexec.wire.broadcast import Receiver
from rexec.wire.errors import ConnectionFailed
from rexec.wire.pc_rpc import Client
from rexec.wire.sync_struct import Subscriber
from tests.interop.artiq import EACH, Program, program, release
from tests.serving import free_port
from tests.supervise.controllers import entry, write_controller
from tests.waiting import within

LOCAL = "127.0.0.1"
EXPERIMENT = """
from artiq.experiment import *
import numpy as np

class Ramp(EnvExperiment):
    def build(self):
        self.setattr_device("ccb")
        self.setattr_argument("steps", NumberValue(3, precision=0, step=1, scale=1, type="int"))

    def run(self):
        self.set_dataset("ramp.list", [], broadcast=True)
        self.set_dataset("ramp.array", np.zeros(4), broadcast=True)
        for step in range(self.steps):
            self.append_to_dataset("ramp.list", step)
            self.mutate_dataset("ramp.array", step, 2.5 * step)
        self.ccb.issue("create_applet", "ramp", "${artiq_applet}plot_xy ramp.list")
        self.set_dataset("ramp.ended", True, broadcast=True)
"""


@dataclass(frozen=True)
class Master:
    """A running master of ARTIQ."""

    control: int
    notify: int
    broadcast: int
    logging: int
    program: Program

    def client(self, target: str) -> Client:
        """Return a client of ours; older masters have other names for their targets."""
        client = Client(LOCAL, self.control, None, timeout=150)
        client.select_rpc_target(target if target in client.get_rpc_id()[0] else f"master_{target}")
        return client


@contextlib.contextmanager
def master(python: str, folder: Path) -> Iterator[Master]:
    (folder / "repository").mkdir()
    (folder / "repository" / "ramp.py").write_text(EXPERIMENT)
    control, notify, broadcast, logging = (free_port() for _ in range(4))
    ports = {"control": control, "notify": notify, "broadcast": broadcast, "logging": logging}
    words = [word for name, port in ports.items() for word in (f"--port-{name}", str(port))]
    with program(python, "artiq.frontend.artiq_master", *words, folder=folder) as running:
        running.wait_for(lambda text: "ready" in text)
        yield Master(control, notify, broadcast, logging, running)


class Copy:
    """A structure of the master, followed by our subscriber."""

    def __init__(self, name: str) -> None:
        self.struct: Any = None
        self.actions: list[str] = []
        self.subscriber = Subscriber(name, self._begin, lambda mod: self.actions.append(mod["action"]))

    def _begin(self, struct: Any) -> Any:
        self.struct = struct
        return struct

    async def until(self, condition: Callable[[Any], bool]) -> None:
        """Wait until the structure fulfils a condition."""
        until = time.monotonic() + 150
        while self.struct is None or not condition(self.struct):
            assert time.monotonic() < until, self.struct
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def following(port: int, *names: str) -> Any:
    copies = [Copy(name) for name in names]
    for copy in copies:
        await copy.subscriber.connect(LOCAL, port)
    try:
        yield copies
    finally:
        for copy in copies:
            await copy.subscriber.close()


@pytest.mark.parametrize("python", EACH)
def test_datasets_that_we_set_on_a_stock_master_come_back_to_our_subscriber(
    python: str, tmp_path: Path
) -> None:
    (tmp_path / "device_db.py").write_text("device_db = {'lamp': {'type': 'dummy'}}\n")

    async def main(running: Master) -> None:
        new = release(python) >= 8
        async with following(running.notify, "datasets", "devices") as (datasets, devices):
            await devices.until(lambda struct: struct == {"lamp": {"type": "dummy"}})
            with running.client("dataset_db") as db, running.client("device_db") as device_db:
                keywords = {"metadata": {"unit": "ms"}} if new else {}
                db.set("level", 3.5, False, **keywords)
                await datasets.until(lambda struct: "level" in struct)
                assert datasets.struct["level"][:2] == (False, 3.5)
                if new:
                    assert datasets.struct["level"][2] == {"unit": "ms"}
                assert db.get("level") == 3.5

                db.set("trace", [1, 2])
                db.update({"action": "append", "path": ["trace", 1], "x": 7})
                await datasets.until(lambda struct: "trace" in struct and struct["trace"][1] == [1, 2, 7])
                image = np.arange(300_000, dtype=np.uint16).reshape(300, 1000)
                db.set("image", image)
                row = (slice(0, 1), slice(None, None, None))
                db.update({"action": "setitem", "path": ["image", 1], "key": row, "value": 9})
                await datasets.until(lambda struct: "image" in struct and struct["image"][1][0, 5] == 9)
                assert np.array_equal(datasets.struct["image"][1][1:], image[1:])
                assert datasets.struct["image"][1].dtype == np.uint16
                db.delete("trace")
                await datasets.until(lambda struct: "trace" not in struct)
                with pytest.raises(KeyError, match="trace"):
                    db.get("trace")
                assert {"init", "setitem", "append", "delitem"} <= set(datasets.actions)

                (tmp_path / "device_db.py").write_text(
                    "device_db = {'fresh': 'lamp', 'lamp': {'type': 'x'}}\n"
                )
                device_db.scan()
                await devices.until(lambda struct: "fresh" in struct)
                assert device_db.get_device_db() == devices.struct

    with master(python, tmp_path) as running:
        asyncio.run(main(running))


@pytest.mark.parametrize("python", EACH)
def test_an_experiment_that_we_submit_to_a_stock_master_is_followed_to_its_end(
    python: str, tmp_path: Path
) -> None:
    (tmp_path / "device_db.py").write_text("device_db = {}\n")

    async def main(running: Master) -> None:
        messages: list[Any] = []
        receiver = Receiver("ccb", messages.append)
        await receiver.connect(LOCAL, running.broadcast)
        async with following(running.notify, "datasets", "schedule", "explist") as (
            datasets,
            schedule,
            explist,
        ):
            with running.client("experiment_db") as experiments:
                experiments.scan_repository()
            unable = "Worker ended while attempting"
            await explist.until(lambda struct: "Ramp" in struct or unable in running.program.output)
            if "Ramp" not in explist.struct:
                await receiver.close()
                pytest.skip("the worker of this installation cannot read experiments")
            with running.client("experiment_db") as experiments:
                assert "ramp.py" in experiments.list_directory(str(tmp_path / "repository"))
            expid = {
                "log_level": 30,
                "file": explist.struct["Ramp"]["file"],
                "class_name": "Ramp",
                "arguments": {"steps": 3},
                "repo_rev": "N/A",
            }
            with running.client("schedule") as scheduler:
                rid = scheduler.submit("main", expid, 0, None, False)
                await schedule.until(lambda struct: rid in struct)
                await datasets.until(lambda struct: "ramp.ended" in struct)
                await schedule.until(lambda struct: rid not in struct)
                assert scheduler.get_status() == {}
            assert datasets.struct["ramp.list"][1] == [0, 1, 2]
            assert datasets.struct["ramp.array"][1].tolist() == [0.0, 2.5, 5.0, 0.0]
            assert any(message["service"] == "create_applet" for message in messages)
        await receiver.close()

    with master(python, tmp_path) as running:
        asyncio.run(main(running))


@pytest.mark.parametrize("python", EACH)
def test_our_client_tells_a_stock_controller_manager_to_try_again(python: str, tmp_path: Path) -> None:
    write_controller(tmp_path)
    port, own = free_port(), free_port()
    command = f"{sys.executable} {tmp_path / 'controller.py'} {{port}} dies"
    lamp = entry(port, command=command, retry_timer=600.0)
    (tmp_path / "device_db.py").write_text(f"device_db = {json.dumps({'lamp': lamp})}\n")
    with master(python, tmp_path) as running:
        words = ["-s", LOCAL, "--port-notify", str(running.notify), "--port-control", str(own)]
        words += ["--port-logging", str(running.logging)]
        with program(python, "artiq_comtools.artiq_ctlmgr", *words, folder=tmp_path) as manager:
            assert within(150.0, lambda: answers(own))
            manager.wait_for(lambda text: "Restarting in 600" in text)
            with Client(LOCAL, own, "ctlmgr", timeout=150) as control:
                assert control.get_rpc_id()[0] == ["ctlmgr"]
                control.retry_now("lamp")
                manager.wait_for(lambda text: text.count("no lamp found on the bus") == 2)
                with pytest.raises(KeyError, match="nolamp"):
                    control.retry_now("nolamp")


def answers(port: int) -> bool:
    """Whether a server of pc_rpc answers."""
    try:
        Client(LOCAL, port, None, timeout=150).close_rpc()
    except ConnectionFailed:
        return False
    return True
