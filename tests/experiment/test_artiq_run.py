"""A sample of the campaign tests/campaigns/artiq_run.py: what ARTIQ did is recorded, ours runs in this process."""

import json
import logging
import re
from pathlib import Path

import pytest

from tests.campaigns.artiq_cases import CASES
from tests.campaigns.artiq_run import RECORDED, ROOT, compare


def test_every_recorded_case_of_artiq_runs_alike_here(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert recorded.keys() == {case.name for case in CASES}
    assert compare(recorded, tmp_path, always_whole=False) == {}


def test_every_difference_is_documented() -> None:
    page = (ROOT / "docs" / "explanation" / "differences-from-artiq.md").read_text(encoding="utf-8")
    assert not {case.differs for case in CASES if case.differs not in page}
    said = re.search(r"in (\d+) cases", page)
    assert said is not None
    assert int(said[1]) == len(CASES)
