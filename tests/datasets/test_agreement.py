"""What the database refused, forgets, or has taken after all is said with the run's results."""

from collections.abc import Callable
from typing import Any

import pytest

from rexec.datasets import DatasetDB, DatasetError, DatasetManager, Mod, NoSink


class Noting(NoSink):
    """Notes which degraded states hold, and whether one was unkept."""

    def __init__(self) -> None:
        super().__init__()
        self.states: dict[str, bool] = {}

    def add_degraded(self, text: str, *, unkept: bool = False) -> None:
        self.states[text] = unkept

    def remove_degraded(self, text: str) -> None:
        del self.states[text]


class Refusing(DatasetDB):
    """A database whose disk may be full."""

    full = False

    def set(self, *given: Any, **named: Any) -> None:
        if self.full:
            raise DatasetError("the disk is full")
        super().set(*given, **named)

    def update(self, *given: Any, **named: Any) -> Mod:
        if self.full:
            raise DatasetError("the disk is full")
        return super().update(*given, **named)


def refused(manager: DatasetManager, db: Refusing, key: str, *, persist: bool) -> None:
    db.full = True
    with pytest.raises(DatasetError):
        manager.set(key, 1, broadcast=True, persist=persist)
    db.full = False


def test_what_the_database_refused_is_said_until_it_takes_it() -> None:
    sink, db = Noting(), Refusing()
    with db:
        manager = DatasetManager(db, sink=sink)
        for key in ("x", "y"):
            refused(manager, db, key, persist=True)
        said = {f"dataset {key} was not kept by the database: the disk is full": True for key in "xy"}
        assert sink.states == said
        manager.set("x", 2, broadcast=True)  # not persistent: the database keeps as little of it as before
        assert sink.states == said
        manager.set("x", 3, persist=True)
        assert list(sink.states) == ["dataset y was not kept by the database: the disk is full"]
        # A client's value is kept as well as the run's.
        db.set("y", 4, True, origin="client")
        assert sink.states == {}
        assert manager.get("y") == 4


def test_what_was_only_to_be_shown_is_not_missed() -> None:
    sink, db = Noting(), Refusing()
    with db:
        refused(DatasetManager(db, sink=sink), db, "x", persist=False)
        assert sink.states == {}


def test_a_database_that_forgets_says_so_with_the_first_persistent_dataset() -> None:
    sink = Noting()
    with DatasetDB(forgets="it is a simulation") as db:
        manager = DatasetManager(db, sink=sink)
        manager.set("x", 1, broadcast=True)
        assert sink.states == {}
        manager.set("x", 1, persist=True)
        assert sink.states == {"persistent datasets are not kept: it is a simulation": False}
    with DatasetDB() as db:
        sink = Noting()
        DatasetManager(db, sink=sink).set("x", 1, persist=True)
        assert sink.states == {}


@pytest.mark.parametrize("change", [lambda m: m.append_to("x", 2), lambda m: m.mutate("x", 0, 2)])
def test_a_change_that_was_refused_is_said_until_one_is_taken(
    change: Callable[[DatasetManager], None],
) -> None:
    sink, db = Noting(), Refusing()
    with db:
        manager = DatasetManager(db, sink=sink)
        manager.set("x", [1], persist=True)
        db.full = True
        with pytest.raises(DatasetError):
            change(manager)
        assert sink.states == {"dataset x was not kept by the database: the disk is full": True}
        db.full = False
        change(manager)
        assert sink.states == {}
        assert manager.get("x") == db.get("x")


@pytest.mark.parametrize("persist", [False, True])
def test_what_the_file_cannot_take_back_is_said(persist: bool, caplog: pytest.LogCaptureFixture) -> None:
    class Once(Noting):
        def delete(self, *_: Any, **__: Any) -> None:
            raise OSError("no space")

    sink, db = Once(), Refusing()
    with db:
        refused(DatasetManager(db, sink=sink), db, "x", persist=persist)
    text = "dataset x has in the file what was refused: no space"
    assert caplog.messages == [text]
    assert sink.states[text] is persist


def test_what_is_only_in_the_file_after_ctrl_c_is_said(caplog: pytest.LogCaptureFixture) -> None:
    class Interrupted(Refusing):
        def set(self, *given: Any, **named: Any) -> None:
            if not self.full:
                self.full = True
                raise KeyboardInterrupt
            super().set(*given, **named)

    sink = Noting()
    with Interrupted() as db:
        manager = DatasetManager(db, sink=sink)
        with pytest.raises(KeyboardInterrupt):
            manager.set("x", 1, broadcast=True)
        assert manager.get("x") == 1
    assert sink.states == {"dataset x is only in the result file: the disk is full": False}
    assert caplog.messages == list(sink.states)
