"""The options of `rexec run`."""

import argparse
from pathlib import Path

from devicedb.cli.parser import CommandParser
from rexec.cli._options import add_device_db, add_master, positive
from rexec.cli._simulation import add_simulation_arguments
from rexec.common_args import listening_port, verbosity_args


def run_argparser() -> argparse.ArgumentParser:
    """Return the parser of `rexec run`."""
    parser = CommandParser(
        prog="rexec run",
        description="Run an experiment and keep its results. Experiments import rexec.experiment, or "
        "artiq.experiment where ARTIQ is installed.",
        epilog="examples:\n"
        "  rexec run scan.py --list                            what may be set, and to what\n"
        "  rexec run scan.py --up points=50 'mode=\"fast\"'      start the controllers, set two arguments\n"
        "  rexec run scan.py --master lab1 -o scan.h5          datasets and devices of a running master\n"
        "  rexec run scan.py --simulate --behaviours lab.py    no hardware\n\n"
        "Values are PYON: numbers, true, false, null, [1, 2], and text in double quotes, for which the shell wants "
        "single\nquotes around it all.\n\n"
        "Exit status: 0 the experiment ended, 1 it failed, 2 something given was wrong (nothing was run), 130 it "
        "was interrupted. Ctrl-C once ends the run in good order, twice at once; results are written in either case.",
    )
    add = parser.add_argument
    add("file", metavar="FILE", type=Path, help="file of the experiment")
    add(
        "arguments",
        metavar="KEY=VALUE",
        nargs="*",
        default=[],
        help="arguments of the experiment; VALUE is PYON: 3, 2.5e6, true, [1,2], '\"a string\"'",
    )
    add("-c", "--class-name", metavar="CLASS", help="experiment class (default: the only one of the file)")
    add(
        "--list",
        action="store_true",
        help="show the experiments of the file and their arguments, run nothing",
    )
    _add_databases(parser)
    results = parser.add_argument_group("results")
    results.add_argument(
        "-o",
        "--hdf5",
        metavar="FILE",
        type=Path,
        help="result file (default: results/DATE/HOUR/RID-CLASS.h5 in the current folder)",
    )
    results.add_argument(
        "--overwrite", action="store_true", help="replace the file that -o names, if there is one"
    )
    _add_controllers(parser)
    add_simulation_arguments(parser.add_argument_group("simulation, with --simulate"))
    _add_serving(parser)
    verbosity_args(parser, "show no progress")
    return parser


def _add_databases(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("devices and datasets")
    add_device_db(
        group,
        None,
        "device_db.py in the current folder, else beside the experiment; with --master: the master's",
    )
    group.add_argument(
        "--dataset-db",
        metavar="FILE",
        type=Path,
        help="persistent datasets, an LMDB file as ARTIQ's (default: dataset_db.mdb in the current folder, made if "
        "missing)",
    )
    add_master(
        group,
        "use the datasets of the ARTIQ master that runs on HOST, and its device database unless --device-db names one",
    )


def _add_controllers(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("controllers")
    group.add_argument(
        "--connect-timeout",
        metavar="SECONDS",
        type=positive,
        default=10.0,
        help="how long a controller may take for each step of connecting (default: %(default)g)",
    )
    start = group.add_mutually_exclusive_group()
    start.add_argument(
        "--up",
        action="store_true",
        help="start the controllers on this host that the experiment's devices need, from their command, with "
        "the folder of the device database as working folder and this interpreter as `python`; end them "
        "afterwards. One that runs already is used and left running",
    )
    group.add_argument(
        "--up-timeout",
        metavar="SECONDS",
        type=positive,
        default=30.0,
        help="how long a controller that --up starts may take until it answers (default: %(default)g)",
    )
    start.add_argument(
        "--simulate",
        action="store_true",
        help="use simulations of all controllers, and stand-ins for the local devices of the core (kernels run on this "
        "computer); where ARTIQ is not installed, stand-ins for its language, too. The result file says so, and "
        "persistent datasets are read but not changed",
    )


def _add_serving(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("serving")
    group.add_argument(
        "--bind",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="where the datasets of this run are served to remote code (default: %(default)s; anybody who "
        "reaches it can change them)",
    )
    group.add_argument(
        "--serve",
        action="store_true",
        help="serve the datasets and devices of this run as an ARTIQ master does, as long as it lasts: applets and "
        "`artiq_client show datasets` follow it",
    )
    for name, what, default in (
        ("notify", "notification", 3250),
        ("control", "control", 3251),
        ("broadcast", "broadcast", 1067),
    ):
        group.add_argument(
            f"--port-{name}",
            metavar="PORT",
            type=listening_port,
            default=default,
            help=f"TCP port of --serve for {what} connections (default: %(default)d)",
        )
