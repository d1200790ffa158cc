"""Whether a file holds what was written, by its own checksums."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import h5py
import numpy as np
import pytest

from rexec.results import ResultsError, ResultsWriter, verify
from rexec.results.hdf5 import inside
from rexec.results.hdf5.inside import DEEPEST, outside
from rexec.results.reading import verifying
from rexec.results.reading.foreign import dataset_paths, external_links, is_too_deep
from rexec.results.reading.verifying import has_checksums
from schemas import RunIdentity


@pytest.fixture
def path(tmp_path: Path) -> Path:
    identity = RunIdentity(rid=1, class_name="A", start_time=1.0)
    with ResultsWriter.create(tmp_path / "r.h5", identity, refresh_interval=0) as writer:
        writer.set("x", np.arange(5.0), {})
        writer.set("y\n", 1, {})
    return tmp_path / "r.h5"


def of_another_content(file: h5py.File) -> None:
    file["datasets/x"][0] = 7.0


def elsewhere(file: h5py.File) -> None:
    file.create_dataset("datasets/z", (4,), "u1", external=[("other.bin", 0, 4)])


def vast(file: h5py.File) -> None:
    file.create_dataset("datasets/z", (10**9,), "f8", chunks=True)


def without_a_checksum(file: h5py.File) -> None:
    file["datasets/z"] = [1.0]


def too_deep(file: h5py.File) -> None:
    file.create_group("/".join("a" * (DEEPEST + 2)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (of_another_content, r"datasets/x has checksum [0-9a-f]{8}, written was [0-9a-f]{8}"),
        (elsewhere, r"datasets/z has its data in another file, other\.bin, which is not looked at"),
        (vast, r"datasets/z declares 8000000000 bytes, more than a file of this size holds; it is not read"),
        (too_deep, "groups are nested deeper than 100 levels: not all of it was read"),
        (without_a_checksum, None),
    ],
)
def test_each_thing_that_is_wrong_is_said(
    path: Path, change: Callable[[h5py.File], None], said: str | None
) -> None:
    assert verify(path) == []
    with h5py.File(path, "r+") as file:
        change(file)
    found = verify(path)
    assert len(found) == (said is not None)
    if said is not None:
        with pytest.raises(ResultsError, match=f"^{said}$"):
            raise ResultsError(found[0])


def test_a_file_may_be_so_much_smaller_than_its_content(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 10 * path.stat().st_size
    with h5py.File(path, "r+") as file:
        file.create_dataset("datasets/z", (size,), "u1", chunks=(size,))
    real = path.stat().st_size
    for declared, count in ((size, 0), (size - 1, 1)):
        monkeypatch.setattr(verifying, "_MOST_COMPRESSED", Fraction(declared, real))
        assert len(verify(path)) == count


@pytest.mark.parametrize("mark", [b"TREE", b"SNOD", b"HEAP"])
def test_a_file_whose_groups_are_damaged_is_refused(path: Path, mark: bytes) -> None:
    content = path.read_bytes()
    assert mark in content
    path.write_bytes(content.replace(mark, b"\0\0\0\0"))
    with pytest.raises(ResultsError, match=r"^the list of objects of .*r\.h5 cannot be read: "):
        verify(path)


def test_files_of_artiq_have_no_checksums(path: Path, tmp_path: Path) -> None:
    assert has_checksums(path) is True
    with h5py.File(tmp_path / "artiq.h5", "w") as file:
        file["rexec"] = 1  # no group
    assert has_checksums(tmp_path / "artiq.h5") is False


@pytest.mark.parametrize(
    ("levels", "is_found", "is_deep"),
    [(DEEPEST, True, False), (DEEPEST + 1, True, True), (DEEPEST + 2, False, True)],
)
def test_datasets_are_looked_for_to_a_depth(
    tmp_path: Path, levels: int, is_found: bool, is_deep: bool
) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        group = file.create_group("a")
        name = "/".join("b" * levels)
        group[name] = 1
        link = f"{name[:-1]}a"
        group["a"] = group[link] = h5py.ExternalLink("other.h5", "/there")
        assert (name in dataset_paths(group)) == is_found
        assert is_too_deep(group) == is_deep
        assert external_links(group) == dict.fromkeys(["a", link] if is_found else ["a"], "other.h5:/there")


def virtual(file: h5py.File, name: str, *sources: tuple[str, str]) -> h5py.Dataset:
    """Make a dataset of two numbers of each source: a file, and a name in it."""
    layout = h5py.VirtualLayout((2 * len(sources),), "f8")
    for number, (other, path) in enumerate(sources):
        layout[2 * number : 2 * number + 2] = h5py.VirtualSource(other, path, (2,))
    return file.create_virtual_dataset(name, layout)


def test_what_a_virtual_dataset_is_made_of_is_followed_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["plain"] = [1.0, 2.0]
        file["link"] = h5py.ExternalLink("other.h5", "/there")
        virtual(file, "out", ("other.h5", "x"))
        cases = {
            "self": ([(".", "self")], None),
            "to and fro": ([(".", "back"), (".", "plain")], None),
            "back": ([(".", "to and fro")], None),
            "two": ([(".", "plain"), (".", "plain")], None),
            "part": ([(".", "plain"), (".", "out")], "other.h5"),
            "by link": ([(".", "link")], "which link leads to"),
        }
        for name, (sources, _) in cases.items():
            virtual(file, name, *sources)
        assert {name: outside(file[name]) for name in cases} == {
            name: end for name, (_, end) in cases.items()
        }
        monkeypatch.setattr(inside, "_MOST_SOURCES", 1)
        assert outside(file["two"]) is None
        assert outside(file["to and fro"]) == "more than can be told"
