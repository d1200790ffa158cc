"""Runs the experiment of a file and keeps its results: everything but what a person sees."""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol

from devicedb import DeviceDatabase
from rexec.datasets import Dataset, DatasetError, DatasetManager, DatasetStore
from rexec.devices import DeviceManager
from rexec.devices.manager import BeforeConnect
from rexec.experiment.argument_manager import ArgumentManager, Ask
from rexec.experiment.artiq7 import in_its_language
from rexec.experiment.artiq_language import missing
from rexec.experiment.errors import ExperimentError, ExperimentImportError
from rexec.experiment.identity import artiq_version, encodable, expid, identity, local_sources, sha256
from rexec.experiment.interrupts import Interrupts
from rexec.experiment.lifecycle import Hooks, RunOutcome, live
from rexec.experiment.loading import check_names, choose_class, import_file, importable, title
from rexec.experiment.stand_ins import CCB, Scheduler, Termination
from rexec.experiment.tracebacks import place
from rexec.ground.client_label import labelled
from rexec.ground.sent_sources import noting_sources
from rexec.results import (
    DegradedStates,
    ResultsError,
    ResultsWriter,
    next_rid,
    recover_some,
    results_path,
)

logger = logging.getLogger(__name__)

_BEFORE_BUILD: Final = (
    "interrupted before the build: ending; once more leaves a journal to `rexec results recover`"
)


@dataclass(frozen=True)
class RunPlan:
    """An experiment to run, with its arguments, devices and places of results."""

    file: Path
    class_name: str | None
    arguments: Mapping[str, Any]
    """As given, before they are processed; what a person typed as `Typed`."""
    database: DeviceDatabase
    datasets: DatasetStore
    former_arguments: Mapping[str, Any] = field(default_factory=dict)
    """Those of an earlier run, for arguments that are not given."""
    hdf5: Path | None = None
    """The result file; None: a file in ARTIQ's layout under `root`."""
    overwrite: bool = False
    """Whether a result file of that name may be replaced."""
    root: Path = Path()
    before_connect: BeforeConnect | None = None
    connect_timeout: float = 10.0
    """Seconds that a controller has for each step of connecting."""
    wait_for_devices: float = 0.0
    """Seconds to wait for devices that others use, where one of both wants them alone."""
    log_level: int = logging.WARNING
    command: tuple[str, ...] = ()
    degraded: DegradedStates = field(default_factory=DegradedStates)
    """Degraded states, from before the run on."""


class Watcher(Protocol):
    """Gets the progress of a run."""

    @property
    def ask(self) -> Ask | None:
        """How to ask a person for interactive arguments; None where there is nobody."""

    def begin(self, rid: int, title: str, datasets: Mapping[str, Dataset], devices: DeviceManager) -> None:
        """Take note of the run, of the mapping that its datasets will be in, and of its devices."""

    def phase(self, name: str) -> None:
        """Called when a phase begins."""


@dataclass(frozen=True)
class RunReport:
    """The outcome and the results of a run."""

    rid: int
    class_name: str
    outcome: RunOutcome
    datasets: Mapping[str, Dataset]
    degraded: DegradedStates
    """Degraded states of the run."""
    path: Path | None
    """The result file; None if the experiment was never built, or the file could not be finished."""
    is_persistent: bool
    """Whether it set or read persistent datasets."""
    failure: ResultsError | None
    """Why the result file could not be finished; its text says where everything is kept."""


def run(plan: RunPlan, watcher: Watcher) -> RunReport:
    """Run an experiment from its file to its result file.

    Exceptions of the experiment are in the report. Once the experiment is built, the result file is written in any
    case.

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
    with interrupts.installed(), importable(_folders(file, plan.database.origin)):
        module = imported(file)
        class_name, experiment = choose_class(module, plan.file, plan.class_name)
        now = datetime.now()
        rid = next_rid(root)
        path = hdf5 if hdf5 is not None else results_path(root, rid, class_name, now)
        arguments = ArgumentManager(plan.arguments, watcher.ask, plan.former_arguments)

        def described() -> dict[str, Any]:
            return expid(plan.file, class_name, arguments, arguments.given, plan.log_level)

        start = identity(
            rid, described(), arguments.given, plan.database, now.timestamp(), plan.file, plan.command
        )
        for line in recover_some(root / "results", path):
            logger.warning("%s", line)
        with interrupts.shielded(_BEFORE_BUILD):
            writer = ResultsWriter.create(path, start, overwrite=plan.overwrite, degraded=plan.degraded)
            datasets = DatasetManager(plan.datasets, sink=writer)
            scheduler = Scheduler(rid, described(), termination)
            devices = DeviceManager(
                plan.database,
                {"scheduler": scheduler, "ccb": CCB()},
                before_connect=plan.before_connect,
                connect_timeout=plan.connect_timeout,
                wait=plan.wait_for_devices,
            )
            watcher.begin(rid, title(experiment), datasets.local, devices)
            sources = _RunSources(writer, start.sources)

            def built() -> None:
                writer.update_identity(
                    expid=encodable(described()),
                    user_arguments=encodable(arguments.given),
                    artiq_version=artiq_version(),
                )
                sources.add(local_sources(file))
                tell_devices()

            def tell_devices() -> None:
                """Note which devices the run uses, and which are shared: at the start, and again at the end."""
                if len(devices.asked) > len(used):
                    used.update(devices.asked)
                    writer.update_identity(devices_used=sorted(used))
                for name, clients in devices.shared_controllers().items():
                    writer.add_degraded(f"controller {name} is shared with {clients}")
                for text in devices.lease_troubles():
                    writer.add_degraded(text)

            used: set[str] = set()
            hooks = Hooks(
                phase=watcher.phase,
                built=built,
                running=lambda moment: writer.update_identity(run_time=moment),
                ending=tell_devices,
            )
            with noting_sources(sources.note), labelled(f"run {rid}"):
                spoken = in_its_language(experiment, datasets)
                outcome = live(experiment, devices, spoken, arguments, scheduler, interrupts, hooks)
            with interrupts.shielded():
                watcher.phase("writing results")
                kept, failure = _finish(writer, datasets, outcome)
    is_persistent = bool(datasets.archive) or any(each.persist for each in datasets.local.values())
    return RunReport(
        rid,
        class_name,
        outcome,
        dict(datasets.local),
        plan.degraded,
        kept,
        is_persistent,
        failure,
    )


class _RunSources:
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


def _finish(
    writer: ResultsWriter, datasets: DatasetManager, outcome: RunOutcome
) -> tuple[Path | None, ResultsError | None]:
    """Write the result file, or remove it if the experiment was never built and left nothing.

    A failure is returned, not raised, so that the experiment's own error is reported first.
    """
    try:
        datasets.close()
    except DatasetError as error:
        logger.error("%s", error)
        writer.add_degraded(str(error), unkept=True)
    if not (outcome.built or datasets.local):
        writer.discard()
        return None, None
    if outcome.remark:
        writer.add_degraded(outcome.remark)
    try:
        return writer.close(outcome.status, error=outcome.error), None
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
        advice = missing(error) if isinstance(error, ImportError) else ""
        raise ExperimentImportError(
            f"{where}: importing it raised {type(error).__name__}: {text}{advice}"
        ) from error
    except SystemExit as error:
        raise ExperimentImportError(
            f"{place(error, file) or file.name}: it calls sys.exit({error.code!r})"
        ) from error
