"""Starts the child process for one device database, bounds it, and reads what it wrote."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from devicedb.sandbox.limits import TOO_MANY

TIME_LIMIT: Final = 10.0
"""Seconds that a device database may take to run."""

MAX_OUTPUT: Final = 4000
"""Characters of output that are kept."""

_ROOT: Final = str(Path(__file__).resolve().parents[2])
_START: Final = (
    "import sys; sys.path.insert(0, {root!r}); from devicedb.sandbox.child import main; main(*sys.argv[1:])"
)


@dataclass(frozen=True)
class Outcome:
    """How the run of a device database ended."""

    picture: dict[str, Any] = field(default_factory=dict)
    """What the child wrote: `root`, `files`, `sites`, `duplicates`, or `error`, or `missing`."""
    output: str = ""
    """What the file printed."""
    ended: str = "finished"
    """"finished", "hung", "exited" (with a status), "killed" (by a signal) or "bomb" (too many processes)."""
    status: int = 0
    is_traced: bool = True
    """False: the file ran only without instruments, so that places are those of its source at best."""


def run_file(source: Path, *, name: Path | None = None, time_limit: float = TIME_LIMIT) -> Outcome:
    """Run a device database in a child process, instrumented; plainly where it does not bear that.

    Args:
        source: The file; it must exist.
        name: The file that it stands for, where that is another: its folder is searched for imports.
        time_limit: Seconds after which the child and whatever it started are killed.

    """
    traced = _run(source, name or source, "traced", time_limit)
    error = traced.picture.get("error")
    if error is None or error["kind"] in {"SyntaxError", "SystemExit", "ModuleNotFoundError"}:
        return traced
    plain = _run(source, name or source, "plain", time_limit)
    return plain if plain.ended == "finished" and "error" not in plain.picture else traced


def _run(source: Path, name: Path, mode: str, time_limit: float) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="devicedb-", ignore_cleanup_errors=True) as folder:
        result, output = Path(folder, "result.json"), Path(folder, "output.txt")
        start = _START.format(root=_ROOT)
        arguments = [str(source.absolute()), str(name.absolute()), str(result), mode, str(time_limit)]
        with output.open("wb") as sink:
            child = subprocess.Popen(  # noqa: S603  # our own program; the file is an argument
                [sys.executable, "-P", "-c", start, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        is_hung = False
        try:
            child.wait(time_limit)
        except subprocess.TimeoutExpired:
            is_hung = True
        finally:
            _end(child)
        said = _beginning(output)
        if is_hung:
            return Outcome(output=said, ended="hung", is_traced=mode == "traced")
        if not result.exists() or child.returncode != 0:
            ended = "killed" if child.returncode < 0 else "exited"
            ended = "bomb" if child.returncode == TOO_MANY else ended
            return Outcome(output=said, ended=ended, status=child.returncode, is_traced=mode == "traced")
        picture = json.loads(result.read_bytes())
        return Outcome(picture=picture, output=said, is_traced=mode == "traced")


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Kill the child and whatever it started and left in its group."""
    if sys.platform == "win32":
        child.kill()
    else:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            child.poll()  # all of them had ended
    child.wait()


def _beginning(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(MAX_OUTPUT).decode(errors="replace")
