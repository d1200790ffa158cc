"""How much room is kept on the disk before a value is written: at the most so much as it can take."""

import contextlib
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rexec.ground.plain import Converted, Unreadable
from rexec.results.hdf5 import reserve as module
from rexec.results.hdf5.reserve import upper_size


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (5, 4096),
        (None, 2 * 4096),
        ("é" * 10, 6 * 10 + 64),
        (b"a" * 10, 6 * 10 + 64),
        ([0.5] * 10, 2 * (4096 + 16 * 10)),
        ([1, 0.5] * 5, 2 * (4096 + 24 * 10)),
        (["a"] * 10, 2 * (4096 + 16 * 10 + 10 * 70)),
        (("a", 1), 2 * (4096 + 16 * 2 + 70 + 4096)),
        ({"ab": 1}, 2 * (4096 + 76 + 4096)),
        (np.zeros(10), 80 + 4096),
        (np.zeros(10, "S4"), 6 * 40 + 4096),
        (np.array(["a", 1], object), 4096 + 70 + 4096),
        (Unreadable("a" * 10, "x"), 2 * (6 * 10 + 4096)),
        (Converted("x", "ab", {"c": 1}), 2 * (8192 + 76 + 4096 + 70 + 4096)),
    ],
)
def test_the_room_for_a_value_is_that_of_its_parts(value: Any, size: int) -> None:
    assert upper_size(value) == size


@pytest.mark.parametrize("fails", [False, True])
def test_room_is_kept_without_leaving_the_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    kept: list[tuple[int, int]] = []

    def keep_space(descriptor: int, size: int) -> None:
        kept.append((descriptor, size))
        if fails:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "keep_space", keep_space)
    module.write_empty(tmp_path / "x.h5")
    with pytest.raises(OSError, match="No space") if fails else contextlib.nullcontext():
        module.reserve(tmp_path / "x.h5", 5000)
    ((descriptor, size),) = kept
    assert size == 5000
    with pytest.raises(OSError, match=r"Bad file descriptor|Invalid handle|handle is invalid"):
        os.fstat(descriptor)
    with h5py.File(tmp_path / "x.h5") as file:
        assert list(file) == []
