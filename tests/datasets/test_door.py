"""What may become a dataset is checked once, whoever brings it; what cannot be kept changes nothing."""

import sys
import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rexec.datasets import DatasetDB, DatasetManager
from rexec.datasets.values import compared, own_copy, same
from rexec.ground.plain import MAX_DEPTH, TooDeep
from rexec.results.writer import ResultsWriter
from rexec.wire import pyon, pyon_v1
from schemas.run import RunIdentity

BAD_METADATA = [
    {"unit": 5}, {"unit": b"V"}, {"scale": "k"}, {"scale": 1j}, {"scale": True}, {"scale": 10**400}, {"precision": 1.5},
    {"precision": 10**30}, {"precision": "3"}, {"other": object()}, {5: 1}, [("unit", "V")], True,
]  # fmt: skip


@pytest.mark.parametrize("metadata", BAD_METADATA, ids=range(len(BAD_METADATA)))
@pytest.mark.parametrize("origin", ["run", "client"])
def test_bad_metadata_are_refused_whoever_brings_them(metadata: Any, origin: Any) -> None:
    db = DatasetDB()
    manager = DatasetManager(db)
    manager.set("v", 1.0, {"unit": "V"}, broadcast=True)
    with pytest.raises((TypeError, ValueError), match="'v'"):
        manager.set("v", 2.0, metadata) if origin == "run" else db.set(
            "v", 2.0, None, metadata, origin=origin
        )
    assert (manager.get("v"), db.get_entry("v")) == (1.0, (False, 1.0, {"unit": "V"}))


def test_odd_metadata_are_kept_in_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = ResultsWriter.create(
        tmp_path / "r.h5", RunIdentity(rid=1, class_name="Test", start_time=1.0), refresh_interval=0
    )
    manager = DatasetManager(DatasetDB(), sink=writer)
    manager.set("unit", np.arange(3.0), {"unit": "\udcb0C\0"})
    manager.set("numbers", 1.5, {"scale": np.float32(0.5), "precision": -5, "unit": np.str_("V")})
    manager.close()
    writer.close()
    assert "unit: its unit is no text of UTF-8" in caplog.text
    with h5py.File(tmp_path / "r.h5") as file:
        assert file["datasets/unit"][()].tolist() == [0, 1, 2]
        assert file["datasets/unit"].attrs["unit"] == "\\udcb0C\\x00"
        assert dict(file["datasets/numbers"].attrs) | {"unit": "V", "scale": 0.5, "precision": -5} == dict(
            file["datasets/numbers"].attrs
        )


@pytest.mark.parametrize("name", ["broadcast", "persist", "archive"])
def test_a_flag_is_a_yes_or_no(name: str) -> None:
    manager = DatasetManager(DatasetDB())
    flag: Any = np.array([True, False])
    with pytest.raises(TypeError, match=f"'v': {name} is True or False"):
        manager.set("v", 1, **{name: flag})
    manager.set("v", 1, **{name: np.True_})  # type: ignore[arg-type]


class Fails:
    """Cannot be compared, nor told true or false."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    def __bool__(self) -> bool:
        raise RuntimeError("no")

    __hash__ = None  # type: ignore[assignment]


ODD = [
    np.ma.mean(np.ma.array([1.0, 2.0], mask=True)), np.ma.masked, [Fails()], {"x": Fails()}, [np.array([1, 2])],
    [np.ma.array([1], mask=True)], np.array([Fails(), None]), [float("nan")], {1, 2},
]  # fmt: skip


@pytest.mark.parametrize("value", ODD, ids=range(len(ODD)))
def test_a_value_that_cannot_be_compared_costs_a_note_only(value: Any) -> None:
    manager = DatasetManager(DatasetDB())
    manager.set("odd", value)
    manager.set("list", given := [1])
    given.append(2)
    assert manager.check_unchanged() in (["list"], ["odd", "list"])
    assert compared(Fails(), Fails()) is None
    assert not same(Fails(), Fails())
    manager.close()


def nested(kind: str, depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = (value,) if kind == "tuple" else [value] if kind == "list" else {1: value}
    return value


@pytest.mark.parametrize("kind", ["tuple", "list", "dict"])
def test_what_is_not_too_deep_is_read_by_everybody(tmp_path: Path, kind: str) -> None:
    value = nested(kind, MAX_DEPTH)
    with DatasetDB(tmp_path / "dataset_db.mdb", pyon_v1=True) as db:
        manager = DatasetManager(db)
        manager.set("deep", value, persist=True)
        manager.set("list", [], persist=True)
        manager.append_to("list", nested(kind, MAX_DEPTH - 1))
        message = {"action": "init", "struct": db.snapshot()}
        for codec in (pyon, pyon_v1):
            assert codec.decode(codec.encode(message)) == message
        for change in (
            lambda: manager.set("deep", (value,), persist=True),
            lambda: manager.append_to("list", value),
            lambda: db.update({"action": "append", "path": ["list", 1], "x": value}),
            lambda: db.update({"action": "append", "path": ["list", 1, 0], "x": nested(kind, MAX_DEPTH - 1)}),
        ):
            with pytest.raises((TypeError, ValueError)):
                change()
    with DatasetDB(tmp_path / "dataset_db.mdb") as db:
        assert db.get("deep") == value


def test_a_value_is_copied_whole_or_refused_however_deep_its_caller_is() -> None:
    value: Any = []
    for _ in range(40):
        value = [value]

    def copied(calls: int) -> Any:
        return copied(calls - 1) if calls else own_copy(value)

    refused = 0
    for calls in range(sys.getrecursionlimit()):
        try:
            assert copied(calls) == value
        except TooDeep:
            refused += 1
        except RecursionError:
            break
    assert refused > 1


def test_what_refuses_to_be_copied_is_kept_as_it_is() -> None:
    lock = threading.Lock()
    assert own_copy([lock]) == [lock]


def test_one_that_holds_itself_is_refused() -> None:
    manager, value = DatasetManager(DatasetDB()), [1]
    value.append(value)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dataset 'x': a list cannot be kept: it is nested deeper than 64"):
        manager.set("x", value)


UNSENDABLE = [
    object(),
    {frozenset({1}): 2},
    {frozenset({1})},
    np.ma.array([1]),
    10**5000,
    np.array([object()]),
]


@pytest.mark.parametrize("value", UNSENDABLE, ids=range(len(UNSENDABLE)))
@pytest.mark.parametrize("persist", [False, True])
def test_what_cannot_be_sent_is_refused_and_costs_nothing_else(
    tmp_path: Path, value: Any, persist: bool
) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db:
        manager = DatasetManager(db)
        manager.set("good", [1], broadcast=True, persist=persist)
        with pytest.raises((TypeError, ValueError), match="dataset 'bad' can be neither shown nor kept"):
            manager.set("bad", value, broadcast=True, persist=persist)
        with pytest.raises((TypeError, ValueError), match="dataset 'good' can be neither"):
            manager.append_to("good", value)
        assert "bad" not in manager.local
        assert manager.get("good") == db.get("good") == [1]


def test_what_only_pyon_v1_lacks_is_refused_for_its_followers() -> None:
    DatasetDB().set("b", np.True_)
    with pytest.raises(TypeError, match="dataset 'b' can be neither shown"):
        DatasetDB(pyon_v1=True).set("b", np.True_)
