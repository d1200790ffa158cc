"""`python -m rexec.sipyco`: runs a program whose imports of the reference library are answered by ours."""

import argparse
import runpy
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from rexec.sipyco import answer_imports


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the program."""
    parser = argparse.ArgumentParser(
        prog="python -m rexec.sipyco",
        usage="python -m rexec.sipyco (PROGRAM | -m MODULE) [ARGUMENT ...]",
        description="Run a Python program unchanged, with its imports of sipyco answered by rexec.",
        epilog="The program needs no sipyco installed. Python processes that it starts import what they find\n"
        "themselves. `rexec port` changes the imports for good.\n\n"
        "examples:\n  python -m rexec.sipyco aqctl_lamp.py --simulation -p 3290\n"
        "  python -m rexec.sipyco -m lamp.aqctl_lamp --simulation -p 3290\n\n"
        "Exit status: that of the program, 2 if there is none.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-m", dest="module", metavar="MODULE", help="run a module as a program")
    parser.add_argument(
        "words",
        nargs=argparse.REMAINDER,
        metavar="PROGRAM",
        help="a Python file, or a command on PATH that is one; then its arguments",
    )
    return parser


def main(argv: Sequence[str]) -> None:
    """Run the program.

    Args:
        argv: Arguments of this program.

    """
    parser = get_argparser()
    # What follows -m MODULE belongs to the program, whatever it looks like.
    module: str | None
    if argv[:1] == ["-m"] and len(argv) > 1:
        module, words = argv[1], list(argv[2:])
    else:
        arguments = parser.parse_args(argv)
        module, words = arguments.module, arguments.words
    if module is not None:
        answer_imports()
        sys.argv = [module, *words]
        _first_on_path(str(Path.cwd()))
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return
    if not words:
        parser.error("which program?")
    program = words[0] if Path(words[0]).is_file() else shutil.which(words[0])
    if program is None:
        parser.error(f"{words[0]}: there is no such file, and no such command on PATH")
    answer_imports()
    sys.argv = [program, *words[1:]]
    _first_on_path(str(Path(program).resolve().parent))
    runpy.run_path(program, run_name="__main__")


def _first_on_path(folder: str) -> None:
    """Put the program's folder in the place of ours; with `python -P` there is none: the first one is the user's."""
    sys.path[: 0 if sys.flags.safe_path else 1] = [folder]


if __name__ == "__main__":
    main(sys.argv[1:])
