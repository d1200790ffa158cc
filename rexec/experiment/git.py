"""The state of the repository that an experiment's file is in, asked of `git` in bounded time."""

import contextlib
import logging
import os
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Final

from schemas.run import GitState

logger = logging.getLogger(__name__)

PATIENCE: Final = 5.0
"""Seconds after which a run begins without an answer."""
MOST_DIFF: Final = 2**20
"""Bytes of a diff that are kept."""
_MOST_NAMES: Final = 2**16
_SAFE: Final = ("-c", "core.fsmonitor=false", "-c", "core.pager=cat", "-c", "core.quotepath=false")


class _Failed(Exception):
    """Raised when git cannot be asked, or does not answer in time; its text is why."""


def git_state(file: Path) -> GitState | None:
    """Return the state of the repository of a file; None where there is none, or git is not installed.

    A repository that cannot be asked is a warning: the run goes on without it.
    """
    asked = _Asked(file.absolute().parent, time.monotonic() + PATIENCE)
    try:
        root = asked("rev-parse", "--show-toplevel")
        if root is None:
            return None
        commit = asked("rev-parse", "--verify", "--quiet", "HEAD")
        branch = asked("symbolic-ref", "--quiet", "--short", "HEAD")
        state = GitState(
            root=root.rstrip("\n"),
            commit=None if commit is None else commit.strip(),
            branch=None if branch is None else branch.strip(),
            dirty=None,
        )
    except _Failed as error:
        logger.warning("the state of the repository of %s is not recorded: %s", file.name, error)
        return None
    try:
        tracked = asked("ls-files", "--error-unmatch", "--", file.name) is not None
        state = state.model_copy(update={"tracked": tracked})
        against = state.commit or _EMPTY_TREE
        diff = asked("diff", "--no-ext-diff", "--no-textconv", "--no-color", against, limit=MOST_DIFF) or ""
        cut = len(diff.encode()) >= MOST_DIFF
        state = state.model_copy(update={"dirty": bool(diff), "diff": diff, "diff_cut": cut})
        names = asked("ls-files", "--others", "--exclude-standard", "--", "*.py", limit=_MOST_NAMES) or ""
        return state.model_copy(update={"untracked": names.splitlines()})
    except _Failed as error:
        logger.warning("the changes in the repository of %s are recorded in part: %s", file.name, error)
        return state


_EMPTY_TREE: Final = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""What git compares with before the first commit."""


class _Asked:
    """Asks git about a folder, until a moment of the monotonic clock."""

    def __init__(self, folder: Path, deadline: float) -> None:
        self._folder = folder
        self._deadline = deadline

    def __call__(self, *command: str, limit: int = 65536) -> str | None:
        """Return what git prints, at most so many bytes; None where its answer is no, or there is no git."""
        with tempfile.TemporaryFile() as complaints:
            return self._ask(command, limit, complaints)

    def _ask(self, command: tuple[str, ...], limit: int, complaints: IO[bytes]) -> str | None:
        environment = {
            **os.environ,
            "LC_ALL": "C",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
        }
        try:
            process = subprocess.Popen(  # noqa: S603  # the user's own git
                ["git", *_SAFE, *command],  # noqa: S607  # the one on the user's path
                cwd=self._folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
                start_new_session=True,
            )
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _Failed(f"git cannot be started: {error.strerror}") from error
        late = threading.Event()

        def give_up() -> None:
            late.set()
            _kill(process)

        timer = threading.Timer(max(0.0, self._deadline - time.monotonic()), give_up)
        timer.start()
        with process:
            assert process.stdout is not None  # noqa: S101  # it is a pipe
            try:
                found = process.stdout.read(limit)
                cut = len(found) == limit
                process.stdout.close()
                if cut:
                    _kill(process)
                status = process.wait()
            finally:
                timer.cancel()
        if late.is_set():
            raise _Failed(f"git {command[0]} did not answer within {PATIENCE:g} s")
        if status == 0 or cut:
            return found.decode("utf-8", "replace")
        complaints.seek(0)
        complaint = complaints.read(2000).decode(errors="replace").strip()
        if "fatal: " in complaint and "not a git repository" not in complaint and status > 1:
            raise _Failed(" ".join(complaint.split()))
        return None


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End git and what it has started, which may hold its output open."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # type: ignore[attr-defined, unused-ignore]
    else:  # pragma: no cover - Windows
        process.kill()
