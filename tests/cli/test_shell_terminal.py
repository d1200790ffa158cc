"""`rexec shell` at a terminal, typed at as a person would: history, completion, lines that go on, Ctrl-C, Ctrl-D."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.terminal import Terminal, terminal
from tests.serving import serving

if sys.platform == "win32":
    pytest.skip("Windows has no pseudo-terminal of this kind", allow_module_level=True)

PROMPT = "camera>"


class Camera:
    """A camera."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.release = threading.Event()

    def ping(self) -> bool:
        return True

    def frame(self, size: int = 4, *, kind: str = "int64") -> np.ndarray:
        """Return a frame that counts."""
        return np.arange(size, dtype=kind)

    def total(self, values: Any, note: str = "") -> str:
        return f"{note}{np.sum(values)}"

    def fail(self) -> None:
        raise ValueError("no light")

    def wait(self) -> str:
        """Return when the test says so."""
        self.begun.set()
        self.release.wait(150)
        return "released"


class Wheel:
    def position(self) -> int:
        return 3


@pytest.fixture
def camera() -> Iterator[Camera]:
    made = Camera()
    yield made
    made.release.set()


@pytest.fixture
def port(camera: Camera) -> Iterator[int]:
    with serving({"camera": camera, "wheel": Wheel()}) as port:
        yield port


def shell(port: int, home: Path) -> Any:
    words = [sys.executable, "-m", "rexec", "shell", "127.0.0.1", str(port), "-t", "camera"]
    return terminal(*words, environment={"XDG_STATE_HOME": str(home)})


def answer(at: Terminal, keys: str, pattern: str) -> None:
    """Type a line and wait for what comes of it, and for the next prompt."""
    at.type(f"{keys}\r")
    at.expect(pattern)
    at.expect(PROMPT)


def test_a_session_with_a_camera(port: int, camera: Camera, tmp_path: Path) -> None:
    with shell(port, tmp_path) as at:
        at.expect(rf"127\.0\.0\.1:{port}, target camera: \d+ methods; \? lists them")
        at.expect(PROMPT)
        answer(
            at,
            "?",
            r"A camera\.\n(.*\n)*frame\(size: int = 4, \*, kind: str = 'int64'\) -> ndarray\n    Return a",
        )
        answer(at, "frame?", r"\nReturn a frame that counts\.")
        answer(at, "total([1.5, 2], note='sum = ')", r"'sum = 3\.5'\n")
        answer(at, 'total(array([[1, 2], [3, 4]], "uint16"))', r"'10'\n")
        # completion: of a method, of its parameters
        answer(at, "pi\t()", r"\nTrue\n")
        answer(at, "fram\t(s\t3, ki\t'float32')", r"array\(\[0\., 1\., 2\.\], dtype=float32\)")
        # a call goes on until its brackets are closed
        at.type("total([1,\r")
        at.expect(r"\n\.\.\.")
        answer(at, "2])", r"\n'3'\n")
        # what is wrong is one line, and the session goes on
        answer(at, "fail()", r"\nValueError: no light\n")
        answer(at, "fram()", r"has no method 'fram'\. Did you mean 'frame'\?\n")
        answer(at, "total(fast)", r"error: 'fast' is not a value .*\n?.*text is typed\s+\"fast\"")
        answer(at, "frame", r"error: to call it, type frame\(\); for its documentation, frame\?")
        # Ctrl-C drops a line
        at.type("total(12")
        at.expect("total")
        at.type("\x03")
        at.expect(PROMPT)
        # Ctrl-C gives up waiting, and the connection is made anew
        at.type("wait()\r")
        assert camera.begun.wait(150)
        at.type("\x03")
        at.expect("interrupted: the answer is dropped")
        at.expect(PROMPT)
        camera.release.set()
        answer(at, "ping()", r"\nTrue\n")
        # another target
        answer(at, "use", r"\* camera\n  wheel\n")
        at.type("use wh\t\r")
        at.expect(r"wheel: \d+ methods\n")
        at.expect("wheel>")
        at.type("pos\t()\r")
        at.expect(r"\n3\n")
        at.expect("wheel>")
        at.type("\x04")
        assert at.end() == 0


def test_what_was_typed_is_there_in_the_next_session(port: int, tmp_path: Path) -> None:
    with shell(port, tmp_path) as at:
        at.expect(PROMPT)
        answer(at, "total([4, 5])", r"'9'\n")
        at.type("quit\r")
        assert at.end() == 0
    kept = tmp_path / "artiq-rexec" / "shell_history"
    assert "total([4, 5])" in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0
    with shell(port, tmp_path) as at:
        at.expect(PROMPT)
        at.type("\x1b[A\x1b[A")  # quit, and the line before it
        answer(at, "", r"'9'\n")
        at.type("\x04")
        assert at.end() == 0


def test_a_history_that_cannot_be_kept_is_said(port: int, tmp_path: Path) -> None:
    (tmp_path / "artiq-rexec").write_text("a file in the place of the folder")
    with shell(port, tmp_path) as at:
        at.expect("the history is not saved: ")
        at.expect(PROMPT)
        answer(at, "ping()", r"\nTrue\n")
        at.type("\x04")
        assert at.end() == 0
