"""A master as its clients see it, over TCP."""

import asyncio
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rexec.datasets import DatasetDB
from rexec.master import MasterError
from rexec.wire.broadcast import Receiver
from rexec.wire.packed_exceptions import GenericRemoteException
from rexec.wire.pc_rpc import Client
from tests.master.masters import LOCAL, serving
from tests.waiting import within

ARTIQ_9 = {
    "dataset_db", "device_db", "experiment_db", "interactive_arg_db", "master_management", "schedule",
}  # fmt: skip
ARTIQ_7 = {
    "master_config", "master_dataset_db", "master_device_db", "master_experiment_db", "master_schedule",
}  # fmt: skip


def test_every_target_of_an_artiq_master_is_there_under_its_new_and_its_old_name(tmp_path: Path) -> None:
    with serving(tmp_path, name="lab 3") as served:
        with Client(LOCAL, served.port("control"), None) as client:
            assert set(client.get_rpc_id()[0]) >= ARTIQ_9 | ARTIQ_7
        with served.client("dataset_db") as new, served.client("master_dataset_db") as old:
            new.set("x", 1.5, None, {"unit": "V"})
            assert (old.get("x"), old.get_metadata("x")) == (1.5, {"unit": "V"})
            with pytest.raises(KeyError):
                old.delete("y")
        with served.client("master_config") as config:
            assert config.get_name() == "lab 3"


@pytest.mark.parametrize(
    ("name", "struct"),
    [
        ("datasets", {}),
        ("devices", {"core": {"type": "dummy"}, "alias": "core"}),
        ("schedule", {}),
        ("explist", {}),
        ("explist_status", {"scanning": False, "cur_rev": "N/A"}),
        ("interactive_args", {}),
    ],
)
def test_every_notifier_that_a_dashboard_follows_is_there(
    name: str, struct: dict[str, Any], tmp_path: Path
) -> None:
    with serving(tmp_path) as served, served.following(name) as followed:
        assert followed == struct


def test_followers_see_every_change_of_a_dataset(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.following("datasets") as followed:
        with served.client("dataset_db") as client:
            client.set("list", [], None, {"unit": "V", "scale": 1.0, "precision": 2})
            client.update({"action": "append", "path": ["list", 1], "x": 3})
            client.set("image", np.zeros((2, 3)))
            client.update({"action": "setitem", "path": ["image", 1], "key": slice(0, 1), "value": 5.0})
            client.set("gone", 1)
            client.set("kept", "text", True)
            client.delete("gone")
        assert within(150.0, lambda: "kept" in followed and "gone" not in followed)
        assert followed["list"] == (False, [3], {"unit": "V", "scale": 1.0, "precision": 2})
        assert followed["image"][1].tolist() == [[5.0, 5.0, 5.0], [0.0, 0.0, 0.0]]
        assert followed["kept"] == (True, "text", {})


def test_what_only_a_master_that_runs_experiments_has_is_refused_with_the_reason(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        with served.client("schedule") as schedule, served.client("experiment_db") as experiments:
            assert schedule.get_status() == {}
            with pytest.raises(KeyError, match="RID not found"):
                schedule.check_pause(5)
            with pytest.raises(GenericRemoteException, match="rexec run --master"):
                schedule.submit("main", {}, 0, None, False)
            with pytest.raises(GenericRemoteException, match="runs no experiments"):
                experiments.list_directory("")
        with served.client("interactive_arg_db") as arguments, pytest.raises(KeyError, match="run 3 asks"):
            arguments.supply(3, {})


def test_a_persistent_dataset_is_on_the_disk_when_the_client_has_its_answer(tmp_path: Path) -> None:
    (tmp_path / "device_db.py").write_text("device_db = {}\n")
    program = (
        "import sys; from rexec.cli import main; sys.exit(main(['master', '--no-localhost-bind', '--bind', '127.0.0.1',"
        "'--port-notify', '0', '--port-control', '0', '--port-broadcast', '0', '--port-logging', '0']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = 0
        for line in process.stdout:
            if line.startswith("control: "):
                port = int(line.rpartition(":")[2])
            if "ready" in line:
                break
        with Client(LOCAL, port, "dataset_db") as client:
            client.set("x", [1], True)
            client.update({"action": "append", "path": ["x", 1], "x": 2})
            client.set("y", 1)
            process.kill()
        process.wait(150.0)
    with DatasetDB(tmp_path / "dataset_db.mdb") as db:
        assert db.snapshot() == {"x": (True, [1, 2], {})}


def test_drops_for_a_slow_follower_are_counted_in_the_status_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(tmp_path, backlog=1 << 20) as served, served.deaf("datasets"):
        with served.client("dataset_db") as client, served.client("master_management") as management:
            for n in range(60):
                client.set("image", np.full(1 << 15, n))
            assert within(150.0, lambda: management.status()["followers"][0]["dropped"] > 10)
            (follower,) = management.status()["followers"]
            assert follower["waiting"] <= 2 << 20

        async def report() -> dict[tuple[str, str], int]:
            return served.master.report({})

        with caplog.at_level(logging.WARNING):
            counts = served.thread.call(report)
        assert counts[follower["peer"], "datasets"] == follower["dropped"]
        assert f"{follower['dropped']} changes were merged" in caplog.text


def test_the_logs_of_controller_managers_and_its_own_are_broadcast(tmp_path: Path) -> None:
    got: list[Any] = []
    with serving(tmp_path) as served:
        receiver = Receiver("log", got.append)
        served.thread.call(receiver.connect, LOCAL, served.port("broadcast"))
        assert within(150.0, lambda: any(e["name"] == "log" for e in served.master.status()["followers"]))
        import socket

        with socket.create_connection((LOCAL, served.port("logging"))) as sock:
            sock.sendall(b"ARTIQ logging\nmanager(pc):WARNING:a.b:one\nmanager(pc):ERROR<2>:a.b:two\nlines\n")
            assert within(150.0, lambda: len(got) == 2)
            sock.sendall(b"nonsense\n")
            assert sock.recv(1) == b""
        assert within(150.0, lambda: len(got) == 3)
        served.thread.call(receiver.close)
    assert [(level, source, text) for level, source, _, text in got[:2]] == [
        (logging.WARNING, "manager(pc)", "a.b:one"),
        (logging.ERROR, "manager(pc)", "a.b:two\nlines"),
    ]
    assert abs(got[0][2] - time.time()) < 60
    assert (got[2][0], got[2][1]) == (logging.WARNING, "master")
    assert "'nonsense' is not a log message" in got[2][3]


def test_a_taken_port_is_named_with_the_option_that_chooses_another(tmp_path: Path) -> None:
    from rexec.master import Devices, Master, Ports

    (tmp_path / "other").mkdir()
    with serving(tmp_path) as served:

        async def second() -> None:
            from devicedb import from_dict

            ports = Ports(0, served.port("control"), None, None)
            master = Master(DatasetDB(), Devices(from_dict({}, "none")), ports)
            try:
                await master.start([LOCAL])
            finally:
                await master.stop()

        with pytest.raises(MasterError, match=f"{served.port('control')}.*--port-control"):
            asyncio.run(second())


def test_many_threads_change_datasets_and_followers_end_up_with_what_is_there(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.following("datasets") as followed:

        def work(number: int) -> None:
            with served.client("dataset_db") as client:
                client.set(f"list{number}", [])
                for n in range(200):
                    client.update({"action": "append", "path": [f"list{number}", 1], "x": n})

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(150.0)
        numbers = list(range(200))
        expected: dict[Any, Any] = {f"list{number}": (False, numbers, {}) for number in range(4)}
        assert within(150.0, lambda: followed == expected)


def test_a_client_can_end_it(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        with served.client("master_management") as management:
            management.terminate()
        assert served.thread.wait(150.0)
    assert os.listdir(tmp_path)
