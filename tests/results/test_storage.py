"""How single datasets are stored, and what is plotted first, as experiments say it."""

import logging
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rexec import results
from rexec.datasets import DatasetDB, DatasetManager
from rexec.experiment import EnvExperiment, dataset_storage, default_plot
from rexec.results import ResultsWriter, journal_path, recover, verify
from rexec.results.hdf5 import storage
from rexec.results.hdf5.forms import form_of
from rexec.results.hdf5.storage import storage_of
from schemas import RunIdentity


class Scan(EnvExperiment):
    def run(self) -> None:
        """Never called."""


def begun(path: Path) -> tuple[ResultsWriter, Scan]:
    identity = RunIdentity(rid=1, class_name="A", start_time=1.0)
    writer = ResultsWriter.create(path, identity, refresh_interval=0)
    return writer, Scan((None, DatasetManager(DatasetDB(), sink=writer), None, {}))


def test_settings_are_used_from_the_first_refresh_on_and_after_a_crash(tmp_path: Path) -> None:
    writer, scan = begun(tmp_path / "r.h5")
    scan.dataset_storage("image", compression="lzf", chunks=(8, 64), dtype="float32")
    dataset_storage(scan, "counts", compression=None, dtype=np.uint16)
    dataset_storage(scan, "rows", level=9, shuffle=False, chunks=(512,))
    scan.set_dataset("image", np.full((64, 64), 0.1))
    scan.set_dataset("counts", [1, 2, 3] * 1000)
    scan.set_dataset("rows", [0.5] * 1000)
    writer.snapshot()
    scan.append_to_dataset("counts", 65535)
    scan.mutate_dataset("image", 3, 0.3)
    writer.snapshot()
    (tmp_path / "crashed").mkdir()
    journal = journal_path(tmp_path / "crashed" / "r.h5")
    journal.write_bytes(journal_path(writer.path).read_bytes())
    recover(journal)
    writer.close()
    for path in (writer.path, tmp_path / "crashed" / "r.h5"):
        assert verify(path) == []
        with h5py.File(path) as file:
            image, counts, rows = (file["datasets"][name] for name in ("image", "counts", "rows"))
            assert (image.compression, image.chunks, image.dtype) == ("lzf", (8, 64), np.float32)
            assert np.array_equal(image[3], np.full(64, 0.3, np.float32))
            assert (counts.compression, counts.dtype, int(counts[-1])) == (None, np.uint16, 65535)
            assert (rows.compression_opts, rows.shuffle, rows.chunks) == (9, False, (512,))
    with results.open(writer.path) as run:
        assert run["counts"][-1] == 65535
        assert run.problems == []


@pytest.mark.parametrize(
    ("value", "later", "settings"),
    [
        ([1, 2, 3] * 1000, 65536, {"dtype": "uint16"}),
        ([0.5] * 1000, 1e39, {"dtype": "float32"}),
        (np.zeros((64, 64)), None, {"chunks": (8,)}),
        (np.full(2000, 1j), None, {"dtype": "float64"}),
        (np.full(2000, 0.5), None, {"dtype": "int32"}),
        (np.full(2000, 2**53 + 1), None, {"dtype": "float64"}),
        (np.full(2000, np.nan), None, {"dtype": "int64"}),
    ],
)
def test_settings_that_do_not_fit_cost_no_data_and_are_said(
    tmp_path: Path, value: Any, later: Any, settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    writer, scan = begun(tmp_path / "r.h5")
    scan.dataset_storage("x", **settings)
    scan.set_dataset("x", value)
    writer.snapshot()
    if later is not None:
        scan.append_to_dataset("x", later)
    with caplog.at_level(logging.WARNING):
        writer.close()
    assert "datasets/x: " in caplog.text
    assert verify(writer.path) == []
    with results.open(writer.path) as run:
        found, expected = run["x"], scan.get_dataset("x")
        assert np.array_equal(np.asarray(found), np.asarray(expected), equal_nan=not np.iscomplexobj(value))
        assert run.problems


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"compresion": "gzip"}, "there is no setting 'compresion'; there are compression, level"),
        ({"compression": "zip"}, "compression is 'gzip', 'lzf' or None, not 'zip'"),
        ({"level": 10}, "level is an int from 0 to 9, not 10"),
        ({"compression": "lzf", "level": 3}, "a level is for the compression 'gzip' only"),
        ({"shuffle": 1}, "shuffle is True or False"),
        ({"chunks": (0, 3)}, "chunks are positive sizes"),
        ({"chunks": ()}, "chunks are positive sizes"),
        ({"dtype": "S3"}, "dtype is one of numbers"),
        ({"dtype": "nothing"}, "storage of dataset 'x': "),
    ],
)
def test_settings_that_are_none_are_refused_at_their_line(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    writer, scan = begun(tmp_path / "r.h5")
    with pytest.raises(ValueError, match="storage of dataset 'x'") as caught:
        scan.dataset_storage("x", **settings)
    assert message in str(caught.value)
    writer.close()


class FromArtiq:
    """Has the manager as classes of `artiq.experiment` do."""

    def __init__(self, manager: Any) -> None:
        self._HasEnvironment__dataset_mgr = manager


def test_experiments_of_artiqs_base_class_say_the_same_and_artiq_itself_takes_no_notice(
    tmp_path: Path,
) -> None:
    writer, _ = begun(tmp_path / "r.h5")
    manager = DatasetManager(DatasetDB(), sink=writer)
    dataset_storage(FromArtiq(manager), "x", compression=None)
    default_plot(FromArtiq(manager), "x")
    manager.set("x", np.zeros(1000))
    writer.close()
    with h5py.File(writer.path) as file:
        assert file["datasets/x"].compression is None
        assert file["rexec/plot"].attrs["signal"] == "x"
    dataset_storage(FromArtiq(object()), "x", compression=None)
    default_plot(FromArtiq(object()), "x")
    default_plot(object(), "x")


def test_the_default_plot_is_what_nexus_viewers_look_for(tmp_path: Path) -> None:
    writer, scan = begun(tmp_path / "r.h5")
    scan.set_dataset("a", 1)
    scan.default_plot("a", "x")
    writer.snapshot()
    scan.set_dataset("scan", np.zeros((2, 3)), unit="V")
    scan.set_dataset("scan/t", [1.0, 2.0], unit="s")
    scan.default_plot("scan", ["scan/t", "no such dataset"])
    writer.snapshot()
    scan.set_dataset("scan", np.ones((2, 3)), unit="mV")
    writer.close()
    with h5py.File(writer.path) as file:
        entry = file[file.attrs["default"]]
        data = entry[entry.attrs["default"]]
        assert [file.attrs["NX_class"], entry.attrs["NX_class"], data.attrs["NX_class"]] == [
            "NXroot",
            "NXentry",
            "NXdata",
        ]
        signal = data[data.attrs["signal"]]
        assert signal[()].tolist() == [[1.0] * 3] * 2
        assert signal.attrs["units"] == "V"  # of the stored numbers; people see mV
        assert list(data.attrs["axes"])[1] == "."
        assert data[data.attrs["axes"][0]][()].tolist() == [1.0, 2.0]
        assert len(data) == 2
    assert verify(writer.path) == []
    with results.open(writer.path) as run:
        assert run.default_plot == ("scan", ["scan/t", None])


SHUFFLED = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
GROWS = {"maxshape": (None,), **SHUFFLED}
ROW = 2**19
"""Numbers of 4 MiB."""


@pytest.mark.parametrize(
    ("value", "settings", "layout"),
    [
        (5, {"level": 1}, {}),
        ("x" * 5000, {}, {}),
        (np.zeros(0), {"level": 1}, {}),
        (np.zeros(4096, np.uint8), {}, {}),
        (np.zeros(4097, np.uint8), {}, {"chunks": True, **SHUFFLED}),
        (np.zeros(513, complex), {}, {"chunks": True, **SHUFFLED, "shuffle": False}),
        (np.zeros(5, complex), {"shuffle": True}, {"chunks": True, **SHUFFLED}),
        (np.zeros(5), {"shuffle": False}, {"chunks": True, **SHUFFLED, "shuffle": False}),
        (np.zeros(5), {"level": 0}, {"chunks": True, **SHUFFLED, "compression_opts": 0}),
        (np.zeros(5), {"compression": None}, {"chunks": True}),
        (np.zeros(5), {"compression": "lzf"}, {"chunks": True, "compression": "lzf", "shuffle": True}),
        (np.zeros(5), {"chunks": [2**25]}, {"chunks": (2**25,), **SHUFFLED}),
        ([0.5] * 512, {}, {}),
        ([0.5] * 513, {}, {"chunks": (32768,), **GROWS}),
        ([0.5] * 513, {"chunks": (8,)}, {"chunks": (8,), **GROWS}),
        ([0.5] * 5, {"level": 4}, {"chunks": True, **SHUFFLED}),
        ([True] * 5000, {}, {"chunks": (65536,), **GROWS}),
        (["a"] * 256, {}, {}),
        (["a"] * 257, {}, {"chunks": (16384,), "maxshape": (None,)}),
        ([np.zeros((3, 80))] * 3, {}, {"chunks": (136, 3, 80), **GROWS, "maxshape": (None, 3, 80)}),
        ([np.zeros(ROW)] * 2, {}, {"chunks": (1, ROW), **GROWS, "maxshape": (None, ROW)}),
        ([np.zeros(ROW + 1)] * 2, {}, {"chunks": True, **GROWS, "maxshape": (None, ROW + 1)}),
    ],
)
def test_the_layout_goes_by_size_class_and_settings(
    value: Any, settings: dict[str, Any], layout: dict[str, Any]
) -> None:
    assert storage_of(form_of(value), settings) == layout


def test_a_chunk_that_the_library_could_not_hold_is_refused() -> None:
    with pytest.raises(ValueError, match=r"chunks of \(2, 16777217\) are over 256 MiB"):
        storage_of(form_of(np.zeros((2, 2))), {"chunks": (2, 2**24 + 1)})


def test_large_data_are_judged_by_64_kib_of_their_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: set[int] = set()
    compress = zlib.compress

    def noted(data: bytes, level: int) -> bytes:
        judged.add(len(data))
        return compress(data, level)

    monkeypatch.setattr(storage.zlib, "compress", noted)  # type: ignore[attr-defined]
    noise = np.frombuffer(np.random.default_rng(1).bytes(2**20), np.int64)
    middle = slice(len(noise) // 2, len(noise) // 2 + 2**13)
    flat_there, noise_there = noise.copy(), noise * 0
    flat_there[middle], noise_there[middle] = 0, noise[middle]
    for data, is_compressed in ((noise[1:], True), (noise, False), (flat_there, True), (noise_there, False)):
        assert ("compression" in storage_of(form_of(data), {})) == is_compressed
        assert "compression" in storage_of(form_of(data), {"level": 4})
    assert judged == {64 * 1024}


def test_large_data_that_compression_does_not_make_smaller_are_stored_as_they_are(tmp_path: Path) -> None:
    noise = np.frombuffer(np.random.default_rng(1).bytes(2**20), np.uint16).reshape(512, 1024)
    data = {
        "noise": noise,
        "frames": [noise, noise],
        "dark": noise % 8,
        "dark frames": [noise % 8, noise % 8],
        "small": noise[:8],
        "complex": noise.reshape(-1)[: 2**17].astype(complex),
    }
    writer, scan = begun(tmp_path / "r.h5")
    scan.dataset_storage("asked for", level=1)
    for key, value in {**data, "asked for": noise}.items():
        scan.set_dataset(key, value)
    scan.append_to_dataset("frames", noise % 8)
    writer.snapshot()
    scan.append_to_dataset("frames", noise)
    scan.append_to_dataset("dark frames", noise)
    path = writer.close()
    assert verify(path) == []
    with h5py.File(path, "r") as file:
        compressed = {key for key, each in file["datasets"].items() if each.compression is not None}
        assert compressed == {"dark", "dark frames", "small", "complex", "asked for"}
        assert file["datasets/frames"].chunks is not None
        assert not file["datasets/noise"].shuffle
    with results.open(path) as run:
        assert np.array_equal(run["frames"], [noise, noise, noise % 8, noise])
        assert np.array_equal(run["dark frames"], [noise % 8, noise % 8, noise])
