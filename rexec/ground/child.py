"""A program of ours in a process of its own, which ends when this process ends, also by kill -9.

The two ends talk in lines: the parent writes to the child's standard input, the child answers on a pipe that was its
standard output (what it prints goes to standard error). The end of standard input is the order to end.
"""

import io
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, cast

from devicedb.process_tree import ProcessTree
from rexec.ground import forks
from rexec.ground.waits import next_of

__all__ = ["BUSY", "Child", "ChildLost", "ChildSilent"]

_BOOTSTRAP: Final = Path(__file__).with_name("_child_main.py")
_ROOT: Final = Path(__file__).resolve().parents[2]

_ENDED_WITHIN: Final = 2.0
"""Seconds in which a process ends whose pipes are closed already."""

_KILLED_WITHIN: Final = 10.0
"""Seconds in which a killed process ends, unless the kernel holds it in a system call."""

BUSY: Final = b"\0"
"""The line by which a child says that it works; `receive` swallows it."""


class ChildLost(Exception):
    """Raised when the child cannot be started, or has ended."""


class ChildSilent(ChildLost):
    """Raised when the child has been silent for too long; it is killed."""


class Child:
    """A process that runs `module.main(lines, say, *args)` of ours, with this interpreter. A context.

    The module is imported from where this package is, never from the folder of the experiment (`-P`). The process has
    a session of its own: Ctrl-C at the terminal is for its parent. See `rexec.ground._child_main` for its side.

    One thread at a time may send, and one receive.

    Args:
        module: Name of the module, or the path of a program that imports the standard library alone (it runs with
            `-I -S`, and reads its standard input itself).
        args: More arguments of `main`, as text.
        inherit: Descriptors that the child has, too, under the same numbers. Not on Windows.
        purpose: What the process does, for errors: "the process that keeps the result file".

    Raises:
        ChildLost: It cannot be started.

    """

    def __init__(
        self, module: str | Path, args: Sequence[str] = (), *, inherit: Sequence[int] = (), purpose: str
    ) -> None:
        if inherit and sys.platform == "win32":
            raise ValueError("descriptors are not inherited on Windows")
        self._purpose: Final = purpose
        self._generation: Final = forks.generation
        self._lines: Final[queue.SimpleQueue[bytes | None]] = queue.SimpleQueue()
        if isinstance(module, Path):
            command = ["-I", "-S", str(module), *args]
        else:
            command = ["-P", str(_BOOTSTRAP), str(_ROOT), module, str(os.getpid()), *args]
        if not sys.executable:
            raise ChildLost(
                f"{purpose} could not be started: this program does not know its Python interpreter"
            )
        try:
            self._process: Final = ProcessTree(
                [sys.executable, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=_standard_error(),
                bufsize=0,
                pass_fds=tuple(inherit),
            )
        except (OSError, ValueError) as error:
            raise ChildLost(f"{purpose} could not be started: {error}") from error
        # When this object is collected, its pipe is closed and the child ends. So neither the thread nor the Popen
        # (which lives as long as the process) may hold them.
        self._input: Final = cast("io.FileIO", self._process.stdin)
        self._output: Final = cast("io.FileIO", self._process.stdout)
        self._process.stdin = self._process.stdout = None
        self._listener: Final = threading.Thread(
            target=_listen, args=(self._output, self._lines), name=f"listen to {module}", daemon=True
        )
        try:
            self._listener.start()
        except RuntimeError as error:  # the process has too many threads
            self._input.close()
            self._output.close()
            self._end_within(0.0)
            raise ChildLost(f"{purpose} could not be started: {error}") from error

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def send(self, line: bytes) -> None:
        """Write a line to the child.

        Args:
            line: Without its line break.

        Raises:
            ChildLost: It has ended.
            ValueError: There is a line break in it.

        """
        if b"\n" in line:
            raise ValueError("a line break within a line")
        self._check_owner()
        rest = memoryview(line + b"\n")
        try:
            while rest:
                rest = rest[self._input.write(rest) :]
        except (OSError, ValueError) as error:
            raise ChildLost(self._how_it_ended()) from error

    def receive(self, timeout: float) -> bytes:
        """Return the next line from the child, without its line break.

        Args:
            timeout: Seconds without a sign of life (a line, or BUSY) after which the child counts as lost and is
                killed.

        Raises:
            ChildLost: It has ended.
            ChildSilent: It is silent.

        """
        self._check_owner()
        while True:
            try:
                line = next_of(self._lines, timeout)
            except queue.Empty:
                self._kill()
                raise ChildSilent(f"{self._purpose} has said nothing for {timeout:g} s") from None
            if line is None:
                self._lines.put(None)
                raise ChildLost(self._how_it_ended())
            if line != BUSY:
                return line

    def close(self, patience: float = 2.0) -> None:
        """End the process: end of file on its standard input, a wait, then a kill of it and of what it started.

        If the child ends by itself, the processes that it has started are left alone. Twice is no error.

        In a forked process, this closes only the pipes.

        Args:
            patience: Seconds to wait for it to end by itself.

        """
        self._input.close()
        if self._is_foreign():
            self._output.close()
            return
        self._end_within(patience)
        # A process that the child has started may hold the pipe open: it is not waited for.
        self._listener.join(patience)

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self.close()

    def _is_foreign(self) -> bool:
        return self._generation != forks.generation

    def _check_owner(self) -> None:
        if self._is_foreign():
            raise ChildLost(f"{self._purpose} belongs to the process that this one was forked from")

    def _end_within(self, patience: float) -> int:
        """Wait for the process, kill it if it takes too long, and return its status."""
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._kill()
            return self._process.wait(_KILLED_WITHIN)

    def _kill(self) -> None:
        """Kill the process and what it has started."""
        if self._process.poll() is None:
            self._process.kill_all()

    def _how_it_ended(self) -> str:
        status = self._end_within(_ENDED_WITHIN)
        return f"{self._purpose} has ended " + (
            f"by signal {-status}" if status < 0 else f"with status {status}"
        )


def _standard_error() -> int | None:
    """Return what `Popen` makes the child's standard error from: ours, or nothing if we have none.

    Otherwise the pipe of the answers may get its number.
    """
    try:
        os.fstat(2)
    except OSError:
        return subprocess.DEVNULL
    return None


def _listen(output: io.FileIO, lines: "queue.SimpleQueue[bytes | None]") -> None:
    with io.BufferedReader(output) as reader:
        for line in reader:
            if line.endswith(b"\n"):  # otherwise the child was killed while it wrote it
                lines.put(line[:-1])
    lines.put(None)
