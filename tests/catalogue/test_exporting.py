"""Runs in files of other programs, which read them with the units that agree with the numbers."""

import csv
import errno
import json
import os
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rexec.catalogue import find
from rexec.cli.results import main
from rexec.datasets import Dataset
from rexec.results import ResultsError
from tests.catalogue.laboratories import made
from tests.results.test_overlay import run_with

pandas = pytest.importorskip("pandas", reason="needs the extra xarray")
xarray = pytest.importorskip("xarray", reason="needs the extra xarray")
exporting = pytest.importorskip("rexec.catalogue.exporting", reason="needs the extra xarray")


@pytest.fixture
def runs(results: Path) -> list[Path]:
    """Return three runs with a scan in ms and a number in us, one of them with fewer points."""
    return [
        run_with(
            results,
            rid,
            {
                "t": (np.arange(points) * 1e-3, {"unit": "ms"}),
                "y": (np.arange(points) + 10.0 * rid, {"unit": "V"}),
                "wait": (5e-6, {"unit": "us"}),
                "z": (np.array([1j, 2.0]), {}),
            },
            ("y", ["t"]),
            arguments={"phase": rid * 0.1, "mode": "fast" if rid else 3},
        )
        for rid, points in ((0, 3), (1, 3), (2, 2))
    ]


def exported(name: str, *words: str) -> Path:
    assert main(["export", "kind=run", "-o", name, *words]) == 0
    return Path(name)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_csv_has_a_row_a_run_and_units_in_its_headings(runs: list[Path]) -> None:
    rows = rows_of(exported("a.csv"))
    assert [row["rid"] for row in rows] == ["2", "1", "0"]
    assert [float(row["wait (s)"]) for row in rows] == [5e-6] * 3
    assert [row["mode"] for row in rows] == ["fast", "fast", "3"]


def test_csv_of_a_dataset_has_a_row_a_point(runs: list[Path]) -> None:
    rows = rows_of(exported("a.csv", "-d", "y"))
    assert [(row["rid"], float(row["t (s)"]), float(row["y (V)"])) for row in rows] == [
        (str(rid), point * 1e-3, point + 10.0 * rid)
        for rid, points in ((2, 2), (1, 3), (0, 3))
        for point in range(points)
    ]
    assert len(rows_of(exported("b.csv", "-d", "wait"))) == 3


def test_json_is_json(runs: list[Path]) -> None:
    found = json.loads(exported("a.json", "-d", "y").read_text())
    assert found["units"] == {"t": "s", "y": "V"}
    assert found["rows"][0] == {"rid": 2, "path": str(Path("results", runs[2].name)), "t": 0.0, "y": 20.0}
    assert json.loads(exported("b.json").read_text())["rows"][2]["mode"] == 3


def test_parquet_has_units_in_its_fields(runs: list[Path]) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra export")
    table = parquet.read_table(exported("a.parquet"))
    assert table.schema.field("wait").metadata[b"units"] == b"s"
    assert table.column("wait").to_pylist() == [5e-6] * 3
    assert table.column("mode").to_pylist() == ["fast", "fast", "3"]
    points = parquet.read_table(exported("b.parquet", "-d", "y"))
    assert points.num_rows == 8


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_arrays_come_back_with_their_units(runs: list[Path], suffix: str) -> None:
    pytest.importorskip("netCDF4" if suffix == "nc" else "zarr", reason="needs the extra export")
    path = exported(f"a.{suffix}")
    options: dict[str, Any] = (
        {"engine": "netcdf4"} if suffix == "nc" else {"engine": "zarr", "zarr_format": 2}
    )
    with xarray.open_dataset(path, **options) as found:
        assert found["run"].values.tolist() == [2, 1, 0]
        assert found["y"].attrs["units"] == "V"
        assert found["y"].sel(run=1).values.tolist() == [10.0, 11.0, 12.0]
        assert np.isnan(found["y"].sel(run=2).values[2])
        assert found["wait"].attrs["units"] == "s"
        assert found["z_imag"].sel(run=0).values.tolist() == [1.0, 0.0]
        assert found["mode"].values.tolist() == ["fast", "fast", "3"]
        assert found["phase"].sel(run=1).item() == pytest.approx(0.1)


def test_nothing_is_replaced_without_a_word(runs: list[Path]) -> None:
    Path("a.csv").write_text("mine")
    with pytest.raises(ResultsError, match=r"a\.csv exists already; name another file, or give --overwrite"):
        exported("a.csv")
    assert Path("a.csv").read_text() == "mine"
    assert len(rows_of(exported("a.csv", "--overwrite"))) == 3


def test_runs_are_named_by_number_too(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "0", "last", "-o", "a.csv"]) == 0
    assert capsys.readouterr().out == "a.csv: 2 rows, 13 columns\n"
    assert [row["rid"] for row in rows_of(Path("a.csv"))] == ["0", "2"]
    assert main(["export", "rid=99", "-o", "b.csv"]) == 2


def test_a_file_that_cannot_be_read_is_named(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    runs[1].write_bytes(b"no HDF5")
    broken = str(Path("results", runs[1].name))
    with pytest.raises(ResultsError, match=re.escape(f"{broken} cannot be read: ")):
        main(["export", "0", broken, "-o", "a.csv"])
    assert not Path("a.csv").exists()
    assert main(["export", "", "-o", "a.csv"]) == 0
    assert f"warning: {broken} cannot be read: " in capsys.readouterr().err
    assert sorted(row["rid"] for row in rows_of(Path("a.csv"))) == ["", "0", "2"]


@pytest.mark.parametrize("number", [(1 << 62) + 1, -(1 << 63), (1 << 64) - 1, 0.1 + 0.2, 5e-324, -0.0])
def test_every_digit_of_a_number_is_exported(results: Path, number: float) -> None:
    made(results, 0, arguments={"n": number, "flag": True})
    made(results, 1, arguments={})
    assert rows_of(exported("a.csv"))[1]["n"] == repr(number)
    rows = json.loads(exported("a.json").read_text())["rows"]
    assert [repr(row["n"]) for row in rows] == ["None", repr(number)]
    assert [row["flag"] for row in rows] == [None, True]


def test_json_has_text_where_it_has_no_number(results: Path) -> None:
    values = {"points": np.array([np.inf, -np.inf, np.nan, 1 / 3]), "z": np.array([1j, 2.0, 0.0, 1 / 3])}
    made(results, 0, values=values)
    rows = json.loads(exported("a.json", "-d", "points").read_text())["rows"]
    assert [row["points"] for row in rows] == ["inf", "-inf", None, 1 / 3]
    rows = json.loads(exported("b.json", "-d", "z").read_text())["rows"]
    assert [row["z"] for row in rows][0::3] == [{"real": 0.0, "imag": 1.0}, {"real": 1 / 3, "imag": 0.0}]


def test_json_has_all_points_of_a_large_dataset(results: Path) -> None:
    values = {"points": np.arange(25_000.0), "holes": np.where(np.arange(25_000) == 12_345, np.nan, 0.5)}
    made(results, 0, values=values)
    rows = json.loads(exported("a.json", "-d", "points").read_text())["rows"]
    assert [row["points"] for row in rows] == values["points"].tolist()
    rows = json.loads(exported("b.json", "-d", "holes").read_text())["rows"]
    assert {number: row["holes"] for number, row in enumerate(rows) if row["holes"] != 0.5} == {12_345: None}


def a_folder(path: Path, text: str) -> Path:
    (path / "inner").mkdir(parents=True)
    (path / "inner" / "0").write_text(text)
    return path


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.zarr"
    for text in ("one", "two"):
        with exporting._folder_beside(target) as beside:
            exporting._put_folder_in_place(a_folder(beside / "new", text), target, beside / "aside")
        assert (target / "inner" / "0").read_text() == text
    put_in_place = exporting.put_in_place

    def fails(old: Path, new: Path, **options: Any) -> None:
        if old.name == "new":
            raise PermissionError(errno.EACCES, "in use", str(new))
        put_in_place(old, new, **options)

    monkeypatch.setattr(exporting, "put_in_place", fails)
    with pytest.raises(PermissionError, match="in use"), exporting._folder_beside(target) as beside:
        exporting._put_folder_in_place(a_folder(beside / "new", "three"), target, beside / "aside")
    assert (target / "inner" / "0").read_text() == "two"
    assert os.listdir(tmp_path) == ["a.zarr"]


@pytest.mark.parametrize("moment", ["aside", "a.zarr"])
def test_an_interrupt_just_after_a_rename_loses_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    target = a_folder(tmp_path / "a.zarr", "old")
    put_in_place = exporting.put_in_place

    def interrupted(old: Path, new: Path, **options: Any) -> None:
        put_in_place(old, new, **options)
        monkeypatch.setattr(exporting, "put_in_place", put_in_place if new.name == moment else interrupted)
        if new.name == moment:
            raise KeyboardInterrupt

    monkeypatch.setattr(exporting, "put_in_place", interrupted)
    with pytest.raises(KeyboardInterrupt), exporting._folder_beside(target) as beside:
        exporting._put_folder_in_place(a_folder(beside / "new", "new"), target, beside / "aside")
    assert (target / "inner" / "0").read_text() == ("old" if moment == "aside" else "new")
    assert os.listdir(tmp_path) == ["a.zarr"]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have "new" written as NetCDF and as Zarr, for which the extra is not needed."""

    def to_netcdf(dataset: Any, path: Path, **options: Any) -> None:
        path.write_text("new")

    def to_zarr(dataset: Any, path: Path, **options: Any) -> None:
        a_folder(path, "new")

    monkeypatch.setattr("xarray.Dataset.to_netcdf", to_netcdf)
    monkeypatch.setattr("xarray.Dataset.to_zarr", to_zarr)
    monkeypatch.setitem(sys.modules, "netCDF4", types.ModuleType("netCDF4"))


@pytest.mark.parametrize("name", ["a.csv", "a.nc", "a.zarr"])
def test_what_is_of_another_kind_is_not_replaced(results: Path, written: None, name: str) -> None:
    made(results, 0, values={"signal": np.arange(3.0)})
    target = Path(name)
    if target.suffix == ".zarr":
        target.write_text("mine")
    else:
        target.mkdir()
    with pytest.raises(
        ResultsError, match=rf"{re.escape(name)} exists already, and is no f(ile|older), as .*; remove it"
    ):
        find("rid=0").export(target, overwrite=True)
    assert target.is_file() == (target.suffix == ".zarr")
    assert not list(Path().glob(".a.*"))


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege")
@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_a_link_stays_and_leads_to_the_new_export(results: Path, written: None, suffix: str) -> None:
    made(results, 0, values={"signal": np.arange(3.0)})
    target, real = Path(f"a.{suffix}"), Path("elsewhere", f"real.{suffix}")
    real.parent.mkdir()
    inside = real if suffix == "nc" else a_folder(real, "old") / "inner" / "0"
    inside.write_text("old")
    target.symlink_to(real, target_is_directory=suffix == "zarr")
    find("rid=0").export(target, overwrite=True)
    assert inside.read_text() == "new"
    assert target.is_symlink()


@pytest.mark.skipif(sys.platform != "win32", reason="a file that somebody reads can be replaced elsewhere")
@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_an_export_that_another_program_reads_stays_whole(results: Path, written: None, suffix: str) -> None:
    made(results, 0, values={"signal": np.arange(3.0)})
    target = Path(f"a.{suffix}")
    inside = target if suffix == "nc" else a_folder(target, "old") / "inner" / "0"
    inside.write_text("old")
    with inside.open():
        said = ""
        try:
            find("rid=0").export(target, overwrite=True)
        except ResultsError as error:
            said = str(error)
        if said:
            assert said.startswith(f"cannot write {target}: ")
            assert "; close the program that has it open" in said
            assert not list(Path().glob(".a.*"))
        else:
            assert suffix == "zarr"  # Wine renames a folder whose files are open
        assert inside.read_text() == ("old" if said else "new")
    find("rid=0").export(target, overwrite=True)
    assert inside.read_text() == "new"


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_an_empty_array_is_filled_as_a_missing_one(results: Path, suffix: str) -> None:
    pytest.importorskip("netCDF4" if suffix == "nc" else "zarr", reason="needs the extra export")
    for rid, points in enumerate((0, 3)):
        made(results, rid, values={"a": Dataset(np.arange(float(points)), {"unit": "V"})})
    find("kind=run").export(f"x.{suffix}")
    with xarray.open_dataset(f"x.{suffix}", engine="netcdf4" if suffix == "nc" else "zarr") as after:
        assert sorted(np.isnan(after["a"].values).sum(axis=1)) == [0, 3]


@pytest.mark.skipif(os.name != "nt", reason="names that Windows refuses")
@pytest.mark.parametrize("name", ["scan_12:30.csv", "con.csv", "a?.zarr"])
def test_a_name_that_windows_refuses_is_no_export(results: Path, name: str) -> None:
    made(results, 0)
    with pytest.raises(ResultsError, match=r"Windows has devices, .* name another"):
        find("rid=0").export(name)


def test_what_cannot_be_exported_says_why(results: Path) -> None:
    made(results, 1, values={"a": Dataset(np.arange(3.0), {"unit": "V"}), "b": np.arange(2), "c": 1.0})
    made(results, 2, values={"a": Dataset(np.arange(3.0), {"unit": "s"})})
    for words, said in (
        (["-o", "x.txt"], r"its name must end in \.csv, \.parquet, \.json, \.nc, \.zarr"),
        (["-o", "x.csv", "-d", "a"], "dataset 'a' has several units in these runs: V, s"),
        (["-o", "x.csv", "-d", "nothing"], "no run has a dataset of numbers 'nothing'"),
        (["-o", "nowhere/x.csv"], rf"cannot write {re.escape(str(Path('nowhere/x.csv')))}: No such file"),
    ):
        with pytest.raises(ResultsError, match=said):
            main(["export", "kind=run", *words])
    with pytest.raises(ResultsError, match="have no common points: a has a_0, b has b_0"):
        main(["export", "1", "-o", "x.csv", "-d", "a", "-d", "b"])
    assert not list(Path().glob("x.*"))
    with pytest.raises(ResultsError, match="there are no runs to export"):
        find("rid=99").export("y.csv")


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_a_dataset_that_a_format_cannot_hold_is_refused_in_one_line(results: Path, suffix: str) -> None:
    pytest.importorskip("netCDF4" if suffix == "nc" else "zarr", reason="needs the extra export")
    made(results, 0, values={"": 1.0, "signal": np.arange(3.0)})
    with pytest.raises(ResultsError, match=rf"cannot export to a\.{suffix}: .*; name the datasets .*-d NAME"):
        main(["export", "kind=run", "-o", f"a.{suffix}"])
    assert not Path(f"a.{suffix}").exists()
    exported(f"a.{suffix}", "-d", "signal")
