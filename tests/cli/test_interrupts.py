"""Ctrl-C while a command waits for something that does not come: one line, status 130, no process left."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests import ending
from tests.waiting import within

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

STUCK = "from pathlib import Path\nimport time\nPath('reached').touch()\ntime.sleep(100)\ndevice_db = {}\n"


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(150)
        yield listener


def start(folder: Path, words: list[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-P", "-m", *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until_stuck(process: "subprocess.Popen[str]", folder: Path) -> None:
    assert within(150, lambda: (folder / "reached").exists() or process.poll() is not None)
    assert process.poll() is None


def interrupt(process: "subprocess.Popen[str]", said: str) -> None:
    """Press Ctrl-C, and look at what comes of it."""
    children = psutil.Process(process.pid).children(recursive=True)
    if sys.platform == "win32":
        ending.interrupt(process)
    else:
        os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=150)
    assert (process.returncode, out, err) == (130, "", f"{said}: interrupted\n")
    assert psutil.wait_procs(children, timeout=150)[1] == []


@pytest.mark.parametrize(
    "words",
    [
        "call 127.0.0.1 PORT ping",
        "shell 127.0.0.1 PORT",
        "doctor",
        "record camera -o x.rec",
        "run x.py --master 127.0.0.1 --master-port PORT",
    ],
)
def test_waiting_for_a_server_that_says_nothing(words: str, silent: socket.socket, tmp_path: Path) -> None:
    port = silent.getsockname()[1]
    entry = {"type": "controller", "host": "127.0.0.1", "port": port, "target_name": "camera"}
    (tmp_path / "device_db.py").write_text(f"device_db = {{'camera': {entry!r}}}\n")
    (tmp_path / "x.py").touch()
    process = start(tmp_path, ["rexec", *words.replace("PORT", str(port)).split()])
    try:
        with silent.accept()[0]:
            interrupt(process, f"rexec {words.split()[0]}")
    finally:
        process.kill()


@pytest.mark.parametrize(
    "words",
    [
        "devicedb check --time-limit 90",
        "devicedb show",
        "rexec simulate",
        "rexec record camera -o x.rec",
        "rexec master",
        "rexec up",
    ],
)
def test_loading_a_device_database_that_hangs(words: str, tmp_path: Path) -> None:
    (tmp_path / "device_db.py").write_text(STUCK)
    process = start(tmp_path, words.split())
    try:
        wait_until_stuck(process, tmp_path)
        interrupt(process, " ".join(words.split()[:2]))
    finally:
        process.kill()


def test_the_page_ends_while_a_device_database_hangs(tmp_path: Path) -> None:
    (tmp_path / "device_db.py").write_text(STUCK.replace("100", "10_000"))
    process = start(tmp_path, ["rexec", "web", "--no-master", "-p", "0"])
    try:
        wait_until_stuck(process, tmp_path)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=150)
        assert (process.returncode, err) == (0, "")
    finally:
        process.kill()
