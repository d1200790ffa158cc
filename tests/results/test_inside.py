"""What lies in a file itself: soft links inside it are followed, and what leads out of it is told."""

import io
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import pytest

from rexec.results.hdf5.inside import member, outside


@pytest.fixture
def file() -> Iterator[h5py.File]:
    with h5py.File(io.BytesIO(), "w") as file:
        file["g/x"] = 5
        for name, path in {
            "absolute": "/g/x",
            "relative": "x",
            "folder": "/g",
            "itself": "/g/itself",
            "gone": "/g/nothing",
        }.items():
            file[f"g/{name}"] = h5py.SoftLink(path)
        file["g/elsewhere"] = h5py.ExternalLink("other.h5", "/x")
        yield file


@pytest.mark.parametrize(
    ("path", "kind", "found"),
    [
        ("g", h5py.Group, "/g"),
        ("g/x", h5py.Dataset, "/g/x"),
        ("g/absolute", h5py.Dataset, "/g/x"),
        ("g/relative", h5py.Dataset, "/g/x"),
        ("g/folder", h5py.Group, "/g"),
        ("g/folder/absolute", h5py.Dataset, "/g/x"),
        ("g/x", h5py.Group, None),
        ("g", h5py.Dataset, None),
        ("g/x/y", h5py.Dataset, None),
        ("g/itself", h5py.Dataset, None),
        ("g/gone", h5py.Dataset, None),
        ("g/elsewhere", h5py.Dataset, None),
        ("nothing", h5py.Dataset, None),
    ],
)
def test_what_is_at_a_path_of_a_file(file: h5py.File, path: str, kind: type[Any], found: str | None) -> None:
    node = member(file, path, kind)
    assert (None if node is None else node.name) == found


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("parts", "found"),
    [
        (["plain", "chunked"], None),
        (["plain", "other.h5"], "other.h5"),
        (["chunked", "other.h5"], "other.h5"),
        (["plain", "external"], "elsewhere.bin"),
        (["chunked", "external"], "elsewhere.bin"),
        (["plain", "virtual"], "other.h5"),
        (["plain", "itself"], None),
        (["plain", "elsewhere"], "which /elsewhere leads to"),
    ],
)
def test_a_dataset_of_parts_may_lead_out_by_any_of_them(
    file: h5py.File, parts: list[str], found: str | None, order: int
) -> None:
    file["plain"] = np.zeros(4)
    file.create_dataset("chunked", data=np.zeros(4), chunks=(2,))
    file.create_dataset("external", shape=(4,), dtype="f8", external=[("elsewhere.bin", 0, 32)])
    file["elsewhere"] = h5py.ExternalLink("other.h5", "/x")

    def virtual(name: str, sources: list[str]) -> h5py.Dataset:
        layout = h5py.VirtualLayout((len(sources), 4), "f8")
        for number, source in enumerate(sources):
            where = source if source == "other.h5" else "."
            layout[number] = h5py.VirtualSource(where, "/x" if where != "." else f"/{source}", (4,))
        return file.create_virtual_dataset(name, layout)

    if "virtual" in parts:
        virtual("virtual", ["plain", "other.h5"])
    assert outside(virtual("itself", parts[::order])) == found
    assert outside(file["plain"]) is None
