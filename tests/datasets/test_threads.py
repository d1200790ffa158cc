"""A dataset database and a run's datasets are changed and read by any thread."""

from pathlib import Path
from typing import Any

import pytest

from rexec.datasets import DatasetDB, DatasetManager
from rexec.datasets._entries import Entries
from rexec.datasets.types import DatasetSink, NoSink
from tests.threads.interleaving import Race

DATABASE = ("datasets/database.py", "datasets/_entries.py", "datasets/changes.py")
MANAGER = ("datasets/manager.py", "datasets/_filed.py")


def append(key: str, value: Any) -> Any:
    return {"action": "append", "path": [key, 1], "x": value}


class Database:
    """A database with one list, and what a listener was told of it."""

    def __init__(self) -> None:
        self.db = DatasetDB()
        self.told: list[Any] = []
        self.db.set("x", [1])
        self.db._entries.unreadable["z"] = "it is damaged"
        self.db.subscribe(self.tell)

    def tell(self, mod: Any, _: Any) -> None:
        self.told.append(mod.get("x", mod.get("value")))

    def seen(self) -> Any:
        self.db.set("last", 0)
        return self.db.snapshot(), self.told


def subscribe(database: Database) -> Any:
    """Return the values of the snapshot and those told later: together all of them, none twice."""
    later: list[Any] = []
    present = database.db.subscribe(lambda mod, _: later.append(mod.get("x", mod.get("value"))))
    return [*present["x"][1]], later


DATABASES: dict[str, tuple[Any, Any]] = {
    "two appends": (lambda d: d.db.update(append("x", 2)), lambda d: d.db.update(append("x", 3))),
    "two values": (lambda d: d.db.set("x", 2), lambda d: d.db.set("x", 3)),
    "an append and a value": (lambda d: d.db.update(append("x", 2)), lambda d: d.db.set("x", [7])),
    "an append and a removal": (lambda d: d.db.update(append("x", 2)), lambda d: d.db.delete("x")),
    "an append and a listener": (lambda d: d.db.update(append("x", 2)), subscribe),
    "two listeners": (subscribe, lambda d: d.db.unsubscribe(d.tell)),
    "a copy of everything": (lambda d: d.db.snapshot(), lambda d: d.db.set("y", 1)),
    "two numbers": (lambda d: d.db.append_number("x", 2), lambda d: d.db.append_number("x", 3)),
    "a copy of what cannot be read": (
        lambda d: d.db.in_memory("read-only").has("z"),
        lambda d: d.db.set("z", 1),
    ),
    "a copy that keeps nothing": (
        lambda d: d.db.in_memory("read-only").snapshot(),
        lambda d: d.db.set("y", 1),
    ),
    "a copy of an entry": (lambda d: d.db.get_entry("x"), lambda d: d.db.delete("x")),
    "a count": (lambda d: d.db.count(), lambda d: d.db.set("y", 1)),
}


@pytest.mark.parametrize("name", DATABASES)
def test_a_database_is_as_after_one_change_after_the_other(name: str) -> None:
    Race(Database, *DATABASES[name], Database.seen, DATABASE, every=2).check()


def test_a_persistent_database_keeps_the_changes_of_both(tmp_path: Path) -> None:
    numbers = iter(range(10_000))

    def make() -> Database:
        database = Database()
        database.db = DatasetDB(tmp_path / f"{next(numbers)}.mdb")
        database.db.set("x", [1], persist=True)
        return database

    def seen(database: Database) -> Any:
        path = database.db.path
        database.db.close()
        with DatasetDB(path) as again:
            return again.snapshot()

    first, second = DATABASES["two appends"]
    Race(make, first, second, seen, DATABASE, every=19).check()
    Race(make, first, lambda d: d.db.refresh(), seen, DATABASE, every=37).check()


ENTRIES = ("refresh", "entry", "persists", "has", "modify", "replace", "close")


def test_the_entries_of_a_database_are_used_under_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a reader finds is neither half changed nor between two of the places where an entry may be."""
    db, called = DatasetDB(tmp_path / "dataset_db.mdb"), set()
    lock: Any = db.lock

    def guarded(name: str, method: Any) -> Any:
        def call(self: Any, *args: Any) -> Any:
            assert lock._is_owned(), name
            called.add(name)
            return method(self, *args)

        return call

    for name in ENTRIES:
        monkeypatch.setattr(Entries, name, guarded(name, getattr(Entries, name)))
    db.set("x", [1], persist=True)
    db.update(append("x", 2))
    assert (db.get("x"), db.get_metadata("x"), db.get_entry("x")) == ([1, 2], {}, (True, [1, 2], {}))
    assert (db.persists("x"), db.has("x"), db.count(), list(db.snapshot())) == (True, True, (1, 1), ["x"])
    db.refresh()
    db.close()
    assert called == set(ENTRIES)


class Sink(NoSink):
    """Keeps what it is told, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Any] = []

    def _keep(self, *what: Any, **_: Any) -> None:
        self.kept.append(what)
        self._count()

    def append(self, key: str, value: Any, *, origin: Any) -> Any:
        self._keep(key, value)
        return value

    set = mutate = delete = archive = _keep


class Other:
    """A master's database, as far as a run shows it what it has."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def set(self, *what: Any, **_: Any) -> None:
        self.told.append(what)

    def update(self, mod: Any, **_: Any) -> None:
        self.told.append(mod)

    def get(self, key: str) -> Any:
        return 5

    def get_metadata(self, key: str) -> Any:
        return {}


class Managed:
    """A run's datasets, one of them a list, and what was kept of them."""

    def __init__(self, db: Any) -> None:
        self.sink, self.db = Sink(), db
        db.set("of the database", 5)
        sink: DatasetSink = self.sink
        self.manager = DatasetManager(db, sink=sink)
        self.manager.set("x", [0, 0])

    def read(self) -> Any:
        return self.manager.get("of the database", archive=True)

    def seen(self) -> Any:
        local = {key: each.value for key, each in self.manager.local.items()}
        return local, [what for what in self.sink.kept if what], getattr(self.db, "told", None)


MANAGED: dict[str, tuple[Any, Any]] = {
    "two appends": (lambda m: m.manager.append_to("x", 1), lambda m: m.manager.append_to("x", 2)),
    "two values": (lambda m: m.manager.set("x", 1), lambda m: m.manager.set("x", 2)),
    "a value and an append": (lambda m: m.manager.set("x", [7]), lambda m: m.manager.append_to("x", 2)),
    "two parts": (lambda m: m.manager.mutate("x", 0, 1), lambda m: m.manager.mutate("x", 0, 2)),
    "a part and a copy": (lambda m: m.manager.mutate("x", (0, 2), [1, 2]), lambda m: m.manager.get("x")),
    "a value and a copy": (lambda m: m.manager.set("y", 1), lambda m: list(m.manager.get("x"))),
    "a value and its metadata": (
        lambda m: m.manager.set("x", 1, {"unit": "V"}),
        lambda m: m.manager.get_metadata("x"),
    ),
    "two values of the database": (lambda m: m.read(), lambda m: m.read()),
    "a value that is not archived and a look": (
        lambda m: m.manager.set("x", 1, broadcast=True, archive=False),
        lambda m: len(m.manager.check_unchanged()),
    ),
    "a value and a look": (lambda m: m.manager.set("y", [1]), lambda m: m.manager.check_unchanged()),
}


@pytest.mark.parametrize("store", [DatasetDB, Other])
@pytest.mark.parametrize("name", MANAGED)
def test_a_run_keeps_what_its_threads_set(name: str, store: Any) -> None:
    Race(lambda: Managed(store()), *MANAGED[name], Managed.seen, MANAGER).check()
