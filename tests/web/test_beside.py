"""The page of `rexec run --web` and `rexec up --web`, and `rexec web` itself, as processes."""

import contextlib
import http.client
import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from rexec.cli.errors import CommandError
from rexec.cli.web import main
from rexec.web.errors import WebError
from rexec.web.server import listening, urls
from tests.catalogue.laboratories import made
from tests.ending import interrupt
from tests.private_files import is_for_its_owner
from tests.serving import can_be_taken_over
from tests.waiting import within
from tests.web.served import served

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


def test_an_answer_that_the_end_cuts_off_is_no_traceback(folder: Path) -> None:
    made(folder / "results", 1, values={"x": np.frombuffer(os.urandom(1 << 26), np.uint8)})
    path = next((folder / "results").rglob("*.h5")).relative_to(folder / "results").as_posix()
    with rexec(folder, "web", "--no-master", "--port", "0") as process:
        parts = urlsplit(address(process))
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=150)
        with contextlib.closing(connection):
            connection.request("GET", f"{parts.path}?{parts.query}")
            entered = connection.getresponse()
            entered.read()
            cookie = str(entered.getheader("set-cookie")).partition(";")[0]
            connection.request("GET", f"/file?file={path}", headers={"cookie": cookie})
            answer = connection.getresponse()
            assert answer.status == 200
            answer.read(1000)
            interrupt(process)
            output = process.communicate(timeout=150)[0]
        assert process.returncode == 0
        assert "Cancel 1 running task" in output  # uvicorn's word: the answer was cut off
        assert "Traceback" not in output


def test_the_token_of_a_file_stays(folder: Path) -> None:
    urls = []
    for _ in range(2):
        with rexec(folder, "web", "--no-master", "--port", "0", "--token-file", "token") as process:
            urls.append(address(process).partition("token=")[2])
    assert urls[0] == urls[1]
    assert is_for_its_owner(folder / "token")
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


def test_nobody_takes_over_the_port_of_a_page() -> None:
    (listener,) = listening(["127.0.0.1"], 0)
    with listener:
        assert not can_be_taken_over(listener.getsockname())


def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(
        WebError, match=r"cannot listen on 203\.0\.113\.9:\d+: .*; choose another with --bind"
    ):
        listening(["127.0.0.1", "203.0.113.9"], 0)


@pytest.mark.parametrize("hosts", [["127.0.0.1", "0:0::1"], ["0.0.0.0"], None])
def test_the_printed_address_is_served(hosts: list[str] | None) -> None:
    try:
        with served(with_master=False, hosts=hosts) as lab:
            assert status(lab.url) == 303
            shown = urlsplit(lab.url)
            assert shown.hostname in ("127.0.0.1", "::1")
    except WebError as error:
        pytest.skip(f"this machine has no IPv6: {error}")


def test_the_first_address_is_one_that_others_reach() -> None:
    class Socket:
        def __init__(self, host: str) -> None:
            self.host = host

        def getsockname(self) -> tuple[str, int]:
            return self.host, 8270

    sockets: Any = [Socket(host) for host in ("127.0.0.1", "::1", "192.0.2.7")]
    assert urls(sockets, "t", is_tls=False)[0] == "http://192.0.2.7:8270/?token=t"


def test_a_run_has_a_page_that_ends_with_it(folder: Path) -> None:
    with rexec(folder, "run", "-q", "--web", "long.py") as process:
        url = address(process)
        assert status(url) == 303
        process.kill()
        process.wait(150)
        assert within(150, lambda: is_gone(url))


def test_a_run_shows_its_datasets(folder: Path, tab: object) -> None:
    from typing import cast

    page = cast("Any", tab)
    with rexec(folder, "run", "-q", "--web", "long.py") as process:
        page.goto(address(process))
        page.wait_for_selector('[aria-label="Plot of scan.y"] .chart[data-drawn]')
        page.wait_for_function("() => document.querySelector('.chart').data[0].y.length > 20")
        page.click("nav >> text=Runs")
        page.wait_for_selector(".runs >> text=running")
        # A page that is open does not keep the run from its orderly end.
        process.send_signal(signal.SIGINT)
        assert process.wait(150) == 0
    assert [path.suffix for path in folder.rglob("results/*/*/*")] == [".h5"]


def test_a_supervisor_has_a_page(folder: Path) -> None:
    with rexec(folder, "up", "--web", "--port-control", "0") as process:
        assert status(address(process)) == 303
