"""Hints reach a dataset manager that knows them, and disturb no other."""

from typing import Any

import pytest

from rexec.experiment import EnvExperiment, HasEnvironment, dataset_storage, default_plot


class Noted:
    """A dataset manager that notes its hints."""

    def __init__(self) -> None:
        self.hints: list[Any] = []

    def set_storage(self, key: str, **settings: Any) -> None:
        self.hints.append((key, settings))

    def declare_plot(self, signal: str, axes: list[str]) -> None:
        self.hints.append((signal, axes))


class Ours(EnvExperiment):
    """An experiment of ours."""


class OfArtiq:
    """Has what ARTIQ's HasEnvironment has."""

    def __init__(self, managers: tuple[Any, ...]) -> None:
        self._HasEnvironment__dataset_mgr = managers[1]


@pytest.mark.parametrize("experiment", [Ours, OfArtiq])
def test_a_hint_reaches_the_dataset_manager(experiment: Any) -> None:
    noted = Noted()
    made = experiment((None, noted, None, {}))
    dataset_storage(made, "x", compression=None, level=2)
    default_plot(made, "x")
    default_plot(made, "x", "time")
    default_plot(made, "image", ("row", "column"))
    if isinstance(made, HasEnvironment):
        made.dataset_storage("y", chunks=3)
        made.default_plot("y", ["t"])
    expected = [
        ("x", {"compression": None, "level": 2}),
        ("x", []),
        ("x", ["time"]),
        ("image", ["row", "column"]),
        ("y", {"chunks": 3}),
        ("y", ["t"]),
    ]
    assert noted.hints == expected[: 6 if experiment is Ours else 4]


@pytest.mark.parametrize("experiment", [OfArtiq((None, object(), None, {})), object()])
def test_a_manager_without_hints_takes_no_notice(experiment: Any) -> None:
    dataset_storage(experiment, "x", level=9)
    default_plot(experiment, "x", ["time"])
