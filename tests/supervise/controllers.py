"""Small controllers, as programs, for tests of what starts and ends them."""

from pathlib import Path
from typing import Any

import psutil

CONTROLLER = """
import logging, os, sys, time
from rexec.wire.pc_rpc import simple_server_loop

class Driver:
    def ping(self):
        return True
    def where(self):
        return os.getcwd()
    def variable(self, name):
        return os.environ.get(name)
    def pid(self):
        return os.getpid()

port, mode = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "good"
print("ERROR:lamp:the lamp is cold", file=sys.stderr)
if mode == "dies":
    print("no lamp found on the bus")
    sys.exit(3)
if mode == "stops":
    import signal
    os.kill(os.getpid(), signal.SIGSTOP)
if mode == "hangs":
    time.sleep(60)
if mode == "stubborn":
    import signal
    for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    time.sleep(0.5)
    import socket
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            connection, _ = listener.accept()
            connection.makefile("rb").readline()
            connection.sendall(b'{"targets": ["lamp"], "description": null, "features": ["pyon_v2"]}\\n')
simple_server_loop({"lamp": Driver()}, "127.0.0.1", port)
"""


def write_controller(folder: Path) -> Path:
    """Write the program into a folder and return its path."""
    path = folder / "controller.py"
    path.write_text(CONTROLLER)
    return path


def entry(port: int, mode: str = "good", **further: Any) -> dict[str, Any]:
    """Return the device database entry of the program."""
    command = "python controller.py {port} " + mode
    return {"type": "controller", "host": "127.0.0.1", "port": port, "command": command, **further}


def alive(pid: int) -> bool:
    """Whether there is a process, and it is no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
