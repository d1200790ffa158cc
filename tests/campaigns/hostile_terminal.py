"""Commands at pseudo-terminals, in a folder of hostile files, beside hostile peers; what is wrong with their output."""

import contextlib
import dataclasses
import importlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.campaigns.odd_file_system import KINDS, odd_folder

FORGED: Final = "FORGED: all is well"
"""Begins a line only where a line break of a stranger was obeyed."""
CRASHED: Final = 70
"""Exit status of a command that raised what it should have reported."""
PATIENCE: Final = 150.0
"""Seconds that a command may take."""
_TELLERS: Final = ThreadPoolExecutor(4)
_OWN: Final = re.compile(
    r"\x1b\[[0-9;]*m|\x1b\[\?(25|1|7|12|2004)[lh]|\x1b\[[0-9]*[ACDKn]|\x1b\[J|\r(?=\x1b\[2K)|\r(?=\r*\n)|\r(?=\x1b\[)"
)
"""What rich and the shell's line editor send: colours, the cursor, lines that are drawn again."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One use of a command, with `LABORATORY` words in place of what the laboratory knows only when it runs."""

    words: tuple[str, ...]
    stop: str | None = None
    """Pattern in the output after which the command, which serves, is ended by SIGTERM; None: it ends by itself."""
    typed: bytes = b""
    """Standard input, as a pipe; empty: the terminal."""
    told: Callable[[str, str], None] | None = None
    """Called once with the hostile text and the output when that has `when` in it; what follows meets `stop`."""
    when: str = "ready"
    lines: bool = False
    """Whether its output is a stranger's text of several lines, shown as it is: only control characters count then."""


@dataclasses.dataclass(frozen=True)
class Use:
    """A command with its words."""

    command: str
    row: Row

    @property
    def kind(self) -> str:
        """Return what is hostile: peers, files or only names."""
        words = set(self.row.words)
        return (
            "peer"
            if words & {"PEER", "RAW", "CONTROL", "NOTIFY", "good"} or self.row.told
            else "name"
            if "TEXT" in words
            else "file"
        )


class Laboratory:
    """A folder of hostile files, with hostile peers while the context lasts."""

    def __init__(self, text: str, file_system: str = "") -> None:
        self.text = text
        self.file_system = file_system
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Laboratory":
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="hostile-")))
        command = [
            sys.executable,
            "-m",
            "tests.campaigns.hostile_peers",
            str(self.folder),
            json.dumps(self.text),
        ]
        peers = self._stack.enter_context(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        self._stack.callback(peers.communicate)
        assert peers.stdout is not None
        self._ports = json.loads(peers.stdout.readline())
        (self.folder / "empty.py").write_text("device_db = {}\n")
        is_odd = self.file_system in KINDS
        self.uses_in = str(self._stack.enter_context(odd_folder(self.file_system))) if is_odd else None
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def words(self, use: Use) -> list[str]:
        """Return the words of a use as they are on the command line."""
        plain = self.text.replace("\0", "").encode("utf-8", "ignore").decode()
        known = {"HOST": "127.0.0.1", "TEXT": plain, "PLAIN": plain.replace("/", "_"), **self._ports}
        known = {name.upper(): str(value) for name, value in known.items()}
        known |= {f"TEXT{number}": f"{self.text}{number}".replace("\0", "") for number in range(2, 6)}
        return [*use.command.split(), *(known.get(word, word) for word in use.row.words)]


class Process:
    """A command at a pseudo-terminal: a fork of this process, which has imported what it needs."""

    def __init__(self, laboratory: Laboratory, use: Use) -> None:
        self.use = use
        self.shown = b""
        self.outcome = ""
        self._deadline = time.monotonic() + PATIENCE
        self._is_stopped = False
        self._telling: Future[None] | None = None
        self._hostile = laboratory.text
        self._folder = Path(tempfile.mkdtemp(prefix="hostile-use-", dir=laboratory.uses_in))
        self._file_system = laboratory.file_system if laboratory.file_system not in KINDS else ""
        if self._file_system:
            _mount("-t", "tmpfs", "-o", "size=16m", "tmpfs", str(self._folder))
        shutil.copytree(laboratory.folder, self._folder, dirs_exist_ok=True)
        if self._file_system == "full":
            _fill(self._folder)
        elif self._file_system == "read-only":
            _mount("-o", "remount,ro", str(self._folder))
        words = laboratory.words(use)
        typed = os.pipe() if use.row.typed else None
        if typed is not None:
            os.write(typed[1], use.row.typed)
            os.close(typed[1])
        import pty  # other tests use the texts of this campaign where there are no terminals of this kind

        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            if typed is not None:
                os.dup2(typed[0], 0)
            _become(words, self._folder)
        if typed is not None:
            os.close(typed[0])

    def read(self) -> bool:
        """Read what is there, and end a command that serves; return whether it goes on."""
        try:
            data = os.read(self.terminal, 1 << 16)
        except OSError:  # all ends of the terminal are closed
            data = b""
        self.shown += data
        if not data or time.monotonic() > self._deadline:
            self._end(is_late=bool(data))
            return False
        self._look()
        return True

    def _look(self) -> None:
        """Tell the command what it shall be told once it is ready, and end it once it has said what was waited for."""
        text, row = _OWN.sub("", self._text()), self.use.row
        if row.told is not None and self._telling is None and row.when in text:
            # In a thread: a command that waits for its terminal to be read would never answer.
            self._telling = _TELLERS.submit(row.told, self._hostile, text)
        is_told = row.told is None or (self._telling is not None and self._telling.done())
        if row.stop is not None and is_told and not self._is_stopped and re.search(row.stop, text):
            self._is_stopped = True
            os.kill(self.pid, signal.SIGTERM)

    def late(self) -> bool:
        """End the command if its time is over; return whether it was."""
        if time.monotonic() > self._deadline:
            self._end(is_late=True)
            return True
        self._look()
        return False

    def _end(self, *, is_late: bool) -> None:
        if is_late:
            os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        os.close(self.terminal)
        if self._file_system:
            subprocess.run(["umount", "-l", self._folder], check=False)
        shutil.rmtree(self._folder, ignore_errors=True)
        self.outcome = "late" if is_late else f"status {os.waitstatus_to_exitcode(status)}"

    def _text(self) -> str:
        return self.shown.decode("utf-8", "backslashreplace")

    def problems(self) -> list[str]:
        """Return what is wrong with the output and the end."""
        text = _OWN.sub("", self._text())
        found = [
            f"control byte {found[0]!r} in {text[max(0, found.start() - 60) : found.end() + 20]!r}"
            for found in re.finditer(r"[^\n\t]", text)
            if not found[0].isprintable()
        ][:1]
        forged = None if self.use.row.lines else re.search(rf"^[ \t]{{0,1}}{FORGED}.*", text, re.M)
        if forged is not None:
            found.append(f"forged line after {text[max(0, forged.start() - 60) : forged.start()]!r}")
        if "Traceback (most recent" in text and self.use.command != "rexec run":
            found.append(f"traceback: {text[-400:]!r}")
        if self.outcome == f"status {CRASHED}":
            found.append(f"crashed: {text[-400:]!r}")
        if self.outcome.startswith("status -") and not self._is_stopped:
            found.append(f"ended by a signal: {self.outcome}")
        if self._telling is not None and (error := self._telling.exception(PATIENCE)) is not None:
            found.append(f"what was told failed: {type(error).__name__}: {error}")
        if self.outcome == "late":
            found.append(f"no end within {PATIENCE:g} s: {text[-200:]!r}")
        return found


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def _fill(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / "filling").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
    with contextlib.suppress(OSError), (folder / "rest").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1))


def _become(words: Sequence[str], folder: Path) -> None:
    """Run a command in this process, and end it."""
    status = CRASHED
    try:
        os.chdir(folder)
        os.environ.update(
            TERM="xterm-256color", COLUMNS="120", PROMPT_TOOLKIT_NO_CPR="1", XDG_STATE_HOME=str(folder)
        )
        for number, (name, mode) in enumerate({"stdin": "r", "stdout": "w", "stderr": "w"}.items()):
            setattr(sys, name, open(number, mode, buffering=1, encoding="utf-8", closefd=False))
        sys.argv = list(words)
        status = importlib.import_module(f"{words[0]}.cli.main").main(words[1:])
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def run(laboratory: Laboratory, uses: Sequence[Use], at_once: int = 4) -> list[Process]:
    """Carry out uses, some at a time; return them with their output."""
    waiting, running, done = list(uses), dict[int, Process](), list[Process]()
    while waiting or running:
        while waiting and len(running) < at_once:
            process = Process(laboratory, waiting.pop(0))
            running[process.terminal] = process
        ready, _, _ = select.select(list(running), [], [], 1.0)
        for terminal, process in list(running.items()):
            if process.late() if terminal not in ready else not process.read():
                del running[terminal]
                done.append(process)
    return done
