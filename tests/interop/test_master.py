"""Our master under real clients of ARTIQ: its command-line client and its controller manager."""

import json
import sys
from pathlib import Path

import pytest

from rexec.datasets import DatasetDB
from rexec.wire.pc_rpc import Client
from tests.interop.artiq import EACH, client, program, release
from tests.master.masters import serving
from tests.serving import free_port
from tests.supervise.controllers import entry, write_controller
from tests.waiting import within


@pytest.mark.parametrize("python", EACH)
def test_its_client_sets_shows_and_deletes_datasets(python: str, tmp_path: Path) -> None:
    with serving(tmp_path, artiq=release(python)) as served:
        control, notify = served.port("control"), served.port("notify")
        client(python, control, "set-dataset", "level", "3.5")
        client(python, control, "set-dataset", "-p", "kept", "7.25")
        with program(
            python, "artiq.frontend.artiq_client", "-s", "127.0.0.1", "--port", str(notify), "show", "datasets",
            folder=tmp_path,
        ) as shown:  # fmt: skip
            shown.wait_for(lambda text: "level" in text and "3.5" in text and "7.25" in text)
            client(python, control, "del-dataset", "level")
            shown.wait_for(lambda text: "level" not in text.rpartition("Dataset")[2])
        assert served.master.datasets.snapshot() == {"kept": (True, 7.25, {})}
    with DatasetDB(tmp_path / "dataset_db.mdb") as db:
        assert db.get("kept") == 7.25


@pytest.mark.parametrize("python", EACH)
def test_its_client_shows_and_scans_devices_and_an_empty_schedule(python: str, tmp_path: Path) -> None:
    with serving(tmp_path, artiq=release(python)) as served:
        control, notify = served.port("control"), served.port("notify")
        words = ("artiq.frontend.artiq_client", "-s", "127.0.0.1", "--port", str(notify), "show")
        with program(python, *words, "devices", folder=tmp_path) as shown:
            shown.wait_for(lambda text: '"type": "dummy"' in text)
            (tmp_path / "device_db.py").write_text("device_db = {'fresh': {'type': 'dummy'}}\n")
            client(python, control, "scan-devices")
            shown.wait_for(lambda text: "fresh" in text)
        (tmp_path / "device_db.py").write_text("device_db = {\n")
        assert "device_db.py:1: syntax error" in client(python, control, "scan-devices", check=False)
        with program(python, *words, "schedule", folder=tmp_path) as schedule:
            schedule.wait_for(lambda text: "Schedule is empty" in text)


@pytest.mark.parametrize("python", EACH)
def test_its_controller_manager_follows_the_devices(python: str, tmp_path: Path) -> None:
    write_controller(tmp_path)
    port, own = free_port(), free_port()
    lamp = entry(port, command=f"{sys.executable} {tmp_path / 'controller.py'} {{port}} good")
    with serving(tmp_path, artiq=release(python)) as served:
        words = ["-s", "127.0.0.1", "--port-notify", str(served.port("notify")), "--port-control", str(own)]
        words += ["--port-logging", str(served.port("logging"))]
        with program(python, "artiq_comtools.artiq_ctlmgr", *words, folder=tmp_path):
            (tmp_path / "device_db.py").write_text(f"device_db = {json.dumps({'lamp': lamp})}\n")
            with served.client("device_db") as devices:
                devices.scan()
                assert within(150.0, lambda: answers(port))
                (tmp_path / "device_db.py").write_text("device_db = {}\n")
                devices.scan()
                assert within(150.0, lambda: not answers(port))


def answers(port: int) -> bool:
    """Whether the controller answers."""
    try:
        with Client("127.0.0.1", port, "lamp") as lamp:
            return bool(lamp.ping())
    except OSError:
        return False
