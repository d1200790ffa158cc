"""Files that are read while others rename and remove them."""

import os
from pathlib import Path

import pytest

from devicedb.opening import open_to_read, why_not_opened


def test_a_file_that_is_read_can_be_renamed_and_removed(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"one\r\ntwo\x1a")
    with open(old, "rb", opener=open_to_read) as file:
        assert file.read(3) == b"one"
        old.rename(new)
        with new.open("ab") as more:
            more.write(b"three")
        new.unlink()
        assert file.read() == b"\r\ntwo\x1athree"
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as found:
        open_to_read(tmp_path / "absent")
    assert os.fspath(found.value.filename) == os.fspath(tmp_path / "absent")
    if os.name == "nt":
        with pytest.raises(IsADirectoryError):  # elsewhere, its reading fails
            open_to_read(tmp_path)


def test_a_folder_that_is_refused_is_called_one(tmp_path: Path) -> None:
    refused = PermissionError(13, "Permission denied", str(tmp_path))  # as on Windows
    assert why_not_opened(refused) == "Is a directory"
    assert (
        why_not_opened(PermissionError(13, "Permission denied", str(tmp_path / "x"))) == "Permission denied"
    )
