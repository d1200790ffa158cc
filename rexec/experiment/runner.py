"""Runs the experiment of a file and keeps its results: everything but what a person sees."""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from devicedb import DeviceDatabase
from rexec.datasets import Dataset, DatasetError, DatasetManager, DatasetStore
from rexec.devices import DeviceManager
from rexec.devices.manager import BeforeConnect
from rexec.experiment.argument_manager import ArgumentManager, Ask
from rexec.experiment.errors import ExperimentError, ExperimentImportError
from rexec.experiment.identity import artiq_version, encodable, expid, identity, local_sources, sha256
from rexec.experiment.interrupts import Interrupts
from rexec.experiment.lifecycle import Hooks, Outcome, live
from rexec.experiment.loading import check_names, choose_class, import_file, importable, title
from rexec.experiment.stand_ins import CCB, Scheduler, Termination
from rexec.experiment.tracebacks import place
from rexec.remote import noting_sources
from rexec.results import ResultsError, ResultsWriter, journal_path, next_rid, orphans, recover, results_path

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What is to be run, and with what."""

    file: Path
    class_name: str | None
    arguments: Mapping[str, Any]
    """As given, before they are processed."""
    database: DeviceDatabase
    datasets: DatasetStore
    hdf5: Path | None = None
    """Result file; None: in ARTIQ's layout under `root`."""
    overwrite: bool = False
    """Whether a result file of that name may be replaced."""
    root: Path = Path()
    before_connect: BeforeConnect | None = None
    connect_timeout: float = 10.0
    """Seconds that a controller has for each step of connecting."""
    log_level: int = logging.WARNING
    command: tuple[str, ...] = ()


class Watcher(Protocol):
    """Who is told how a run goes on."""

    @property
    def ask(self) -> Ask | None:
        """How to ask a person for interactive arguments; None where there is nobody."""

    def begin(self, rid: int, title: str, datasets: Mapping[str, Dataset]) -> None:
        """Take note of the run and of the mapping that its datasets will be in."""

    def phase(self, name: str) -> None:
        """Take note that a phase begins."""


@dataclass(frozen=True)
class Report:
    """How a run went and what it left."""

    rid: int
    class_name: str
    outcome: Outcome
    datasets: Mapping[str, Dataset]
    path: Path | None
    """The result file; None where the experiment was never built, or where it could not be finished."""
    failure: ResultsError | None = None
    """Why the result file could not be finished; its text says where everything is kept."""


def run(plan: Plan, watcher: Watcher) -> Report:
    """Run an experiment from its file to its result file.

    What the experiment raises is in the report; the result file is written in any case, once the experiment was
    built.

    Args:
        plan: What to run.
        watcher: Who is told how it goes on.

    Raises:
        ExperimentError: File or class are wrong.
        ResultsError: No result file can be written there.

    """
    file = plan.file.absolute()
    root, hdf5 = plan.root.absolute(), plan.hdf5.absolute() if plan.hdf5 is not None else None
    check_names(file.parent)
    termination = Termination()
    interrupts = Interrupts(termination)
    with importable(_folders(file, plan.database.origin)):
        module = imported(file)
        experiment = choose_class(module, plan.file, plan.class_name)
        now = datetime.now()
        rid = next_rid(root)
        path = hdf5 if hdf5 is not None else results_path(root, rid, experiment.__name__, now)
        arguments = ArgumentManager(plan.arguments, watcher.ask)

        def described() -> dict[str, Any]:
            return expid(plan.file, experiment.__name__, arguments, plan.arguments, plan.log_level)

        start = identity(
            rid, described(), plan.arguments, plan.database, now.timestamp(), plan.file, plan.command
        )
        _recover(root, path)
        writer = ResultsWriter.create(path, start, overwrite=plan.overwrite)
        datasets = DatasetManager(plan.datasets, sink=writer)
        scheduler = Scheduler(rid, described(), termination)
        devices = DeviceManager(
            plan.database,
            {"scheduler": scheduler, "ccb": CCB()},
            before_connect=plan.before_connect,
            connect_timeout=plan.connect_timeout,
        )
        watcher.begin(rid, title(experiment), datasets.local)
        sources = _Sources(writer, start.sources)

        def built() -> None:
            writer.update_identity(expid=encodable(described()), artiq_version=artiq_version())
            sources.add(local_sources(file))

        hooks = Hooks(
            phase=watcher.phase,
            built=built,
            running=lambda moment: writer.update_identity(run_time=moment),
        )
        with interrupts.installed():
            with noting_sources(sources.note):
                outcome = live(experiment, devices, datasets, arguments, scheduler, interrupts, hooks)
            with interrupts.shielded():
                watcher.phase("writing results")
                kept, failure = _finish(writer, datasets, outcome)
    return Report(rid, experiment.__name__, outcome, dict(datasets.local), kept, failure)


class _Sources:
    """Source texts of a run, each kept once in the identity of its result.

    Args:
        writer: The results of the run.
        known: Those that are there already, by SHA-256.

    """

    def __init__(self, writer: ResultsWriter, known: Mapping[str, str]) -> None:
        self._writer = writer
        self._known = dict(known)
        self._lock = threading.Lock()

    def add(self, texts: Mapping[str, str]) -> None:
        """Keep texts by their SHA-256."""
        with self._lock:
            if texts.keys() - self._known.keys():
                self._known.update(texts)
                self._writer.update_identity(sources=dict(self._known))

    def note(self, text: str) -> None:
        """Keep a text that is sent to a controller."""
        self.add({sha256(text): text})


def _recover(root: Path, path: Path) -> None:
    """Make result files of what killed runs left in this run's folder and in the way of its file, and say so."""
    for journal in {*orphans(root / "results"), journal_path(path)}:
        if journal.exists():
            recovery = recover(journal)
            if recovery.outcome != "running":
                logger.warning("%s", recovery)


def _finish(
    writer: ResultsWriter, datasets: DatasetManager, outcome: Outcome
) -> tuple[Path | None, ResultsError | None]:
    """Write the result file, or remove it where the experiment was never built and left nothing.

    A failure is returned, so that the experiment's own error stays the one that a user reads first.
    """
    try:
        datasets.close()
    except DatasetError as error:
        logger.error("%s", error)
    if not (outcome.built or datasets.local):
        writer.discard()
        return None, None
    status = "interrupted" if outcome.interrupted else "failed" if outcome.error is not None else "completed"
    try:
        return writer.close(status, error=outcome.error), None
    except ResultsError as failure:
        return None, failure


def _folders(file: Path, origin: str) -> list[Path]:
    """Return the folders to import from: the experiment's, and that of the device database for local drivers."""
    folders = [file.parent]
    database = Path(origin).absolute().parent
    if Path(origin).is_file() and database != file.parent:
        folders.append(database)
    return folders


def imported(file: Path) -> ModuleType:
    """Import an experiment's file; ExperimentError says where and why it fails."""
    try:
        return import_file(file)
    except ExperimentError:
        raise
    except Exception as error:
        where = place(error, file) or file.name
        text = " ".join(str(error).split())
        is_artiq = isinstance(error, ModuleNotFoundError) and error.name == "artiq"
        advice = ". ARTIQ is not installed here: import from rexec.experiment" if is_artiq else ""
        raise ExperimentImportError(
            f"{where}: importing it raised {type(error).__name__}: {text}{advice}"
        ) from error
    except SystemExit as error:
        raise ExperimentImportError(
            f"{place(error, file) or file.name}: it calls sys.exit({error.code!r})"
        ) from error
