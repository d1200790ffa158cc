"""What programs read is the same on all systems, whatever the encoding and the line ends of standard output."""

import os
import subprocess
import sys
import xml.dom.minidom
from collections.abc import Callable
from pathlib import Path

import pytest

DATABASE = """device_db = {
    "größe": {"type": "controller", "host": "::1", "port": 3300, "target_name": "µ", "command": "x -p {port}"},
    "zwei ä": {"type": "dummy"},
}
"""
PROGRAM = '"""Größe"""\r\nfrom sipyco.pc_rpc import Client\r\n\x0c\r\nname = "µ"'


def compiled(text: str) -> None:
    compile(text, "stubs", "exec")


def is_read(text: str) -> None:
    assert "größe" in text


@pytest.mark.parametrize(
    ("words", "status", "read"),
    [
        ("devicedb check --format junit", 0, xml.dom.minidom.parseString),
        ("devicedb check --format github", 0, None),
        ("devicedb stubs", 0, compiled),
        ("devicedb graph", 0, is_read),
        ("devicedb graph --format dot", 0, is_read),
        ("rexec doctor --format junit --timeout 0.5", 1, xml.dom.minidom.parseString),
    ],
)
def test_a_document_is_utf8(
    tmp_path: Path, words: str, status: int, read: Callable[[str], object] | None
) -> None:
    (tmp_path / "device_db.py").write_text(DATABASE, encoding="utf-8")
    text = output(tmp_path, words, status).decode("utf-8")
    assert "ä" in text or "größe" in text
    if read is not None:
        read(text)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_difference_has_the_bytes_of_the_file(tmp_path: Path, ending: str) -> None:
    program = PROGRAM.replace("\r\n", ending)
    (tmp_path / "program.py").write_bytes(program.encode())
    lines = output(tmp_path, "rexec port program.py", 0).split(b"\n")
    assert lines[:2] == [b"--- program.py", b"+++ program.py"]
    carriage = ending.encode().removesuffix(b"\n")
    assert b"-from sipyco.pc_rpc import Client" + carriage in lines
    assert b"+from rexec.wire.pc_rpc import Client" + carriage in lines
    assert b" \x0c" + carriage in lines
    assert lines[-3:] == [' name = "µ"'.encode(), b"\\ No newline at end of file", b""]


def output(folder: Path, words: str, status: int) -> bytes:
    """Return what a command prints where standard output has a code page."""
    env = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-P", "-m", *words.split()],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == status, done
    return done.stdout
