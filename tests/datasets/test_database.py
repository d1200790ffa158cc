"""The dataset database: ARTIQ's file, on the disk at once, shared by our processes."""

import ast
import errno
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import lmdb
import numpy as np
import psutil
import pytest

from rexec.datasets import (
    DatabaseInUse,
    DatabaseLost,
    DatabaseUnreadable,
    DatasetDB,
    DatasetError,
    DatasetManager,
    DatasetTooLarge,
    Origin,
    _lmdb_claim,
    _lmdb_new,
    _locks,
)
from rexec.datasets._change_log import ChangeLog
from rexec.datasets._lmdb_check import check_file
from rexec.datasets._texts import Writing, digest_of
from rexec.datasets.changes import changed_metadata
from rexec.experiment import HasEnvironment
from rexec.ground.locks import share_lock, try_lock
from rexec.wire import pyon
from tests.clock import set_clock
from tests.ground.forking import in_a_fork, program, said
from tests.holding import READERS, held, windows


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
    assert not [path for path in tmp_path.iterdir() if ".tmp" in path.name]


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


def test_an_entry_that_cannot_be_read_costs_that_entry(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    with lmdb.open(str(path), subdir=False, map_size=2**30) as env, env.begin(write=True) as transaction:
        transaction.put(b"odd", b"__import__('os')")
        transaction.put(b"even", b'{"__jsonclass__":["tuple",[[2,{}]]]}')
    with DatasetDB(path) as db:
        assert (db.get("even"), db.count()) == (2, (2, 2))
        for ask in (db.get, db.get_metadata, db.get_entry):
            with pytest.raises(DatabaseUnreadable, match=r"dataset 'odd' in .* cannot be read"):
                ask("odd")
        assert list(db.snapshot()) == ["even"]
        assert list(db.unreadable) == ["odd"]
        with pytest.raises(DatabaseUnreadable):
            db.in_memory("it is a copy").get("odd")
        db.set("odd", 1)
        assert db.get_entry("odd") == (True, 1, {})
    assert stored(path)["odd"] == (1, {})


def test_a_default_does_not_take_the_place_of_what_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    with lmdb.open(str(path), subdir=False, map_size=2**30) as env, env.begin(write=True) as transaction:
        transaction.put(b"cal", b"garbage")
    with DatasetDB(path) as db:
        environment = HasEnvironment((None, DatasetManager(db), None, {}))
        with pytest.raises(DatabaseUnreadable, match="'cal'"):
            environment.get_dataset("cal", 5)
        assert environment.get_dataset("other", 5) == 5


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(DatabaseUnreadable, match="no LMDB file, or damaged"):
        DatasetDB(path)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="name one in a folder that you may"):
        DatasetDB(tmp_path / "none" / "dataset_db.mdb")


def test_the_same_process_cannot_open_it_twice(tmp_path: Path) -> None:
    with (
        DatasetDB(tmp_path / "dataset_db.mdb"),
        pytest.raises(DatabaseInUse, match="open in this process itself"),
    ):
        DatasetDB(tmp_path / "dataset_db.mdb")
    DatasetDB(tmp_path / "dataset_db.mdb").close()


ANOTHER = """
import sys
from rexec.datasets import DatasetDB
with DatasetDB(sys.argv[1]) as db:
    print("open", flush=True)
    for line in sys.stdin:
        action, *words = line.split()
        if action == "set":
            db.set(words[0], eval(words[1]), True)
        elif action == "append":
            db.update({"action": "append", "path": [words[0], 1], "x": int(words[1])})
        elif action == "delete":
            db.delete(words[0])
        elif action == "count":
            for number in range(int(words[1])):
                db.update({"action": "append", "path": [words[0], 1], "x": number})
        print(db.snapshot(), flush=True)
"""


class Another:
    """Another process that has the database open, and does what it is told."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", ANOTHER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.answer() == "open"

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def do(self, line: str) -> Any:
        self.tell(line)
        return ast.literal_eval(self.answer())

    def answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def __enter__(self) -> "Another":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=150)


def test_two_processes_see_and_keep_what_the_other_sets(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db, Another(path) as other:
        db.set("x", [1], True, {"unit": "V"})
        assert other.do("append x 2") == {"x": (True, [1, 2], {"unit": "V"})}
        assert db.get("x") == [1, 2]
        other.do("set cal 729.3e6")
        assert db.get_entry("cal") == (True, 729.3e6, {})
        heard: list[tuple[Any, Origin]] = []
        db.subscribe(lambda mod, origin: heard.append((mod["key"], origin)))
        other.do("delete cal")
        with pytest.raises(KeyError):
            db.get("cal")
        assert heard == [("cal", "neighbour")]
        assert stored(path) == {"x": ([1, 2], {"unit": "V"})}


def test_two_processes_that_append_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db, Another(path) as other:
        db.set("x", [], True)
        other.tell("count x 100")
        for number in range(100):
            db.update({"action": "append", "path": ["x", 1], "x": 1000 + number})
        other.answer()
        other.do("append x -1")
        found = db.get("x")
    assert [each for each in found if each >= 1000] == list(range(1000, 1100))
    assert [each for each in found if each < 1000] == [*range(100), -1]


def test_there_is_one_master(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path, is_master=True), Another(path):
        if os.name != "nt":  # where an open file cannot be removed
            path.unlink()
        code = "import sys; from rexec.datasets import DatasetDB; DatasetDB(sys.argv[1], is_master=True)"
        second = subprocess.run(
            [sys.executable, "-c", code, path], capture_output=True, text=True, check=False, timeout=150
        )
        assert "has a master already" in second.stderr
    DatasetDB(path, is_master=True).close()


NOT_PROTECTED = os.name != "nt"
"""Windows lets nobody remove, replace or cut a file that is open and mapped."""


@pytest.mark.parametrize("what", [*(["removed", "replaced", "cut", "emptied"] * NOT_PROTECTED), "older"])
def test_a_file_that_is_lost_is_noticed_before_the_next_acknowledgement(tmp_path: Path, what: str) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db:
        db.set("x", 1, True)
        older = path.read_bytes()
        db.set("x", list(range(10_000)), True)
        if what == "removed":
            path.unlink()
        elif what == "replaced":
            shutil.copy(path, tmp_path / "copy")
            (tmp_path / "copy").replace(path)
        elif what == "cut":
            os.truncate(path, 3 * 4096)
        elif what == "emptied":
            os.truncate(path, 0)
        else:
            with path.open("r+b") as file:
                file.write(older)
        for _ in range(2):
            with pytest.raises(DatabaseLost, match=r"put a copy of the file back"):
                db.set("y", 2, True)
        with pytest.raises(DatabaseLost):
            db.get("x")


def small_database(path: Path) -> bytes:
    with DatasetDB(path) as db:
        for number in range(40):
            db.set(f"k{number}", list(range(number * 20)), True)
        for number in range(0, 40, 3):
            db.delete(f"k{number}")
    data = path.read_bytes()
    # On Windows the file is as large as its map.
    return data[: -(-len(data.rstrip(b"\0")) // 4096) * 4096]


@pytest.mark.parametrize("number", [2, 2000])
def test_a_name_that_is_there_twice_is_damage(tmp_path: Path, number: int) -> None:
    """In a tree of one page, and in one of many."""
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db:
        for each in range(number):
            db.set(f"name{each:05}", each, True)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"name00001", b"name00000"))
    with pytest.raises(DatasetError, match="has a name twice"):
        DatasetDB(path)


@pytest.mark.skipif(not NOT_PROTECTED, reason="no open file is moved there")
def test_nothing_is_written_into_a_file_that_was_moved_away(tmp_path: Path) -> None:
    path, away = tmp_path / "dataset_db.mdb", tmp_path / "away.mdb"
    with DatasetDB(path) as db:
        db.set("x", 1, True)
        path.rename(away)
        before = away.read_bytes()
        with pytest.raises(DatabaseLost):
            db.set("y", 2, True)
        with pytest.raises(DatabaseLost), db._store.writing("y") as writing:  # type: ignore[union-attr]
            writing.put(b"y", b"2")
        assert away.read_bytes() == before


@pytest.mark.skipif(not NOT_PROTECTED, reason="no open file is moved there")
def test_a_file_that_goes_during_a_change_is_noticed_before_that_counts(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"

    def lose(db: DatasetDB) -> None:
        with db._store.writing("y") as writing:  # type: ignore[union-attr]
            writing.put(b"y", b"2")
            path.unlink()

    with DatasetDB(path) as db, pytest.raises(DatabaseLost):
        lose(db)


@pytest.mark.skipif(os.name == "nt", reason="it has no modes")
@pytest.mark.parametrize("links", [True, False])
def test_the_group_may_write_a_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    def refuses(*_: object) -> None:
        raise PermissionError

    synced: list[int] = []
    steps: list[object] = []
    monkeypatch.setattr(_lmdb_new, "sync_descriptor", lambda number: synced.append(os.fstat(number).st_size))
    monkeypatch.setattr(_lmdb_new, "sync_file", lambda file: steps.append(file.stat().st_size > 0))
    monkeypatch.setattr(_lmdb_new, "sync_folder_of", lambda file: steps.append(file.name))
    if not links:
        monkeypatch.setattr(os, "link", refuses)
    usual = os.umask(0)
    try:
        with DatasetDB(tmp_path / "dataset_db.mdb", is_master=True) as db:
            db.set("x", list(range(2000)), True)
            db.update({"action": "append", "path": ["x", 1], "x": 1})
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        os.umask(usual)
    assert modes == dict.fromkeys(("dataset_db.mdb" + end for end in ("", "-lock", "-log", "-master")), 0o664)
    assert (len(synced), all(synced)) == (0 if links else 1, True)
    assert steps == [True, "dataset_db.mdb"]


def test_a_new_file_that_another_process_has_made_meanwhile_is_its(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "dataset_db.mdb"

    def link(*_: object) -> None:
        path.write_bytes(b"of another process")
        raise FileExistsError

    monkeypatch.setattr(os, "link", link)
    _lmdb_new.make_empty(path)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [
        (path.name, b"of another process")
    ]


def test_why_no_new_file_can_be_made_is_said_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_lmdb_new, "sync_file", full)
    with pytest.raises(DatasetError, match=r"dataset_db\.mdb: No space left on device; name one in a folder"):
        DatasetDB(tmp_path / "dataset_db.mdb")
    assert list(tmp_path.iterdir()) == []


def test_the_first_pages_of_another_program_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "dataset_db.mdb"
    pages = small_database(tmp_path / "other.mdb")
    path.touch()
    (tmp_path / "dataset_db.mdb-lock").touch()
    monkeypatch.setattr(_lmdb_claim, "_PATIENCE", 150.0)
    set_clock(monkeypatch, "rexec.datasets._lmdb_claim", sleep=lambda _: path.write_bytes(pages))
    with DatasetDB(path) as db:
        assert db.has("k1")


@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
def test_a_program_that_keeps_others_out_is_waited_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "dataset_db.mdb"
    DatasetDB(path).close()
    with path.open("rb") as file:
        assert try_lock(file.fileno())
        monkeypatch.setattr(_locks, "_PATIENCE", 0.02)
        with pytest.raises(DatabaseInUse, match="is open in another process, which does not share it"):
            DatasetDB(path)
        monkeypatch.setattr(_locks, "_PATIENCE", 150.0)
        set_clock(monkeypatch, "rexec.ground.locks", sleep=lambda _: share_lock(file.fileno()))
        DatasetDB(path).close()


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system cannot reserve room")
def test_a_lock_file_that_has_its_room_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "dataset_db.mdb"
    DatasetDB(path).close()
    kept: list[object] = []
    monkeypatch.setattr(_locks, "keep_space", lambda *room: kept.append(room))
    DatasetDB(path).close()
    assert kept == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not list open files")
def test_a_database_that_is_closed_leaves_no_file_open(tmp_path: Path) -> None:
    opened = []
    for _ in range(2):
        with DatasetDB(tmp_path / "dataset_db.mdb", is_master=True) as db:
            db.set("x", list(range(2000)), True)
            db.update({"action": "append", "path": ["x", 1], "x": 1})
        db.close()
        opened.append(len(os.listdir("/proc/self/fd")))
    assert opened[1] <= opened[0]


def test_the_master_of_a_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    lock = tmp_path / "dataset_db.mdb-master"
    lock.write_bytes(b"9" * 15)
    with DatasetDB(path, is_master=True):
        assert os.name == "nt" or lock.read_bytes() == str(os.getpid()).encode()
        who = f"process {os.getpid()} " if os.name != "nt" else ""
        with pytest.raises(DatabaseInUse, match=f"has a master already, {who}"):
            DatasetDB(path, is_master=True)
        if os.name != "nt":
            lock.write_bytes(b"?")
            with pytest.raises(DatabaseInUse, match=r"has a master already, another process\."):
                DatasetDB(path, is_master=True)


def test_a_process_is_named_by_its_number_and_the_beginning_of_its_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands: dict[int, list[str]] = {7: ["python", "-c", "a\n b" + "x" * 200], 8: []}

    class Process:
        def __init__(self, pid: int) -> None:
            if pid not in commands:
                raise psutil.NoSuchProcess(pid)
            self.cmdline = lambda: commands[pid]

    monkeypatch.setattr(psutil, "Process", Process)
    assert _locks.named(7) == "process 7 (" + ("python -c a b" + "x" * 200)[:120] + ")"
    assert [_locks.named(pid) for pid in (8, 9, 0, None)] == ["process 8", "process 9", None, None]


@pytest.mark.skipif(not NOT_PROTECTED, reason="Windows lets nobody cut or rewrite an open file")
@pytest.mark.parametrize("what", ["was cut to", "was overwritten by an older one", "overwritten"])
def test_a_file_that_is_lost_is_noticed_by_who_only_reads(tmp_path: Path, what: str) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db:
        db.set("x", 1, True)
    older = path.read_bytes()
    with DatasetDB(path) as db:
        db.set("x", 2, True)
    with DatasetDB(path) as db:
        assert db.get("x") == 2
        if what == "was cut to":
            os.truncate(path, path.stat().st_size - 1)
        else:
            with path.open("r+b") as file:
                file.write(older if "older" in what else bytes(len(older)))
        with pytest.raises(DatabaseLost, match=what):
            db.get("x")


@pytest.mark.parametrize("refuses", [False, True])
def test_a_file_that_may_only_be_read_is_opened_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: bool
) -> None:
    """Also where LMDB cannot make its lock file."""
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db:
        db.set("x", 1, True)
    given: list[dict[str, Any]] = []
    opened = lmdb.open

    def lmdb_open(name: str, **options: Any) -> Any:
        given.append(options)
        if refuses and options.get("lock", True):
            raise lmdb.LockError("no lock")
        return opened(name, **options)

    monkeypatch.setattr(lmdb, "open", lmdb_open)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with DatasetDB(path) as db:
        assert db.get("x") == 1
    assert [options["readonly"] for options in given] == [True] * (1 + refuses)
    assert given[-1].get("lock", True) is not refuses


@pytest.mark.skipif(os.name == "nt", reason="it has no such errors")
def test_what_may_not_be_written_is_opened_for_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").write_bytes(b"text")
    opened = os.open

    def denied(name: Any, flags: int, *mode: int) -> int:
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "denied")
        return opened(name, flags, *mode)

    monkeypatch.setattr(os, "open", denied)
    descriptors = [_lmdb_claim._open_file(tmp_path / "x"), ChangeLog(tmp_path / "x")._opened()]
    for descriptor in descriptors:
        assert os.read(descriptor, 9) == b"text"
        os.close(descriptor)


def test_a_dataset_of_this_process_hides_only_the_one_of_that_name(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db, Another(path) as other:
        db.set("a", "mine")
        heard: list[tuple[Any, Origin]] = []
        db.subscribe(lambda mod, origin: heard.append((mod["key"], origin)))
        other.do("set a 1")
        other.do("set b 2")
        assert (db.get("a"), db.get("b")) == ("mine", 2)
        assert heard == [("b", "neighbour")]
        assert db.count() == (2, 1)
        other.do("set a list(range(2000))")
        other.do("append a 1")
        assert (db.get("a"), len(heard)) == ("mine", 1)


def test_a_change_too_large_for_the_file_leaves_the_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rexec.datasets._lmdb.MAP_SIZE", 2**22)
    with DatasetDB(tmp_path / "dataset_db.mdb") as db:
        db.set("x", [1], True)
        with pytest.raises(DatasetTooLarge, match=rf"'x' of {2**23 + 41} bytes"):
            db.update({"action": "append", "path": ["x", 1], "x": "z" * 2**23})
        assert db.get("x") == [1]


def test_what_cannot_be_read_can_be_deleted(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    with lmdb.open(str(path), subdir=False, map_size=2**30) as env, env.begin(write=True) as transaction:
        transaction.put(b"odd", b"garbage")
    with DatasetDB(path) as db:
        db.set("shown", 1)
        assert db.count() == (2, 1)
        db.delete("odd")
        assert (db.count(), dict(db.unreadable)) == ((1, 0), {})
    assert stored(path) == {}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_neither_uses_nor_closes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    large = list(range(2000))
    with DatasetDB(path) as db:
        db.set("x", large, True)
        db.update({"action": "append", "path": ["x", 1], "x": 1})

        def child() -> str:
            said = []
            for call in (
                lambda: db.get("x"),
                lambda: db.refresh(),
                lambda: db.set("x", 1),
                lambda: db.update({"action": "append", "path": ["x", 1], "x": 2}),
                lambda: db.delete("x"),
            ):
                try:
                    call()
                except DatasetError as error:
                    said.append("fork" in str(error))
            db.close()
            return repr(said)

        assert in_a_fork(child) == repr([True] * 5)
        assert stored(path)["x"] == (large, {})
        assert db.get("x") == [*large, 1]


def test_only_what_may_not_be_written_is_opened_for_reading(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent" / "dataset_db.mdb"):
        with pytest.raises(DatasetError, match="cannot open the dataset database"):
            _lmdb_claim._open_file(path)


def test_a_value_that_fills_its_pages_to_the_last_byte_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    for pages in (1, 2, 3):
        for besides in (-1, 0, 1):
            with (
                lmdb.open(str(path), subdir=False, map_size=2**22) as env,
                env.begin(write=True) as transaction,
            ):
                transaction.put(b"x", b"x" * (pages * env.stat()["psize"] - 16 + besides))
                transaction.put(b"y", b"y" * 3 * env.stat()["psize"])
            check_file(path)


def test_metadata_are_changed_one_by_one() -> None:
    before = {"unit": "V"}
    assert changed_metadata(before, {"action": "setitem", "path": ["x", 2], "key": "scale", "value": 2}) == {
        "unit": "V",
        "scale": 2,
    }
    assert changed_metadata(before, {"action": "delitem", "path": ["x", 2], "key": "unit"}) == {}
    assert before == {"unit": "V"}
    for mod in (
        {"action": "setitem", "path": ["x", 2, "a"], "key": "b", "value": 1},
        {"action": "delitem", "path": ["x", 2, "unit"], "key": "unit"},
        {"action": "append", "path": ["x", 2], "x": 1},
    ):
        with pytest.raises(ValueError, match="metadata are changed one by one"):
            changed_metadata(before, mod)


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not list open files")
def test_a_master_that_is_refused_leaves_no_file_open(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    master = f"DatasetDB({str(path)!r}, is_master=True); print('open', flush=True); time.sleep(600)"
    with program(f"import time; from rexec.datasets import DatasetDB; db = {master}") as holder:
        assert said(holder) == "open"
        opened: list[str] = []
        for _ in range(2):
            with pytest.raises(DatabaseInUse):
                DatasetDB(path, is_master=True)
            opened += [
                each.path for each in psutil.Process().open_files() if each.path.startswith(str(tmp_path))
            ]
    assert opened == []


@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
def test_a_holder_of_a_lock_that_the_system_does_not_tell_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = os.open(os.devnull, os.O_RDONLY)
    os.close(closed)
    assert _locks._lock_holder(closed) == 0
    monkeypatch.setattr(sys, "platform", "freebsd14")
    assert _locks._lock_holder(0) == 0


def test_what_a_transaction_put_and_removed_is_known_by_its_digest() -> None:
    class Transaction:
        def put(self, name: bytes, text: bytes) -> None:
            """Store it."""

        def delete(self, name: bytes) -> bool:
            return name != b"absent"

    writing = Writing(Transaction())
    writing.put(b"x", b"text")
    writing.remove(b"y")
    writing.remove(b"absent")
    assert writing.digests == {b"x": digest_of(b"text"), b"y": None}


READS = """
import sys
from rexec.datasets import DatasetDB, DatasetError
for path in sys.argv[1:]:
    try:
        with DatasetDB(path) as db:
            db.snapshot()
            db.set("new", 1, True)
            print(path, "ok")
    except DatasetError as error:
        print(path, "refused", str(error).count("\\n"))
"""


def test_a_damaged_file_is_one_error_and_never_the_end_of_the_process(tmp_path: Path) -> None:
    whole = small_database(tmp_path / "dataset_db.mdb")
    random, paths = Random(20261129), []
    for number in range(150):
        data = bytearray(whole)
        if number % 3 == 0:
            del data[random.randrange(len(data)) :]
        else:
            for _ in range(random.choice([1, 4, 40])):
                data[random.randrange(len(data))] = random.randrange(256)
            if number % 3 == 1:
                start = random.randrange(0, len(data), 4096)
                data[start : start + 4096] = bytes(4096)
        paths.append(tmp_path / f"{number}.mdb")
        paths[-1].write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", READS, *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert (done.returncode, done.stderr) == (0, "")
    answers = [line.split()[1:] for line in done.stdout.splitlines()]
    assert len(answers) == 150
    assert all(answer == ["ok"] or answer == ["refused", "0"] for answer in answers)
    assert answers.count(["refused", "0"]) > 40


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no FIFOs in folders")
def test_a_fifo_or_a_folder_is_no_database(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(DatabaseUnreadable, match="no regular file"):
        DatasetDB(tmp_path / "fifo")
    with pytest.raises(DatabaseUnreadable, match="is a folder"):
        DatasetDB(tmp_path)


def test_the_map_grows_for_both_processes(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db, Another(path) as other:
        db.set("large", np.zeros(2**20), True)  # 11 MiB of text, more than the map at first
        assert path.stat().st_size < 64 * 2**20
        db.set("large", 0, True)
        assert other.do("set small 1")["small"] == (True, 1, {})
        assert db.get("small") == 1


def test_a_full_file_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rexec.datasets._lmdb.MAP_SIZE", 2**22)
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db:
        db.set("x", [1], True)
        with pytest.raises(DatasetTooLarge, match=r"'large' of .* would outgrow"):
            db.set("large", np.zeros(2**20), True)
        with pytest.raises(KeyError):
            db.get("large")
        db.update({"action": "append", "path": ["x", 1], "x": 2})
        store: Any = db._store
        assert [store.has_room(2**22 - store._size - less) for less in (0, 1)] == [False, True]
    assert stored(path) == {"x": ([1, 2], {})}


FULL_DISK = """
import resource, signal, sys
from rexec.datasets import DatasetDB, DatasetError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with DatasetDB(sys.argv[1]) as db:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**17, 2**17))
    kept = []
    for number in range(200):
        try:
            db.set(f"k{number}", "x" * 2000, True)
            kept.append(f"k{number}")
        except DatasetError as error:
            assert f"k{number}" in str(error), error
    assert set(db.snapshot()) == set(kept)
    print(*kept)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limit there")
def test_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=False, timeout=150
    )
    assert done.stderr == ""
    kept = done.stdout.split()
    assert 3 < len(kept) < 200
    assert sorted(stored(path)) == sorted(kept)


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
        assert master.stdout.readline().split() == [b"open"]
        who = "another process" if os.name == "nt" else rf"process {master.pid} \(.*lmdb"
        with pytest.raises(DatabaseInUse, match=f"open in {who}"):
            DatasetDB(path)
        master.communicate(timeout=150)
    DatasetDB(path).close()


def test_what_a_program_that_does_not_share_writes_later_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db, opens_lmdb(path) as master:
        assert master.stdin is not None
        assert master.stdout is not None
        db.set("x", 0, True)
        assert master.stdout.readline().split() == [b"open"]
        master.stdin.write(b"\n")
        master.stdin.flush()
        assert master.stdout.readline().split() == [b"written"]
        assert db.get("other") == 1
        db.set("x", 1, True)
        master.communicate(timeout=150)
    assert sorted(stored(path)) == ["other", "x"]


def opens_lmdb(path: Path) -> "subprocess.Popen[bytes]":
    """Start a program that opens the database as ARTIQ's master does."""
    command = [sys.executable, "-c", OPENS_LMDB, str(path)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_a_value_that_does_not_fit_leaves_everything_as_it_was(tmp_path: Path) -> None:
    with DatasetDB(tmp_path / "dataset_db.mdb") as db:
        db.set("x", [1], persist=True)
        with pytest.raises(TypeError, match="dataset 'x' can be neither shown nor kept"):
            db.update({"action": "append", "path": ["x", 1], "x": object()})
        with pytest.raises(DatasetError, match="no text of UTF-8"):
            db.set("\udc80", 1, persist=True)
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
        ({"action": "append", "path": ["x"], "x": 1}, ValueError),
        ({"action": "setitem", "path": ["x", -1], "key": "unit", "value": 1}, ValueError),
        ({"action": "setitem", "path": ["x", 2], "key": "unit", "value": 5}, TypeError),
        ({"action": "setitem", "path": ["x", 2], "key": "scale", "value": "k"}, TypeError),
        ({"action": "append", "path": ["x", 2], "x": 1}, ValueError),
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


def test_a_file_that_was_emptied_is_no_new_one(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db:
        db.set("calibration", 729.3e6, persist=True)
    os.truncate(path, 0)
    with pytest.raises(DatabaseUnreadable, match="is empty, although it was in use"):
        DatasetDB(path)
    path.unlink()
    with DatasetDB(path) as db:
        assert not db.has("calibration")


def test_a_folder_in_the_place_of_the_lock_file_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "dataset_db.mdb-lock").mkdir()
    with pytest.raises(DatasetError, match="cannot open the dataset database"):
        DatasetDB(tmp_path / "dataset_db.mdb")


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system cannot reserve room")
def test_on_a_full_disk_it_is_refused_before_its_lock_file_is_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first use of a mapped file without room would end the process by SIGBUS."""

    def full(descriptor: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "dataset_db.mdb").touch()
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DatasetError, match=r"cannot open the dataset database .*No space left"):
        DatasetDB(tmp_path / "dataset_db.mdb")
    assert [path.name for path in tmp_path.iterdir()] == [
        "dataset_db.mdb"
    ]  # beside a lock file it would count as cut
    monkeypatch.undo()
    with DatasetDB(tmp_path / "dataset_db.mdb") as db:
        db.set("x", 1, persist=True)
        lock = (tmp_path / "dataset_db.mdb-lock").stat()
        assert lock.st_blocks * 512 >= lock.st_size


@windows
@pytest.mark.parametrize("share", [0, READERS])
def test_a_database_that_another_program_keeps_is_waited_for_and_then_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: int
) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as database:
        database.set("x", 1, persist=True)
    with held(path, share, seconds=1.0), DatasetDB(path) as database:
        assert database.get("x") == 1
    monkeypatch.setattr("devicedb.opening.PATIENCE", 0.1)
    with held(path, share), pytest.raises(DatasetError, match="Close the program that has it open") as caught:
        DatasetDB(path)
    assert str(caught.value).count(str(path)) == 1
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("said", ["Disk full", "Der Prozess kann nicht auf die Datei zugreifen."])
def test_what_the_system_says_of_a_whole_database_is_no_reason_to_move_it_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    path = tmp_path / "dataset_db.mdb"
    DatasetDB(path).close()

    def refuse(*_: Any, **__: Any) -> None:
        raise lmdb.Error(f"{path}: {said}")

    monkeypatch.setattr("devicedb.opening.PATIENCE", 0.0)
    monkeypatch.setattr(lmdb, "open", refuse)
    expected = re.escape(said.rstrip("."))
    with pytest.raises(
        DatasetError,
        match=rf"mdb: {expected}\. Close the program that has it open \(or dataset_db.mdb-lock\)",
    ):
        DatasetDB(path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(DatasetError, match=rf"mdb: {expected}\. Make room on its disk$"):
        DatasetDB(path)


@pytest.mark.parametrize("mod", [1, None, [], "x", 1.5])
def test_a_modification_that_is_no_dict_is_refused(mod: Any) -> None:
    with pytest.raises(TypeError, match="a modification is a dict"):
        DatasetDB().update(mod)


def test_a_database_that_another_process_has_let_grow_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    text = """
        import sys
        from rexec.datasets.database import DatasetDB
        with DatasetDB(sys.argv[1]) as database:
            print(database.count()[0])
            database.set("more", bytes(1 << 20), persist=True)
    """
    with DatasetDB(path) as database:
        for number, mebibytes in enumerate((1, 6, 20), 1):
            database.set(f"image {number}", bytes(mebibytes << 20), persist=True)
            done = subprocess.run(
                [sys.executable, "-c", textwrap.dedent(text), str(path)],
                capture_output=True,
                text=True,
                timeout=150,
                check=False,
                cwd=Path(__file__).parents[2],
            )
            assert (done.returncode, done.stderr) == (0, "")
            assert int(done.stdout) == number + (number > 1)
