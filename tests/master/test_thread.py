"""The database of a run as code on a controller sees it, and a master beside a run."""

from pathlib import Path

import h5py
import pytest

from rexec.datasets import DatasetDB, DatasetManager
from rexec.master import MasterError, MasterThread, Ports
from rexec.results import ResultsWriter
from rexec.wire.pc_rpc import Client
from schemas import RunIdentity


@pytest.mark.parametrize("target", ["dataset_db", "master_dataset_db"])
def test_both_names_reach_the_database(target: str) -> None:
    db = DatasetDB()
    with MasterThread(db) as served, Client("127.0.0.1", served.port, target) as client:
        client.set("x", [1], False, {"unit": "V"})
        client.update({"action": "append", "path": ["x", 1], "x": 2})
        assert client.get("x") == db.get("x") == [1, 2]
        assert client.get_metadata("x") == {"unit": "V"}
        client.delete("x")
        with pytest.raises(KeyError):
            client.get("x")


def test_remote_changes_are_in_the_runs_file(tmp_path: Path) -> None:
    db = DatasetDB()
    identity = RunIdentity(rid=1, class_name="Remote", start_time=0.0)
    writer = ResultsWriter.create(tmp_path / "r.h5", identity, refresh_interval=0)
    manager = DatasetManager(db, sink=writer)
    manager.set("fits", [], broadcast=True)
    with MasterThread(db) as served, Client("127.0.0.1", served.port, "dataset_db") as client:
        size = writer.journal_size
        client.update({"action": "append", "path": ["fits", 1], "x": 2.5})
        assert writer.journal_size > size
        client.set("frames", 10)
    manager.append_to("fits", 3.5)
    writer.close()
    with h5py.File(tmp_path / "r.h5") as file:
        assert file["datasets/fits"][()].tolist() == [2.5, 3.5]
        assert file["datasets/frames"][()] == 10
        assert file["datasets/frames"].attrs["rexec_origin"] == "client"


def test_two_servers_never_collide_and_a_taken_port_is_named() -> None:
    with MasterThread(DatasetDB()) as one, MasterThread(DatasetDB()) as other:
        assert one.port != other.port
        with pytest.raises(MasterError, match=f":{one.port}: .*--port-control"):
            MasterThread(DatasetDB(), ports=Ports(None, one.port, None, None))


def test_a_run_with_a_masters_database_broadcasts_there() -> None:
    master = DatasetDB()
    with MasterThread(master) as served, Client("127.0.0.1", served.port, "dataset_db") as client:
        manager = DatasetManager(client)
        manager.set("x", [], {"unit": "V"}, broadcast=True)
        manager.append_to("x", 1)
        manager.mutate("x", 0, 2)
        manager.set("image", [[1, 2], [3, 4]], persist=True)
        assert master.snapshot() == {"x": (False, [2], {"unit": "V"}), "image": (True, [[1, 2], [3, 4]], {})}
        master.set("calibration", 5.0)
        assert manager.get("calibration", archive=True) == 5.0
        manager.set("x", 0)
        assert "x" not in master.snapshot()
        manager.close()
