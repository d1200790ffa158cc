"""Makes the pictures of the README and of the documentation: `python docs/pictures/make.py [FOLDER [NAME ...]]`.

Terminals are shown with what the programs really printed, plots are of runs that were really done. They are SVG, and
the same again where the numbers are (the time and the rates of a run are not).
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import architecture
import terminal

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from tests.ports import copy_examples, free_ports, without_status  # noqa: E402  found by the line above

FAULTY = """\
device_db = {
    "camera": {
        "type": "controller",
        "host": "::1",
        "port": 3290,
        "command": "python camera.py -p {prot} --bind {bind}",
    },
    "camera_rexec": {
        "type": "controller_aux_target",
        "controller": "camera",
        "target_name": "camera_rexec",
    },
    "rexec": "camera_rexc",
}
"""


def shown(folder: Path, command: str, *, is_coloured: bool = False, status: int = 0) -> str:
    """Run a command as a reader would and return what it prints, with the folder written as `~/lab`.

    Args:
        folder: Where to run it.
        command: As it is typed; the first word is a program of this environment.
        is_coloured: Whether the programs are to colour, as on a terminal.
        status: How it is to end.

    Raises:
        RuntimeError: It ends otherwise.

    """
    program, *arguments = command.split()
    executable = shutil.which(program, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    environment = {**os.environ, "COLUMNS": "100", "MATPLOTLIBRC": str(HERE), "SOURCE_DATE_EPOCH": "0"}
    environment.pop("FORCE_COLOR" if not is_coloured else "NO_COLOR", None)
    done = subprocess.run(
        [executable or program, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    if done.returncode != status:
        raise RuntimeError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return without_status(done.stderr + done.stdout).replace(str(folder), "~/lab")


def run(folder: Path, target: Path) -> None:
    """Draw the transcript of a run, and what it measured."""
    copy_examples(folder, free_ports())
    command = "rexec run examples/camera/experiment.py --up frames=100 compare=false"
    terminal.draw([(command, shown(folder, command))], "a run", target / "run.svg")
    (result,) = folder.rglob("results/*/*/*-FitSpot.h5")
    shown(folder, f"rexec results plot {result} y --against x --output {target / 'spot.svg'}")


def response(folder: Path, target: Path) -> None:
    """Draw what the bench of SCPI instruments measured."""
    copy_examples(folder, free_ports())
    shown(folder, "rexec run examples/scpi_bench/experiment.py --up --quiet")
    (result,) = folder.rglob("results/*/*/*-FilterResponse.h5")
    picture = target / "filter-response.svg"
    shown(folder, f"rexec results plot {result} --output {picture}")


def check(folder: Path, target: Path) -> None:
    """Draw what the checker says of a device database with three mistakes."""
    (folder / "device_db.py").write_text(FAULTY, encoding="utf-8")
    command = "devicedb check device_db.py"
    output = shown(folder, f"{command} --color always", is_coloured=True, status=1)
    terminal.draw([(command, output)], "a check", target / "check.svg")


def devices(folder: Path, target: Path) -> None:
    """Draw the devices of all examples; graphviz does it."""
    if shutil.which("dot") is None:
        print(
            "devices.svg is left out: it needs graphviz, whose program 'dot' is not on the path",
            file=sys.stderr,
        )
        return
    database = ROOT / "examples" / "device_db.py"
    shown(folder, f"devicedb graph --device-db {database} --format svg --output {target / 'devices.svg'}")


def figure(folder: Path, target: Path) -> None:
    """Draw the architecture."""
    del folder
    (target / "architecture.svg").write_text(architecture.svg(), encoding="utf-8")


PICTURES: dict[str, Callable[[Path, Path], None]] = {
    "run": run,
    "response": response,
    "check": check,
    "devices": devices,
    "architecture": figure,
}


def main() -> None:
    """Make the pictures that are named (default: all) in a folder (default: this one)."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else HERE).resolve()
    for name in sys.argv[2:] or PICTURES:
        with tempfile.TemporaryDirectory() as folder:
            PICTURES[name](Path(folder).resolve(), target)
        print(f"{name}: done")
    for path in target.glob("*.svg"):
        tidy = re.sub(r"[ \t]+$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        path.write_text(tidy, encoding="utf-8")


if __name__ == "__main__":
    main()
