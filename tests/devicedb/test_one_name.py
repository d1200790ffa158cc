"""Windows: names that are one name there are refused before a file is written."""

import os
from pathlib import Path

import pytest

from devicedb.whole_file import write_all


@pytest.mark.skipif(os.name != "nt", reason="other file systems may keep names that differ in case")
def test_names_that_differ_only_in_case_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match="differs from it only in case"):
        write_all(tmp_path, {"CAM": b"1", "cam": b"2"})
    assert list(tmp_path.iterdir()) == []
