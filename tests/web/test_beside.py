"""The page of `rexec run --web` and `rexec up --web`, and `rexec web` itself, as processes."""

import http.client
import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from rexec.cli.errors import CommandError
from rexec.cli.web import main
from rexec.web.errors import WebError
from rexec.web.server import listening
from tests.waiting import within

LONG = """
from rexec.experiment import *
class Long(EnvExperiment):
    def build(self):
        self.setattr_device("scheduler")
    def run(self):
        import time
        self.set_dataset("scan.y", [1.0], broadcast=True)
        while not self.scheduler.check_termination():
            self.append_to_dataset("scan.y", 2.0)
            time.sleep(0.02)
"""


@contextmanager
def rexec(folder: Path, *words: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "rexec", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def address(process: "subprocess.Popen[str]") -> str:
    """Return the address that a command prints."""
    assert process.stdout is not None
    for line in process.stdout:
        found = re.search(r"https?://\S+/\?token=\S+", line)
        if found:
            return found[0]
    raise AssertionError("the command has ended without an address")


def status(url: str) -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=150)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        return connection.getresponse().status
    finally:
        connection.close()


def is_gone(url: str) -> bool:
    try:
        status(url)
    except OSError:
        return True
    return False


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "device_db.py").write_text("device_db = {}\n", encoding="utf-8")
    (tmp_path / "long.py").write_text(LONG, encoding="utf-8")
    return tmp_path


def test_one_address_is_printed_and_a_signal_ends_it(folder: Path) -> None:
    with rexec(folder, "web", "--no-master", "--port", "0") as process:
        url = address(process)
        assert status(url) == 303
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=150)[0]
        assert process.returncode == (0 if os.name == "posix" else process.returncode)
        assert "Traceback" not in output
    assert is_gone(url)


def test_the_token_of_a_file_stays(folder: Path) -> None:
    urls = []
    for _ in range(2):
        with rexec(folder, "web", "--no-master", "--port", "0", "--token-file", "token") as process:
            urls.append(address(process).partition("token=")[2])
    assert urls[0] == urls[1]
    if os.name == "posix":
        (folder / "token").chmod(0o644)
        with rexec(folder, "web", "--no-master", "--port", "0", "--token-file", "token") as process:
            assert "chmod 600" in process.communicate(timeout=150)[0]
            assert process.returncode == 2


def test_a_port_that_is_taken_is_one_line(folder: Path) -> None:
    with rexec(folder, "web", "--no-master", "--port", "0") as first:
        port = urlsplit(address(first)).port
        with rexec(folder, "web", "--no-master", "--port", str(port)) as second:
            output = second.communicate(timeout=150)[0]
            assert second.returncode == 2
            assert output.count("\n") == 1
            assert "choose another with --port" in output


@pytest.mark.parametrize("name", ["starlette", "uvicorn", "websockets", "plotly"])
def test_a_missing_package_is_one_line_that_says_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda each: None if each == name else find(each))
    with pytest.raises(CommandError) as found:
        main(["--no-master", "--port", "0"])
    assert str(found.value) == f"the page needs {name}: pip install 'artiq-rexec[web]'"


@pytest.mark.skipif(
    sys.platform != "win32", reason="elsewhere SO_REUSEADDR shares no port that is listened on"
)
def test_nobody_takes_over_the_port_of_a_page() -> None:
    (listener,) = listening(["127.0.0.1"], 0)
    with listener, socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError):  # noqa: PT011  # which one depends on the version
            thief.bind(listener.getsockname())


def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(WebError, match=r"cannot serve on 203\.0\.113\.9:\d+: .*; choose another with --bind"):
        listening(["127.0.0.1", "203.0.113.9"], 0)


def test_a_run_has_a_page_that_ends_with_it(folder: Path) -> None:
    with rexec(folder, "run", "-q", "--web", "long.py") as process:
        url = address(process)
        assert status(url) == 303
        process.kill()
        process.wait(150)
        assert within(150, lambda: is_gone(url))


def test_a_run_shows_its_datasets(folder: Path, tab: object) -> None:
    from typing import Any, cast

    page = cast("Any", tab)
    with rexec(folder, "run", "-q", "--web", "long.py") as process:
        page.goto(address(process))
        page.wait_for_selector('[aria-label="Plot of scan.y"] .chart[data-drawn]')
        page.wait_for_function("() => document.querySelector('.chart').data[0].y.length > 20")
        page.click("nav >> text=Runs")
        page.wait_for_selector(".runs >> text=running")


def test_a_supervisor_has_a_page(folder: Path) -> None:
    with rexec(folder, "up", "--web", "--port-control", "0") as process:
        assert status(address(process)) == 303
