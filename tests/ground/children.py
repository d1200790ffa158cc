"""What children of the tests do: modules of `rexec.ground.Child` are called `main(lines, say, *args)`."""

import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from rexec.ground.child import BUSY


def main(
    lines: "queue.SimpleQueue[bytes]", say: Callable[[bytes], None], deed: str = "echo", *args: str
) -> None:
    """Do one of the deeds below."""
    say(b"here %d" % os.getpid())
    DEEDS[deed](lines, say, *args)


def _echo(lines: "queue.SimpleQueue[bytes]", say: Callable[[bytes], None]) -> None:
    while True:
        say(lines.get())


def _raise(lines: "queue.SimpleQueue[bytes]", say: Callable[[bytes], None]) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    raise LookupError(lines.get())


def _die(lines: "queue.SimpleQueue[bytes]", say: Callable[[bytes], None]) -> None:
    lines.get()
    if os.name == "nt":
        os._exit(1)  # as TerminateProcess ends it
    os.kill(os.getpid(), signal.SIGKILL)


def _return(lines: "queue.SimpleQueue[bytes]", say: Callable[[bytes], None]) -> None:
    say(b"last")


def _busy(lines: "queue.SimpleQueue[bytes]", say: Callable[[bytes], None]) -> None:
    for _ in range(8):
        say(BUSY)
    say(b"done")


def _print(lines: "queue.SimpleQueue[bytes]", say: Callable[[bytes], None]) -> None:
    print("printed", flush=True)
    subprocess.run([sys.executable, "-c", "print('printed')"], check=True)
    say(b"said")


def _read(lines: "queue.SimpleQueue[bytes]", say: Callable[[bytes], None]) -> None:
    lines.get()
    try:
        input()
    except EOFError:
        say(b"EOFError")


def _write(lines: "queue.SimpleQueue[bytes]", say: Callable[[bytes], None], number: str) -> None:
    try:
        os.write(int(number), b"x")
    except OSError as error:
        say(str(error).encode())
    else:
        say(b"written")


def _signals(lines: "queue.SimpleQueue[bytes]", say: Callable[[bytes], None]) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    say(b"session %d" % os.getsid(0))
    say(b"path " + repr(sys.path).encode())


def _beget(lines: "queue.SimpleQueue[bytes]", say: Callable[[bytes], None]) -> None:
    pid = os.fork()
    if pid == 0:
        time.sleep(30)
        os._exit(0)
    say(b"%d" % pid)
    lines.get()


DEEDS: dict[str, Callable[..., None]] = {
    "echo": _echo, "raise": _raise, "die": _die, "return": _return, "busy": _busy,
    "print": _print, "read": _read, "write": _write, "signals": _signals, "beget": _beget,
}  # fmt: skip
