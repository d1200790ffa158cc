"""Appends to a large persistent list: what is written is what is new, and nothing that was acknowledged is lost."""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import lmdb
import numpy as np
import pytest

from rexec.datasets import DatabaseLost, DatabaseUnreadable, DatasetDB, DatasetError, DatasetTooLarge
from rexec.datasets._change_log import ChangeLog, Moved
from rexec.datasets._lmdb import PersistentStore
from rexec.datasets._log_records import HEADER_SIZE, LogNames, body, framed, is_header, new_header, parsed
from rexec.datasets._stored import encoded
from rexec.wire import pyon
from tests.clock import set_clock
from tests.holding import READERS, held, windows

from .test_database import NOT_PROTECTED, Another, stored

LARGE = [number * 0.5 for number in range(1000)]


def append(db: DatasetDB, value: Any, key: str = "x") -> None:
    db.update({"action": "append", "path": [key, 1], "x": value})


def killed(path: Path, appended: int = 3) -> Path:
    """Return a folder as a process leaves it that is killed after some appends to a large list."""
    folder = path.parent / "killed"
    with DatasetDB(path) as db:
        db.set("x", LARGE, persist=True)
        for number in range(appended):
            append(db, number)
        folder.mkdir()
        for name in (path.name, f"{path.name}-log"):
            shutil.copy(path.with_name(name), folder)
    return folder / path.name


def test_an_append_writes_what_is_new_and_a_set_point_makes_the_database_complete(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    log = tmp_path / "dataset_db.mdb-log"
    with DatasetDB(path) as db:
        db.set("x", LARGE, persist=True)
        before = path.read_bytes()
        for number in range(100):
            append(db, number)
        db.update({"action": "setitem", "path": ["x", 1], "key": slice(0, 2), "value": [7, 8]})
        assert path.read_bytes() == before
        assert log.stat().st_size < 100 * 50
        expected = [7, 8, *LARGE[2:], *range(100)]
        assert db.get("x") == expected
        db.set("other", 1, persist=True)
        assert stored(path) == {"x": (expected, {}), "other": (1, {})}
        assert log.stat().st_size == HEADER_SIZE
        append(db, 5)
    assert stored(path)["x"] == ([*expected, 5], {})
    assert not log.exists()


@pytest.mark.parametrize("change", ["set", "delete"])
def test_what_was_logged_of_a_dataset_does_not_come_back_once_it_is_set_anew(
    change: str, tmp_path: Path
) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db:
        for key in ("x", "y"):
            db.set(key, LARGE, persist=True)
        for key in ("x", "y"):
            append(db, 5, key)
        db.set("x", "new", persist=True) if change == "set" else db.delete("x")
        left: dict[str, Any] = {"x": ("new", {})} if change == "set" else {}
        assert stored(path) == {**left, "y": ([*LARGE, 5], {})}


def test_an_array_is_changed_in_the_log_too(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db:
        db.set("x", np.zeros((500, 3)), persist=True)
        before = path.read_bytes()
        db.update({"action": "setitem", "path": ["x", 1], "key": (slice(2, 4), 1), "value": np.arange(2.0)})
        assert path.read_bytes() == before
        with pytest.raises(IndexError):
            db.update({"action": "setitem", "path": ["x", 1], "key": 500, "value": 1.0})
        with pytest.raises(ValueError, match="could not convert"):
            db.update({"action": "setitem", "path": ["x", 1], "key": 3, "value": ["a", "b", "c"]})
        assert db.get("x").sum() == 1.0
    with DatasetDB(path) as db:
        assert db.get("x")[3, 1] == 1.0


def test_the_log_is_folded_before_it_is_long(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    log = tmp_path / "dataset_db.mdb-log"
    with DatasetDB(path) as db:
        db.set("x", LARGE, persist=True)
        longest = 0
        for _ in range(12):
            append(db, "y" * 10_000)
            longest = max(longest, log.stat().st_size)
        assert 20_000 < longest < 90_000
        assert len(stored(path)["x"][0]) > 1005


def test_what_a_killed_process_has_logged_is_folded_by_the_next(tmp_path: Path) -> None:
    path = killed(tmp_path / "dataset_db.mdb")
    assert stored(path)["x"] == (LARGE, {})
    with DatasetDB(path) as db:
        assert stored(path)["x"] == ([*LARGE, 0, 1, 2], {})
        assert db.get("x") == [*LARGE, 0, 1, 2]
    assert not path.with_name(f"{path.name}-log").exists()


@windows
@pytest.mark.parametrize("share", [0, READERS])
def test_a_log_that_another_program_keeps_is_waited_for_and_then_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: int
) -> None:
    path = killed(tmp_path / "dataset_db.mdb")
    log = path.with_name(f"{path.name}-log")
    with monkeypatch.context() as patch, held(log):
        patch.setattr("devicedb.opening.PATIENCE", 0.1)
        with pytest.raises(DatabaseUnreadable, match=r"mdb-log: .*; close the program that has it open$"):
            DatasetDB(path)
    with held(log, share, seconds=1.0), DatasetDB(path) as db:
        assert db.get("x") == [*LARGE, 0, 1, 2]


def test_a_log_that_was_cut_anywhere_costs_what_was_not_acknowledged(tmp_path: Path) -> None:
    path = killed(tmp_path / "dataset_db.mdb")
    database, log = path.read_bytes(), path.with_name(f"{path.name}-log")
    data = log.read_bytes()
    counts = []
    for length in range(len(data) + 1):
        path.write_bytes(database)
        log.write_bytes(data[:length])
        with DatasetDB(path) as db:
            found = db.get("x")
            assert found[:1000] == LARGE
            assert found[1000:] == list(range(len(found) - 1000))
            append(db, "more")
        counts.append(len(found) - 1000)
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 3)
    assert stored(path)["x"] == ([*LARGE, 0, 1, 2, "more"], {})


def test_a_damaged_log_is_one_error(tmp_path: Path) -> None:
    path = killed(tmp_path / "dataset_db.mdb")
    log = path.with_name(f"{path.name}-log")
    data, random = log.read_bytes(), Random(1)
    for place in random.sample(range(len(data)), 12):
        changed = bytearray(data)
        changed[place] ^= 1 << random.randrange(8)
        log.write_bytes(changed)
        with pytest.raises(DatabaseUnreadable, match=r"damaged.*move it away") as raised:
            DatasetDB(path)
        assert "\n" not in str(raised.value)
    log.unlink()
    with DatasetDB(path) as db:
        assert db.get("x") == LARGE
    log.write_bytes(b"anything else" * 10)
    with pytest.raises(DatabaseUnreadable, match="is no log of a dataset database"):
        DatasetDB(path)
    log.unlink()
    log.mkdir()
    with pytest.raises(DatabaseUnreadable, match="the log of the dataset database"):
        DatasetDB(path)


HEADER = bytes.fromhex("5258444c4f470d0a01000000acc1b09f59c9b9de6efbd87b")
ANOTHER = bytes.fromhex("5258444c4f470d0a010000002546f48ce7dc6fa05b720b4e")
"""Headers as `new_header` makes them, the same at each run."""


def test_a_modification_that_is_logged_is_returned_as_any_other(tmp_path: Path) -> None:
    with DatasetDB(tmp_path / "dataset_db.mdb") as db:
        for key, value in (("long", LARGE), ("short", [1])):
            db.set(key, value, True)
            mod = {"action": "append", "path": [key, 1], "x": 2.5}
            assert db.update(mod) == mod


def test_a_record_may_be_empty() -> None:
    names = LogNames()
    naming = framed(HEADER, body(b"n", 1, b"d" * 24 + b"x"))
    data = naming + framed(HEADER, body(b"a", 1, b""))
    assert [each.kind for each in parsed(HEADER, data, 0, names)] == [b"n", b"a"]


@pytest.mark.parametrize("is_empty", [True, False])
@pytest.mark.parametrize("at", [600, 4])
def test_a_sector_that_was_never_written_is_torn_and_any_other_damage_is_damage(
    at: int, is_empty: bool
) -> None:
    """In the middle of the last record, and over its beginning."""
    record = framed(HEADER, body(b"n", 1, b"d" * 24 + b"x" * 3000))
    data = bytearray(record)
    if is_empty:
        start = 0 if at < 512 else 512
        data[start : start + 512] = bytes(512)
    else:
        data[at] ^= 1
    if is_empty:
        assert list(parsed(HEADER, bytes(data), 0, LogNames())) == []
    else:
        with pytest.raises(ValueError, match="is damaged at byte 0"):
            list(parsed(HEADER, bytes(data), 0, LogNames()))
    # Before another record nothing can be unwritten.
    if at == 600:
        with pytest.raises(ValueError, match="is damaged at byte 0"):
            list(parsed(HEADER, bytes(data) + record, 0, LogNames()))


def test_a_header_is_one_whole_or_as_far_as_it_was_written() -> None:
    assert HEADER[:12] == b"RXDLOG\r\n\x01\0\0\0"  # a log of this version is read by every later one
    assert len(HEADER) == HEADER_SIZE == len(new_header()) == 24
    assert is_header(new_header())
    assert new_header() != new_header()
    assert all(is_header(HEADER[:length]) for length in range(25))
    for place in range(24):
        wrong = bytearray(HEADER)
        wrong[place] ^= 1
        assert not is_header(bytes(wrong))
        assert is_header(bytes(wrong[:23])) is (place >= 12)


NAMING = framed(HEADER, body(b"n", 0, b"d" * 24 + b"x"))
CHANGE = framed(HEADER, body(b"a", 0, b"1"))


@pytest.mark.parametrize(
    ("data", "start", "place"),
    [
        (b"12345678", 24, 24),
        (NAMING + b"12345678", 24, 24 + len(NAMING)),
        (NAMING + CHANGE[:-1] + b"?", 24, 24 + len(NAMING)),
        (CHANGE, 24, 24),  # of a number that has no name
        (NAMING + framed(HEADER, b"a\0\0\0"), 24, 24 + len(NAMING)),
        (NAMING + framed(ANOTHER, body(b"a", 0, b"1")), 24, 24 + len(NAMING)),
        (b"1" + bytes(799) + b"1", 100, 100),  # no sector of the file is empty
    ],
)
def test_damage_is_told_by_its_place_in_the_file(data: bytes, start: int, place: int) -> None:
    with pytest.raises(ValueError, match=f"is damaged at byte {place}$"):
        list(parsed(HEADER, data, start, LogNames()))


@pytest.mark.parametrize("data", [b"", b"1234567", CHANGE[:-1], b"1234" + bytes(1100)])
def test_what_is_torn_is_no_record(data: bytes) -> None:
    for before in (b"", NAMING + CHANGE):
        records = list(parsed(HEADER, before + data, 100, LogNames()))
        assert [each.kind for each in records] == ([b"n", b"a"] if before else [])
        assert [each.end for each in records] == ([100 + len(NAMING), 100 + len(before)] if before else [])


def test_a_sector_is_one_of_the_file() -> None:
    assert list(parsed(HEADER, b"1" * 412 + bytes(512) + b"1" * 50, 100, LogNames())) == []


def test_a_record_of_a_fold_has_the_digest_of_the_new_text() -> None:
    data = NAMING + framed(HEADER, body(b"f", 0, b"e" * 24)) + CHANGE
    assert [each.digest for each in parsed(HEADER, data, 24, LogNames())] == [b"d" * 24, b"e" * 24, b"d" * 24]


class Written:
    """Notes how the log is synced."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.syncs: list[Any] = []
        monkeypatch.setattr("rexec.datasets._change_log.sync_descriptor", self._sync)
        monkeypatch.setattr("rexec.datasets._change_log.sync_folder_of", self.syncs.append)

    def _sync(self, _: int, **options: Any) -> None:
        self.syncs.append(options)


def begun(path: Path) -> ChangeLog:
    log = ChangeLog(path)
    log.open_anew()
    return log


def test_a_log_is_synced_with_each_change_and_its_folder_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, path = Written(monkeypatch), tmp_path / "log"
    log = begun(path)
    assert (log.is_open, log.size, log.records()) == (False, 0, [])
    for _ in range(2):
        end = log.append(b"x", b"d" * 24, b"a", b"1")
        assert log.position == end - (path.stat().st_size - log.position)
        log.took(end, b"x", b"d" * 24)
    assert (log.is_open, log.size) == (True, path.stat().st_size - HEADER_SIZE)
    log.note_folded({b"x": b"e" * 24, b"y": b"f" * 24})
    assert log.position == path.stat().st_size
    assert written.syncs == [path, {"data_only": True}, {"data_only": True}]
    assert [each.kind for each in log.records(again=True)] == [b"n", b"a", b"a", b"f"]
    assert log.records() == []
    log.close()
    log.close()
    assert not log.is_open


@pytest.mark.parametrize("fails", ["rexec.datasets._change_log.sync_descriptor", "os.write"])
def test_what_cannot_be_written_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    path, write = tmp_path / "log", os.write
    log = begun(path)
    log.took(log.append(b"x", b"d" * 24, b"a", b"1"), b"x", b"d" * 24)
    before = path.read_bytes()

    def full(descriptor: int, data: Any = b"", **_: Any) -> int:
        if len(data) > 4:
            return write(descriptor, data[:4])
        raise OSError(28, "No space left on device")

    changes: list[Callable[[], object]] = [lambda: log.append(b"x", b"d" * 24, b"a", b"2")]
    if fails == "os.write":  # a fold is not synced
        changes.append(lambda: log.note_folded({b"x": b"e" * 24}))
    for change in changes:
        with monkeypatch.context() as patch:
            patch.setattr(fails, full)
            with pytest.raises(DatasetError, match=r"log: No space left on device\. Nothing was changed"):
                change()
        assert path.read_bytes() == before
    log.took(log.append(b"x", b"d" * 24, b"a", b"3"), b"x", b"d" * 24)
    assert [each.change for each in log.records(again=True) if each.kind == b"a"] == [b"1", b"3"]
    log.close()


def test_a_system_that_writes_little_at_a_time_writes_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:5]))
    log = begun(tmp_path / "log")
    log.append(b"x", b"d" * 24, b"a", b"12345678")
    assert [each.change for each in log.records()][1:] == [b"12345678"]
    log.close()


def test_a_record_that_another_process_is_writing_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    log = begun(path)
    log.append(b"x", b"d" * 24, b"a", b"1")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"?")
    monkeypatch.setattr("rexec.datasets._change_log._PATIENCE", 150.0)
    set_clock(monkeypatch, "rexec.datasets._change_log", sleep=lambda _: path.write_bytes(whole))
    assert [each.kind for each in log.records()] == [b"n", b"a"]
    log.close()


def test_a_log_is_begun_anew_or_removed_only_by_who_knows_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    one = begun(path)
    one.took(one.append(b"x", b"d" * 24, b"a", b"1"), b"x", b"d" * 24)
    other = begun(path)
    length = path.stat().st_size
    for each in (one, other):
        each.remove()
    other.reset()
    assert path.stat().st_size == length
    one.reset()
    assert (path.stat().st_size, one.size) == (HEADER_SIZE, 0)
    other.reset()  # it has the header of the former one
    with pytest.raises(Moved):
        other.records()
    other.open_anew()
    if os.name != "nt":
        monkeypatch.setattr(Path, "unlink", _denied)
        one.remove()
        monkeypatch.undo()
        one.open_anew()
        one.remove()
        assert not path.exists()
        with pytest.raises(Moved):
            other.records()
        other.open_anew()
        assert not other.is_open
        one.append(b"x", b"d" * 24, b"a", b"1")  # in a new file
        assert path.stat().st_size == length
        with pytest.raises(Moved):
            other.records()
    one.close()
    other.close()


def _denied(*_: Any, **__: Any) -> None:
    raise PermissionError


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors are given in another order there")
def test_a_program_without_standard_input_may_have_the_log_in_its_place(tmp_path: Path) -> None:
    one = begun(tmp_path / "log")
    one.took(one.append(b"x", b"d" * 24, b"a", b"1"), b"x", b"d" * 24)
    before = os.dup(0)
    os.close(0)
    try:
        log = begun(tmp_path / "log")
        assert (log._descriptor, log.is_open) == (0, True)
        records = log.records()
        assert [each.kind for each in records] == [b"n", b"a"]
        log.position = records[-1].end
        log.took(log.append(b"x", b"d" * 24, b"a", b"2"), b"x", b"d" * 24)
        log.check()
        log.reset()
        assert (log._descriptor, log.path.stat().st_size) == (0, HEADER_SIZE)
        log.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(0)
    finally:
        os.dup2(before, 0)
        os.close(before)
        one.close()


def test_ctrl_c_while_changes_of_another_process_are_taken_over_comes_through_and_costs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strike(*_: Any) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db:
        db.set("x", LARGE, persist=True)
        append(db, 1)
        other = begun(path.with_name(f"{path.name}-log"))
        last = other.records()[-1]
        other.position = last.end
        other.append(last.name, last.digest, b"a", b"2")
        other.close()
        with monkeypatch.context() as patch:
            patch.setattr("rexec.datasets._logged.LoggedChanges._apply", strike)
            with pytest.raises(KeyboardInterrupt):
                db.get("x")
        assert db.get("x") == [*LARGE, 1, 2]


def test_a_log_of_zeros_is_an_empty_one(tmp_path: Path) -> None:
    """The power went before anything was kept in it."""
    path = killed(tmp_path / "dataset_db.mdb")
    log = path.with_name(f"{path.name}-log")
    for length in (HEADER_SIZE, 100):
        log.write_bytes(bytes(length))
        with DatasetDB(path) as db:
            found = db.get("x")
            append(db, 7)
            assert db.get("x") == [*found, 7]
    assert stored(path)["x"] == ([*LARGE, 7, 7], {})


BESIDES = len(encoded([""], {}))
TO_THE_LOG: dict[str, tuple[Any, dict[str, Any], bool]] = {
    "an append": (LARGE, {"action": "append", "x": 1}, True),
    "an item": (LARGE, {"action": "setitem", "key": 1, "value": 1}, True),
    "a removal": (LARGE, {"action": "pop", "i": 1}, False),
    "numbers": (np.zeros(600), {"action": "setitem", "key": 1, "value": 1}, True),
    "texts": (np.array(["text"] * 900), {"action": "setitem", "key": 1, "value": "a"}, False),
    "a dict": ({"a": "b" * 5000}, {"action": "setitem", "key": "c", "value": 1}, False),
    "an inner list": ([LARGE], {"action": "append", "path": ["x", 1, 0], "x": 1}, False),
    "metadata": (LARGE, {"action": "setitem", "path": ["x", 2], "key": "unit", "value": "V"}, False),
    "the largest short one": (["y" * (4096 - BESIDES)], {"action": "append", "x": 1}, False),
    "the shortest large one": (["y" * (4097 - BESIDES)], {"action": "append", "x": 1}, True),
}


@pytest.mark.parametrize("name", TO_THE_LOG)
def test_a_change_inside_a_large_list_or_array_of_numbers_goes_to_the_log(tmp_path: Path, name: str) -> None:
    value, mod, is_logged = TO_THE_LOG[name]
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db:
        db.set("x", value, True)
        heard: list[Any] = []
        db.subscribe(lambda mod, origin: heard.append((mod["action"], origin)))
        db.update({"path": ["x", 1], **mod}, origin="client")
        assert path.with_name(f"{path.name}-log").exists() is is_logged
        assert heard == [(mod["action"], "client")]


def test_a_large_dataset_is_folded_when_the_log_is_half_as_long(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db:
        db.set("x", ["y" * 400_000], persist=True)
        lengths = []
        for _ in range(10):
            append(db, "z" * 60_000)
            lengths.append((tmp_path / "dataset_db.mdb-log").stat().st_size // 60_000)
    assert lengths == [1, 2, 3, 0, 1, 2, 3, 4, 5, 0]  # then it is larger


def test_a_logged_change_that_does_not_fit_is_said_and_the_others_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = killed(tmp_path / "dataset_db.mdb", 1)
    log = begun(path.with_name(f"{path.name}-log"))
    (name, change) = log.records()
    for kind, text in ((b"s", "(9999, 1)"), (b"a", "?"), (b"s", "(0, 7)"), (b"a", "8")):
        log.position = max(log.position, change.end)
        change_text = pyon.encode(ast.literal_eval(text)) if text != "?" else text
        log.took(log.append(name.name, name.digest, kind, change_text.encode()), name.name, name.digest)
    log.close()
    with DatasetDB(path) as db:
        assert db.get("x") == [7, *LARGE[1:], 0, 8]
    assert [
        f"dataset x: a change in {path}-log cannot be carried out: " in each for each in caplog.messages
    ] == [True] * 2


def test_a_log_that_does_not_stay_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def moves(*_: Any) -> None:
        raise Moved

    with DatasetDB(tmp_path / "dataset_db.mdb") as db:
        db.set("x", 1, persist=True)
        monkeypatch.setattr("rexec.datasets._logged.LoggedChanges.follow", moves)
        with pytest.raises(DatabaseLost, match="the log of the dataset database"):
            db.get("x")
        monkeypatch.undo()


def test_a_log_that_cannot_be_begun_anew_counts_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Any) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db:
        db.set("x", LARGE, persist=True)
        append(db, 1)
        monkeypatch.setattr(ChangeLog, "reset", full)
        db.set("y", 1, persist=True)
        append(db, 2)
        assert db.get("x") == [*LARGE, 1, 2]
    monkeypatch.undo()
    assert stored(path)["x"] == ([*LARGE, 1, 2], {})


def test_a_fold_that_fails_at_the_end_is_said_and_the_log_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db:
        db.set("x", LARGE, persist=True)
        append(db, 1)
        monkeypatch.setattr("rexec.datasets._entries.Entries.fold", _fails)
    monkeypatch.undo()
    assert caplog.messages == [f"no room. The latest changes are in {path}-log"]
    with DatasetDB(path) as db:
        assert db.get("x") == [*LARGE, 1]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no FIFOs in folders")
def test_a_fifo_is_no_log(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "dataset_db.mdb-log")
    with pytest.raises(DatabaseUnreadable, match="is no log of a dataset database"):
        DatasetDB(tmp_path / "dataset_db.mdb")


@pytest.mark.skipif(not NOT_PROTECTED, reason="Windows lets nobody remove or replace an open file")
@pytest.mark.parametrize(
    "what", ["removed", "replaced", "cut", "emptied", "database removed", "database replaced"]
)
def test_a_file_that_is_lost_is_noticed_before_the_next_acknowledgement(tmp_path: Path, what: str) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db:
        db.set("x", LARGE, persist=True)
        append(db, 1)
        target = path if what.startswith("database") else path.with_name(f"{path.name}-log")
        if what.endswith("removed"):
            target.unlink()
        elif what.endswith("replaced"):
            shutil.copy(target, tmp_path / "copy")
            (tmp_path / "copy").replace(target)
        else:
            os.truncate(target, target.stat().st_size - 1 if what == "cut" else 0)
        for _ in range(2):
            with pytest.raises(DatabaseLost, match="start them again"):
                append(db, 2)
        with pytest.raises(DatabaseLost):
            db.get("x")


def test_a_fold_that_was_killed_before_the_log_began_anew_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db:
        db.set("x", LARGE, persist=True)
        append(db, 1)
        monkeypatch.setattr("rexec.datasets._change_log.ChangeLog.reset", lambda self: None)
        db.set("y", 1, persist=True)
        shutil.copytree(tmp_path, tmp_path / "killed")
        monkeypatch.undo()
    with DatasetDB(tmp_path / "killed" / path.name) as db:
        assert db.get("x") == [*LARGE, 1]
    assert stored(tmp_path / "killed" / path.name)["x"] == ([*LARGE, 1], {})
    assert caplog.records == []


def test_a_dataset_that_another_program_has_set_keeps_that_value(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = killed(tmp_path / "dataset_db.mdb")
    with lmdb.open(str(path), subdir=False, map_size=2**30) as env, env.begin(write=True) as transaction:
        transaction.put(b"x", b'{"__jsonclass__":["tuple",[[[2],{}]]]}')
    with DatasetDB(path) as db:
        assert db.get("x") == [2]
    assert not path.with_name(f"{path.name}-log").exists()
    assert [record.message.split(" in ")[0][:90] for record in caplog.records] == [
        "dataset x was set by another program since 3 changes of it were logged beside " + str(path)[:12]
    ]


def test_a_dataset_that_another_program_has_removed_stays_so(tmp_path: Path) -> None:
    path = killed(tmp_path / "dataset_db.mdb")
    with lmdb.open(str(path), subdir=False, map_size=2**30) as env, env.begin(write=True) as transaction:
        transaction.delete(b"x")
    with DatasetDB(path) as db:
        assert db.snapshot() == {}


def test_a_change_goes_to_the_log_if_there_is_room_for_its_fold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the dataset, all others that are to be folded, twice the log, and 64 KiB."""
    asked: list[int] = []

    def has_room(_: Any, length: int) -> bool:
        asked.append(length)
        return True

    monkeypatch.setattr(PersistentStore, "has_room", has_room)
    length = len(encoded(LARGE, {}))
    with DatasetDB(tmp_path / "dataset_db.mdb") as db:
        for key in "xy":
            db.set(key, LARGE, persist=True)
        append(db, 1, "x")
        log = (tmp_path / "dataset_db.mdb-log").stat().st_size - HEADER_SIZE
        append(db, 1, "y")
    assert set(asked) == {length + 2**16, 2 * length + 2 * log + 2**16}


def test_another_program_that_sets_something_else_costs_nothing(tmp_path: Path) -> None:
    path = killed(tmp_path / "dataset_db.mdb")
    with lmdb.open(str(path), subdir=False, map_size=2**30) as env, env.begin(write=True) as transaction:
        transaction.put(b"y", b'{"__jsonclass__":["tuple",[[2,{}]]]}')
    with DatasetDB(path) as db:
        assert db.get("x") == [*LARGE, 0, 1, 2]
        assert db.get("y") == 2


def test_two_processes_that_append_to_a_large_list_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db, Another(path) as other:
        db.set("x", LARGE, persist=True)
        other.tell("count x 300")
        heard: list[Any] = []
        db.subscribe(lambda mod, origin: heard.append((mod["action"], origin)))
        for number in range(300):
            append(db, 5000 + number)
            if number % 50 == 0:
                db.set("other", number, persist=True)
        other.answer()
        other.do("append x -1")
        found = db.get("x")
        assert db.get("other") == 250
        assert ("append", "neighbour") in heard
    assert found[:1000] == LARGE
    assert [each for each in found[1000:] if each >= 5000] == list(range(5000, 5300))
    assert [each for each in found[1000:] if each < 5000] == [*range(300), -1]
    assert stored(path)["x"] == (found, {})


def test_a_log_that_another_process_has_folded_and_begun_anew_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db, Another(path) as other:
        db.set("x", LARGE, persist=True)
        append(db, 1)
        heard: list[Any] = []
        db.subscribe(lambda mod, origin: heard.append((mod["action"], mod["path"] or mod["key"])))
        other.do("set y 1")
        assert db.get("x")[1000:] == [1]
        assert heard == [("setitem", "y")]  # that x was folded changes nothing
        other.do("append x 2")
        assert db.get("x")[1000:] == [1, 2]
        assert heard[1:] == [("append", ["x", 1])]
        append(db, 3)
        assert other.do("append x 4")["x"][1][1000:] == [1, 2, 3, 4]
        db.delete("y")
        assert other.do("append x 5")["x"][1][1000:] == [1, 2, 3, 4, 5]


def test_changes_that_leave_a_value_as_it_was_are_not_taken_for_lost(tmp_path: Path) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db, Another(path) as other:
        db.set("x", LARGE, persist=True)
        db.update({"action": "setitem", "path": ["x", 1], "key": 0, "value": 0.0})
        other.do("set y 1")
        assert db.get("x") == LARGE
        append(db, 1)
        assert other.do("append x 2")["x"][1][1000:] == [1, 2]


def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys\n"
        "from rexec.datasets import DatasetDB, DatasetError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "db = DatasetDB(sys.argv[1])\n"
        "db.set('x', ['y' * 100] * 1000, True)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2**19, 2**19))\n"
        "kept = 0\n"
        "for number in range(4000):\n"
        "    try:\n"
        "        db.update({'action': 'append', 'path': ['x', 1], 'x': 'z' * 1000})\n"
        "        kept += 1\n"
        "    except DatasetError as error:\n"
        "        assert 'File too large' in str(error), error\n"
        "        break\n"
        "assert len(db.get('x')) == 1000 + kept\n"
        "print(kept, flush=True)\n"
        "import os; os._exit(0)\n"
    )
    if sys.platform == "win32":
        pytest.skip("no file size limit there")
    path = tmp_path / "dataset_db.mdb"
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=False, timeout=150
    )
    kept = int(done.stdout)
    assert 10 < kept < 4000
    with DatasetDB(path) as db:
        assert len(db.get("x")) == 1000 + kept


def test_a_folder_that_may_only_be_read_shows_what_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = killed(tmp_path / "dataset_db.mdb")
    log = path.with_name(f"{path.name}-log")
    before = log.read_bytes()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with DatasetDB(path) as db:
        assert db.get("x") == [*LARGE, 0, 1, 2]
        with pytest.raises(DatasetError, match="may not write"):
            append(db, 3)
    assert log.read_bytes() == before
    assert stored(path)["x"] == (LARGE, {})
    assert caplog.records == []


def test_a_database_without_room_for_the_fold_refuses_the_append(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rexec.datasets._lmdb.MAP_SIZE", 2**22)
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db:
        db.set("x", ["y" * 1000] * 1000, True)
        kept = 0
        while kept < 100:
            try:
                append(db, "z" * 50_000)
            except DatasetTooLarge:
                break
            kept += 1
        assert 0 < kept < 100
        assert len(db.get("x")) == 1000 + kept
    assert len(stored(path)["x"][0]) == 1000 + kept


def test_a_failed_fold_is_tried_again_and_costs_no_append(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db:
        db.set("x", LARGE, persist=True)
        put = PersistentStore.writing
        monkeypatch.setattr("rexec.datasets._entries.Entries.fold", _fails)
        for _ in range(20):
            append(db, "y" * 10_000)
        assert PersistentStore.writing is put
        monkeypatch.undo()
        assert len(db.get("x")) == 1020
    assert len(stored(path)["x"][0]) == 1020
    assert {record.message for record in caplog.records} == {f"no room. The changes are in {path}-log"}
    assert len(caplog.records) == 2  # each time no sooner than the log is twice as long


def _fails(_: Any) -> None:
    raise DatasetError("no room")
