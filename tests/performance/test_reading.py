"""What reading result files costs: calls for a dataset, bytes of a journal, numbers of a picture. Never a time."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from rexec.results import Run, _files, status
from rexec.results.journal import reader
from rexec.results.reading import pieces
from rexec.results.reading.stored import StoredDataset
from tests.performance.test_growth import calls, run, show_table

MOST_CALLS: Final = 180
"""To show one number; it took 357 when each of its properties was looked up anew."""


def test_a_number_in_a_table_costs_few_calls(tmp_path: Path) -> None:
    """It is opened once, and its attributes are looked up once: ten thousand datasets are shown in a second."""
    counts = []
    for size in (100, 101, 201):
        folder = tmp_path / str(size)
        folder.mkdir()
        counts.append(calls(show_table(size, folder)))
    assert counts[2] - counts[1] < 100 * MOST_CALLS, counts


def test_the_status_of_a_killed_run_reads_a_bounded_part_of_its_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def pread(descriptor: int, count: int, start: int) -> bytes:
        read.append(count)
        return _files.pread(descriptor, count, start)

    monkeypatch.setattr(reader, "pread", pread)
    monkeypatch.setattr(reader, "_BLOCK", 2000)
    monkeypatch.setattr(status, "_COUNTED", 4000)
    totals = []
    for size in (1000, 4000):
        writer, manager = run(tmp_path)
        manager.set("x", [])
        for number in range(size):
            manager.append_to("x", number * 0.5)
        writer.sync()
        read.clear()
        assert "records (" in str(status.status_of(writer.path))
        totals.append(sum(read))
        writer.discard()
    assert totals[0] == totals[1]


@pytest.mark.parametrize("shape", ["line", "table", "image", "counts"])
def test_a_picture_reads_what_it_draws_once_and_in_pieces(
    shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {
        "line": np.linspace(0, 1, 40_000),
        "table": np.linspace(0, 1, 48_000).reshape(6000, 8),
        "image": np.linspace(0, 1, 40_000).reshape(400, 100),
        "counts": np.arange(40_000) % 50,
    }
    writer, manager = run(tmp_path)
    manager.set("x", values[shape])
    manager.set("along", np.arange(6000))
    writer.close()
    read: list[int] = []
    numbers = StoredDataset.numbers

    def counted(stored: StoredDataset, index: Any) -> Any:
        found = numbers(stored, index)
        read.append(found.size)
        return found

    monkeypatch.setattr(StoredDataset, "numbers", counted)
    monkeypatch.setattr(pieces, "_PIECE", 4000)
    monkeypatch.setattr(pieces, "MOST_POINTS", 1000)
    monkeypatch.setattr(pieces, "_FEW_POINTS", 200)
    monkeypatch.setattr(pieces, "MOST_PIXELS", 100)
    with Run(writer.path) as opened:
        x = opened.datasets["x"]
        if shape == "table":
            pieces.lines_of(x, 8, opened.datasets["along"])
        elif shape == "line":
            pieces.lines_of(x)
        elif shape == "image":
            assert np.array_equal(pieces.picture_of(x)[0], values[shape][::4, ::4])
        else:
            found = pieces.counts_of(x, 1000)
            assert found is not None
            assert (found.counts == 800).all()
            assert found.falls
    assert max(read) <= 4000
    assert sum(read) <= values[shape].size + 6000
