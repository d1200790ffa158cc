"""The state of the repository that an experiment's file is in, asked of `git` in bounded time."""

import logging
import os
import subprocess
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import IO, Final

from devicedb.process_tree import ProcessTree
from schemas.run import GitState

logger = logging.getLogger(__name__)

PATIENCE: Final = 5.0
"""Seconds until a run begins without an answer of git."""
MOST_DIFF: Final = 2**20
"""Bytes of a diff that are kept."""
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
        state = replace(state, tracked=tracked)
        against = state.commit or _EMPTY_TREE
        diff = asked("diff", "--no-ext-diff", "--no-textconv", "--no-color", against, limit=MOST_DIFF) or ""
        cut = len(diff.encode()) >= MOST_DIFF
        state = replace(state, dirty=bool(diff), diff=diff, diff_cut=cut)
        names = asked("ls-files", "--others", "--exclude-standard", "--", "*.py") or ""
        return replace(state, untracked=names.splitlines())
    except _Failed as error:
        logger.warning("the changes in the repository of %s are recorded in part: %s", file.name, error)
        return state


_EMPTY_TREE: Final = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""Tree that git compares with before the first commit."""


class _Asked:
    """Asks git about a folder, until a moment of the monotonic clock."""

    def __init__(self, folder: Path, deadline: float) -> None:
        self._folder = folder
        self._deadline = deadline

    def __call__(self, *command: str, limit: int = 65536) -> str | None:
        """Return the output of git, cut to a number of bytes; None if git fails or is not installed."""
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
            process = ProcessTree(
                ["git", *_SAFE, *command],
                cwd=self._folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
            )
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _Failed(f"git cannot be started: {error.strerror}") from error
        late = threading.Event()

        def give_up() -> None:
            late.set()
            process.kill_all()  # its children may hold its output open

        timer = threading.Timer(max(0.0, self._deadline - time.monotonic()), give_up)
        with process:
            assert process.stdout is not None  # noqa: S101  # it is a pipe
            try:
                timer.start()
                found = process.stdout.read(limit)
                cut = len(found) == limit
                if cut:
                    process.kill_all()
                status = process.wait()
            except BaseException:  # Ctrl-C does not reach it: it has a session of its own
                process.kill_all()
                raise
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
