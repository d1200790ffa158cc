"""Has a result file kept by a process beside the run (`_fold_child`), and notices when that process is lost."""

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final

from rexec.results.errors import ResultsError

AVAILABLE: Final = os.name == "posix"
"""Whether a child can share the claim on the journal, so that no recovery takes a run for dead before both are."""

SILENCE: Final = 60.0
"""Seconds without a sign of life after which the process counts as lost."""

_PROGRAM: Final = """
import os, queue, sys, threading
commands = queue.SimpleQueue()
def listen():
    for line in sys.stdin.buffer:
        commands.put(line)
    os._exit(0)
# Before anything is imported, which may take a second: the end of the run is the end of this process.
threading.Thread(target=listen, daemon=True).start()
# The packages of the run, and nothing else from their folder before what this interpreter has itself.
sys.path.insert(0, sys.argv[1])
import rexec, schemas
sys.path.append(sys.path.pop(0))
from rexec.results._fold_child import main
main(commands, sys.argv[2], sys.argv[3], sys.argv[4] == "True", int(sys.argv[5]))
"""


class FoldProcessLost(Exception):
    """Raised when the process that keeps the file has ended, or is silent: the run has to keep the file itself."""


class FoldProcess:
    """Keeps a result file equal to a journal that grows, in a process of its own.

    Args:
        path: The result file.
        journal: Its journal.
        claim: The open file that holds the run's claim on the journal.
        replaces: As for `rexec.results.folder.Folder`.

    Raises:
        FoldProcessLost: It cannot be started.

    """

    def __init__(self, path: Path, journal: Path, claim: int, *, replaces: bool) -> None:
        self.shown = False
        self.problems: list[str] = []
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        root = str(Path(__file__).resolve().parents[2])
        # -P: modules in the folder of an experiment must not stand for those of the library.
        command = [
            sys.executable,
            "-P",
            "-c",
            _PROGRAM,
            root,
            str(path),
            str(journal),
            str(replaces),
            str(os.getpid()),
        ]
        try:
            self._process: Final = subprocess.Popen(  # noqa: S603  # this interpreter, our own program
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(claim,),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise FoldProcessLost(f"no process to keep the result file could be started: {error}") from error
        self._listener = threading.Thread(target=self._listen, name="rexec-results-answers", daemon=True)
        self._listener.start()

    def wait_until_ready(self) -> None:
        """Return when it has started.

        Raises:
            FoldProcessLost: It has not.

        """
        self._wait()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def refresh(self, size: int) -> None:
        """Bring the file up to date with the first `size` bytes of the journal, or more.

        Raises:
            ResultsError: The file cannot be written.
            FoldProcessLost: The process is lost.

        """
        self._ask(f"refresh {size}\n")

    def finish(self, size: int, end: dict[str, Any]) -> None:
        """Bring the file up to date for the last time, and compare it with the journal; raises as `refresh`."""
        self._ask(f"finish {size} {json.dumps(end)}\n")

    def close(self) -> None:
        """End the process. Twice is no error."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            try:
                self._process.stdin.close()
            except BrokenPipeError:
                pass
        try:
            self._process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(timeout=2.0)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _ask(self, command: str) -> None:
        assert self._process.stdin is not None  # noqa: S101  # it is a pipe
        try:
            self._process.stdin.write(command.encode())
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise FoldProcessLost(self._end()) from error
        self._wait()

    def _wait(self) -> None:
        while True:
            try:
                line = self._answers.get(timeout=SILENCE)
            except queue.Empty:
                self._process.kill()
                raise FoldProcessLost(
                    f"the process that keeps the result file has said nothing for {SILENCE:g} s"
                ) from None
            if line is None:
                raise FoldProcessLost(self._end())
            answer = json.loads(line)
            if answer != "busy":
                break
        self.shown, self.problems = self.shown or answer["shown"], answer["problems"]
        if answer["error"] is not None:
            raise ResultsError(answer["error"])

    def _end(self) -> str:
        try:
            status = self._process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        return f"the process that keeps the result file was ended {how}"

    def _listen(self) -> None:
        assert self._process.stdout is not None  # noqa: S101  # it is a pipe
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put(None)
