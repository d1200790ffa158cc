"""`devicedb graph`: draw devices, controllers, hosts and aliases."""

import argparse
import shutil
import subprocess
from collections.abc import Sequence
from typing import Final

from devicedb.cli.options import add_device_db, add_output
from devicedb.cli.parser import CommandParser
from devicedb.cli.terminal import say_document
from devicedb.database import load_file
from devicedb.errors import DeviceDBError
from devicedb.graph import as_dot, as_mermaid, graph_of
from devicedb.output import write_text

DRAWING_TIMEOUT: Final = 60.0
"""Time limit of graphviz, in seconds."""


class DrawingError(DeviceDBError):
    """graphviz is not installed, or failed."""


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `devicedb graph`."""
    parser = CommandParser(
        prog="devicedb graph",
        description="Draw a device database: what each alias stands for, which controllers run on which host, what "
        "is a target of what, and which devices a local device uses.",
        epilog="examples:\n  devicedb graph\n  devicedb graph --format svg --output devices.svg\n\n"
        "Exit status: 0 drawn, 2 the database cannot be loaded or drawn.",
    )
    add_device_db(parser)
    parser.add_argument(
        "--format",
        choices=("mermaid", "dot", "svg"),
        default="mermaid",
        help="output format; svg needs graphviz (default: %(default)s)",
    )
    add_output(parser, "drawing")
    return parser


def main(argv: Sequence[str]) -> int:
    """Print or write the drawing."""
    arguments = get_argparser().parse_args(argv)
    graph = graph_of(load_file(arguments.device_db).raw)
    if arguments.format == "mermaid":
        text = as_mermaid(graph)
    else:
        text = as_dot(graph)
        if arguments.format == "svg":
            text = drawn(text)
    if arguments.output is None:
        say_document(text, end="")
    else:
        write_text(arguments.output, text)
    return 0


def drawn(dot: str) -> str:
    """Return the SVG that graphviz draws.

    Raises:
        DrawingError: graphviz is not installed, or fails.

    """
    program = shutil.which("dot")
    if program is None:
        raise DrawingError(
            "an SVG needs graphviz, whose program 'dot' is not on the path. Install graphviz, or use "
            "--format mermaid"
        )
    try:
        done = subprocess.run(  # noqa: S603  # graphviz; the drawing goes to its standard input
            [program, "-Tsvg"],
            input=dot.encode(),
            capture_output=True,
            timeout=DRAWING_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DrawingError(f"{program} -Tsvg: {error}") from None
    if done.returncode != 0:
        said = " ".join(done.stderr.decode(errors="replace").split())
        raise DrawingError(f"{program} -Tsvg ended with status {done.returncode}: {said}")
    return done.stdout.decode(errors="replace").replace("\r\n", "\n")
