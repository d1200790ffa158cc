"""Experiments in the language of ARTIQ 7 set datasets without metadata."""

from typing import Any

from rexec.datasets import DatasetDB, DatasetManager
from rexec.experiment import EnvExperiment
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


def test_experiments_of_later_releases_get_the_manager_itself() -> None:
    manager = DatasetManager(DatasetDB())
    assert in_its_language(EnvExperiment, manager) is manager
