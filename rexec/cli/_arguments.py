"""The options of `rexec run`."""

import argparse
from pathlib import Path

from devicedb.cli.parser import CommandParser
from rexec.cli._simulation import add_simulation_arguments


def run_argparser() -> argparse.ArgumentParser:
    """Return the parser of `rexec run`."""
    parser = CommandParser(
        prog="rexec run",
        description="Run an experiment and keep its results. Experiments import rexec.experiment, or "
        "artiq.experiment where ARTIQ is installed.",
        epilog="examples:\n  rexec run scan.py --list\n  rexec run scan.py --up points=50 'mode=\"fast\"'\n"
        "  rexec run scan.py --master lab1 -o scan.h5\n"
        "  rexec run scan.py --simulate --behaviours lab.py\n\n"
        "Exit status: 0 the experiment ended, 1 it failed, 2 something given was wrong (nothing was run), 130 it "
        "was interrupted. Ctrl-C once ends the run in good order, twice at once; results are written in either case.",
    )
    add = parser.add_argument
    add("file", metavar="FILE", type=Path, help="file of the experiment")
    add(
        "arguments",
        metavar="KEY=VALUE",
        nargs="*",
        help="arguments of the experiment; VALUE is PYON: 3, 2.5e6, true, [1,2], '\"a string\"'",
    )
    add("-c", "--class-name", metavar="CLASS", help="experiment class (default: the only one of the file)")
    add(
        "--list",
        action="store_true",
        help="show the experiments of the file and their arguments, run nothing",
    )
    add(
        "--device-db",
        metavar="FILE",
        type=Path,
        help="device database (default: device_db.py here, else beside the experiment; with --master: "
        "the master's)",
    )
    add(
        "--dataset-db",
        metavar="FILE",
        type=Path,
        help="persistent datasets, an LMDB file as ARTIQ's (default: dataset_db.mdb here, made if missing)",
    )
    add(
        "-o",
        "--hdf5",
        metavar="FILE",
        type=Path,
        help="result file (default: results/DATE/HOUR/RID-CLASS.h5 here)",
    )
    add("--overwrite", action="store_true", help="replace the file that -o names, if there is one")
    add(
        "--master",
        metavar="HOST",
        help="use the datasets of the ARTIQ master that runs on HOST, and its device database unless "
        "--device-db names one",
    )
    add(
        "--master-port",
        metavar="PORT",
        type=int,
        default=3251,
        help="control port of the master (default: 3251)",
    )
    add(
        "--bind",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="where the datasets of this run are served to remote code (default: %(default)s; anybody who "
        "reaches it can change them)",
    )
    serving = parser.add_argument_group("serving")
    serving.add_argument(
        "--serve",
        action="store_true",
        help="serve the datasets and devices of this run as an ARTIQ master does, as long as it lasts: applets and "
        "`artiq_client show datasets` follow it",
    )
    for name, what, port in (
        ("notify", "notification", 3250),
        ("control", "control", 3251),
        ("broadcast", "log", 1067),
    ):
        serving.add_argument(
            f"--port-{name}",
            metavar="PORT",
            type=int,
            default=port,
            help=f"{what} port of --serve (default: {port})",
        )
    up = parser.add_argument_group("controllers")
    up.add_argument(
        "--connect-timeout",
        metavar="SECONDS",
        type=float,
        default=10.0,
        help="how long a controller may take for each step of connecting (default: %(default)g)",
    )
    start = up.add_mutually_exclusive_group()
    start.add_argument(
        "--up",
        action="store_true",
        help="start the controllers on this host that the experiment's devices need, from their command, with "
        "the folder of the device database as working folder and this interpreter as `python`; end them "
        "afterwards. One that runs already is used and left running",
    )
    up.add_argument(
        "--up-timeout",
        metavar="SECONDS",
        type=float,
        default=30.0,
        help="how long a controller may take to answer (default: %(default)g)",
    )
    start.add_argument(
        "--simulate",
        action="store_true",
        help="use simulations of all controllers, and stand-ins for the local devices of the core (kernels run on this "
        "computer); where ARTIQ is not installed, stand-ins for its language, too. The result file says so, and "
        "persistent datasets are read but not changed",
    )
    add_simulation_arguments(parser.add_argument_group("simulation, with --simulate"))
    level = parser.add_argument_group("verbosity")
    level.add_argument("-v", "--verbose", action="count", default=0, help="log more; repeat for all")
    level.add_argument("-q", "--quiet", action="count", default=0, help="log less, and show no progress")
    return parser
