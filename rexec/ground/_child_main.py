"""The child's side of `rexec.ground.child`: run by its path, with the arguments ROOT MODULE PARENT [ARG …].

Imports the standard library alone until the parent is watched: importing numpy and h5py may take a second, in which
the parent may end, too.
"""

import importlib
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

HEARTBEAT: Final = 1.0
"""Seconds between two looks at the parent."""

END: Final = 0
"""Status after the end of standard input."""


def _listen(orders: int, lines: "queue.SimpleQueue[bytes]") -> None:
    # Not sys.stdin: this thread holds the reader's lock, for which the interpreter's end would wait, and abort.
    with open(orders, "rb") as reader:
        for line in reader:
            lines.put(line.removesuffix(b"\n"))
    os._exit(END)


def _watch(parent: int) -> None:
    # A process that the parent has forked may hold the other end of standard input. On Windows, where nothing forks,
    # the number stays the same after the parent's end.
    while os.getppid() == parent:
        time.sleep(HEARTBEAT)
    os._exit(END)


def _take_input() -> int:
    """Return the descriptor of the parent's lines; standard input is empty from now on, here and in what is started."""
    orders = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return orders


def _speaker() -> Callable[[bytes], None]:
    """Return what writes a line to the parent; standard output is standard error from now on."""
    answers = os.dup(1)
    os.dup2(2, 1)
    lock = threading.Lock()

    def say(line: bytes) -> None:
        rest = memoryview(line + b"\n")
        with lock:
            try:
                while rest:
                    rest = rest[os.write(answers, rest) :]
            except OSError:  # the parent has gone
                os._exit(END)

    return say


def main(root: str, module: str, parent: str, *args: str) -> None:
    """Run `main(lines, say, *args)` of a module, until it returns or the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    say = _speaker()
    threading.Thread(target=_listen, args=(_take_input(), lines), daemon=True).start()
    if sys.platform != "win32":
        threading.Thread(target=_watch, args=(int(parent),), daemon=True).start()
    # Our packages come from where the parent's came from, and nothing else of that folder before what this
    # interpreter has itself.
    sys.path.insert(0, root)
    for package in ("schemas", "devicedb", "rexec"):
        importlib.import_module(package)
    sys.path.append(sys.path.pop(0))
    importlib.import_module(module).main(lines, say, *args)


if __name__ == "__main__":
    main(*sys.argv[1:])
