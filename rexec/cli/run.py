"""`rexec run`: runs an experiment and keeps its results."""

import argparse
import ipaddress
import logging
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from devicedb import DeviceDatabase, load_file
from devicedb.cli import output
from devicedb.cli.console import TerminalConsole
from devicedb.cli.streams import is_terminal
from devicedb.cli.terminal import say_error
from devicedb.printable import printable
from rexec.cli._arguments import run_argparser as get_argparser
from rexec.cli._ending import end_threads, tell, tell_simulated
from rexec.cli._given import given_arguments, of_run
from rexec.cli._laboratory import copy_of_datasets, found_device_db, laboratory_folder, open_datasets
from rexec.cli._logging import log_to
from rexec.cli._page import page_beside
from rexec.cli._pending import PendingCalls
from rexec.cli._simulation import simulation_order
from rexec.cli._tls import master_tls, tls_files
from rexec.cli.errors import CommandError
from rexec.common_args import LOCALHOST
from rexec.datasets import Dataset, DatasetDB, DatasetStore
from rexec.devices import DeviceManager, fetch_database
from rexec.experiment.argument_manager import Ask
from rexec.experiment.artiq_language import artiq_language
from rexec.experiment.runner import RunPlan, run
from rexec.master import MasterThread, Ports
from rexec.remote_exec import offer_dataset_db
from rexec.results import DegradedStates

if TYPE_CHECKING:
    from rexec.cli._progress import Progress, RunActivity

__all__ = ["get_argparser", "main"]

logger = logging.getLogger(__name__)


def main(argv: Sequence[str]) -> int:
    """Run an experiment as the command line says, and return the exit status."""
    before = threading.enumerate()
    options = get_argparser().parse_intermixed_args(argv)
    console = output.console(stderr=True)
    level = log_to(console, options)
    refuse_contradictions(options)
    given = given_arguments(options)
    if options.list:
        from rexec.cli._listing import print_experiments

        with artiq_language() if options.simulate else nullcontext():
            print_experiments(options.file, options.class_name)
        return 0
    database = device_database(options)
    folder = laboratory_folder(database)
    with ExitStack() as stack:
        if options.simulate:
            order = {**simulation_order(options), "experiments": [str(options.file.absolute())]}
            from rexec.simulate.process import SimulationProcess

            database = stack.enter_context(SimulationProcess(database, order))
        degraded = DegradedStates()
        datasets = stack.enter_context(dataset_store(options, database, folder, degraded))
        starter = None
        if options.simulate or database.simulated():
            stack.enter_context(artiq_language())
        if options.up:
            from rexec.supervise import OnDemand

            starter = stack.enter_context(OnDemand(database, folder, options.up_timeout))
        plan = RunPlan(
            file=options.file,
            class_name=options.class_name,
            arguments=given,
            former_arguments=of_run(options.like, folder) if options.like is not None else {},
            database=database,
            datasets=datasets,
            hdf5=options.hdf5,
            overwrite=options.overwrite,
            root=folder,
            before_connect=starter.ensure if starter is not None else None,
            connect_timeout=options.connect_timeout,
            wait_for_devices=options.wait_for_devices,
            log_level=level,
            command=("rexec", "run", *argv),
            degraded=degraded,
        )
        watcher = stack.enter_context(RunDisplay(console, quiet=options.quiet > 0))
        report = run(plan, watcher)
    kept_in = datasets.path if isinstance(datasets, DatasetDB) and report.is_persistent else None
    status = tell(report, options, console, kept_in)
    simulated = database.simulated()
    if simulated and report.path is not None:
        tell_simulated(simulated, console)
    end_threads(status, console, before)
    return status


class RunDisplay:
    """Shows the progress of a run.

    Args:
        console: Console of standard error.
        quiet: Whether to show nothing.

    """

    def __init__(self, console: TerminalConsole, quiet: bool) -> None:
        self._console = console
        self._quiet = quiet
        self._stack = ExitStack()
        self._progress: Progress | None = None
        self._phase = "build"

    @property
    def ask(self) -> Ask | None:
        """A function that asks a person; None without a terminal."""
        return self._ask if is_terminal(sys.stdin) else None

    def begin(self, rid: int, title: str, datasets: Mapping[str, Dataset], devices: DeviceManager) -> None:
        """Start to show the run."""
        logger.info("run %d · %s", rid, title)
        if self._quiet:
            return
        from rexec.cli._progress import Progress, RunActivity

        calls = PendingCalls(devices.active)

        def activity() -> "RunActivity":
            from rexec.cli._activity import activities  # remote execution: when there is something to show

            return RunActivity(len(datasets), activities(devices.connecting, calls, devices.waiting))

        progress = Progress(self._console, f"run {rid}", title, activity, enabled=True)
        self._progress = self._stack.enter_context(progress)

    def phase(self, name: str) -> None:
        """Show the new phase."""
        logger.info("%s", name)
        if self._progress is not None:
            self._progress.phase(name)

    def _ask(self, prompt: str) -> str:
        return self._progress.ask(prompt) if self._progress is not None else input(printable(prompt))

    def __enter__(self) -> "RunDisplay":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def refuse_contradictions(options: argparse.Namespace) -> None:
    """Refuse options that have no effect: a person who gives --fault believes that the run is simulated."""
    if options.serve and options.master is not None and not options.simulate:
        raise CommandError("--serve serves this run's own datasets; it cannot be combined with --master")
    if options.web and options.master is not None and not options.simulate:
        raise CommandError(
            "--web shows this run's own datasets; for those of a master: rexec web --master HOST"
        )
    simulating = {
        "--behaviours": options.behaviours is not None,
        "--recording": bool(options.recording),
        "--timing": options.timing,
        "--fault": bool(options.fault),
    }
    alone = [name for name, is_given in simulating.items() if is_given]
    if alone and not options.simulate:
        raise CommandError(
            f"{', '.join(alone)}: only with --simulate; without it the run uses the real devices"
        )
    master_tls(options.master_ssl, options.master)
    if options.overwrite and options.hdf5 is None:
        raise CommandError("--overwrite: only with -o FILE; files of the results folder are never replaced")


def device_database(options: argparse.Namespace) -> DeviceDatabase:
    """Return the device database that the options name, or the default one."""
    if options.device_db is not None:
        return load_file(options.device_db)
    if options.master is not None:
        return fetch_database(options.master, options.master_port, ssl_config=tls_files(options.master_ssl))
    return load_file(found_device_db([Path(), options.file.absolute().parent]))


@contextmanager
def dataset_store(
    options: argparse.Namespace, database: DeviceDatabase, folder: Path, degraded: DegradedStates
) -> Iterator[DatasetStore]:
    """Open the dataset database of the run, and serve it to remote code meanwhile; or connect to a master's.

    A simulated run uses a copy in memory, so that simulated values do not reach the laboratory's datasets.
    """
    is_simulated = bool(database.simulated())
    if options.master is not None and not is_simulated:
        tls = tls_files(options.master_ssl)
        from rexec.cli._master import MasterDatasets

        with MasterDatasets(options.master, options.master_port, ssl_config=tls, degraded=degraded) as store:
            with offer_dataset_db(options.master_port, options.master):
                yield store
        return
    with ExitStack() as stack:
        open_db = copy_of_datasets if is_simulated else open_datasets
        db = stack.enter_context(open_db(options.dataset_db, folder))
        server = stack.enter_context(serve_datasets(options, db, database))
        if options.web:
            ports = [server.addresses[name][0][1] for name in ("notify", "broadcast", "control")]
            page = page_beside(
                options.file.stem, folder / "results", database.origin, (ports[0], ports[1], ports[2])
            )
            say_error(f"page of this run: {stack.enter_context(page)}")
        stack.enter_context(offer_dataset_db(server.port, offered_host(options.bind)))
        yield db


def serve_datasets(options: argparse.Namespace, db: DatasetDB, database: DeviceDatabase) -> MasterThread:
    """Serve the datasets of the run to remote code; with --serve, as a master does."""
    if not options.serve and not options.web:
        return MasterThread(db, database, [options.bind])
    if not options.serve:
        return MasterThread(
            db, database, list(dict.fromkeys([options.bind, "127.0.0.1"])), Ports(0, 0, 0, None)
        )
    ports = Ports(options.port_notify, options.port_control, options.port_broadcast, logging=None)
    # Clients on this machine use either of its loopback addresses.
    return MasterThread(db, database, list(dict.fromkeys([options.bind, *LOCALHOST])), ports)


def offered_host(bind: str) -> str | None:
    """Return the address of the datasets for controllers; None: the local address of the connection to each.

    A loopback address is not sent, because on another machine it leads to another server.
    """
    try:
        address = ipaddress.ip_address(bind)
    except ValueError:
        return None if bind in ("", "*", "localhost") else bind
    return None if address.is_loopback or address.is_unspecified else bind
