"""Whatever lies in a folder of results is listed for what it is."""

import os
import sys
from pathlib import Path

import h5py
import pytest

from rexec.catalogue import find
from rexec.catalogue.facts import RunFacts
from rexec.catalogue.reading import facts_of
from rexec.results import recover_folder, write_results
from schemas import RunIdentity
from tests.catalogue.laboratories import BEGIN, going, made, made_by_artiq


def test_a_run_of_ours(results: Path) -> None:
    made(
        results,
        3,
        values={"gain": 2, "label": "x", "signal": [1.0, 2.0]},
        person="alice",
        person_known_by="kernel",
        machine="lab1",
        program="rexec",
        simulated=["camera"],
        arguments={"phase": 0.25, "scan": {"ty": "RangeScan"}, "n": 3},
    )
    (run,) = find()
    facts = run.facts
    assert (run.rid, run.class_name, run.status, facts.kind) == (3, "Ramsey", "completed", "run")
    assert (facts.person, facts.person_known_by, facts.host, facts.program) == (
        "alice",
        "kernel",
        "lab1",
        "rexec",
    )
    assert facts.simulated
    assert facts.time == BEGIN + 3 * 3600
    assert run.arguments == {"phase": 0.25, "scan": "{'ty': 'RangeScan'}", "n": 3}
    assert facts.datasets["gain"].value == 2
    assert facts.datasets["label"].value == "x"
    assert facts.datasets["signal"].value is None


def test_files_of_artiq(results: Path) -> None:
    made_by_artiq(results / "2026-11-02" / "09" / "000000007-Flop.h5", 7, x=1.5)
    made_by_artiq(results / "out.h5", None, x=2.5)
    found = {run.facts.kind: run for run in find()}
    assert found["artiq"].rid == 7
    assert found["artiq"].class_name == "Flop"
    assert found["artiq"].status == "unknown"
    assert found["artiq"].arguments == {"n": 5, "label": "old"}
    assert found["artiq_run"].rid is None
    assert found["artiq_run"].facts.datasets["x"].value == 2.5
    assert found["artiq_run"].facts.time == pytest.approx((results / "out.h5").stat().st_mtime)


def test_a_bridges_file_is_no_run(results: Path) -> None:
    identity = RunIdentity(0, "Recording", BEGIN, recording={"mode": "record", "master": "::1"})
    write_results(results / "part.h5", identity, {"x": 1})
    (run,) = find()
    assert (run.facts.kind, run.rid) == ("record", None)


def test_other_hdf5_and_what_is_none(results: Path) -> None:
    with h5py.File(results / "other.h5", "w") as file:
        file["a/b"] = 1
    (results / "garbage.h5").write_bytes(b"\x00garbage")
    (results / "empty.h5").touch()
    (results / "folder.h5").mkdir()
    if sys.platform != "win32":  # where links need a privilege
        (results / "gone.h5").symlink_to(results / "nowhere")
    (results / "text.txt").touch()
    kinds = {run.path.name: run.facts.kind for run in find()}
    assert kinds == {
        "other.h5": "foreign",
        "garbage.h5": "unreadable",
        "empty.h5": "unreadable",
        "folder.h5": "unreadable",
    }
    assert all("\n" not in run.facts.problem for run in find("kind=unreadable"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no FIFOs in folders")
def test_a_fifo_is_not_waited_for(results: Path) -> None:
    os.mkfifo(results / "pipe.h5")
    os.mkfifo(results / "other.h5.journal")
    os.mkfifo(results / "other.h5.notes")
    made(results, 1)
    os.mkfifo(results / "2026-11-02" / "10" / "000000001-Ramsey.h5.notes")
    assert {run.path.name: run.facts.kind for run in find()} == {
        "pipe.h5": "unreadable",
        "other.h5": "unreadable",
        "000000001-Ramsey.h5": "run",
    }


def test_a_file_of_many_groups_costs_little(results: Path) -> None:
    with h5py.File(results / "many.h5", "w") as file:
        for number in range(3000):
            file.create_group(f"datasets/g{number}")
        file["datasets/x"] = 1
        file["rid"] = 5
    facts = facts_of(results / "many.h5")
    assert facts.kind == "artiq"
    assert list(facts.datasets) == ["x"]


def test_loops_of_groups_and_links_that_lead_out_end(results: Path) -> None:
    with h5py.File(results / "loop.h5", "w") as file:
        file["rid"] = 5
        group = file.create_group("datasets")
        group["again"] = group
        group["out"] = h5py.ExternalLink("/etc/passwd", "/x")
        group["self"] = h5py.SoftLink("/datasets/self")
    assert facts_of(results / "loop.h5") == RunFacts("artiq", (results / "loop.h5").stat().st_mtime, rid=5)


def test_a_run_that_goes_on_and_one_that_was_killed(results: Path) -> None:
    path = results / "2026-11-02" / "10" / "000000001-Ramsey.h5"
    with going(path, 1):
        (run,) = find("status=running")
        assert (run.rid, run.class_name, run.arguments) == (1, "Ramsey", {"phase": 0.5})
        assert not find("status=killed")
        assert not find("status=completed")
    (run,) = find("status=killed phase=0.5")
    assert not find("status=running")
    list(recover_folder(results))
    (run,) = find("status=recovered")
    assert run.facts.datasets["late"].value == 7


def test_a_journal_alone_is_a_run(results: Path) -> None:
    path = results / "000000001-Ramsey.h5"
    with going(path, 1):
        path.unlink()
        (run,) = find("status=running late=7 dataset=late")
        assert run.rid == 1
        assert run.path.absolute() == path


def test_names_that_no_terminal_and_no_database_likes(results: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("file names are text here")
    name = os.fsdecode(b"bad\xff\x1b[31mname.h5")
    write_results(results / name, RunIdentity(1, "A\udcffB\0", BEGIN), {"k\udcff\0": "v\udcff\0"})
    (run,) = find("rid=1")
    assert run.path.name == name
    assert run.path.exists()
    assert find('class~"\\\\xff"') or find("class~A")
    assert "k\udcff\0" in run.facts.datasets
