"""Runs one device database in a child process with limits, and reads the result."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from devicedb.exit_status import was_killed
from devicedb.model.facts import FileFacts
from devicedb.process_tree import HAS_GUARD, ProcessTree
from devicedb.sandbox.lifeline import lifeline
from devicedb.sandbox.limits import OUT_OF_TIME, TOO_MANY
from devicedb.sandbox.patience import communicate
from devicedb.sandbox.result import read_result

TIME_LIMIT: Final = 10.0
"""Limit of the CPU time of a device database, in seconds."""

MAX_OUTPUT: Final = 4000
"""Characters of output that are kept."""

MARK: Final = "DEVICEDB_SANDBOX"
"""Environment variable that marks the processes of one run."""

_ROOT: Final = str(Path(__file__).resolve().parents[2])
_START: Final = "import sys; sys.path.insert(0, {root!r}); from devicedb.sandbox.child import main; main()"


class Stopped(Exception):
    """A run was ended by its `Stop`."""


class Stop:
    """Ends a run from another thread: its child is killed, and it starts no further one."""

    def __init__(self) -> None:
        # Re-entrant: a signal handler may set it while this thread holds the lock.
        self._lock = threading.RLock()
        self._child: subprocess.Popen[bytes] | None = None
        self.is_set = False

    def set(self) -> None:
        """End the run; it raises Stopped."""
        with self._lock:
            self.is_set = True
            if self._child is not None:
                self._child.kill()

    def watch(self, child: "subprocess.Popen[bytes] | None") -> None:
        """Kill this child when set; None: there is none any more."""
        with self._lock:
            self._child = child
            if self.is_set and child is not None:
                child.kill()

    def check(self) -> None:
        """Raise Stopped if it is set."""
        if self.is_set:
            raise Stopped


def run_file(
    source: Path,
    *,
    name: Path | None = None,
    time_limit: float = TIME_LIMIT,
    assumed: Sequence[str] = (),
    stop: Stop | None = None,
) -> FileFacts:
    """Run a device database in a child process: instrumented, or plainly if that fails.

    Args:
        source: The file; it must exist.
        name: The file that `source` stands for, if another; its folder is searched for imports.
        assumed: Packages whose imports succeed though they are not installed.
        time_limit: Seconds of CPU time after which the child and its processes are killed, or of waiting without
            computing.
        stop: Ends the run from another thread.

    Raises:
        Stopped: `stop` was set.

    """
    stop = stop or Stop()
    traced = _run(source, name or source, "traced", time_limit, assumed, stop)
    error = traced.error
    if error is None or error["kind"] in {"SyntaxError", "SystemExit", "ModuleNotFoundError"}:
        return traced
    plain = _run(source, name or source, "plain", time_limit, assumed, stop)
    return plain if plain.ended == "finished" and plain.error is None else traced


def _run(
    source: Path, name: Path, mode: str, time_limit: float, assumed: Sequence[str], stop: Stop
) -> FileFacts:
    stop.check()
    with tempfile.TemporaryDirectory(prefix="devicedb-", ignore_cleanup_errors=True) as folder:
        result, output = Path(folder, "result.json"), Path(folder, "output.txt")
        start = _START.format(root=_ROOT)
        paths = [str(source.absolute()), str(name.absolute()), str(result)]
        mark = os.urandom(16).hex()
        with output.open("wb") as sink, lifeline() as inherited:
            arguments = [*paths, mode, str(time_limit), list(assumed), list(inherited)]
            child = ProcessTree(
                [sys.executable, "-P", "-c", start],
                ends_with_us=HAS_GUARD,
                stdin=subprocess.PIPE,
                env={**os.environ, MARK: mark},
                stdout=sink,
                stderr=sink,
                pass_fds=inherited,
            )
            is_hung = False
            stop.watch(child)
            try:
                communicate(child, json.dumps(arguments).encode() + b"\n", time_limit)
            except subprocess.TimeoutExpired:
                is_hung = True
            finally:
                stop.watch(None)
                end_group(child)
                end_marked(mark)
        stop.check()
        ended, picture = "finished", {}
        if is_hung or child.returncode == OUT_OF_TIME:
            ended = "hung"
        elif child.returncode == 0 and result.exists():
            picture = read_result(str(result))
        elif child.returncode == TOO_MANY:
            ended = "bomb"
        else:
            ended = "killed" if was_killed(child.returncode) else "exited"
        return FileFacts(
            path=str(name.absolute()),
            ended=ended,
            status=child.returncode,
            seconds=time_limit,
            output=_beginning(output),
            is_traced=mode == "traced",
            picture=picture,
        )


def end_group(child: ProcessTree) -> None:
    """Kill a child with what it has started, and wait for it."""
    child.kill_all()
    child.wait()


def end_marked(mark: str) -> None:
    """Kill the processes that left the child's session, for example as a daemon: they still have its environment.

    Only where /proc shows the environment of processes, that is on Linux.
    """
    if sys.platform != "win32":
        wanted = f"{MARK}={mark}".encode()
        for _ in range(20):  # one may have started another meanwhile
            found = [pid for pid in _processes() if wanted in _environment(pid)]
            if not found:
                return
            for pid in found:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:
        return []


def _environment(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""  # ended, or another user's


def _beginning(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(MAX_OUTPUT).decode(errors="replace")
