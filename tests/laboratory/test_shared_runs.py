"""Two runs and one camera, with the real program: each is told of the other; an exclusive camera has one at a time."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rexec import results
from tests.cli.program import Lab
from tests.serving import serving
from tests.waiting import within

USES = """
import pathlib, time
from rexec.experiment import *

class Measure(EnvExperiment):
    def build(self):
        self.setattr_argument("name", StringValue("a"))
        self.setattr_argument("alone", BooleanValue(False))
        self.setattr_device("camera", exclusive=self.alone)

    def run(self):
        pathlib.Path(self.name + ".runs").touch()
        until = time.monotonic() + 120
        while not pathlib.Path(self.name + ".end").exists() and time.monotonic() < until:
            time.sleep(0.02)
        self.set_dataset("done", self.camera.ping())
"""


class Camera:
    def ping(self) -> bool:
        return True


class Using:
    """A run of `rexec run` that uses the camera until it is told to end."""

    def __init__(self, lab: Lab, name: str, *arguments: str) -> None:
        self.lab = lab
        self.name = name
        self.process = lab.start("run", "experiment.py", f"name={name}", "-v", *arguments)
        self.err: list[str] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.err += iter(self.process.stderr.readline, "")

    def runs(self) -> bool:
        return within(150, lambda: (self.lab.folder / f"{self.name}.runs").exists())

    def says(self, pattern: str) -> bool:
        return within(150, lambda: re.search(pattern, "".join(self.err)))

    def end(self, status: int = 0) -> str:
        """Let it end; return what it said."""
        (self.lab.folder / f"{self.name}.end").touch()
        assert self.process.wait(150) == status, self.err
        self._thread.join(150)
        return "".join(self.err)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(150)
        self._thread.join(150)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    found = Lab(tmp_path, {"REXEC_LEASES": str(tmp_path / "leases")})
    found.experiment(USES)
    return found


@pytest.fixture
def camera(lab: Lab) -> Iterator[dict[str, Any]]:
    with serving({"camera": Camera()}) as port:
        entry = {"type": "controller", "host": "127.0.0.1", "port": port, "target_name": "camera"}
        lab.devices({"camera": entry})
        yield entry


@pytest.fixture
def use(lab: Lab) -> Iterator[Any]:
    made: list[Using] = []

    def start(name: str, *arguments: str) -> Using:
        made.append(Using(lab, name, *arguments))
        return made[-1]

    yield start
    for each in made:
        each.close()


def degraded(lab: Lab) -> dict[int, list[str]]:
    found = {}
    for path in lab.results():
        with results.open(path) as run:
            assert run.rid is not None
            found[run.rid] = run.degraded
    return found


def number(said: str) -> int:
    match = re.search(r"run (\d+) of Measure: ", said)
    assert match, said
    return int(match[1])


@pytest.mark.usefixtures("camera")
def test_two_runs_that_share_a_camera_name_each_other_in_both_files(lab: Lab, use: Any) -> None:
    first = use("a")
    assert first.runs()
    second = use("b")
    assert second.runs()
    second.end()
    first.end()
    found = degraded(lab)
    assert len(found) == 2, found
    (one, other) = sorted(found)
    assert re.search(rf"controller camera is shared with run {other} of ", "\n".join(found[one])), found
    assert re.search(rf"controller camera is shared with run {one} of ", "\n".join(found[other])), found


def test_the_second_run_waits_for_an_exclusive_camera(lab: Lab, use: Any, camera: dict[str, Any]) -> None:
    lab.devices({"camera": {**camera, "exclusive": True}})
    first = use("a")
    assert first.runs()
    second = use("b", "--wait-for-devices", "150")
    assert second.says(r"waits for camera: run \d+ of \S+@\S+, since \d+ s")
    assert not (lab.folder / "b.runs").exists()
    first.end()
    assert second.runs()
    second.end()
    assert list(degraded(lab).values()) == [[], []]


@pytest.mark.usefixtures("camera")
def test_a_run_that_wants_the_camera_alone_is_refused_until_its_user_is_killed(lab: Lab, use: Any) -> None:
    first = use("a")
    assert first.runs()
    refused = lab.run("experiment.py", "name=c", "alone=True")
    assert refused.status == 2
    assert re.search(
        r"error: .*device 'camera' at .*: it is to be used alone, and is used by run \d+ of \S+@\S+, since \d+ s\. "
        r"Wait for it with --wait-for-devices SECONDS",
        refused.err,
    ), refused.err
    with lab.start("doctor") as doctor:
        assert re.search(r"used by run \d+ of \S+@\S+, since \d+ s", doctor.communicate(timeout=150)[0])
    first.process.kill()
    second = use("b", "alone=True", "--wait-for-devices", "150")
    assert second.runs()
    second.end()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP") or not os.path.isdir("/proc/self"), reason="needs /proc")
@pytest.mark.usefixtures("camera")
def test_a_stopped_user_keeps_the_camera_and_is_said_to_be_stopped(lab: Lab, use: Any) -> None:
    first = use("a", "alone=True")
    assert first.runs()
    first.process.send_signal(signal.SIGSTOP)
    try:
        refused = lab.run("experiment.py", "name=c")
        pid = first.process.pid
        assert refused.status == 2
        assert f"whose process {pid} is stopped, since" in refused.err
        assert f"Continue that process (kill -CONT {pid}) or end it" in refused.err
    finally:
        first.process.send_signal(signal.SIGCONT)
    first.end()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.slow
def test_no_two_processes_that_compete_and_are_killed_have_a_device_at_once() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.campaigns.lease_kills",
            "--turns",
            "12",
            "--way",
            "server",
            "--way",
            "file",
        ],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done
    assert done.stdout.count(" 0 overlaps") == 2, done.stdout
