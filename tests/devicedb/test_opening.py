"""Files that are read while others rename and remove them, and whose bytes stay as they are."""

import ast
import os
from pathlib import Path

import pytest

from devicedb.opening import open_bytes, open_to_read, why_not_opened
from devicedb.whole_file import write_whole
from tests.private_files import is_for_its_owner

ROOT = Path(__file__).parents[2]


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


@pytest.mark.parametrize("last", [b"\x1a", b"\n", b"\r"])
def test_a_file_that_is_opened_to_read_and_write_keeps_each_byte(tmp_path: Path, last: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"a\r\nb" + last)
    descriptor = open_bytes(path, os.O_RDWR | os.O_APPEND)
    try:
        assert os.read(descriptor, 100) == b"a\r\nb" + last
        os.write(descriptor, b"\n\x1a")
    finally:
        os.close(descriptor)
    assert path.read_bytes() == b"a\r\nb" + last + b"\n\x1a"


def is_os_open(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "open" and ast.unparse(node.value) == "os"


def test_only_one_function_opens_descriptors() -> None:
    """`os.open` takes a file for text on Windows."""
    found = []
    for path in (each for name in ("schemas", "devicedb", "rexec") for each in (ROOT / name).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and is_os_open(node.func):
                if ast.unparse(node.args[0]) not in {"os.devnull", "'/dev/tty'"}:
                    found.append(path.relative_to(ROOT).as_posix())
    assert set(found) == {"devicedb/opening.py"}


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


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
@pytest.mark.parametrize("name", ["open_bytes", "write_whole"])
def test_a_private_file_is_for_its_owner(tmp_path: Path, name: str, mode: int) -> None:
    path = tmp_path / "key"
    if name == "open_bytes":
        os.close(open_bytes(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    else:
        write_whole(path, b"x", mode)
    assert is_for_its_owner(path)
    write_whole(tmp_path / "common", b"x", 0o644)
    assert not is_for_its_owner(tmp_path / "common")


def test_a_private_file_that_is_there_is_opened_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"kept")
    file = open_bytes(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        assert os.read(file, 10) == b"kept"
    finally:
        os.close(file)
    with pytest.raises(FileExistsError) as caught:
        open_bytes(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    assert caught.value.filename is not None
    with pytest.raises(FileNotFoundError):
        open_bytes(tmp_path / "none" / "key", os.O_RDWR | os.O_CREAT, 0o600)


def test_a_name_with_a_null_character_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="null"):
        open_bytes(tmp_path / "a\0b", os.O_WRONLY | os.O_CREAT, 0o600)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "nt", reason="names that Windows refuses")
@pytest.mark.parametrize("name", ["audit:1.jsonl", "token.", "aux.lock"])
def test_a_name_that_windows_refuses_is_not_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError, match=r"streams of such names, .* name another"):
        os.close(open_bytes(tmp_path / name, os.O_WRONLY | os.O_CREAT))
    assert not list(tmp_path.iterdir())
