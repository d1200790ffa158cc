"""Result files as people read them: lazily, in pandas and xarray, on the command line."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
import pytest

from rexec import results
from rexec.cli.results import main
from rexec.results.reading import runs
from rexec.results.reading.comparing import differences
from rexec.results.reading.plotting import choose
from rexec.results.reading.shown import shown
from schemas import GitState, RunIdentity
from tests.campaigns.value_cases import CASES


def made(path: Path, rid: int = 3, **fields: Any) -> Path:
    identity = RunIdentity(rid=rid, class_name="Scan", start_time=100.0, **fields)
    with results.ResultsWriter.create(path, identity, refresh_interval=0) as writer:
        writer.set("y", np.arange(5.0) + rid, {"unit": "V", "scale": 1e-3})
        writer.set("t", [0.0, 1.0, 2.0, 3.0, 4.0], {"unit": "s"})
        writer.set("counts", [number % 3 for number in range(60)], {})
        writer.set("image", np.zeros((4, 6)), {})
        writer.set("none", None, {})
        writer.set("a", 1, {})
        writer.set("a/b", 2, {})
        writer.archive("old", 7, {})
        writer.declare_plot("y", ["t"])
    return path


def test_values_units_and_provenance_are_there(tmp_path: Path) -> None:
    path = made(tmp_path / "r.h5", expid={"arguments": {"n": 5}}, versions={"numpy": "2"})
    with results.open(path) as run:
        assert (run.rid, run.status) == (3, "completed")
        assert run["t"] == [0.0, 1.0, 2.0, 3.0, 4.0]
        assert run["none"] is None
        assert (run["a"], run["a/b"]) == (1, 2)
        assert run.datasets["y"].unit == "V"
        assert run.datasets["y"][1:3].tolist() == [4.0, 5.0]
        assert run.archive["old"].value == 7
        assert run.identity["expid"] == {"arguments": {"n": 5}}
        assert run.identity["versions"] == {"numpy": "2"}


def test_a_file_of_artiq_is_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "artiq.h5", "w") as file:
        file["rid"], file["start_time"] = 4, 1.0
        file["expid"] = '{"file": "x.py", "arguments": {}}'
        file["datasets/x"], file["datasets/s"] = [1, 2], "text"
        file["archive/y"] = 1.5
    with results.open(tmp_path / "artiq.h5") as run:
        assert run["x"].tolist() == [1, 2]
        assert run["s"] == "text"
        assert run.identity["expid"]["file"] == "x.py"
        assert run.archive["y"].value == 1.5


@pytest.mark.parametrize("rid", [None, 4])
def test_of_a_file_of_artiq_it_is_not_said_that_it_is_whole(
    tmp_path: Path, rid: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "artiq.h5"
    with h5py.File(path, "w") as file:
        if rid is not None:  # a master's file; artiq_run writes the datasets alone
            file["rid"], file["start_time"] = rid, 1.0
            file["expid"] = '{"file": "x.py", "class_name": "Scan", "arguments": {}}'
        file["datasets/x"] = [1, 2]
    assert main(["show", str(path)]) == 0
    headline = capsys.readouterr().out.splitlines()[0].strip()
    assert headline == (
        "does not say which run it is of (files of artiq_run do not)" if rid is None else "run 4 of Scan"
    )
    assert main(["verify", str(path)]) == 0
    assert capsys.readouterr().out.startswith(f"{path}: can be read; it has no checksums")


def test_what_is_no_result_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(results.ResultsError, match="there is no result file"):
        results.open(tmp_path / "none.h5")
    (tmp_path / "bad.h5").write_text("text")
    with pytest.raises(results.ResultsError, match="no HDF5 file, or damaged"):
        results.open(tmp_path / "bad.h5")


def test_a_file_whose_datasets_cannot_be_listed_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[h5py.File] = []

    def noted(path: Path) -> h5py.File:
        opened.append(h5py.File(path, "r"))
        return opened[0]

    def fail(*_: object, **__: object) -> None:
        raise results.ResultsError("no list")

    monkeypatch.setattr(runs, "open_foreign", noted)
    monkeypatch.setattr(runs, "stored_below", fail)
    with pytest.raises(results.ResultsError, match="no list"):
        results.open(made(tmp_path / "r.h5"))
    assert not opened[0]  # as h5py says of a closed file


def test_pandas_has_the_rows_as_columns(tmp_path: Path) -> None:
    pytest.importorskip("pandas", reason="needs the extra xarray")
    with results.open(made(tmp_path / "r.h5")) as run:
        frame = run.to_pandas()
    assert frame["y"][:5].tolist() == [3.0, 4.0, 5.0, 6.0, 7.0]
    assert frame.attrs["units"]["t"] == "s"


def test_xarray_opens_many_runs_along_their_numbers(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray", reason="needs the extra xarray")
    from rexec.results.reading.xarray_backend import RexecBackend

    paths = [made(tmp_path / f"{rid}.h5", rid) for rid in range(4)]
    assert RexecBackend().guess_can_open(paths[0])
    with xarray.open_mfdataset(
        paths, engine=RexecBackend, combine="nested", concat_dim="rid", combine_attrs="override"
    ) as runs:
        assert runs["y"].dims == ("rid", "t")
        assert runs["y"].attrs["units"] == "1000 V"  # shown in V with the scale 1e-3
        assert runs["rid"].values.tolist() == [0, 1, 2, 3]
        assert runs["y"].sel(rid=2).values.tolist() == [2.0, 3.0, 4.0, 5.0, 6.0]
        assert runs["t"].values.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_differences_name_what_changed_field_by_field() -> None:
    one = {
        "expid": {"arguments": {"n": 5, "m": 1}},
        "device_db": {"core": {"host": "a", "port": 1}, "gone": {"type": "local"}},
        "versions": {"numpy": "1"},
        "git": GitState(root="/", commit="aaa").as_dict(),
        "sources": {"1" * 64: "x", "2" * 64: "y"},
    }
    other = {
        "expid": {"arguments": {"n": 6, "m": 1}},
        "device_db": {"core": {"host": "a", "port": 2}, "alias": "core"},
        "versions": {"numpy": "2"},
        "git": GitState(root="/", commit="bbb").as_dict(),
        "sources": {"1" * 64: "x", "3" * 64: "z"},
    }
    found = [(each.section, each.name, each.old, each.new) for each in differences(one, other)]
    assert found == [
        ("argument", "n", "5", "6"),
        ("device", "core.port", "1", "2"),
        ("device", "gone", "{'type': 'local'}", None),
        ("device", "alias", None, "core"),
        ("code", "git commit", "aaa", "bbb"),
        ("code", "sources", "2" * 12, "3" * 12),
        ("version", "numpy", "1", "2"),
    ]
    assert differences(one, one) == []


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (np.float64(1), "number"),
        (np.arange(100), "line"),
        (np.arange(10.0), "line"),
        (np.arange(100) % 5, "histogram"),
        (np.zeros((4, 6)), "image"),
        (np.zeros((1, 6)), "line"),
    ],
)
def test_numbers_are_drawn_as_what_they_are(tmp_path: Path, data: Any, kind: str) -> None:
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file["datasets/x"] = data
    with results.open(tmp_path / "r.h5") as run:
        assert choose(run.datasets["x"]) == kind


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_pictures_are_written(tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    path, target = made(tmp_path / "r.h5"), tmp_path / f"picture{suffix}"
    assert main(["plot", str(path), "-o", str(target)]) == 0
    assert capsys.readouterr().out == f"{target}: y\nnot drawn: a/b, a, counts, image, none\n"
    assert target.read_bytes()[:5] in {b"\x89PNG\r", b"<?xml"}
    assert main(["plot", str(path), "image", "counts", "a", "-o", str(target)]) == 0
    with pytest.raises(results.ResultsError, match="no dataset 'nope'; it has"):
        main(["plot", str(path), "nope", "-o", str(target)])
    with pytest.raises(results.ResultsError, match="holds no numbers"):
        main(["plot", str(path), "none", "-o", str(target)])


def test_show_tells_identity_and_datasets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    who: dict[str, Any] = {
        "person": "alice",
        "person_known_by": "kernel",
        "machine": "pc3",
        "program": "rexec",
    }
    path = made(tmp_path / "r.h5", expid={"file": "scan.py"}, **who)
    assert main(["show", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "person       alice (user of this machine), rexec on pc3\n" in shown
    with h5py.File(path) as file:
        assert {name: file["rexec"].attrs[name] for name in who} == who
    assert "run 3 of Scan  completed" in shown
    assert "scan.py" in shown
    assert all(key in shown for key in ("y", "counts", "a/b", "old"))
    assert main(["show", str(path), "t"]) == 0
    assert capsys.readouterr().out == "[0. 1. 2. 3. 4.] s\n"
    with pytest.raises(results.ResultsError, match="has no dataset 'x'"):
        main(["show", str(path), "x"])


def test_arrays_in_the_description_of_a_run_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = made(tmp_path / "r.h5", expid={"file": "scan.py", "weights": np.array([1.5, 2.0])})
    assert main(["show", str(path)]) == 0
    assert "weights      float64 2\n" in capsys.readouterr().out


def test_a_simulated_run_is_shown_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real, simulated = made(tmp_path / "1.h5"), made(tmp_path / "2.h5", simulated=["camera", "core"])
    assert main(["show", str(simulated)]) == 0
    assert "SIMULATED    camera, core: these data were not measured" in capsys.readouterr().out
    assert main(["diff", str(real), str(simulated)]) == 1
    assert "simulated" in capsys.readouterr().out
    with h5py.File(simulated) as file, h5py.File(real) as other:
        assert file.attrs["simulated"]
        assert "simulated" not in other.attrs
    xarray = pytest.importorskip("xarray", reason="needs the extra xarray")
    with xarray.open_dataset(simulated, engine="rexec") as dataset:
        assert dataset.attrs["simulated"] == "camera, core"


def test_diff_says_what_changed_and_exits_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = made(tmp_path / "1.h5", expid={"arguments": {"n": 1}})
    other = made(tmp_path / "2.h5", expid={"arguments": {"n": 2}})
    assert main(["diff", str(one), str(other)]) == 1
    assert capsys.readouterr().out == "argument  n: 1 -> 2\n"
    assert main(["diff", str(one), str(one)]) == 0


def test_tail_prints_the_last_changes_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    identity = RunIdentity(rid=1, class_name="A", start_time=1.0)
    writer = results.ResultsWriter.create(tmp_path / "r.h5", identity, refresh_interval=0)
    writer.set("x", [], {})
    writer.append("x", 5)
    assert main(["tail", str(writer.path), "-n", "2", "--no-follow"]) == 0
    set_line, append_line = capsys.readouterr().out.splitlines()
    assert set_line.endswith("set      x []")
    assert append_line.endswith("append   x 5")
    writer.close()
    with pytest.raises(results.ResultsError, match="only a run that goes on has a journal"):
        main(["tail", str(writer.path)])


def test_recover_and_verify_tell_and_exit_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = made(tmp_path / "r.h5")
    assert main(["recover", str(tmp_path)]) == 0
    assert main(["verify", str(path)]) == 0
    assert capsys.readouterr().out == f"nothing to recover in {tmp_path}\n{path}: whole\n"
    with h5py.File(path, "a") as file:
        file["datasets/y"][0] = 99
    (tmp_path / "x.h5.journal").write_text("no journal")
    assert main(["verify", str(path)]) == 1
    assert main(["recover", str(tmp_path)]) == 1
    assert "datasets/y has checksum" in capsys.readouterr().out
    with pytest.raises(results.ResultsError, match="there is no folder"):
        main(["recover", str(tmp_path / "none")])


def test_xarray_opens_files_by_the_engines_name(tmp_path: Path) -> None:
    """As a user does, through the entry point of the installed package."""
    xarray = pytest.importorskip("xarray", reason="needs the extra xarray")
    path = made(tmp_path / "r.h5", 8, expid={"arguments": {"n": 5}}, git=GitState(root="/", commit="abc"))
    with xarray.open_dataset(path, engine="rexec") as run:
        assert run["y"].values.tolist() == [8.0, 9.0, 10.0, 11.0, 12.0]
        assert (run["y"].dims, run["y"].attrs["units"], run["t"].attrs["units"]) == (("t",), "1000 V", "s")
        assert (run["rid"].item(), run.attrs["class_name"], run.attrs["status"]) == (8, "Scan", "completed")
        assert (run.attrs["git_commit"], run.attrs["arguments"]) == ("abc", '{"n":5}')
    # xarray asks these first, and they take any HDF5 file.
    if find_spec("netCDF4") is None and find_spec("h5netcdf") is None:
        with xarray.open_dataset(path) as guessed:
            assert "counts" in guessed
    with xarray.open_dataset(path, engine="rexec", drop_variables=["y", "image"]) as less:
        assert {"y", "image"}.isdisjoint(less.variables)


@pytest.mark.slow
def test_a_sample_of_many_runs_on_distributed_workers() -> None:
    pytest.importorskip("distributed", reason="needs the extra xarray")
    command = [sys.executable, "-W", "error", "-m", "benchmarks.runs", "--count", "6", "--workers", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        out = ""
        workers: list[psutil.Process] = []
        assert process.stdout is not None
        for line in process.stdout:
            out += line
            if line.startswith("workers"):
                workers = psutil.Process(process.pid).children(recursive=True)
        _, err = process.communicate(timeout=150)
    assert process.returncode == 0, err
    assert "6 runs" in out
    assert "computed" in out
    assert workers
    psutil.wait_procs(workers, timeout=150)
    assert not [worker for worker in workers if worker.is_running()]


def test_show_says_that_a_run_goes_on_or_was_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, copy = tmp_path / "r.h5", tmp_path / "copy" / "r.h5"
    identity = RunIdentity(rid=3, class_name="Scan", start_time=100.0)
    writer = results.ResultsWriter.create(path, identity, refresh_interval=0)
    with writer:
        writer.set("x", 1, {})
        writer.snapshot()
        writer.set("y", 2, {})
        writer.sync()
        assert main(["show", str(path)]) == 0
        assert "run 3 of Scan  running\nstatus       running: " in capsys.readouterr().out
        copy.parent.mkdir()
        shutil.copy(path, copy)
        assert main(["show", str(copy)]) == 0
        assert "its journal is not beside it" in capsys.readouterr().out
        shutil.copy(results.journal_path(path), results.journal_path(copy))
        assert main(["show", str(copy)]) == 0
        assert "run 3 of Scan  killed\nstatus       killed: 1 record of" in capsys.readouterr().out
    assert main(["show", str(path)]) == 0
    assert "run 3 of Scan  completed\n" in capsys.readouterr().out


class _Broken(float):
    """A number that cannot be used as one."""

    def __format__(self, _: str) -> str:
        raise RuntimeError("no text")

    def __truediv__(self, _: object) -> float:
        raise RuntimeError("no division")

    def __repr__(self) -> str:
        return "a broken number"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.ma.masked, "masked"),
        (np.ma.array([1.0, 2.0, 9.0], mask=[False, False, True]), "float64 3, 2 of 3 points, 1 to 2"),
        ([np.ma.masked, 1], "[masked, 1]"),
        (np.timedelta64(3, "s"), "np.timedelta64(3,'s')"),
        (np.array(5.0), "5"),
        (_Broken(2.0), "2"),
        ([_Broken(2.0)], "float64 1, 2 to 2"),
        (range(3), "int64 3, 0 to 2"),
    ],
)
def test_any_value_is_shown_as_the_file_has_it(value: Any, text: str) -> None:
    assert shown(value, {}) == (text, "")


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_what_h5py_takes_and_what_it_does_not_is_shown_in_a_table() -> None:
    """`shown` prints the table at the end of a run: it must not raise after the run succeeded."""
    for name, case in CASES.items():
        text, unit = shown(case.make(), {"unit": "us", "precision": 2})
        assert (unit, "\n" not in text) == ("us", True), name


def test_checksums_are_compared_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rexec.results.hdf5.checksums._PIECE", 64)
    path = tmp_path / "r.h5"
    identity = RunIdentity(rid=1, class_name="Scan", start_time=100.0)
    with results.ResultsWriter.create(path, identity, refresh_interval=0) as writer:
        writer.set("line", np.arange(1000.0), {})
        writer.set("one row", np.arange(300).reshape(1, 3, 100), {})
        writer.set("empty", np.zeros((5, 0)), {})
        writer.set("texts", [f"text {number}" for number in range(50)], {})
        writer.set("ragged", [[1], [2, 3]] * 20, {})
    assert results.verify(path) == []
    with h5py.File(path, "r+") as file:
        file["datasets/one row"][0, 2, 99] = -1
    assert len(results.verify(path)) == 1
