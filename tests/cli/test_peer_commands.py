"""`rexec call`, `shell`, `targets`, `methods`: run as a person would, against a server of ours."""

import io
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from rexec.cli.main import main
from rexec.remote_exec import rexec_targets
from tests.serving import free_port, serving


class Camera:
    """A camera."""

    def ping(self) -> bool:
        """Answer."""
        return True

    def frame(self, n: int = 4, dtype: str = "int64") -> np.ndarray:
        """Return a frame.

        It counts.
        """
        return np.arange(n, dtype=dtype)

    def total(self, frame: np.ndarray) -> float:
        return float(np.sum(frame))

    def negated(self, value: complex) -> complex:
        return -value

    def fail(self) -> None:
        raise ValueError("no light")


@contextmanager
def closing_after(answer: bytes) -> Iterator[int]:
    """Serve one client: read a line, answer, close; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as lines:
                lines.readline()
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(150)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(rexec_targets("camera", Camera()), description="a camera") as port:
        yield port


@pytest.fixture
def laboratory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: int) -> Path:
    entry = {"type": "controller", "host": "127.0.0.1", "port": port, "target_name": "camera"}
    path = tmp_path / "device_db.py"
    path.write_text(f"device_db = {{'camera': {entry!r}, 'cam': 'camera'}}")
    monkeypatch.chdir(tmp_path)
    return path


def run(*words: str | int) -> int:
    return main([str(word) for word in words])


def test_targets_are_listed(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("targets", "127.0.0.1", port) == 0
    assert capsys.readouterr().out == f"127.0.0.1:{port}: a camera\n  camera\n  camera_rexec\n"


def test_methods_are_shown_with_signatures_and_documentation(
    port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("methods", "127.0.0.1", port, "-t", "camera") == 0
    out = capsys.readouterr().out
    assert out.startswith("A camera.\n\nfail()")
    assert (
        "frame(n: int = 4, dtype: str = 'int64') -> ndarray\n    Return a frame.\n\n    It counts.\n" in out
    )


@pytest.mark.usefixtures("laboratory")
def test_a_device_is_called_by_its_alias(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("call", "cam", "frame", "3", 'dtype="float32"') == 0
    assert capsys.readouterr().out == "array([0., 1., 2.], dtype=float32)\n"


@pytest.mark.usefixtures("laboratory")
def test_an_array_is_an_argument(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("frame.npy", np.arange(5))
    assert run("call", "cam", "total", "@frame.npy") == 0
    assert run("call", "cam", "total", "array([1.5, 2])") == 0
    assert capsys.readouterr().out == "10.0\n3.5\n"


@pytest.mark.parametrize(
    ("word", "printed"),
    [
        ("-5", "5"),
        ("-1e6", "1000000.0"),
        ("-.5", "0.5"),
        ("-inf", "inf"),
        ("-1-2j", "(1+2j)"),
        ("value=-2", "2"),
    ],
)
@pytest.mark.usefixtures("laboratory")
def test_a_value_below_zero_is_no_option(word: str, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("call", "cam", "negated", word, "--timeout", "20") == 0
    assert capsys.readouterr().out == f"{printed}\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["127.0.0.1"], "host 127.0.0.1 must be followed by its port, 1 to 65535"),
        (["127.0.0.1", "32x", "ping"], "host 127.0.0.1 must be followed by its port, 1 to 65535, not '32x'"),
        (["127.0.0.1", "-5", "ping"], "host 127.0.0.1 must be followed by its port, 1 to 65535, not '-5'"),
        (["localhost", "ping"], "host localhost must be followed by its port"),
        (["cam", "ping", "--timeout", "-3"], "'-3' is no number above 0"),
        (["cam", "ping", "--timeout", "0"], "'0' is no number above 0"),
        (["cam", "ping", "--timeout", "nan"], "'nan' is no number above 0"),
        (["cam", "ping", "--time", "x"], "'x' is no number above 0"),
        (["cam", "ping", "--ssl", "a", "b", "c"], "TLS file a does not exist"),
        (["cam", "ping", "--devicedb", "x"], "Did you mean '--device-db'?"),
        (["cam", "ping", "--device-db", "absent.py"], "absent.py: there is no such file"),
        (["cam", "ping", "--device-db", "."], "cannot be read: Is a directory"),
        ([], "the following arguments are required: HOST PORT | NAME"),
    ],
)
@pytest.mark.usefixtures("laboratory")
def test_a_wrong_command_line_is_one_line(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("call", *words) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.err.startswith("rexec call: error: ")
    assert (captured.out, captured.err.count("\n")) == ("", 1)


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["fail"], 1, "ValueError: no light"),
        (["fram"], 1, "Did you mean 'frame'?"),
        (["frame", "abc"], 2, "text is typed \"'abc'\""),
        (["frame", "3", "dtype=f4"], 2, "text is typed \"'f4'\""),
        (["frame", "n=1", "n=2"], 2, "n is given twice"),
        ([], 2, "which method"),
        (["ping", "--target", "kamera"], 2, "Did you mean 'camera'?"),
    ],
)
@pytest.mark.usefixtures("laboratory")
def test_a_call_that_cannot_be_made_is_one_line(
    words: list[str], status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("call", "camera", *words) == status
    captured = capsys.readouterr()
    assert says in captured.err.splitlines()[-1]
    assert captured.out == ""


@pytest.mark.usefixtures("laboratory")
def test_an_unknown_device_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("call", "camra", "ping") == 2
    assert "'camera'" in capsys.readouterr().err


def test_a_port_out_of_range_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("targets", "127.0.0.1", 70000) == 2
    assert "65535" in capsys.readouterr().err


def test_nobody_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    free = free_port()
    assert run("call", "127.0.0.1", free, "ping") == 2
    assert f"127.0.0.1:{free}" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["call", "targets", "methods", "shell"])
@pytest.mark.parametrize(
    ("says", "words"),
    [
        (b"<!DOCTYPE HTML>\n", "is no pc_rpc server: it says b'<!DOCTYPE HTML>"),
        (b"", "It may be a port of another protocol, want TLS, or not know our certificate"),
    ],
)
def test_a_server_of_another_protocol_is_one_line(
    says: bytes, words: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing_after(says) as port:
        assert run(command, "127.0.0.1", port, *(["ping"] if command == "call" else [])) == 2
    err = capsys.readouterr().err
    assert f"127.0.0.1:{port}" in err
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.usefixtures("laboratory")
def test_the_shell_answers_line_by_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "sys.stdin",
        io.StringIO("# a comment\nping()\nframe(2)\nframe?\ntotal(\n[1, 2\n])\ntotal([1\nping()\n"),
    )
    assert run("shell", "cam") == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("True\narray([0, 1])\nframe(n: int = 4")
    assert captured.out.endswith("3.0\n")
    assert captured.err == "error: 'total([1\\nping()' is not a call; type help\n"


@pytest.mark.usefixtures("laboratory")
def test_the_shell_reads_another_encoding_as_something_wrong() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rexec", "shell", "cam"],
        input=b"ping()\n\xb5()\nping()\n",
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        timeout=150,
    )
    assert (done.returncode, done.stdout.split()) == (1, [b"True"])
    assert done.stderr.splitlines() == [b"error: '\\udcb5()' is not a call; type help"]


@pytest.mark.parametrize(
    ("encoding", "status", "out", "err"),
    [
        ("utf-8-sig", 0, "True", ""),
        ("utf-16", 2, "", "rexec shell: error: standard input is UTF-16 text; save it as UTF-8"),
    ],
)
@pytest.mark.usefixtures("laboratory")
def test_the_shell_reads_what_editors_of_windows_write(
    encoding: str, status: int, out: str, err: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rexec", "shell", "cam"],
        input="ping()\n".encode(encoding),
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        timeout=150,
    )
    assert (done.returncode, done.stdout.decode().strip(), done.stderr.decode().strip()) == (status, out, err)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("frame", "to call it, type frame()"),
        ("frame(**{})", "** is not supported"),
        ("frame(open('x'))", "is not a value"),
        ("nothing?", "no method"),
        ("import os", "not a call"),
    ],
)
@pytest.mark.usefixtures("laboratory")
def test_the_shell_refuses_what_is_no_call(
    line: str, says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{line}\n"))
    assert run("shell", "cam") == 1
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("method", ["close_rpc", "rpc_call", "__class__"])
@pytest.mark.usefixtures("laboratory")
def test_what_the_client_has_for_itself_is_no_method_of_the_target(
    method: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("call", "cam", method) == 1
    assert f"'{method}'" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{method}()\nping()\n"))
    assert run("shell", "cam") == 1
    assert f"'{method}'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["call", "shell", "targets", "methods"])
def test_help_teaches_by_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--help") == 0
    out = capsys.readouterr().out
    assert "examples:" in out
    assert "HOST PORT" in out


@pytest.mark.parametrize("command", ["shell", "targets", "methods"])
@pytest.mark.usefixtures("laboratory")
def test_words_after_the_server_are_refused(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "camera", "frame") == 2
    assert "unexpected 'frame' after the server" in capsys.readouterr().err
