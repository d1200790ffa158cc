"""Experiments get their managers, children, arguments and datasets as in ARTIQ."""

from typing import Any

import pytest

from rexec.datasets import DatasetDB, DatasetManager
from rexec.experiment import (
    ArgumentError,
    BooleanValue,
    CancelledArgsError,
    EnvExperiment,
    HasEnvironment,
    NumberValue,
)
from rexec.experiment.argument_manager import ArgumentManager


class Devices:
    """A device manager that makes a device of every name."""

    def get(self, name: str) -> str:
        return f"device {name}"

    def get_device_db(self) -> dict[str, Any]:
        return {"a": "b"}


def managers(given: dict[str, Any] | None = None, ask: Any = None) -> tuple[Any, ...]:
    return (Devices(), DatasetManager(DatasetDB()), ArgumentManager(given or {}, ask), {})


class Child(HasEnvironment):
    def build(self, factor: int) -> None:  # type: ignore[override]
        self.factor = factor
        self.prepared = False
        self.setattr_argument("gain", NumberValue(1.0))
        self.setattr_device("camera")

    def prepare(self) -> None:
        self.prepared = True


class Parent(EnvExperiment):
    def build(self) -> None:
        self.setattr_argument("wait", BooleanValue(True), "group", "tip")
        self.child = Child(self, 3)
        self.set_default_scheduling(priority=5)


def test_a_child_shares_the_managers_and_is_prepared() -> None:
    given = managers({"gain": 2.0})
    parent = Parent(given)
    assert parent.children == [parent.child]
    parent.prepare()
    assert (parent.child.factor, parent.child.prepared) == (3, True)
    assert parent.child.gain == 2.0  # type: ignore[attr-defined]
    assert parent.child.camera == "device camera"  # type: ignore[attr-defined]
    assert given[3] == {"priority": 5}
    assert set(given[2].used) == {"wait", "gain"}
    given[2].check_unprocessed_arguments()


def test_kernel_invariants_hold_arguments_and_devices() -> None:
    assert Parent(managers()).child.kernel_invariants == {"gain", "camera"}


def test_a_device_is_asked_for_alone_only_where_that_is_said() -> None:
    class Alone:
        def get(self, name: str, *, exclusive: bool = False) -> tuple[str, bool]:
            return name, exclusive

    parent = Parent(managers())
    made = HasEnvironment((Alone(), None, None, {}))
    made.setattr_device("camera", exclusive=True)
    made.setattr_device("stage")
    assert (made.camera, made.stage) == (("camera", True), ("stage", False))  # type: ignore[attr-defined]
    assert made.get_device("x", exclusive=True) == ("x", True)
    # A master's device manager has no such parameter.
    assert parent.get_device("y") == "device y"


def test_arguments_belong_into_build() -> None:
    parent = Parent(managers())
    with pytest.raises(TypeError, match=r"outside build\(\)"):
        parent.get_argument("late", NumberValue(1.0))
    with pytest.raises(TypeError, match=r"belongs in build\(\)"):
        parent.set_default_scheduling(priority=1)


def test_an_argument_without_a_processor_is_of_any_kind() -> None:
    class Free(EnvExperiment):
        def build(self) -> None:
            self.setattr_argument("x")

    assert Free(managers({"x": [1]})).x == [1]  # type: ignore[attr-defined]
    with pytest.raises(ArgumentError, match="needed"):
        Free(managers())


def test_datasets_go_to_the_manager_and_come_back() -> None:
    parent = Parent(managers())
    parent.set_dataset("a", [1], unit="ms", scale=1e-3)
    parent.append_to_dataset("a", 2)
    parent.mutate_dataset("a", 0, 5)
    assert parent.get_dataset("a") == [5, 2]
    assert parent.get_dataset_metadata("a") == {"unit": "ms", "scale": 1e-3}
    parent.setattr_dataset("b", 7)
    assert parent.b == 7  # type: ignore[attr-defined]
    assert parent.get_dataset("c", None) is None
    assert parent.get_dataset_metadata("c", {}) == {}
    for ask in (parent.get_dataset, parent.get_dataset_metadata):
        with pytest.raises(KeyError):
            ask("c")
    assert parent.get_device_db() == {"a": "b"}


def test_a_dataset_is_filed_and_neither_shown_nor_kept_unless_it_is_said() -> None:
    with DatasetDB() as db:
        datasets = DatasetManager(db)
        made = HasEnvironment((None, datasets, None, {}))
        made.set_dataset("filed", 1, precision=3)
        made.set_dataset("shown", 2, broadcast=True)
        made.set_dataset("kept", 3, persist=True, archive=False)
        assert set(datasets.local) == {"filed", "shown"}
        assert datasets.get_metadata("filed") == {"precision": 3}
        assert {key: entry[0] for key, entry in db.snapshot().items()} == {"shown": False, "kept": True}


def test_an_experiment_has_to_say_what_is_run() -> None:
    with pytest.raises(NotImplementedError, match=r"Parent has no run\(\)"):
        Parent(managers()).run()


def test_each_default_of_a_schedule_that_is_given_counts() -> None:
    class Planned(EnvExperiment):
        def build(self) -> None:
            self.set_default_scheduling(priority=0, flush=False)
            self.set_default_scheduling(pipeline_name="aux")

    given = managers()
    Planned(given)
    assert given[3] == {"priority": 0, "flush": False, "pipeline_name": "aux"}


def test_a_value_of_the_database_is_filed_unless_it_is_said() -> None:
    with DatasetDB() as db:
        for key in ("a", "b", "c", "d"):
            db.set(key, 1)
        datasets = DatasetManager(db)
        made = HasEnvironment((Devices(), datasets, ArgumentManager({}, None), {}))
        made.setattr_dataset("a")
        made.get_dataset("b")
        made.setattr_dataset("c", archive=False)
        made.get_dataset("d", archive=False)
        assert set(datasets.archive) == {"a", "b"}


def test_interactive_gives_a_namespace_of_answers() -> None:
    parent = Parent(managers(ask=lambda prompt: "4"))
    with parent.interactive("title") as answers:
        answers.setattr_argument("a", NumberValue())
    assert vars(answers) == {"a": 4.0}


def test_interactive_raises_when_nobody_answers() -> None:
    parent = Parent(managers())
    for title, said in (("title", "no answer to title"), ("", "no answer to a, b")):
        with pytest.raises(CancelledArgsError, match=f"^{said}$"), parent.interactive(title) as answers:
            _ = [answers.setattr_argument(name, NumberValue()) for name in "ab"]
