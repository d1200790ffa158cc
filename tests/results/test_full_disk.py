"""A file that is shown holds what it says, wherever on the way to it the disk is full."""

from pathlib import Path

import numpy as np
import pytest

from rexec.results.errors import ResultsError
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.records import Kind, Record
from rexec.results.journal.writer import Journal
from rexec.results.keeper import Keeper
from rexec.results.reading.verifying import verify
from rexec.results.verified import verify_against

resource = pytest.importorskip("resource", reason="the limit that stands for a full disk is one of POSIX")


def change(journal: Journal, step: int) -> None:
    """Change a bit of everything."""
    random = np.random.default_rng(step)
    for key, value in {
        f"image{step % 3}": random.random((20 + step, 30)),
        f"group/{step}": step,
        f"text{step % 2}": "é" * (step * 50),
        f"odd{step}": {"a": [step, None]},
    }.items():
        journal.put(Record(Kind.SET, key, 1.0, value, {"unit": "V"}))
    for _ in range(700):
        journal.append("rows", float(random.random()))
    journal.put(Record(Kind.MUTATE, "rows", 1.0, [0.5] * 100, index=slice(300, 400)))


def test_wherever_the_disk_is_full_what_is_shown_is_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", sync_interval=0)
    journal.put(Record(Kind.IDENTITY, value={"rid": 1, "class_name": "A", "start_time": 1.0}))
    journal.put(Record(Kind.SET, "rows", 1.0, [], {}))
    sizes = []
    for step in range(8):
        change(journal, step)
        sizes.append(journal.size)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    refused = 0
    for limit in range(6_000, 120_000, 12_300):
        path = tmp_path / f"{limit}.h5"
        keeper = Keeper(JournalReader(journal.path), path)
        shown = b""
        for size in sizes:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            try:
                keeper.bring_up_to(size)
            except ResultsError:
                refused += 1
            else:
                verify_against(path, keeper.state)
                shown = path.read_bytes()
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            if shown:
                assert path.read_bytes() == shown
                assert verify(path) == []
        keeper.finish(None, {"status": "completed"})
        assert keeper.problems == []
        keeper.close()
    journal.close()
    assert refused > 15
