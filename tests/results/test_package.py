"""The package: its public names, and what its small functions do at their edges."""

import errno
import importlib
import os
from pathlib import Path

import numpy as np
import pytest

from rexec import results
from rexec.results.errors import reason
from rexec.results.journal import _file
from rexec.results.journal._decode import decode
from rexec.results.journal._encode import encode
from rexec.results.reading import stored
from rexec.results.reading.shown import corners
from schemas import RunIdentity
from tests.immutable import changeable


def test_every_public_name_is_where_it_is_made() -> None:
    assert set(results.__all__) == set(results._HOME_OF) <= set(dir(results))
    for name, home in results._HOME_OF.items():
        assert getattr(results, name) is getattr(importlib.import_module(home), name)
    assert dir(results) == sorted(dir(results))
    with pytest.raises(AttributeError, match=r"'rexec.results' has no attribute 'no_such_name'"):
        _ = results.no_such_name


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "(the text of a library)"), os.strerror(errno.ENOSPC)),
        (OSError("Unable to open\n  the file"), "Unable to open the file"),
    ],
)
def test_the_reason_of_an_error_is_the_systems_or_one_line(error: OSError, said: str) -> None:
    assert reason(error) == said


def test_what_is_read_and_reported_does_not_change() -> None:
    assert changeable("rexec.results") == {"Item", "RunState", "Written"}


@pytest.mark.parametrize("value", [[1.5, "a"], {"a": 1.5, "b": 2}])
def test_more_items_than_can_be_there_are_refused_before_room_is_made_for_them(value: object) -> None:
    data = bytearray(encode(value))
    assert int.from_bytes(data[1:9], "little") == 2
    data[1:9] = len(data).to_bytes(8, "little")
    with pytest.raises(ValueError, match=r"\d+ items cannot fit into \d+ bytes"):
        decode(bytes(data))


def test_ctrl_c_while_a_journal_is_copied_leaves_nothing_and_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    old = os.open(tmp_path, os.O_RDONLY) if os.name != "nt" else os.open(__file__, os.O_RDONLY)
    monkeypatch.setattr(_file, "sync_descriptor", interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            _file.copied(old, 0, tmp_path / "j", b"x" * 16)
    finally:
        os.close(old)
    assert list(tmp_path.iterdir()) == []


def test_the_ends_of_a_row_are_all_of_it_where_that_is_short() -> None:
    for length in range(20):
        row = np.arange(length)
        found = corners(row, row.shape).tolist()
        assert found == ([*range(length)] if length < 8 else [0, 1, 2, 3, length - 3, length - 2, length - 1])


def test_what_cannot_be_read_of_a_dataset_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("a page is damaged")

    identity = RunIdentity(rid=1, class_name="A", start_time=1.0)
    with results.ResultsWriter.create(tmp_path / "r.h5", identity, refresh_interval=0) as writer:
        writer.set("x", np.arange(5.0), {})
    with results.open(tmp_path / "r.h5") as run:
        dataset = run.datasets["x"]
        monkeypatch.setattr(stored, "value_of", fail)
        with pytest.raises(results.ResultsError, match=r"dataset 'x' of .*a page is damaged"):
            _ = dataset.value
