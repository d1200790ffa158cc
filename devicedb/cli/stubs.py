"""`devicedb stubs`: types of the devices, so that editors complete names and methods."""

import argparse
import re
from collections.abc import Sequence

from devicedb.check.config import find
from devicedb.check.engine import drivers_of
from devicedb.cli.options import add_device_db, add_output
from devicedb.cli.parser import CommandParser
from devicedb.cli.terminal import say_document
from devicedb.database import load_file
from devicedb.errors import DeviceDBError
from devicedb.output import write_text
from devicedb.stubs import stub


class StubNameError(DeviceDBError):
    """A name given for a class is not a valid one."""


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `devicedb stubs`."""
    parser = CommandParser(
        prog="devicedb stubs",
        description="Write a stub of an experiment base class that has the devices as attributes. Where the source "
        "of a driver is found (search-path of [tool.devicedb], the folder of the database, Python's path) it is "
        "parsed, and an editor completes its methods too.",
        epilog="example:\n  devicedb stubs --output lab.pyi\n"
        "  # lab.py beside it, for when experiments run:\n"
        "  from rexec.experiment import EnvExperiment as LabExperiment\n\n"
        "Exit status: 0 written, 2 the database cannot be loaded or the stub cannot be written.",
    )
    add_device_db(parser)
    add_output(parser, "stub")
    parser.add_argument(
        "--base",
        metavar="MODULE.CLASS",
        default="rexec.experiment.EnvExperiment",
        help="base class of the experiments (default: %(default)s)",
    )
    parser.add_argument(
        "--class",
        metavar="NAME",
        dest="class_name",
        default="LabExperiment",
        help="name of the class (default: %(default)s)",
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Print or write the stub."""
    arguments = get_argparser().parse_args(argv)
    if not re.fullmatch(r"([^\W\d]\w*\.)+[^\W\d]\w*", arguments.base):
        raise StubNameError(
            f"--base {arguments.base!r}: give a module and a class, artiq.experiment.EnvExperiment"
        )
    if not arguments.class_name.isidentifier():
        raise StubNameError(f"--class {arguments.class_name!r}: is no name of a class")
    database = load_file(arguments.device_db)
    folder = arguments.device_db.absolute().parent
    finder = drivers_of(find(folder), str(folder)).finder
    text = stub(database.raw, str(folder), finder, arguments.base, arguments.class_name)
    if arguments.output is None:
        say_document(text, end="")
    else:
        write_text(arguments.output, text)
    return 0
