"""The output of each controller is in a file of its own."""

import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rexec.cli._up_logs import log_files

NAMES = ["cam", "cam.b", "cam.b.c", "a/b", "a b", "a-b", "Cam", "..", "con", "a\nb"]

WINDOWS_KEEPS_IT = pytest.mark.skipif(os.name == "nt", reason="Windows removes no open file")


@contextmanager
def logged(folder: Path, names: Iterable[str]) -> Iterator[None]:
    """Keep files meanwhile, and leave no handler behind."""
    log_files(folder, names)
    try:
        yield
    finally:
        for name in names:
            log = logging.getLogger(f"controller.{name}")
            for handler in list(log.handlers):
                log.removeHandler(handler)
                handler.close()
        logging.getLogger("controller").setLevel(logging.NOTSET)


def lines(folder: Path) -> list[list[str]]:
    return sorted(path.read_text(encoding="utf-8").splitlines() for path in folder.iterdir())


def test_no_controllers_output_is_in_the_file_of_another(tmp_path: Path) -> None:
    with logged(tmp_path / "logs", NAMES):
        log_files(tmp_path / "logs", NAMES)
        for number, name in enumerate(NAMES):
            logging.getLogger(f"controller.{name}").info("line of %d", number)
    found = [[line.partition(" INFO ")[2] for line in each] for each in lines(tmp_path / "logs")]
    assert sorted(found) == sorted([f"line of {number}"] for number in range(len(NAMES)))


@given(names=st.sets(st.text(max_size=4), min_size=2, max_size=5))
def test_any_names_have_files_of_their_own(tmp_path_factory: pytest.TempPathFactory, names: set[str]) -> None:
    folder = tmp_path_factory.mktemp("logs")
    with logged(folder, names):
        assert len({path.name.lower() for path in folder.iterdir()}) == len(names)


def _said(name: str, text: str) -> None:
    logging.getLogger(f"controller.{name}").info("%s", text)


@WINDOWS_KEEPS_IT
def test_a_log_whose_folder_was_removed_is_made_anew(tmp_path: Path) -> None:
    with logged(tmp_path / "logs", ["anew"]):
        _said("anew", "one")
        shutil.rmtree(tmp_path / "logs")
        _said("anew", "two\nthree\x1b[31m")
        text = (tmp_path / "logs" / "anew.log").read_text()
    assert text.endswith(" INFO two\n    three\\x1b[31m\n")
    assert "one" not in text


@WINDOWS_KEEPS_IT
def test_a_log_that_cannot_be_written_is_said_once_and_what_was_lost_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with logged(tmp_path / "logs", ["full"]):
        shutil.rmtree(tmp_path / "logs")
        (tmp_path / "logs").write_text("a file in the place of the folder")
        for _ in range(3):
            _said("full", "lost")
        assert caplog.text.count("full.log cannot be written: File exists") == 1
        (tmp_path / "logs").unlink()
        _said("full", "kept")
        assert "full.log is written again; 3 records were lost" in caplog.text
        assert (tmp_path / "logs" / "full.log").read_text().endswith(" INFO kept\n")
