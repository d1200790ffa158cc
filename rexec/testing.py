"""For tests of experiments: run one in this process, on a simulated laboratory, and look at its datasets.

Example::

    from rexec.testing import laboratory, run_experiment

    def test_the_spot_is_found(tmp_path):
        with laboratory("device_db.py", behaviours="behaviours.py") as lab:
            run = run_experiment("experiment.py", lab.database, tmp_path, frames=5)
        assert len(run["x"]) == 5
"""

import logging
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devicedb import DeviceDatabase
from rexec.datasets import Dataset, DatasetDB
from rexec.devices import DeviceManager
from rexec.experiment.argument_manager import Ask
from rexec.experiment.artiq_language import artiq_language
from rexec.experiment.runner import RunPlan, run
from rexec.master import MasterThread
from rexec.remote_exec import offer_dataset_db
from rexec.simulate import Fault, Laboratory, laboratory

__all__ = ["ExperimentRun", "Fault", "Laboratory", "laboratory", "run_experiment"]


@dataclass(frozen=True)
class ExperimentRun:
    """How a run in a test went; `run[name]` is the value of a dataset.

    Attributes:
        rid: Its number.
        path: The result file.
        datasets: The datasets of the run, with their metadata.
        phase: The last phase that was begun.

    """

    rid: int
    path: Path
    datasets: Mapping[str, Dataset]
    phase: str

    def __getitem__(self, name: str) -> Any:
        return self.datasets[name].value


class QuietWatcher:
    """Watches a run without a word; nobody is there to be asked."""

    ask: Ask | None = None

    def begin(self, rid: int, title: str, datasets: Mapping[str, Dataset], devices: DeviceManager) -> None:
        """Take no note."""

    def phase(self, name: str) -> None:
        """Take no note."""


def run_experiment(
    file: str | os.PathLike[str],
    database: DeviceDatabase,
    folder: str | os.PathLike[str],
    class_name: str | None = None,
    /,
    *,
    persistent: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> ExperimentRun:
    """Run an experiment as `rexec run` does, in this process, and return what came of it.

    Args:
        file: File of the experiment.
        database: Its devices: of a simulated laboratory, or any other.
        folder: Where results are written, as by `rexec run` in that folder.
        class_name: The experiment class, None: the only one of the file.
        persistent: Datasets that are there before.
        arguments: Of the experiment.

    Raises:
        ExperimentError: File, class or arguments are wrong.
        ResultsError: The result file cannot be written.
        BaseException: What the experiment raised; the result file is there nevertheless.

    """
    with ExitStack() as stack:
        if database.simulated():
            stack.enter_context(artiq_language())
        datasets = stack.enter_context(DatasetDB(None))
        for name, value in (persistent or {}).items():
            datasets.set(name, value)
        server = stack.enter_context(MasterThread(datasets, database))
        stack.enter_context(offer_dataset_db(server.port, None))
        report = run(
            RunPlan(
                file=Path(file),
                class_name=class_name,
                arguments=arguments,
                database=database,
                datasets=datasets,
                root=Path(folder),
                log_level=logging.getLogger().getEffectiveLevel(),
                command=("rexec.testing.run_experiment",),
            ),
            QuietWatcher(),
        )
    if report.outcome.error is not None:
        raise report.outcome.error
    if report.path is None:
        raise RuntimeError("the run ended without a result file")
    return ExperimentRun(report.rid, report.path, report.datasets, report.outcome.phase)
