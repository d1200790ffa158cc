"""`rexec run`: an experiment from its file to its result file."""

import argparse
import ipaddress
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

from rich.console import Console

from devicedb import DatabaseLoadError, DeviceDatabase, load_file
from rexec.cli._arguments import run_argparser as get_argparser
from rexec.cli._logging import log_to
from rexec.cli._master import MasterDatasets
from rexec.cli._options import master_tls, tls_files
from rexec.cli._progress import Progress
from rexec.cli._simulation import simulation_order
from rexec.cli._table import print_datasets
from rexec.cli.errors import EXPECTED_ERRORS, CommandError
from rexec.common_args import LOCALHOST
from rexec.datasets import DatabaseInUse, Dataset, DatasetDB, DatasetError, DatasetStore
from rexec.devices import fetch_database
from rexec.experiment.argument_manager import Ask, parse_arguments
from rexec.experiment.artiq_language import artiq_language
from rexec.experiment.lifecycle import Outcome
from rexec.experiment.runner import Plan, Report, run
from rexec.experiment.tracebacks import place, user_traceback
from rexec.master import MasterThread, Ports
from rexec.remote_exec import offer_dataset_db
from rexec.simulate.process import SimulationProcess
from rexec.supervise import OnDemand
from rexec.wire.errors import WireError

__all__ = ["get_argparser", "main"]

logger = logging.getLogger(__name__)

DEFAULT_DATASETS = Path("dataset_db.mdb")


def main(argv: Sequence[str]) -> int:
    """Run an experiment as the command line says, and return the exit status."""
    options = get_argparser().parse_intermixed_args(argv)
    console = Console(stderr=True)
    level = log_to(console, options)
    refuse_contradictions(options)
    given = parse_arguments(options.arguments)
    if options.list:
        from rexec.cli._listing import print_experiments

        with artiq_language() if options.simulate else nullcontext():
            print_experiments(options.file, options.class_name)
        return 0
    database = device_database(options)
    with ExitStack() as stack:
        if options.simulate:
            order = {**simulation_order(options), "experiments": [str(options.file.absolute())]}
            database = stack.enter_context(SimulationProcess(database, order))
        datasets = stack.enter_context(dataset_store(options, database))
        starter = None
        if database.simulated():
            stack.enter_context(artiq_language())
        if options.up:
            folder = (
                Path(database.origin).absolute().parent if Path(database.origin).is_file() else Path.cwd()
            )
            starter = stack.enter_context(OnDemand(database, folder, options.up_timeout))
        plan = Plan(
            file=options.file,
            class_name=options.class_name,
            arguments=given,
            database=database,
            datasets=datasets,
            hdf5=options.hdf5,
            overwrite=options.overwrite,
            before_connect=starter.ensure if starter is not None else None,
            connect_timeout=options.connect_timeout,
            log_level=level,
            command=("rexec", "run", *argv),
        )
        watcher = stack.enter_context(Watcher(console, quiet=options.quiet > 0))
        report = run(plan, watcher)
    status = tell(report, options, console)
    simulated = database.simulated()
    if simulated and report.path is not None:
        tell_simulated(simulated, console)
    return status


class Watcher:
    """Shows how a run goes on.

    Args:
        console: Of standard error.
        quiet: Whether to show nothing.

    """

    def __init__(self, console: Console, quiet: bool) -> None:
        self._console = console
        self._quiet = quiet
        self._stack = ExitStack()
        self._progress: Progress | None = None
        self._phase = "build"

    @property
    def ask(self) -> Ask | None:
        """How to ask a person; None without a terminal to ask at."""
        return self._ask if sys.stdin is not None and sys.stdin.isatty() else None

    def begin(self, rid: int, title: str, datasets: Mapping[str, Dataset]) -> None:
        """Show the run from now on."""
        name = f"run {rid} · {title}"
        logger.info("%s", name)
        self._progress = Progress(self._console, name, lambda: len(datasets), enabled=not self._quiet)
        self._stack.enter_context(self._progress)

    def phase(self, name: str) -> None:
        """Show that a phase begins."""
        logger.info("%s", name)
        if self._progress is not None:
            self._progress.phase(name)

    def _ask(self, prompt: str) -> str:
        return self._progress.ask(prompt) if self._progress is not None else input(prompt)

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def refuse_contradictions(options: argparse.Namespace) -> None:
    """Refuse options that would have no effect: whoever gives a fault believes that the run is simulated."""
    if options.serve and options.master is not None and not options.simulate:
        raise CommandError("--serve serves this run's own datasets: it does not go with --master")
    simulating = {
        "--behaviours": options.behaviours is not None,
        "--recording": bool(options.recording),
        "--timing": options.timing,
        "--fault": bool(options.fault),
    }
    alone = [name for name, is_given in simulating.items() if is_given]
    if alone and not options.simulate:
        raise CommandError(
            f"{', '.join(alone)}: only with --simulate; without it the devices are the real ones"
        )
    master_tls(options.master_ssl, options.master)
    if options.overwrite and options.hdf5 is None:
        raise CommandError(
            "--overwrite: only with -o FILE; a result file of the results folder is never replaced"
        )


def device_database(options: argparse.Namespace) -> DeviceDatabase:
    """Return the device database that the options name, or the one that is there."""
    if options.device_db is not None:
        return load_file(options.device_db)
    if options.master is not None:
        return fetch_database(options.master, options.master_port, ssl_config=tls_files(options.master_ssl))
    places = [Path("device_db.py").absolute(), options.file.absolute().parent / "device_db.py"]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        where = " nor ".join(dict.fromkeys(map(str, places)))
        raise DatabaseLoadError(
            where, None, "there is no such file. Name the device database with --device-db FILE"
        )
    return load_file(found)


@contextmanager
def dataset_store(options: argparse.Namespace, database: DeviceDatabase) -> Iterator[DatasetStore]:
    """Open the dataset database of the run, and serve it to remote code meanwhile; or connect to a master's.

    A simulated run has a copy in memory: what it makes up goes into no laboratory's datasets.
    """
    is_simulated = bool(database.simulated())
    if options.master is not None and not is_simulated:
        tls = tls_files(options.master_ssl)
        with MasterDatasets(options.master, options.master_port, ssl_config=tls) as store:
            with offer_dataset_db(options.master_port, options.master):
                yield store
        return
    with ExitStack() as stack:
        open_db = copy_of_datasets if is_simulated else open_datasets
        db = stack.enter_context(open_db(options.dataset_db))
        server = stack.enter_context(serve_datasets(options, db, database))
        stack.enter_context(offer_dataset_db(server.port, offered_host(options.bind)))
        yield db


def serve_datasets(options: argparse.Namespace, db: DatasetDB, database: DeviceDatabase) -> MasterThread:
    """Serve the datasets of the run to remote code, and where it is asked for as a master does."""
    if not options.serve:
        return MasterThread(db, database, [options.bind])
    ports = Ports(options.port_notify, options.port_control, options.port_broadcast, logging=None)
    # Clients on this machine use either of its loopback addresses.
    return MasterThread(db, database, list(dict.fromkeys([options.bind, *LOCALHOST])), ports)


def open_datasets(path: Path | None) -> DatasetDB:
    """Open persistent datasets; where the default file cannot be had, datasets in memory, and a warning."""
    if path is not None:
        return DatasetDB(path)
    try:
        return DatasetDB(DEFAULT_DATASETS)
    except DatabaseInUse as error:
        logger.warning("%s. This run neither sees nor keeps persistent datasets", error)
    except DatasetError as error:
        logger.warning("%s. Persistent datasets are only in the result file", error)
    return DatasetDB(None)


def copy_of_datasets(path: Path | None) -> DatasetDB:
    """Return datasets in memory, with what is in the file of persistent ones, if there is one."""
    copy = DatasetDB(None)
    if (path or DEFAULT_DATASETS).exists():
        with open_datasets(path) as kept:
            for name, (persist, value, metadata) in kept.snapshot().items():
                copy.set(name, value, persist, metadata)
    return copy


def offered_host(bind: str) -> str | None:
    """Return the address that controllers are told; None: the one by which this run reaches them.

    A loopback address is not told: on another machine it would lead to somebody else's server.
    """
    try:
        address = ipaddress.ip_address(bind)
    except ValueError:
        return None if bind in ("", "*", "localhost") else bind
    return None if address.is_loopback or address.is_unspecified else bind


def tell(report: Report, options: argparse.Namespace, console: Console) -> int:
    """Show what came of a run, and return the exit status."""
    outcome = report.outcome
    status = tell_error(outcome, options.file, console)
    if report.failure is not None:
        console.print(f"rexec run: error: {report.failure}", markup=False, highlight=False, soft_wrap=True)
        status = status or 1
    if report.path is not None:
        if options.quiet == 0 and report.datasets:
            print_datasets(Console(soft_wrap=True), report.datasets)
        print(f"run {report.rid} of {report.class_name}: {report.path}")
    return status


def tell_simulated(names: Sequence[str], console: Console) -> None:
    """Warn that the data of a run were made up."""
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    console.print(
        f"rexec run: warning: SIMULATED devices ({shown}): these data were not measured, and the result file says so",
        markup=False, highlight=False, soft_wrap=True, emoji=False,
    )  # fmt: skip


def tell_error(outcome: Outcome, file: Path, console: Console) -> int:
    """Show what ended a run before its end, and return the exit status."""
    error = outcome.error

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True, emoji=False)

    if outcome.interrupted:
        said = "" if error is None or isinstance(error, KeyboardInterrupt) else f": {type(error).__name__}"
        say(f"rexec run: interrupted in {outcome.phase}{said}")
        return 130
    if error is None:
        return 0
    where = place(error, file)
    if isinstance(error, EXPECTED_ERRORS) and not isinstance(error, WireError):
        say(f"rexec run: error: {f'{where}: ' if where else ''}{error}")
        logger.debug("the error in full", exc_info=error)
        return 1 if outcome.built else 2
    say(user_traceback(error, file))
    say(f"rexec run: the experiment failed in {outcome.phase}{f' at {where}' if where else ''}")
    return 1
