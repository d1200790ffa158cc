"""What a hostile world does: controllers that die, callers that are interrupted, functions that never return."""

import concurrent.futures
import contextlib
import gc
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rexec.remote
from rexec.remote import Remote, RemoteFunctionError, _fleet
from rexec.wire.pc_rpc import Client
from tests.remote import code
from tests.remote_exec.peers import REFERENCE, controller
from tests.serving import free_port
from tests.waiting import wait_for, within

ROOT = Path(__file__).parents[2]
CONTROLLER = """
import sys
from {library}.remote_exec import simple_rexec_server_loop
class Driver:
    calls = 0
    def measure(self): self.calls += 1; return self.calls
simple_rexec_server_loop("camera", Driver(), "127.0.0.1", int(sys.argv[1]))
"""
MAKES = [(sys.executable, "rexec"), *((python, "sipyco") for python in REFERENCE)]


AT_EXIT = "import atexit, threading\natexit.register(lambda: threading.Thread(target=int).start())"


def lease() -> float:
    """Return the seconds that a program's jobs outlive it if nobody is told of its end: too many to wait for.

    But with Python 3.12, some releases of which start no thread while they end, so that nobody is told.
    """
    probe = subprocess.run([sys.executable, "-c", AT_EXIT], capture_output=True, check=True, timeout=150)
    return 30.0 if probe.stderr else 1000.0


@contextlib.contextmanager
def mortal(python: str, library: str) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """Run a controller that may be killed; yields port and process."""
    port = free_port()
    process = subprocess.Popen([python, "-c", CONTROLLER.format(library=library), str(port)])
    try:
        wait_for(port)
        yield port, process
    finally:
        process.kill()
        process.wait(150)


@pytest.mark.parametrize("make", MAKES, ids=lambda make: make[1])
def test_a_killed_controller_fails_its_job_and_its_stream(make: tuple[str, str]) -> None:
    with mortal(*make) as (port, process):
        client = Client("127.0.0.1", port, "camera_rexec", reconnect_timeout=0.5)
        with rexec.remote.wrap(client, "camera") as remote:
            job = remote.function(code.slow, parallel=True).submit(60)
            stream = remote.function(code.frames, parallel=True).stream(1_000_000)
            assert next(stream) == 0
            process.kill()
            process.wait(150)
            error = job.exception(150)
            assert isinstance(error, ConnectionError)
            assert f"127.0.0.1:{port}" in str(error)
            with pytest.raises(ConnectionError, match=r"127\.0\.0\.1"):
                for _ in stream:
                    pass


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system cannot stop a process")
def test_a_controller_that_hangs_keeps_neither_a_fleet_nor_the_end_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_fleet, "_GRACE", 1.0)
    with mortal(sys.executable, "rexec") as (port, process), controller("ours") as other:
        clients = {
            "hangs": Client("127.0.0.1", port, "camera_rexec"),
            "works": Client("127.0.0.1", other, "camera_rexec"),
        }
        with rexec.remote.fleet(clients) as fleet:
            assert fleet.call(code.measure).values == {"hangs": 1, "works": 1}
            process.send_signal(signal.SIGSTOP)
            results = fleet.call(code.measure, deadline=6.0)
            assert results.values == {"works": 2}
            assert "hangs: no answer" in str(results.errors["hangs"])
            for remote in fleet.devices.values():
                remote.close_rpc()


INTERRUPTED = """
import signal, sys, threading, os, time
import rexec.remote
from rexec.wire.pc_rpc import Client
from tests.remote import code

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it

def interrupt():
    if os.name == "nt":
        signal.raise_signal(signal.SIGINT)  # Ctrl-C comes in a thread of its own there, too
    else:
        os.kill(os.getpid(), signal.SIGINT)

client = Client("127.0.0.1", int(sys.argv[1]), "camera_rexec")
remote = rexec.remote.wrap(client, "camera", lease=float(sys.argv[2]))
slow, frames = remote.function(code.slow), remote.function(code.frames)
slow(0)
try:
    threading.Timer(0.5, interrupt).start()
    {what}
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
WHAT = {
    "call": "slow(60)",
    "result": "slow.submit(60).result()",
    "exception": "slow.submit(60).exception()",
    "stream": "[time.sleep(0.05) for _ in frames.stream(1000000)]",
    "fleet": "rexec.remote.fleet({'camera': remote}).call(code.slow, 60)",
    "work": "rexec.remote.fleet({'camera': remote}).submit(code.slow, 60).result()",
    "shutdown": "with rexec.remote.fleet({'camera': remote}) as fleet: fleet.submit(code.slow, 60)",
    "raw call": "remote.add_code('from time import sleep'); remote.call('sleep', 2)",
}


@pytest.mark.parametrize("what", WHAT)
def test_control_c_ends_the_caller_and_the_remote_function(what: str) -> None:
    with controller("ours") as port:
        program = INTERRUPTED.format(what=WHAT[what])
        done = subprocess.run(
            [sys.executable, "-c", program, str(port), str(lease())],
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
            cwd=ROOT,
        )
        assert (done.stdout, done.returncode) == ("interrupted\n", 0), done.stderr
        if (
            what in ("work", "shutdown") and done.stderr
        ):  # its call ends when the program closes the connection
            assert done.stderr == "camera is left out from now on: camera: the remote is closed\n"
        else:
            assert done.stderr == ""
        # The driver is free.
        with rexec.remote.wrap(Client("127.0.0.1", port, "camera_rexec"), "camera") as other:
            assert other.function(code.scaled).submit(2).result(150) == 6


def test_a_program_that_just_ends_takes_its_jobs_with_it() -> None:
    with controller("ours") as port:
        program = INTERRUPTED.format(what="slow.submit(60)").replace(
            "threading.Timer", "(lambda *a: threading)"
        )
        program = program.replace(".start()", "")
        subprocess.run(
            [sys.executable, "-c", program, str(port), str(lease())], timeout=150, check=True, cwd=ROOT
        )
        with rexec.remote.wrap(Client("127.0.0.1", port, "camera_rexec"), "camera") as other:
            assert other.function(code.scaled).submit(2).result(150) == 6


@pytest.fixture
def remote() -> Iterator[Remote]:
    with (
        controller("ours") as port,
        rexec.remote.wrap(Client("127.0.0.1", port, "camera_rexec"), "camera") as remote,
    ):
        yield remote


def test_a_function_that_never_looks_ends_some_time_after_it_is_cancelled(remote: Remote) -> None:
    def shorten(seconds: float) -> None:
        agents = [
            v for name, v in rexec.remote.controller_initial_namespace.items() if "_rexec_agent" in name
        ]
        type(agents[0]).request.__globals__["GRACE"] = seconds

    remote.function(shorten)(0.2)
    try:
        job = remote.function(code.deaf).submit(600)
        assert within(150, job.running)
        assert job.cancel()
        with pytest.raises(concurrent.futures.CancelledError):
            job.result(150)
        assert remote.function(code.has_ended).submit().result(150) is True
    finally:
        remote.function(shorten)(10.0)


def test_a_stream_that_nobody_refers_to_any_more_ends(remote: Remote) -> None:
    stream = remote.function(code.frames).stream(1_000_000, log=True)
    assert next(stream) == 0
    del stream
    gc.collect()
    until = time.monotonic() + 150
    while not remote.function(code.has_ended)():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_callback_of_a_job_may_wait_for_another_one(remote: Remote) -> None:
    found: list[Any] = []
    done = threading.Event()

    def again(job: Any) -> None:
        found.append(remote.function(code.slow)(0.1))
        done.set()

    remote.function(code.slow).submit(0.1).add_done_callback(again)
    assert done.wait(150)
    assert found == ["done"]


def test_a_signal_handler_that_interrupts_who_waits_for_a_job_may_wait_for_another_one(
    remote: Remote,
) -> None:
    slow = remote.function(code.slow, parallel=True)
    first, second = slow.submit(0.05), slow.submit(0.1)
    # Held as by an interrupted `result`, or `concurrent.futures.wait`.
    with first._condition, second._condition:
        assert slow(0.3) == "done"
        assert slow(0.3) == "done"
    assert (first.result(150), second.result(150)) == ("done", "done")


def test_a_callback_of_a_job_may_end_the_client(remote: Remote) -> None:
    done = threading.Event()

    def end(job: Any) -> None:
        remote.close_rpc()
        done.set()

    slow = remote.function(code.slow, parallel=True)
    running = slow.submit(1000)
    slow.submit(0.05).add_done_callback(end)
    assert done.wait(150)
    with pytest.raises(RemoteFunctionError, match="the remote is closed"):
        running.result(150)


def test_threads_share_a_remote(remote: Remote) -> None:
    scaled, slow = remote.function(code.scaled), remote.function(code.slow, parallel=True)

    def work(number: int) -> Any:
        return [scaled(number), slow(0.01), *remote.function(code.frames).stream(3), scaled(-number)]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(32))) == [[3 * n, "done", 0, 1, 2, -3 * n] for n in range(32)]


def test_a_finalizer_in_the_middle_of_a_request_does_not_take_its_answer(remote: Remote) -> None:
    answers: list[Any] = []

    class Client:
        """Is asked for something else while it waits for an answer."""

        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def add_code(self, text: str) -> None:
            self._inner.add_code(text)

        def call(self, *args: Any) -> Any:
            if not answers:
                answers.append(None)
                with pytest.raises(rexec.remote.RemoteFunctionError, match="re-entrant call"):
                    nested.jobs()
            return self._inner.call(*args)

        def close_rpc(self) -> None:
            self._inner.close_rpc()

    nested = rexec.remote.wrap(Client(remote), "nested")
    assert nested.function(code.scaled)(2) == 6
    assert answers == [None]
