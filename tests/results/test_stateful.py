"""Any order of changes, snapshots, crashes and recoveries leaves what a plain model says."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rexec.datasets import DatasetDB, DatasetManager
from rexec.results import ResultsWriter, copies, item, journal_path, keeper, recover_folder, verify
from rexec.results.hdf5.values import value_of
from rexec.results.journal.records import sealed
from schemas import RunIdentity
from tests.results.test_forms import equal

LIMITS = (copies, "TWO_COPIES_FROM"), (item, "RELEASE_FROM"), (keeper, "SPILL_EVERY")
"""What only large runs reach; each of the runs here has other ones of them set to 1."""
AS_THEY_ARE = [getattr(module, name) for module, name in LIMITS]

keys = st.sampled_from(["a", "a/b", "list", "image", "c"])
numbers = st.one_of(st.integers(-5, 5), st.floats(-1, 1), st.just("text"), st.none())


class Datasets(RuleBasedStateMachine):
    """A run, a client of its database, and a model of what both have been told is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="rexec-stateful-"))
        self.model: dict[str, Any] = {}
        self.of_client: set[str] = set()
        self.runs = 0
        self.begin()

    def begin(self) -> None:
        self.runs += 1
        for (module, name), usual, is_large in zip(
            LIMITS, AS_THEY_ARE, [self.runs % 2, self.runs % 3, self.runs % 3], strict=True
        ):
            setattr(module, name, 1 if is_large else usual)
        self.path = self.folder / f"{self.runs}" / "r.h5"
        identity = RunIdentity(rid=self.runs, class_name="Stateful", start_time=1.0)
        self.writer = ResultsWriter.create(self.path, identity, refresh_interval=0, sync_interval=0)
        self.db = DatasetDB()
        self.manager = DatasetManager(self.db, sink=self.writer)
        self.model = {}
        self.of_client = set()

    @rule(key=keys, value=st.one_of(numbers, st.lists(numbers, max_size=3)), broadcast=st.booleans())
    def set_value(self, key: str, value: Any, broadcast: bool) -> None:
        self.manager.set(key, value, broadcast=broadcast)
        self.model[key] = value

    @rule(rows=st.integers(1, 40))
    def set_array(self, rows: int) -> None:
        self.manager.set("image", np.zeros((rows, 20)), broadcast=True)
        self.model["image"] = np.zeros((rows, 20))

    @rule()
    def stop_archiving(self) -> None:
        self.manager.set("c", 1, broadcast=True, archive=False)
        self.model.pop("c", None)

    @rule(key=keys, value=numbers, count=st.integers(1, 600))
    def append(self, key: str, value: Any, count: int) -> None:
        if isinstance(self.model.get(key), list):
            for _ in range(count):
                self.manager.append_to(key, value)
            self.model[key] = [*self.model[key], *[value] * count]

    @rule(key=keys, value=numbers, where=st.integers(0, 50))
    def mutate(self, key: str, value: Any, where: int) -> None:
        held = self.model.get(key)
        if isinstance(held, list) and held:
            self.manager.mutate(key, where % len(held), value)
            held = list(held)
            held[where % len(held)] = value
            self.model[key] = held
        elif isinstance(held, np.ndarray) and isinstance(value, int | float):
            self.manager.mutate(key, where % len(held), value)
            self.model[key] = held.copy()
            self.model[key][where % len(held)] = value

    @rule(value=numbers)
    def client_sets(self, value: Any) -> None:
        self.db.set("remote", [value], origin="client")
        self.model["remote"] = [value]

    @rule(value=numbers)
    def client_appends(self, value: Any) -> None:
        if "remote" in self.model:
            self.db.update({"action": "append", "path": ["remote", 1], "x": value}, origin="client")
            self.model["remote"] = [*self.model["remote"], value]

    @rule()
    def client_deletes(self) -> None:
        if "remote" in self.model:
            self.db.delete("remote", origin="client")
            del self.model["remote"]

    @rule()
    def snapshot(self) -> None:
        self.writer.snapshot()
        self.compare(self.path)

    @rule()
    def finish(self) -> None:
        self.writer.close()
        self.compare(self.path)
        assert os.listdir(self.path.parent) == ["r.h5"]
        self.begin()

    @rule(torn=st.binary(max_size=30))
    def crash(self, torn: bytes) -> None:
        """Copy what a crash would leave, with a record of which a part was written, and recover the copy."""
        crashed = self.folder / f"{self.runs}-crashed"
        shutil.copytree(self.path.parent, crashed, copy_function=shutil.copy)
        with journal_path(crashed / "r.h5").open("ab") as journal:
            # As a cut record begins: no marker of a short one, and a length that is not there.
            journal.write(b"\0" + sealed(10**6).to_bytes(8, "little") + torn if torn else b"")
        assert [recovery.outcome for recovery in recover_folder(crashed)] == ["recovered"]
        self.compare(crashed / "r.h5")
        assert os.listdir(crashed) == ["r.h5"]
        shutil.rmtree(crashed)

    @invariant()
    def memory_is_the_model(self) -> None:
        assert {key: dataset.value for key, dataset in self.manager.local.items()}.keys() == self.model.keys()

    @precondition(lambda self: "remote" in self.model)
    @invariant()
    def the_database_is_the_model(self) -> None:
        assert equal(self.db.get("remote"), self.model["remote"])

    def compare(self, path: Path) -> None:
        found: dict[str, Any] = {}

        def look(name: str, node: Any) -> None:
            if isinstance(node, h5py.Dataset):
                found["a" if name == "a (value)" else name] = value_of(node)

        with h5py.File(path) as file:
            file["datasets"].visititems(look)
        assert found.keys() == self.model.keys()
        for key, value in self.model.items():
            assert equal(found[key], value), key
        assert verify(path) == []

    def teardown(self) -> None:
        self.writer.close()
        for (module, name), usual in zip(LIMITS, AS_THEY_ARE, strict=True):
            setattr(module, name, usual)
        shutil.rmtree(self.folder)


Datasets.TestCase.settings = settings(max_examples=15, stateful_step_count=25)
TestDatasets = Datasets.TestCase
