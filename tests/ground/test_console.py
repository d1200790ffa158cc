"""Windows: Ctrl-Break and a closed console end a program as Ctrl-C does, also where it sleeps or waits for a lock."""

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
    # What the system runs, in a thread of its own: it calls the handlers while it has SetConsoleCtrlHandler's lock.
    routine = ctypes.cast(ctypes.WinDLL("kernelbase").CtrlRoutine, ctypes.c_void_p)
    start(None, None, routine, int(sys.argv[1]), 0, None)

def handle(number, frame):
    raise KeyboardInterrupt

with handlers_set(dict.fromkeys(ending_signals(), handle)):
"""

SLEEPER = """
    threading.Timer(0.2, event).start()
    try:
        time.sleep(150)
    except KeyboardInterrupt:
        time.sleep(0.2)
        print("ended in order")
"""

WAITER = """
    said = []
    _console.PATIENCE = 0.1
    _console._blocks._attention._say = said.append

    def presses():
        event()
        while not said:
            time.sleep(0.01)
        print("said:", said[0].decode().strip(), flush=True)
        event()

    threading.Timer(0.2, presses).start()
    threading.Event().wait()
"""

LEAVER = """
    _console.PATIENCE = 1000
    threading.Timer(0.2, event).start()
    try:
        with handlers_set(dict.fromkeys(ending_signals(), handle)):
            time.sleep(150)
    except KeyboardInterrupt:
        print("the inner block was left")
print("the outer block was left")
"""

FREED = """
    said, gate = [], threading.Event()
    _console.PATIENCE = 0.1
    _console._blocks._attention._say = said.append

    def press():
        event()
        while not said:
            time.sleep(0.01)
        gate.set()

    try:
        threading.Timer(0.2, press).start()
        gate.wait()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    _console.PATIENCE = 150
    try:
        threading.Timer(0.2, event).start()
        time.sleep(150)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def run(program: str, event: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + program, event],
        stdout=subprocess.PIPE,
        text=True,
        timeout=150,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    "event", ["0", "1", "2", "6"], ids=["Ctrl-C", "Ctrl-Break", "window closed", "shutdown"]
)
def test_the_console_ends_a_program_in_order(event: str) -> None:
    assert run(SLEEPER, event) == (0, "ended in order\n")


@pytest.mark.parametrize(
    "event", ["0", "1", "2", "6"], ids=["Ctrl-C", "Ctrl-Break", "window closed", "shutdown"]
)
def test_the_end_of_a_block_does_not_wait_for_the_event_that_ended_it(event: str) -> None:
    assert run(LEAVER, event) == (0, "the inner block was left\nthe outer block was left\n")


@pytest.mark.parametrize("event", ["0", "1"], ids=["Ctrl-C", "Ctrl-Break"])
def test_a_second_press_ends_a_program_that_waits_for_a_lock_for_ever(event: str) -> None:
    status, output = run(WAITER, event)
    assert status == 130
    assert output.startswith("said: Ctrl-C is not noticed yet")


def test_a_press_that_was_noticed_late_does_not_count_for_the_next() -> None:
    assert run(FREED, "0") == (0, "interrupted\ninterrupted\n")
