"""Numbers are appended by an object bound to their list: every promise of the step-by-step way holds for it."""

import errno
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from rexec.datasets import DatasetDB, DatasetManager
from rexec.datasets.values import same
from rexec.results import ResultsError, ResultsWriter, journal_path
from rexec.results.keeper import state_of
from schemas.run import RunIdentity
from tests.datasets.test_interrupted import interrupted
from tests.waiting import within


def begun(folder: Path) -> tuple[ResultsWriter, DatasetManager, DatasetDB]:
    db = DatasetDB()
    writer = ResultsWriter.create(
        folder / "r.h5",
        RunIdentity(rid=1, class_name="A", start_time=1.0),
        refresh_interval=0,
        sync_interval=0,
    )
    return writer, DatasetManager(db, sink=writer), db


def kept(writer: ResultsWriter) -> dict[str, Any]:
    """Return the values that the journal holds."""
    state = state_of(journal_path(writer.path), writer.journal_size)
    assert state.problems == []
    return {key: item.value for key, item in state.datasets.items()}


def is_bound(manager: DatasetManager, key: str) -> bool:
    return key in manager._bound


@pytest.mark.parametrize("value", [0.5, 3, np.float64(0.25), np.int64(-4)])
@pytest.mark.parametrize("broadcast", [False, True])
def test_what_is_appended_is_in_memory_journal_and_database(
    tmp_path: Path, value: Any, broadcast: bool
) -> None:
    writer, manager, db = begun(tmp_path)
    manager.set("x", [], broadcast=broadcast)
    expected = []
    for each in (value, value, "text", value, 2**70, [1, value], value, True, value):
        manager.append_to("x", each)
        expected.append(each)
        assert is_bound(manager, "x") == (type(each) in {float, int, np.float64, np.int64})
        assert same(manager.get("x"), expected)
    assert same(kept(writer)["x"], expected)
    if broadcast:
        assert same(db.get("x"), expected)
    writer.close()


@pytest.mark.parametrize("broadcast", [False, True])
def test_a_dataset_that_is_changed_in_another_way_is_the_one_that_is_appended_to(
    tmp_path: Path, broadcast: bool
) -> None:
    writer, manager, db = begun(tmp_path)
    manager.set("x", [1.0], broadcast=broadcast)
    manager.append_to("x", 2.0)
    manager.mutate("x", slice(0, 1), [])
    manager.append_to("x", 3.0)
    assert manager.get("x") == kept(writer)["x"] == [2.0, 3.0]
    manager.set("x", [7.0], broadcast=not broadcast)
    manager.append_to("x", 8.0)
    assert manager.get("x") == kept(writer)["x"] == [7.0, 8.0]
    manager.append_to("x", 9.0)
    if broadcast:
        with pytest.raises(KeyError):
            db.get("x")
    else:
        db.update({"action": "append", "path": ["x", 1], "x": -1.0}, origin="client")
        manager.append_to("x", 10.0)
        assert manager.get("x") == kept(writer)["x"] == db.get("x") == [7.0, 8.0, 9.0, -1.0, 10.0]
        db.set("x", [0.5], origin="client")
        manager.append_to("x", 11.0)
        assert manager.get("x") == kept(writer)["x"] == db.get("x") == [0.5, 11.0]
    manager.set("x", np.zeros(2))
    with pytest.raises(TypeError, match="cannot append"):
        manager.append_to("x", 1.0)
    writer.close()


@pytest.mark.skipif(sys.gettrace() is not None, reason="something else traces already")
@pytest.mark.parametrize("broadcast", [False, True])
def test_an_interrupt_anywhere_leaves_all_of_an_append_or_nothing(tmp_path: Path, broadcast: bool) -> None:
    writer, manager, db = begun(tmp_path)
    number, changed, went_on = 0, 0, True
    while went_on:
        number += 1
        key = f"k{number}"
        manager.set(key, [], broadcast=broadcast)
        manager.append_to(key, 1.0)
        assert is_bound(manager, key)
        went_on = interrupted(lambda key=key: manager.append_to(key, 2.0), number)  # type: ignore[misc]
        changed += len(manager.get(key)) - 1
        manager.append_to(key, 3.0)
        expected = manager.get(key)
        assert expected in ([1.0, 3.0], [1.0, 2.0, 3.0])
        assert kept(writer)[key] == expected, number
        if broadcast:
            assert db.get(key) == expected, number
    assert 1 < changed < number
    writer.close()


@pytest.mark.parametrize("broadcast", [False, True])
def test_threads_append_set_and_change_one_list(tmp_path: Path, broadcast: bool) -> None:
    """Whatever their order, it is one: that of the journal is that of memory."""
    writer, manager, db = begun(tmp_path)
    manager.set("x", [], broadcast=broadcast)

    def work(seed: int) -> None:
        chance = Random(seed)
        for number in range(400):
            what = chance.random()
            if what < 0.9:
                manager.append_to("x", seed + number / 1000)
            elif what < 0.96:
                manager.append_to("x", f"{seed} {number}")
            elif what < 0.98:
                manager.mutate("x", slice(0, 1), [number])
            elif broadcast and what < 0.99:
                db.update({"action": "append", "path": ["x", 1], "x": number}, origin="client")
            else:
                manager.set("x", [number], broadcast=broadcast)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as executor:
            for done in [executor.submit(work, seed) for seed in range(4)]:
                done.result()
    finally:
        sys.setswitchinterval(before)
    found = manager.get("x")
    assert len(found) > 4
    assert same(kept(writer)["x"], list(found))
    if broadcast:
        assert same(db.get("x"), list(found))
    writer.close()


def test_ctrl_c_between_file_and_database_leaves_the_number_in_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, manager, db = begun(tmp_path)
    manager.set("x", [], broadcast=True)
    manager.append_to("x", 1.0)
    assert is_bound(manager, "x")

    def strike(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(manager._appends, "show_number", strike)
    with pytest.raises(KeyboardInterrupt):
        manager.append_to("x", 2.0)
    assert db.get("x") == manager.get("x") == kept(writer)["x"] == [1.0, 2.0]
    writer.close("completed")


def test_an_append_that_does_not_fit_is_in_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    writer, manager, db = begun(tmp_path)
    manager.set("x", [], broadcast=True)
    manager.append_to("x", 1.0)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr("os.write", full)
        with pytest.raises(ResultsError, match="free space on it"):
            manager.append_to("x", 2.0)
    manager.append_to("x", 3.0)
    assert manager.get("x") == kept(writer)["x"] == db.get("x") == [1.0, 3.0]
    assert caplog.records == []
    writer.close()


def test_what_a_client_changes_is_not_appended_to_as_it_was_before(tmp_path: Path) -> None:
    writer, manager, db = begun(tmp_path)
    manager.set("x", [], broadcast=True)
    for value in (1.0, 2.0):
        manager.append_to("x", value)
        db.set("x", [9.0], origin="client")
    manager.append_to("x", 3.0)
    assert manager.get("x") == kept(writer)["x"] == db.get("x") == [9.0, 3.0]
    manager.set("p", [], persist=True)
    manager.append_to("p", 1.0)
    assert not is_bound(manager, "p")  # the database keeps each of them
    writer.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("broadcast", [False, True])
def test_a_fork_is_refused_though_another_thread_holds_the_lock(tmp_path: Path, broadcast: bool) -> None:
    writer, manager, _ = begun(tmp_path)
    manager.set("x", [], broadcast=broadcast)
    manager.append_to("x", 1.0)
    holds, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with manager._lock:
            holds.set()
            may_end.wait(150)

    thread = threading.Thread(target=hold)
    thread.start()
    assert holds.wait(150)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(60)  # a lock that is never free ends it
        try:
            manager.append_to("x", 2.0)
        except BaseException as error:
            os._exit(7 if "fork" in str(error) else 8)
        os._exit(9)
    may_end.set()
    thread.join()
    ended: list[int] = []

    def has_ended() -> bool:
        found, status = os.waitpid(child, os.WNOHANG)
        ended.extend([os.waitstatus_to_exitcode(status)] if found else [])
        return bool(ended)

    assert within(150, has_ended)
    assert ended == [7]
    manager.append_to("x", 3.0)
    assert manager.get("x") == kept(writer)["x"] == [1.0, 3.0]
    writer.close()
