"""Signal handlers that are set for a while."""

import subprocess
import sys

PROGRAM = """
import contextlib, signal, socket
from rexec.ground.signals import handlers_set

waking, awake = socket.socketpair()
waking.setblocking(False)
with contextlib.suppress(BlockingIOError):
    while True:
        waking.send(bytes(4096))
with contextlib.suppress(BlockingIOError):
    while True:
        waking.send(b"0")
signal.set_wakeup_fd(waking.fileno())
came = []
with handlers_set({signal.SIGINT: lambda *_: came.append("came")}):
    signal.raise_signal(signal.SIGINT)
print(came, signal.set_wakeup_fd(-1) == waking.fileno())
with handlers_set({signal.SIGINT: lambda *_: came.append("came")}):
    signal.raise_signal(signal.SIGINT)
print(came, signal.set_wakeup_fd(-1))
"""


def test_a_loop_that_is_awake_already_is_not_warned_of() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=150, check=False
    )
    assert (done.stdout, done.stderr) == ("['came'] True\n['came', 'came'] -1\n", "")
