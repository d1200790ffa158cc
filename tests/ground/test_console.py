"""Windows: Ctrl-Break and a closed console end a program as Ctrl-C does, also where it sleeps."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "win32", reason="other systems have signals for it")

PROGRAM = """
import ctypes, sys, threading, time
from rexec.ground import _console
from rexec.ground.signals import ending_signals, handlers_set

start = ctypes.WinDLL("kernel32").CreateThread
start.argtypes = (*[ctypes.c_void_p] * 4, ctypes.c_uint32, ctypes.c_void_p)

def event():
    # As the system does: in a thread of its own.
    start(None, None, ctypes.cast(_console._taken, ctypes.c_void_p), int(sys.argv[1]), 0, None)

def handle(number, frame):
    raise KeyboardInterrupt

with handlers_set(dict.fromkeys(ending_signals(), handle)):
    threading.Timer(0.2, event).start()
    try:
        time.sleep(150)
    except KeyboardInterrupt:
        time.sleep(0.2)
        print("ended in order")
"""


@pytest.mark.parametrize("event", ["1", "2", "6"], ids=["Ctrl-Break", "window closed", "shutdown"])
def test_the_console_ends_a_program_in_order(event: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, event], stdout=subprocess.PIPE, text=True, timeout=150, check=True
    )
    assert done.stdout == "ended in order\n"
