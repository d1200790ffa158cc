"""What clients may do with the datasets of a master, and who is said to have done it."""

from typing import Any

from rexec.datasets import DatasetDB, Mod, Origin
from rexec.datasets.targets import DatasetTarget


def test_a_client_reads_sets_changes_and_removes_datasets_in_its_own_name() -> None:
    with DatasetDB() as db:
        told: list[tuple[Any, Origin]] = []

        def listen(mod: Mod, origin: Origin) -> None:
            told.append((mod["action"], origin))

        db.subscribe(listen)
        target = DatasetTarget(db)
        target.set("x", [1], metadata={"unit": "V"})
        target.update({"action": "append", "path": ["x", 1], "x": 2})
        assert (target.get("x"), target.get_metadata("x")) == ([1, 2], {"unit": "V"})
        target.delete("x")
        assert db.snapshot() == {}
        assert told == [("setitem", "client"), ("append", "client"), ("delitem", "client")]
