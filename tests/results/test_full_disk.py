"""A file that is shown holds what it says, wherever on the way to it the disk is full."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rexec.results.fold import RunState
from rexec.results.published import PublishedFile
from rexec.results.records import Kind, Record
from rexec.results.verify import verify, verify_against

resource = pytest.importorskip("resource", reason="the limit that stands for a full disk is one of POSIX")


def change(state: RunState, step: int) -> None:
    """Change a bit of everything."""
    random = np.random.default_rng(step)
    for key, value in {
        f"image{step % 3}": random.random((20 + step, 30)),
        f"group/{step}": step,
        f"text{step % 2}": "é" * (step * 50),
        f"odd{step}": {"a": [step, None]},
    }.items():
        state.apply(Record(Kind.SET, key, 1.0, value, {"unit": "V"}))
    for _ in range(700):
        state.apply(Record(Kind.APPEND, "rows", 1.0, float(random.random())))
    state.apply(Record(Kind.MUTATE, "rows", 1.0, [0.5] * 100, index=slice(300, 400)))


def test_wherever_the_disk_is_full_what_is_shown_is_whole(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    refused = 0
    for limit in range(6_000, 120_000, 6_100):
        state = RunState()
        state.apply(Record(Kind.IDENTITY, value={"rid": 1, "class_name": "A", "start_time": 1.0}))
        state.apply(Record(Kind.SET, "rows", 1.0, [], {}))
        path = tmp_path / f"{limit}.h5"
        file = PublishedFile(path, bytes(16))
        shown: dict[str, Any] = {}
        for step in range(8):
            change(state, step)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            try:
                file.update(state)
            except OSError:
                refused += 1
            else:
                verify_against(path, state)
                shown["file"] = path.read_bytes()
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            if shown:
                assert path.read_bytes() == shown["file"]
                assert verify(path) == []
        file.update(state)
        verify_against(path, state)
        assert file.problems == []
        file.clean()
    assert refused > 30
