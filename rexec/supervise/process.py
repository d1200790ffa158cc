"""The process of one controller: start from a command, wait for it to answer, end it."""

import errno
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from devicedb import Endpoint
from devicedb.command import as_typed
from devicedb.exit_status import killer, was_killed
from devicedb.process_tree import HAS_GUARD, ProcessTree
from rexec.devices.connect import ssl_config
from rexec.supervise.errors import ControllerStartError
from rexec.supervise.guardian import Guardian
from rexec.supervise.liveness import ServingProcess
from rexec.supervise.output import Output
from rexec.wire.errors import WireError
from rexec.wire.pc_rpc import Client

logger = logging.getLogger(__name__)

TERMINATE_WAIT: Final = 5.0
"""Maximum seconds for each of the three steps of ending a controller."""
_ATTEMPT: Final = 2.0
"""Maximum seconds for a step of one handshake."""
_REAPED: Final = 30.0
"""Seconds for the system to end a killed process: a busy machine needs more than a term_timeout."""

_ENCODING: Final = {"PYTHONIOENCODING": "utf-8"} if sys.platform == "win32" else {}
"""How Python writes into a pipe: on Windows in the code page, where printing any other letter is an error."""


def environment(own: Mapping[str, str], further: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a controller's command.

    Args:
        own: Environment of this process.
        further: Variables of the entry.

    Returns:
        `own` and `further`, changed in two ways: the folder of the running interpreter is first on PATH, so that
        `python` in a command has this package; PYTHONUNBUFFERED is set, so that output is read when it is written.

    """
    if os.name == "nt":  # where "Path" is the same variable
        further = {name.upper(): value for name, value in further.items()}
    folder = str(Path(sys.executable).absolute().parent)
    path = os.pathsep.join(dict.fromkeys([folder, *own.get("PATH", os.defpath).split(os.pathsep)]))
    return {**own, "PATH": path, "PYTHONUNBUFFERED": "1", **further}


@dataclass(frozen=True)
class Answer:
    """The outcome of a handshake with a controller."""

    is_there: bool
    """Whether the handshake succeeded."""
    is_refused: bool = False
    """Whether the connection was refused: no process listens."""
    reason: str = ""
    """Why the handshake failed."""


def answer(endpoint: Endpoint, timeout: float) -> Answer:
    """Shake hands with a controller, `timeout` seconds for each step."""
    try:
        Client(
            endpoint.host, endpoint.port, None, ssl_config=ssl_config(endpoint.tls), handshake_timeout=timeout
        ).close_rpc()
    except (WireError, OSError) as error:
        return Answer(False, isinstance(error.__cause__, ConnectionRefusedError), str(error))
    return Answer(True)


class ControllerProcess:
    """A controller that this program has started.

    Args:
        endpoint: Endpoint of the controller.
        words: Command line.
        env, folder: Environment and working folder of the command.
        guardian: Ends the process if this one dies.
        ended: Called from any thread when the output ends, which mostly is when the process ends.

    Raises:
        ControllerStartError: The command cannot be run.

    """

    def __init__(
        self,
        endpoint: Endpoint,
        words: list[str],
        env: Mapping[str, str],
        folder: Path,
        guardian: Guardian,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self.name: Final = endpoint.controller
        self._endpoint = endpoint
        self._command: Final = as_typed(words)
        self._guardian = guardian
        try:
            self._process = ProcessTree(
                _with_program(words, env, folder),
                env={**_ENCODING, **env},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                ends_with_us=HAS_GUARD,
            )
        except (OSError, ValueError) as error:
            raise ControllerStartError(self.name, _not_started(error, words, env, folder)) from error
        guardian.watch(self._process.pid)
        self._output = Output(self.name, cast(IO[bytes], self._process.stdout), ended=ended)
        self.serving: Final = ServingProcess(self._process.pid, endpoint.port)
        """The process that answers at the endpoint, known once the controller is ready."""

    @property
    def pid(self) -> int:
        """Number of the process and of its group."""
        return self._process.pid

    def ended(self) -> str | None:
        """Return how the process ended; None while it runs."""
        status = self._process.poll()
        return _ended(status) if status is not None else None

    def wait_ready(self, timeout: float, give_up: Callable[[], bool] = lambda: False) -> None:
        """Wait until the controller answers or `give_up()` is true.

        Raises:
            ControllerStartError: The process ended, or `timeout` seconds passed; the message has its last lines.

        """
        deadline = time.monotonic() + timeout
        where = self._endpoint.address
        found = Answer(False, True)
        while not give_up():
            status = self._process.poll()
            if status is not None:
                hint = " (a command must not go into the background)" if status == 0 else ""
                raise ControllerStartError(
                    self.name, f"{_ended(status)} before it answered at {where}{hint}{self.last_lines()}"
                )
            left = deadline - time.monotonic()
            if left <= 0:
                why = "no process listens there" if found.is_refused else found.reason
                raise ControllerStartError(
                    self.name,
                    f"runs, but did not answer at {where} within {timeout:g} s: {why}{self.last_lines(0.0)}",
                )
            attempt = answer(self._endpoint, min(left, _ATTEMPT))
            if attempt.is_there:
                self.serving.find()
                return
            if left >= _ATTEMPT or found.is_refused:  # cut short, it failed for lack of time
                found = attempt
            time.sleep(0.05)

    def kill(self) -> None:
        """End the process at once."""
        if self._process.poll() is None:
            self._process.kill_all()

    def end(self, step: float = TERMINATE_WAIT) -> None:
        """End the process by RPC, then SIGTERM, then SIGKILL, `step` seconds after each; kill a stopped one at once."""
        if self.serving.stopped() is not None:
            self.kill()
        elif self._process.poll() is None:
            self._ask_to_terminate(step)
            self._wait_or_signal(step)
        try:
            logger.debug("%s %s", self.name, _ended(self._process.wait(_REAPED)))
        except subprocess.TimeoutExpired:  # it waits in the system, for a device or a file server
            logger.error(
                "controller %r is killed, but the system has not ended it after %g s", self.name, _REAPED
            )
        # Children of the command may still run.
        self._process.kill_all()
        self._guardian.forget(self._process.pid)
        self._output.close()

    def _ask_to_terminate(self, step: float) -> None:
        endpoint = self._endpoint
        try:
            client = Client(
                endpoint.host,
                endpoint.port,
                None,
                step,
                ssl_config(endpoint.tls),
                handshake_timeout=min(step, 2.0),
            )
            try:
                client.select_rpc_target(client.get_rpc_id()[0][0])
                client.terminate()
            finally:
                client.close_rpc()
        except (WireError, OSError, AttributeError, IndexError) as error:
            logger.debug("%s: terminate() failed: %s", self.name, error)
            self._process.ask_all()

    def _wait_or_signal(self, step: float) -> None:
        for is_hard in (False, True):
            try:
                self._process.wait(step)
                return
            except subprocess.TimeoutExpired:
                name = "SIGKILL" if is_hard else "SIGTERM"
                logger.warning("controller %r still runs after %g s: %s", self.name, step, name)
                (self._process.kill_all if is_hard else self._process.ask_all)()

    def last_lines(self, wait: float = 1.0) -> str:
        """Return the last lines of the output for a message, after up to `wait` seconds for its end."""
        lines = self._output.tail(wait)[-8:]
        said = "".join(f"\n    {line}" for line in lines)
        summary = f": {lines[-1].strip()}" if lines else ". It printed nothing"
        return f"{summary}\n  command: {self._command}" + (f"\n  its last lines:{said}" if lines else "")


def _with_program(words: list[str], env: Mapping[str, str], folder: Path) -> list[str]:
    """Return a command with the path of its program on Windows, which would look for it in our own folder, not in its.

    A name alone is looked for on PATH first, which begins with our interpreter, then in the folder.
    """
    if os.name != "nt":
        return words
    program = words[0]
    suffixes = [each for each in env.get("PATHEXT", ".COM;.EXE;.BAT;.CMD").split(os.pathsep) if each]
    names = [program] if program.lower().endswith(tuple(map(str.lower, suffixes))) else []
    names = names or [*(program + each for each in suffixes), program]
    on_path = [] if os.path.dirname(program) else env.get("PATH", "").split(os.pathsep)
    paths = (os.path.abspath(os.path.join(folder, place, name)) for place in [*on_path, ""] for name in names)
    found = next(filter(os.path.isfile, paths), None)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)
    return [found, *words[1:]]


def _not_started(error: Exception, words: list[str], env: Mapping[str, str], folder: Path) -> str:
    where = f"\n  command: {as_typed(words)}\n  folder: {folder}"
    if not folder.is_dir():
        return f"cannot be started: folder {folder} does not exist{where}"
    if isinstance(error, FileNotFoundError):
        return (
            f"cannot be started: command not found: {words[0]!r}. Is it installed and on PATH?"
            f"{where}\n  PATH: {env.get('PATH', '')}"
        )
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if os.name == "nt" and words[0].lower().endswith(".py"):
        reason = "Windows starts no file of Python by its name: write python before it"
    return f"cannot be started: {words[0]!r}: {reason}. Check the command in its entry{where}"


def _ended(status: int) -> str:
    return f"was ended by {killer(status)}" if was_killed(status) else f"ended with exit status {status}"
