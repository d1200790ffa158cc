"""The dataset database: ARTIQ's file, on the disk at once, one writer."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest

from rexec.datasets import DatabaseInUse, DatabaseUnreadable, DatasetDB, DatasetError, DatasetTooLarge
from rexec.wire import pyon


def stored(path: Path) -> dict[str, Any]:
    """What ARTIQ would read from the file: the bytes, by another process so that nothing is cached."""
    code = (
        "import lmdb,sys,json\n"
        "env=lmdb.open(sys.argv[1],subdir=False,readonly=True,lock=False,map_size=2**30)\n"
        "with env.begin() as t: print(json.dumps({bytes(k).decode(): bytes(v).decode() for k,v in t.cursor()}))"
    )
    output = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=True).stdout
    return {key: pyon.decode(text) for key, text in pyon.decode(output).items()}


def test_a_persistent_dataset_is_in_the_file_when_set_returns(tmp_path: Path) -> None:
    with DatasetDB(tmp_path / "dataset_db.mdb") as db:
        db.set("x", [1], persist=True, metadata={"unit": "V"})
        db.set("y", 2)
        assert stored(tmp_path / "dataset_db.mdb") == {"x": ([1], {"unit": "V"})}
        db.update({"action": "append", "path": ["x", 1], "x": 2})
        assert stored(tmp_path / "dataset_db.mdb") == {"x": ([1, 2], {"unit": "V"})}
        db.set("x", 3, persist=False)
        assert stored(tmp_path / "dataset_db.mdb") == {}


def test_what_persists_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db:
        db.set("élan", np.arange(3), persist=True)
        db.set("gone", 1, persist=True)
        db.delete("gone")
    with DatasetDB(path) as db:
        persist, value, metadata = db.get_entry("élan")
        assert (persist, value.tolist(), metadata) == (True, [0, 1, 2], {})
        with pytest.raises(KeyError):
            db.get("gone")


@pytest.mark.parametrize(
    "text",
    [
        '{"__jsonclass__":["tuple",[[42000000.0,{"unit":"MHz","scale":1000000.0}]]]}',
        '(42000000.0, {"unit": "MHz", "scale": 1000000.0})',
    ],
    ids=["ARTIQ 9", "ARTIQ 8"],
)
def test_files_of_each_release_are_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "dataset_db.mdb"
    with lmdb.open(str(path), subdir=False, map_size=2**30) as env, env.begin(write=True) as transaction:
        transaction.put(b"f", text.encode())
    with DatasetDB(path) as db:
        assert db.get_entry("f") == (True, 42e6, {"unit": "MHz", "scale": 1e6})


def test_a_value_that_is_not_artiqs_is_named(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    with lmdb.open(str(path), subdir=False, map_size=2**30) as env, env.begin(write=True) as transaction:
        transaction.put(b"odd", b"__import__('os')")
    with pytest.raises(DatabaseUnreadable, match="dataset 'odd' in"):
        DatasetDB(path)


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(DatabaseUnreadable, match="no LMDB file, or damaged"):
        DatasetDB(path)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="No such file or directory; name one in a folder that you may"):
        DatasetDB(tmp_path / "none" / "dataset_db.mdb")


def test_a_second_writer_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db:
        db.set("x", 1, persist=True)
        with pytest.raises(DatabaseInUse, match="open in this process itself"):
            DatasetDB(path)
        code = "import sys; from rexec.datasets import DatasetDB; DatasetDB(sys.argv[1])"
        other = subprocess.run(
            [sys.executable, "-c", code, path], capture_output=True, text=True, check=False, timeout=40
        )
        assert f"dataset_db.mdb is open in process {os.getpid()} (" in other.stderr
    DatasetDB(path).close()


OPENS_LMDB = """
import lmdb, sys
env = lmdb.open(sys.argv[1], subdir=False, map_size=2**30)
print("open", flush=True)
sys.stdin.readline()
with env.begin(write=True) as transaction:
    transaction.put(b"other", b'{"__jsonclass__":["tuple",[[1,{}]]]}')
print("written", flush=True)
sys.stdin.read()
"""


def test_a_master_that_knows_nothing_of_our_lock_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    with opens_lmdb(path) as master:
        assert master.stdout is not None
        assert master.stdout.readline() == b"open\n"
        with pytest.raises(DatabaseInUse, match=rf"open in process {master.pid} \(.*lmdb"):
            DatasetDB(path)
        master.communicate(timeout=10)
    DatasetDB(path).close()


def test_a_master_that_writes_into_our_database_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db, opens_lmdb(path) as master:
        assert master.stdin is not None
        assert master.stdout is not None
        for number in range(3):
            db.set("x", number, True)
        assert not caplog.records
        master.stdin.write(b"\n")
        master.stdin.flush()
        assert [master.stdout.readline() for _ in range(2)] == [b"open\n", b"written\n"]
        for number in range(3):
            db.set("x", number, True)
        master.communicate(timeout=10)
    (record,) = caplog.records
    assert f"another process has changed the dataset database {path}" in record.getMessage()


def opens_lmdb(path: Path) -> "subprocess.Popen[bytes]":
    """Start a program that opens the database as ARTIQ's master does."""
    command = [sys.executable, "-c", OPENS_LMDB, str(path)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_a_value_that_does_not_fit_leaves_everything_as_it_was(tmp_path: Path) -> None:
    with DatasetDB(tmp_path / "dataset_db.mdb") as db:
        db.set("x", [1], persist=True)
        with pytest.raises(TypeError):
            db.update({"action": "append", "path": ["x", 1], "x": object()})
        with pytest.raises(DatasetTooLarge, match="LMDB takes 1 to 511"):
            db.set("k" * 600, 1, persist=True)
        assert db.snapshot() == {"x": (True, [1], {})}


def test_set_keeps_persist_and_metadata_that_are_not_given() -> None:
    db = DatasetDB()
    db.set("x", 1, True, {"unit": "V"})
    db.set("x", 2)
    assert db.get_entry("x") == (True, 2, {"unit": "V"})
    assert db.get_metadata("x") == {"unit": "V"}


def test_values_are_copies_in_and_out() -> None:
    db, given = DatasetDB(), [[1]]
    db.set("x", given)
    given[0].append(2)
    db.get("x")[0].append(3)
    assert db.get("x") == [[1]]


@pytest.mark.parametrize(
    ("mod", "error"),
    [
        ({"action": "append", "path": ["none", 1], "x": 1}, KeyError),
        ({"action": "append", "path": ["n", 1], "x": 1}, TypeError),
        ({"action": "explode", "path": ["x", 1]}, ValueError),
        ({"action": "setitem", "path": ["x", 1], "key": 9, "value": 1}, IndexError),
        ({"action": "append"}, ValueError),
        ({"action": "append", "path": [], "x": 1}, ValueError),
    ],
)
def test_a_modification_that_does_not_fit_is_refused(mod: dict[str, Any], error: type[Exception]) -> None:
    db = DatasetDB()
    db.set("x", [1])
    db.set("n", 1)
    before = db.snapshot()
    with pytest.raises(error):
        db.update(mod)
    assert db.snapshot() == before


def test_modifications_of_the_whole_set_and_delete() -> None:
    db = DatasetDB()
    db.update({"action": "setitem", "path": [], "key": "x", "value": (False, 1, {})})
    assert db.get("x") == 1
    db.update({"action": "delitem", "path": [], "key": "x"})
    assert db.snapshot() == {}


def test_a_listener_that_fails_keeps_no_other_from_hearing() -> None:
    db = DatasetDB()
    heard: list[object] = []

    def fails(mod: object, origin: object) -> None:
        raise OSError("disk full")

    db.subscribe(fails)
    db.subscribe(lambda mod, origin: heard.append(mod["key"]))
    with pytest.raises(OSError, match="disk full"):
        db.set("x", 1)
    assert heard == ["x"]
    assert db.get("x") == 1
