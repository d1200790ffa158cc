"""The status line of a run: one line at any width, what matters first; plain lines where there is no terminal."""

import concurrent.futures
import io
import logging
import re
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

import rexec.remote
from devicedb import Endpoint
from devicedb.cli.console import TerminalConsole
from rexec.cli._activity import activities, job_activity
from rexec.cli._pending import PendingCalls
from rexec.cli._progress import Progress, RunActivity
from rexec.ground.client_label import labelled
from rexec.remote import Remote, controller_initial_namespace, job
from rexec.wire.pc_rpc import Client
from tests.remote_exec.peers import controller
from tests.serving import serving
from tests.waiting import within

TITLE = "Measures the \N{GREEK SMALL LETTER ALPHA} of a \N{CJK UNIFIED IDEOGRAPH-539F}\N{CJK UNIFIED IDEOGRAPH-5B50}"
WAITS = "waits for the driver of camera: run 41, 12 s (pid 312 on lab1): expose"


NOW = 1000.0


@pytest.fixture
def _still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time pass between two steps of a test."""
    for module in ("_progress", "_activity"):
        monkeypatch.setattr(f"rexec.cli.{module}.time", SimpleNamespace(monotonic=lambda: NOW))


def progress(width: int, *texts: str) -> Progress:
    console = TerminalConsole(file=io.StringIO(), width=width, force_terminal=True)
    shown = Progress(console, "run 42", TITLE, lambda: RunActivity(3, list(texts)), enabled=False)
    shown._began = NOW
    shown.phase("run")
    return shown


@pytest.mark.parametrize("width", [20, 40, 60, 100, 200])
def test_the_status_is_one_line_at_any_width(width: int) -> None:
    for texts in ((), (WAITS,), (WAITS, "camera has not answered for 5 s")):
        line = progress(width, *texts).line(width)
        assert line.cell_len <= width
        assert line.plain.startswith("run 42 · ")
        console = TerminalConsole(file=io.StringIO(), width=width, force_terminal=True)
        console.print(progress(width, *texts)._render())
        assert isinstance(console.file, io.StringIO)
        assert console.file.getvalue().count("\n") == 1


@pytest.mark.usefixtures("_still")
def test_what_matters_least_is_left_out_first() -> None:
    assert progress(70).line(67).plain == f"run 42 · {TITLE} · run · 0 s · 3 datasets"
    assert progress(60, WAITS).line(57).plain == "run 42 · waits for the driver of camera: run 41, 12 s (p…"
    assert progress(100, WAITS).line(97).plain == f"run 42 · run · 0 s · {WAITS}"


def test_without_a_terminal_a_plain_line_comes_now_and_then() -> None:
    file = io.StringIO()
    console = TerminalConsole(file=file, width=60)
    with Progress(console, "run 42", TITLE, lambda: RunActivity(1, [WAITS]), enabled=True, every=0.01):
        assert within(150, lambda: file.getvalue().count("\n") > 1)
    first = file.getvalue().splitlines()[0]
    said = re.escape(f"1 dataset · {WAITS}")
    assert re.fullmatch(rf"rexec run: run 42 · {TITLE} · build · \d+ s · {said}", first)


def holds() -> None:
    job.progress(0.25, "aligned")
    while not controller_initial_namespace.pop("rexec_go_on", False):
        job.sleep(0.01)


def lets_go() -> None:
    controller_initial_namespace["rexec_go_on"] = True


def test_what_a_run_waits_for_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with controller("ours") as port, caplog.at_level(logging.INFO, "rexec.remote"):

        def remote() -> Remote:
            return rexec.remote.wrap(Client("127.0.0.1", port, "camera_rexec"), "camera")

        with labelled("run 41"), remote() as other:
            running: Any = other.function(holds).submit()
            assert within(150, lambda: activities(None) == ["camera: holds 25% aligned"])
            with labelled("run 42"), remote() as ours:
                waiting = ours.function(lets_go).submit()
                assert within(150, lambda: waiting.holder is not None)
                assert activities(None) == ["camera: holds 25% aligned (and 1 more)"]
                said = job_activity(waiting, time.monotonic())
                assert re.fullmatch(
                    r"waits for the driver of camera: run 41, \d+ s \(pid \d+ on .*\): holds", said
                )
                ours.function(lets_go, parallel=True)()
                running.result(150)
                waiting.result(150)
                assert activities(None) == []
    assert "[camera] holds: 25% aligned" in caplog.text
    assert "[camera] lets_go waits for the driver: run 41 (pid" in caplog.text


@pytest.mark.usefixtures("_still")
def test_a_connection_that_takes_long_is_said() -> None:
    endpoint = Endpoint("camera", (), "camera", "camera", "::1", 3249, "camera", False, None, None)
    assert activities((endpoint, NOW)) == []
    assert activities((endpoint, NOW - 12)) == ["connects to camera at [::1]:3249, 12 s"]


def test_a_driver_s_call_that_takes_long_is_said() -> None:
    go_on = threading.Event()

    class Camera:
        def get_frame(self) -> int:
            go_on.wait(150)
            return 1

    with serving({"camera": Camera()}) as port, Client("127.0.0.1", port) as camera:
        calls = PendingCalls(lambda: {"camera": camera, "twin": camera, "lamp": object()})
        assert calls.long_ones(0.0) == []
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            for begin in (0.0, 100.0):
                go_on.clear()
                running = pool.submit(camera.get_frame)
                assert within(150, lambda: camera.rpc_pending is not None)
                assert calls.long_ones(begin) == []
                assert calls.long_ones(begin + 12) == ["waits for camera: get_frame(), 12 s"]
                go_on.set()
                assert running.result(150) == 1
        assert camera.rpc_pending is None
        assert calls.long_ones(200.0) == []
