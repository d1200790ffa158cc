"""Experiments in the language of ARTIQ 7 set datasets without metadata."""

from typing import Any

import pytest

from rexec.datasets import DatasetDB, DatasetManager
from rexec.experiment import EnvExperiment, Experiment
from rexec.experiment.artiq7 import in_its_language
from rexec.experiment.hints import dataset_storage


class OfArtiq7:
    """What ARTIQ 7's HasEnvironment does."""

    def __init__(self, dataset_mgr: Any) -> None:
        self._HasEnvironment__dataset_mgr = dataset_mgr

    def set_dataset(
        self, key: str, value: Any, broadcast: bool = False, persist: bool = False, archive: bool = True
    ) -> None:
        self._HasEnvironment__dataset_mgr.set(key, value, broadcast, persist, archive)


def test_flags_are_in_the_places_of_artiq_7() -> None:
    with DatasetDB() as db:
        manager = DatasetManager(db)
        experiment = OfArtiq7(in_its_language(OfArtiq7, manager))
        experiment.set_dataset("shown", 1, True, False, False)
        experiment.set_dataset("filed", 2, False, False, True)
        dataset_storage(experiment, "filed", compression="gzip")
        assert (db.snapshot(), set(manager.local)) == ({"shown": (False, 1, {})}, {"filed"})


def test_a_dataset_is_filed_shown_to_nobody_and_not_kept_unless_it_is_said() -> None:
    with DatasetDB() as db:
        manager = DatasetManager(db)
        in_its_language(OfArtiq7, manager).set("x", 1)
        assert {name: each.persist for name, each in manager.local.items()} == {"x": False}
        assert db.snapshot() == {}


def test_what_it_does_not_translate_is_the_managers() -> None:
    manager = DatasetManager(DatasetDB())
    translated = in_its_language(OfArtiq7, manager)
    translated.set("x", 1)
    assert translated.get("x") == 1
    assert translated.get_metadata("x") == {}
    with pytest.raises(AttributeError):
        _ = translated.no_such_method


def test_experiments_of_later_releases_get_the_manager_itself() -> None:
    manager = DatasetManager(DatasetDB())
    for experiment in (EnvExperiment, Experiment):  # one that has no datasets is of any release
        assert in_its_language(experiment, manager) is manager
