"""Every database of the corpus is left alone, and a sample of its mutants is found at the right line."""

from pathlib import Path

import pytest

from devicedb.check.config import Settings
from devicedb.check.engine import Subject, check_file
from devicedb.model.rule import Severity
from devicedb.rules.examples import write
from tests.campaigns.devicedb_mutants import GOAL, campaign
from tests.devicedb.mutants import CORPUS, mutants

DATABASES = sorted(CORPUS.glob("*.ddb"))


def test_the_corpus_is_large_enough() -> None:
    assert len(DATABASES) >= 30


@pytest.mark.parametrize("database", DATABASES, ids=lambda path: path.stem)
def test_a_working_database_is_left_alone(database: Path, tmp_path: Path) -> None:
    path = write(database.read_text(encoding="utf-8"), tmp_path)
    report = check_file(Subject(path, "device_db.py"), Settings(artiq_release="9"))
    assert not [each for each in report.findings if each.severity is not Severity.INFO]
    assert not report.notes


@pytest.mark.slow
def test_a_sample_of_mutants_is_found_at_the_right_line() -> None:
    total, missed = campaign(list(mutants())[::41])
    assert total.total() >= 70
    assert 1 - len(missed) / total.total() >= GOAL - 0.02, missed
