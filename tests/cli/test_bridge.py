"""`rexec bridge`, the real program."""

import contextlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rexec.results
from rexec.results import JournalDamaged, verify
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.records import Kind
from rexec.results.reading.replay import changes
from tests.campaigns.bridge_kills import campaign
from tests.cli.program import Lab
from tests.ending import ORDERLY, interrupt
from tests.master.masters import Served, serving
from tests.serving import free_port
from tests.waiting import within


def bridge(lab: Lab, served: Served, *arguments: str) -> "subprocess.Popen[str]":
    """Start the program against a master, and wait until it has all datasets."""
    process = lab.start(
        "bridge", *arguments, "--master", "127.0.0.1", "--master-port-notify", str(served.port("notify"))
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert "connected to the master" in line, line
    return process


@pytest.mark.parametrize("number", ORDERLY)
def test_a_signal_finishes_and_verifies_the_file(lab: Lab, number: int) -> None:
    with serving(lab.folder) as served, served.client("dataset_db") as client:
        client.set("level", 1)
        with bridge(lab, served) as process:
            try:
                client.set("level", 2)
                path = lab.folder / "bridge" / "datasets.h5"
                assert within(150.0, lambda: path.exists() and level(path) == 2)
                interrupt(process, number)
                out, err = process.communicate(timeout=150)
            finally:
                process.kill()
    assert (process.returncode, err) == (0, "")
    assert re.search(r"finished .*datasets\.h5: verified", out)
    assert verify(path) == []
    assert list(path.parent.iterdir()) == [path]


def level(path: Path) -> object:
    """Return a dataset of a file that may be refreshed at any moment."""
    with rexec.results.open(path) as run:
        return run.get("level")


def test_what_a_killed_bridge_had_received_is_recovered_to_the_last_change(lab: Lab) -> None:
    with serving(lab.folder) as served, served.client("dataset_db") as client:
        client.set("points", [])
        with bridge(lab, served, "record", "--refresh", "1000", "-o", "history") as process:
            for n in range(500):
                client.update({"action": "append", "path": ["points", 1], "x": n})
            assert within(150.0, lambda: appended(lab.folder / "history") == 500)
            process.kill()
            process.wait(150)
        recovered = subprocess.run(
            [sys.executable, "-P", "-m", "rexec", "results", "recover", "history"],
            cwd=lab.folder, capture_output=True, text=True, timeout=150, check=True,
        ).stdout  # fmt: skip
        assert "recovered" in recovered
        (path,) = (lab.folder / "history").rglob("*.h5")
        with rexec.results.open(path) as run:
            first, *later = changes(run, "points")
            assert first.value == []
            assert [change.value for change in later] == list(range(500))
        # The next start goes on beside it.
        with bridge(lab, served, "record", "-o", "history") as process:
            try:
                assert within(150.0, lambda: len(list((lab.folder / "history").rglob("*.h5"))) == 2)
                interrupt(process, ORDERLY[-1])
                process.communicate(timeout=150)
            finally:
                process.kill()


def appended(folder: Path) -> int:
    """Return how many items the journals in a folder hold that were appended."""
    found = 0
    for path in folder.rglob("*.journal"):
        with (
            contextlib.suppress(JournalDamaged),
            JournalReader(path) as journal,
        ):  # its header may not be there yet
            found += sum(record.kind == Kind.APPEND for record in journal.records())
    return found


def test_a_start_recovers_what_a_killed_bridge_has_left_and_says_so(lab: Lab) -> None:
    with serving(lab.folder) as served, served.client("dataset_db") as client:
        client.set("level", 1)
        with bridge(lab, served) as process:
            path = lab.folder / "bridge" / "datasets.h5"
            assert within(150.0, lambda: path.exists() and level(path) == 1)
            process.kill()
            process.wait(150)
        process = lab.start(
            "bridge", "--master", "127.0.0.1", "--master-port-notify", str(served.port("notify"))
        )
        with process:
            try:
                assert process.stdout is not None
                assert f"recovered {Path('bridge', 'datasets.h5')}" in process.stdout.readline()
                assert "connected" in process.stdout.readline()
                interrupt(process, ORDERLY[-1])
                assert process.wait(150) == 0
            finally:
                process.kill()


@pytest.mark.parametrize("goes_on", [True, False])
def test_what_no_file_has_is_tried_a_last_time_and_told_by_the_status(lab: Lab, goes_on: bool) -> None:
    with serving(lab.folder) as served, served.client("dataset_db") as client:
        client.set("level", 1)
        path = lab.folder / "bridge" / "datasets.h5"
        master = ["--master", "127.0.0.1", "--master-port-notify", str(served.port("notify"))]
        with bridge(lab, served) as first:
            try:
                assert within(150.0, lambda: path.exists() and level(path) == 1)
                with lab.start("bridge", *master) as second:
                    try:
                        assert second.stderr is not None
                        assert "another run is writing this result" in second.stderr.readline()
                        client.set("level", 2)
                        if not goes_on:
                            interrupt(first, ORDERLY[-1])
                            first.communicate(timeout=150)
                        interrupt(second, ORDERLY[-1])
                        _, err = second.communicate(timeout=150)
                    finally:
                        second.kill()
            finally:
                first.kill()
    assert second.returncode == (1 if goes_on else 0)
    assert ("What changed since the last file is in none" in err) is goes_on
    if not goes_on:
        assert level(path) == 2


def test_no_master_is_one_line(lab: Lab) -> None:
    port = free_port()
    with lab.start("bridge", "--master", "127.0.0.1", "--master-port-notify", str(port)) as process:
        _, err = process.communicate(timeout=150)
    assert process.returncode == 2
    assert err.startswith(f"rexec bridge: error: datasets of the master at 127.0.0.1:{port}: ")
    assert len(err.splitlines()) == 1


def test_a_folder_that_cannot_be_is_one_line(lab: Lab) -> None:
    lab.write("bridge", "a file")
    with serving(lab.folder) as served:
        arguments = ["--master", "127.0.0.1", "--master-port-notify", str(served.port("notify"))]
        with lab.start("bridge", *arguments) as process:
            _, err = process.communicate(timeout=150)
    assert process.returncode == 2
    assert err.startswith("rexec bridge: error: ")
    assert "bridge" in err
    assert len(err.splitlines()) == 1


@pytest.mark.slow
def test_a_sample_of_the_campaign_of_kills() -> None:
    files, _ = campaign(2, seed=3)
    assert files >= 1
