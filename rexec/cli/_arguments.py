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
        "artiq.experiment if ARTIQ is installed.",
        epilog="examples:\n"
        "  rexec run scan.py --list                            show the arguments, run nothing\n"
        "  rexec run scan.py --up points=50 exposure=5ms       start the controllers, set two arguments\n"
        "  rexec run scan.py --like 42 exposure=10ms           the arguments of run 42, but one\n"
        "  rexec run scan.py --master lab1 -o scan.h5          datasets and devices of a running master\n"
        "  rexec run scan.py --simulate --behaviours lab.py    no hardware\n\n"
        "Values: 5, 5ms, 729.3MHz, true, text without quotes; any other value in PYON, such as [1, 2]. A number\n"
        "without its unit is refused if it would have two meanings. Scans: 0..100us:21, range(0,100us,21),\n"
        "center(5us,2us,100ns), explicit(1,2,5us), 5us (one value).\n\n"
        "Exit status: 0 the experiment ended (also by itself, when asked to end), 1 it failed or something that it\n"
        "set was not kept, 2 bad input, or another run has a device, 130 it was interrupted, N after sys.exit(N).\n"
        "Ctrl-C, SIGTERM or a lost terminal ends the run after its cleanup, a second Ctrl-C at once; results are\n"
        "written in both cases.",
    )
    add = parser.add_argument
    add("file", metavar="FILE", type=Path, help="Python file of the experiment")
    add(
        "words",
        metavar="KEY=VALUE",
        nargs="*",
        default=[],
        help="arguments of the experiment, as --list shows them: exposure=5ms, mode=fast, t=0..100us:21; "
        "PYON is accepted, too",
    )
    add("-c", "--class-name", metavar="CLASS", help="experiment class (default: the only one in the file)")
    add(
        "--list",
        action="store_true",
        help="show the experiments of the file and their arguments, run nothing",
    )
    add(
        "--arguments",
        metavar="FILE",
        type=Path,
        help="read arguments from a JSON or YAML file, values as on the command line; or from a .pyon file, numbers in "
        "base units",
    )
    add(
        "--like",
        metavar="RUN",
        help="use the arguments of an earlier run: its number, last, last:CLASS, -2 (the one before the last), or a "
        "result file of this toolkit or of ARTIQ",
    )
    _add_databases(parser)
    results = parser.add_argument_group("results")
    results.add_argument(
        "-o",
        "--hdf5",
        metavar="FILE",
        type=Path,
        help="result file (default: results/DATE/HOUR/RID-CLASS.h5 in the folder of the device database)",
    )
    results.add_argument("--overwrite", action="store_true", help="replace the file that -o names")
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
        "device_db.py in the current folder, else the one beside the experiment; with --master, the master's",
    )
    group.add_argument(
        "--dataset-db",
        metavar="FILE",
        type=Path,
        help="LMDB file of the persistent datasets, as ARTIQ's (default: dataset_db.mdb in the folder of the "
        "device database; created if missing)",
    )
    add_master(
        group,
        "use the datasets of the ARTIQ master on HOST, and its device database unless --device-db is given",
    )


def _add_controllers(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("controllers")
    group.add_argument(
        "--connect-timeout",
        metavar="SECONDS",
        type=positive,
        default=10.0,
        help="timeout for each step of connecting to a controller (default: %(default)g)",
    )
    group.add_argument(
        "--wait-for-devices",
        metavar="SECONDS",
        type=positive,
        default=0.0,
        help="wait this long for a device that another run uses, where one of both wants it alone (default: end with "
        "status 2 at once)",
    )
    start = group.add_mutually_exclusive_group()
    start.add_argument(
        "--up",
        action="store_true",
        help="start the controllers on this host that the experiment's devices need, and end them afterwards. Commands "
        "run in the folder of the device database, with this interpreter as `python`. A controller that already runs "
        "is used and left running",
    )
    group.add_argument(
        "--up-timeout",
        metavar="SECONDS",
        type=positive,
        default=30.0,
        help="time for a controller started by --up to answer (default: %(default)g)",
    )
    start.add_argument(
        "--simulate",
        action="store_true",
        help="simulate all controllers and the core device (kernels run on this computer); without an ARTIQ "
        "installation, also ARTIQ's language. The result file records this; persistent datasets are read but not "
        "changed",
    )


def _add_serving(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("serving")
    group.add_argument(
        "--bind",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="address at which remote code reaches the datasets of this run (default: %(default)s; any client can "
        "change them)",
    )
    group.add_argument(
        "--serve",
        action="store_true",
        help="serve the datasets and devices of this run as an ARTIQ master does, for applets and `artiq_client show "
        "datasets`, until the run ends",
    )
    group.add_argument(
        "--web",
        action="store_true",
        help="show this run in a browser of this machine while it lasts; prints the address",
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
