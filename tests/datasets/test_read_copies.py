"""A long list is read without a copy of the whole; a reader changes neither the dataset nor what another one has."""

import heapq
import json
import pickle
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pytest

from rexec.datasets import DatasetDB, DatasetManager
from rexec.datasets.read_copies import FROM
from rexec.datasets.values import DatasetList
from rexec.wire import pyon, pyon_v1

CHANGES: dict[str, Callable[[Any], object]] = {
    "append": lambda read: read.append(-1),
    "extend": lambda read: read.extend([-1]),
    "insert": lambda read: read.insert(5, -1),
    "pop": lambda read: read.pop(5),
    "remove": lambda read: read.remove(5),
    "clear": lambda read: read.clear(),
    "sort": lambda read: read.sort(reverse=True),
    "reverse": lambda read: read.reverse(),
    "setitem": lambda read: read.__setitem__(5, -1),
    "slice": lambda read: read.__setitem__(slice(5, 7), [-1, -2]),
    "delitem": lambda read: read.__delitem__(5),
    "iadd": lambda read: read.__iadd__([-1]),
    "imul": lambda read: read.__imul__(2),
    "past the methods": lambda read: list.append(read, -1),
    "heap": lambda read: heapq.heappop(read),
    "the first past the methods": lambda read: list.__setitem__(read, 0, -1),
    "the middle past the methods": lambda read: list.__setitem__(read, FROM, -1),
    "the last past the methods": lambda read: list.__setitem__(read, 2 * FROM - 1, -1),
}


@pytest.fixture
def manager() -> DatasetManager:
    manager = DatasetManager(DatasetDB(None))
    manager.set("x", list(range(2 * FROM)))
    return manager


def test_what_no_reader_holds_any_more_is_handed_out_again(manager: DatasetManager) -> None:
    seen = {id(manager.get("x"))}
    for number in range(100):
        manager.append_to("x", 0.5 * number)
        read = manager.get("x")
        assert (read[-1], len(read)) == (0.5 * number, 2 * FROM + number + 1)
        seen.add(id(read))
        del read
    assert len(seen) == 1


def test_what_a_reader_holds_stays_as_it_was_read(manager: DatasetManager) -> None:
    held = [manager.get("x")]
    for number in range(5):
        manager.append_to("x", number)
        held.append(manager.get("x"))
    manager.mutate("x", 0, "new")
    assert [len(read) for read in held] == [2 * FROM + number for number in range(6)]
    assert {read[0] for read in held} == {0}
    assert manager.get("x")[0] == "new"
    iterator = iter(manager.get("x"))
    manager.append_to("x", 7)
    manager.get("x")
    assert len(list(iterator)) == 2 * FROM + 5


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_what_was_read_changes_nothing_else(
    change: Callable[[Any], object], manager: DatasetManager
) -> None:
    change(manager.get("x"))
    assert manager.get("x") == list(range(2 * FROM))
    manager.append_to("x", 1)
    assert manager.get("x") == [*range(2 * FROM), 1]


def test_a_client_and_a_new_value_are_seen_at_once() -> None:
    db = DatasetDB(None)
    manager = DatasetManager(db)
    manager.set("x", [0] * FROM, broadcast=True)
    assert manager.get("x")[3] == 0
    db.update({"action": "setitem", "path": ["x", 1], "key": 3, "value": 9}, origin="client")
    assert manager.get("x")[3] == 9
    db.update({"action": "append", "path": ["x", 1], "x": 8}, origin="client")
    assert manager.get("x")[-1] == 8
    manager.set("x", [1] * 2 * FROM)
    assert manager.get("x") == [1] * 2 * FROM


def test_the_copy_that_is_kept_is_the_one_that_was_handed_out(manager: DatasetManager) -> None:
    manager.set("x", [0] * FROM)
    read = manager.get("x")
    assert manager._copies._kept["x"].copy is read


def test_a_copy_is_kept_of_a_long_list_only(manager: DatasetManager) -> None:
    for length, kind in ((FROM - 1, list), (FROM, DatasetList)):
        for item in (0, np.float64(1), np.True_):
            manager.set("x", [item] * length)
            assert type(manager.get("x")) is kind


def test_items_that_can_be_changed_are_copied(manager: DatasetManager) -> None:
    for item in ([1], np.zeros(1), {"a": 1}):
        manager.append_to("x", item)
        read = manager.get("x")
        assert type(read) is list
        assert read[-1] is not manager.get("x")[-1]
        manager.set("x", list(range(2 * FROM)))


def test_it_is_a_list_for_everybody(manager: DatasetManager, caplog: pytest.LogCaptureFixture) -> None:
    plain = list(range(2 * FROM))
    read = manager.get("x")
    assert isinstance(read, list)
    assert (read, repr(read), read[1:3]) == (plain, repr(plain), [1, 2])
    assert {type(other) for other in (deepcopy(read), pickle.loads(pickle.dumps(read)), read.copy())} == {
        list
    }
    assert json.dumps(read) == json.dumps(plain)
    assert pyon.encode(read) == pyon.encode(plain)
    assert pyon_v1.encode(read) == pyon_v1.encode(plain)
    assert np.array_equal(np.array(read), plain)
    manager.set("y", read)
    assert type(manager.local["y"].value) is list
    assert manager.check_unchanged() == []
    read[3] = 5
    assert manager.check_unchanged() == ["y"]


def test_whoever_reads_during_a_change_gets_the_changed_value_and_no_copy_stays_of_one_that_failed() -> None:
    db = DatasetDB(None)
    manager = DatasetManager(db)
    manager.set("x", [0] * FROM, broadcast=True)
    held, seen = manager.get("x"), []
    del held

    def listen(*_: object) -> None:
        seen.append(manager.get("x")[0])
        if seen[-1] == 2:
            raise OSError("no space")

    db.subscribe(listen)
    manager.mutate("x", 0, 1)
    assert seen == [1]
    with pytest.raises(OSError, match="no space"):
        manager.mutate("x", 0, 2)
    assert (seen, manager.get("x")[0]) == ([1, 2], 1)


def test_no_copy_is_kept_of_a_run_that_is_over(manager: DatasetManager) -> None:
    manager.get("x")
    manager.close()
    assert manager._copies._kept == {}
