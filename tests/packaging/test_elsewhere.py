"""Windows and macOS: nothing that only POSIX has is needed to import the project, or to read a journal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rexec.results.journal.reader import JournalReader
from rexec.results.journal.writer import Journal

ROOT = Path(__file__).resolve().parents[2]


def test_every_module_is_imported_without_what_only_posix_has() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.packaging.elsewhere"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 200


def test_a_journal_is_written_and_read_without_positioned_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pread", "writev"):
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr("rexec.results.journal._record_file._WRITEV", False)
    journal = Journal(tmp_path / "journal", sync_interval=0)
    for value in (1, b"x" * 5_000_000, "end"):
        journal.append("x", value)
    journal.close()
    with JournalReader(tmp_path / "journal") as reader:
        assert [record.value for record in reader.records()] == [1, b"x" * 5_000_000, "end"]
        assert reader.damage is None
