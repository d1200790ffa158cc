"""What is told of a file from anywhere and of each of its datasets, without believing that it is ours."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rexec.results.errors import ResultsError
from rexec.results.hdf5.inside import DEEPEST
from rexec.results.reading.runs import Run
from rexec.results.reading.stored import StoredDataset, stored_below
from rexec.wire import pyon


def run_of(folder: Path, fill: Callable[[h5py.File], object] = lambda _: None, **options: Any) -> Run:
    path = folder / "r.h5"
    with h5py.File(path, "w") as file:
        fill(file)
    return Run(path, **options)


def put(path: str, value: Any) -> Callable[[h5py.File], object]:
    def fill(file: h5py.File) -> None:
        file[path] = value

    return fill


def attribute(path: str, name: str, value: Any) -> Callable[[h5py.File], object]:
    def fill(file: h5py.File) -> None:
        (file if path == "/" else file.require_group(path)).attrs[name] = value

    return fill


@pytest.mark.parametrize(
    ("fill", "name", "found"),
    [
        (lambda _: None, "rid", None),
        (put("rid", 7), "rid", 7),
        (put("rid", np.int32(7)), "rid", 7),
        (put("rid", "seven"), "rid", None),
        (put("rid", 7.5), "rid", None),
        (lambda _: None, "status", ""),
        (put("rexec", 5), "status", ""),
        (lambda file: file.create_group("rexec"), "status", ""),
        (attribute("rexec", "status", "failed"), "status", "failed"),
        (lambda _: None, "error", None),
        (put("rexec/error", "odd"), "error", "odd"),
        (put("rexec/error", 5), "error", None),
        (lambda _: None, "is_simulated", False),
        (attribute("/", "simulated", True), "is_simulated", True),
        (put("rexec/simulated", '["camera"]'), "is_simulated", True),
        (put("rexec/simulated", "[]"), "is_simulated", False),
        (lambda _: None, "degraded", []),
        (put("rexec/degraded", "a\nb"), "degraded", ["a", "b"]),
        (lambda _: None, "default_plot", None),
        (put("rexec/problems", "a\nb"), "problems", ["a", "b"]),
        (lambda file: file.create_group("datasets/" + "g/" * (DEEPEST - 1)), "problems", []),
        (
            lambda file: file.create_group("datasets/" + "g/" * (DEEPEST + 1)),
            "problems",
            [f"datasets: groups that are nested deeper than {DEEPEST} levels are not read"],
        ),
        (
            lambda file: file.create_group("archive/" + "g/" * (DEEPEST + 1)),
            "problems",
            [f"archive: groups that are nested deeper than {DEEPEST} levels are not read"],
        ),
    ],
)
def test_what_a_file_says_of_its_run(
    tmp_path: Path, fill: Callable[[h5py.File], object], name: str, found: Any
) -> None:
    with run_of(tmp_path, fill) as run:
        value = getattr(run, name)
        assert value == found
        assert type(value) is type(found)


@pytest.mark.parametrize("external", [False, True])
@pytest.mark.parametrize("group", ["datasets", "archive"])
def test_a_link_to_another_file_is_told_or_followed(tmp_path: Path, group: str, external: bool) -> None:
    put_there = tmp_path / "other.h5"
    with h5py.File(put_there, "w") as other:
        other["x"] = 5
        other["g/y"] = 6

    def fill(file: h5py.File) -> None:
        file[f"{group}/x"] = h5py.ExternalLink("other.h5", "/x")
        file[f"{group}/g"] = h5py.ExternalLink("other.h5", "/g")
        file[f"{group}/gone"] = h5py.ExternalLink("gone.h5", "/x")

    with run_of(tmp_path, fill, external=external) as run:
        found = run.datasets if group == "datasets" else run.archive
        assert {key: each.value for key, each in found.items()} == ({"x": 5} if external else {})
        said = [
            f"{group}/{name} is a link to {where}, which is read only where it is asked for"
            for name, where in (("g", "other.h5:/g"), ("gone", "gone.h5:/x"), ("x", "other.h5:/x"))
        ]
        assert sorted(run.problems) == ([] if external else said)


def test_a_run_is_a_mapping_of_its_datasets(tmp_path: Path) -> None:
    def fill(file: h5py.File) -> None:
        file["datasets/a"], file["datasets/b/c"], file["archive/d"] = 1, [1.5], 2

    with run_of(tmp_path, fill) as run:
        assert (len(run), list(run), run["a"], list(run.archive)) == (2, ["a", "b/c"], 1, ["d"])
        assert run["b/c"].tolist() == [1.5]
        with pytest.raises(KeyError):
            run["d"]
        assert repr(run) == f"<Run None at {run.path}: of ARTIQ, 2 datasets>"
        assert run.file
    assert not run.file
    run.close()
    with run_of(tmp_path, attribute("rexec", "status", "failed")) as run:
        assert repr(run) == f"<Run None at {run.path}: failed, 0 datasets>"


@pytest.fixture
def file() -> Iterator[h5py.File]:
    with h5py.File(io.BytesIO(), "w") as file:
        yield file


def stored(file: h5py.File, value: Any, **attributes: Any) -> StoredDataset:
    file["x"] = value
    file["x"].attrs.update(attributes)
    return StoredDataset(file, "x", "key")


def test_a_dataset_tells_shape_size_type_and_value(file: h5py.File) -> None:
    found = stored(file, np.arange(6, dtype="<i2").reshape(2, 3))
    assert (found.shape, found.size, found.nbytes, found.dtype) == ((2, 3), 6, 12, np.dtype("<i2"))
    assert (found.has_data(), found.is_numeric(), found.mask, found.number()) == (True, True, None, None)
    assert found[1].tolist() == found.numbers(1).tolist() == found.value[1].tolist() == [3, 4, 5]
    assert (found.metadata, found.unit, found.origin, found.display.scale) == ({}, None, "run", 1)
    assert repr(found) == "<StoredDataset key (2, 3) int16>"


def test_a_dataset_tells_its_unit_and_who_set_it(file: h5py.File) -> None:
    found = stored(file, 5e-3, unit="ms", precision=np.int64(2), scale=1e-3, rexec_origin="client")
    assert found.metadata == {"unit": "ms", "precision": 2, "scale": 1e-3}
    assert (found.unit, found.origin, found.display.scale, found.display.unit) == ("ms", "client", 1e-3, "ms")
    assert repr(found) == "<StoredDataset key () float64 ms>"
    odd = StoredDataset(file, "x", "key")
    file["x"].attrs["precision"] = "two"
    assert (odd.metadata, odd.unit, odd.display.scale) == ({}, None, 1)


def test_without_data_there_is_nothing(file: h5py.File) -> None:
    found = stored(file, h5py.Empty("f8"))
    assert (found.shape, found.size, found.nbytes) == ((), 0, 0)
    assert (found.has_data(), found.is_numeric(), found.number()) == (False, False, None)


@pytest.mark.parametrize(
    ("value", "attributes", "is_numeric", "number"),
    [
        (5, {}, True, 5),
        (True, {}, True, True),
        (1.5, {}, True, 1.5),
        (1j, {}, True, 1j),
        (5, {"rexec_class": "odd"}, True, None),
        (5, {"rexec_form": "journal"}, False, None),
        ([5], {}, True, None),
        ("5", {}, False, None),
        (np.void(b"5"), {}, False, None),
    ],
)
def test_one_number_is_told_from_anything_else(
    file: h5py.File, value: Any, attributes: dict[str, Any], is_numeric: bool, number: Any
) -> None:
    found = stored(file, value, **attributes)
    assert found.is_numeric() is is_numeric
    assert found.number() == number


@pytest.mark.parametrize(
    ("mask", "is_one"),
    [([False, True, False], True), ([False, True], False), ([0, 1, 0], False), (None, False)],
)
def test_what_is_masked_is_no_number(file: h5py.File, mask: Any, is_one: bool) -> None:
    if mask is not None:
        file["rexec/beside/x/mask"] = mask
    found = stored(file, [1.0, 2.0, 3.0], rexec_beside="/rexec/beside/x")
    assert (found.mask is not None) == is_one
    assert np.array_equal(found.numbers(()), [1.0, np.nan if is_one else 2.0, 3.0], equal_nan=True)
    assert np.array_equal(found.numbers(slice(1, 3)), [np.nan if is_one else 2.0, 3.0], equal_nan=True)


@pytest.mark.parametrize("external", [False, True])
def test_data_or_a_mask_in_another_file_are_read_where_that_is_asked_for(
    tmp_path: Path, external: bool
) -> None:
    (tmp_path / "data").write_bytes(bytes([0, 1, 0]))
    with h5py.File(tmp_path / "r.h5", "w") as file:
        outside = [(str(tmp_path / "data"), 0, 3)]
        file.create_dataset("x", shape=(3,), dtype="u1", external=outside)
        file.create_dataset("rexec/mask", shape=(3,), dtype=bool, external=outside)
        file["y"] = [1.0, 2.0, 3.0]
        file["y"].attrs["rexec_beside"] = "rexec"
        found, masked = (StoredDataset(file, each, each, external=external) for each in "xy")
        assert (masked.mask is not None) == external
        if external:
            assert found[()].tolist() == [0, 1, 0]
            return
        with pytest.raises(
            ResultsError,
            match=r"dataset 'x' of .*r\.h5 has its data in another file, .*data; that is read only",
        ):
            found.value  # noqa: B018


def test_what_is_not_there_is_told_with_its_name(file: h5py.File) -> None:
    with pytest.raises(ResultsError, match=r"dataset 'key' of .* cannot be read: "):
        StoredDataset(file, "x", "key").value  # noqa: B018


@pytest.mark.parametrize(
    ("name", "key", "found"),
    [
        ("a", None, "a"),
        ("a/b", None, "a/b"),
        ("a (value)", None, "a (value)"),
        ("a (value)", pyon.encode("a//b"), "a//b"),
        ("a (value)'", pyon.encode("a"), "a"),
        ("a (value)", "no PYON", "a (value)"),
        ("a (value)", pyon.encode(5), "a (value)"),
        ("a", pyon.encode("b"), "a"),
    ],
)
def test_a_dataset_has_the_name_that_it_was_given(
    file: h5py.File, name: str, key: str | None, found: str
) -> None:
    file[f"datasets/{name}"] = 1
    if key is not None:
        file[f"datasets/{name}"].attrs["rexec_key"] = key
    below = stored_below(file, "datasets", external=False)
    assert {key: each.path for key, each in below.items()} == {found: f"datasets/{name}"}
    assert below[found].key == found
    assert stored_below(file, "archive", external=False) == {}
