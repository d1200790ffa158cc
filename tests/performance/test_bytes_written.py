"""What is written grows with what is new: bytes passed to write(2), counted at n and 4 n. Never a time."""

import sys
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from rexec.datasets import DatasetDB, DatasetManager
from rexec.results import ResultsWriter, journal_path
from schemas import RunIdentity

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the system does not count what a process passes to write calls"
)

MOST: Final = 6
"""Times the bytes at n that those at 4 n may be: between linear and quadratic."""


def test_bytes_of_an_append_to_a_persistent_list_are_those_of_the_append(tmp_path: Path) -> None:
    written = []
    for size in (2000, 8000):
        with DatasetDB(tmp_path / f"{size}.mdb") as db:
            db.set("x", [0.5] * size, persist=True)
            before = bytes_written()
            for number in range(20):
                db.update({"action": "append", "path": ["x", 1], "x": number * 0.5})
            written.append((bytes_written() - before) // 20)
    assert written[0] == written[1] < 100, written


def test_bytes_of_many_appends_to_a_persistent_list_are_linear(tmp_path: Path) -> None:
    written = []
    for size in (2000, 8000):
        with DatasetDB(tmp_path / f"{size}.mdb") as db:
            db.set("x", [0.5] * 500, persist=True)
            before = bytes_written()
            for number in range(size):
                db.update({"action": "append", "path": ["x", 1], "x": number * 0.5})
        written.append(bytes_written() - before)
    assert written[1] < MOST * written[0], written


def bytes_written() -> int:
    """Return the bytes that this thread has passed to write(2) and its kin; others may write meanwhile, too."""
    lines = Path("/proc/thread-self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["wchar"])


def test_the_journal_of_a_live_image_does_not_grow(tmp_path: Path) -> None:
    image, sizes = np.zeros((100, 100)), []
    writer = ResultsWriter.create(
        tmp_path / "r.h5", RunIdentity(rid=1, class_name="A", start_time=0.0), refresh_interval=0
    )
    manager = DatasetManager(DatasetDB(), sink=writer)
    for number in range(1, 201):
        manager.set("image", image + number)
        if number in (50, 200):
            sizes.append(journal_path(writer.path).stat().st_size)
    writer.discard()
    assert sizes[1] < sizes[0] + 4 * image.nbytes, sizes
