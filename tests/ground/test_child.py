"""A child process: its start, its lines, and its end, also by the end of its parent."""

import contextlib
import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rexec.ground import waits
from rexec.ground.child import BUSY, Child, ChildLost, ChildSilent
from tests.ground.forking import ends, in_a_fork, program, said
from tests.supervise.controllers import alive

CHILDREN = "tests.ground.children"
KILLED = "with status 1" if sys.platform == "win32" else "by signal 9"
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals, descriptors and forks of POSIX")


def child(*args: str, inherit: tuple[int, ...] = ()) -> Child:
    begun = Child(CHILDREN, args, inherit=inherit, purpose="the child under test")
    assert begun.receive(150.0) == b"here %d" % begun.pid
    return begun


@pytest.fixture(scope="module")
def echo() -> Iterator[Child]:
    with child("echo") as begun:
        yield begun


@given(
    lines=st.lists(st.binary(max_size=60).filter(lambda line: b"\n" not in line and line != BUSY), max_size=5)
)
def test_lines_come_back_as_they_were(echo: Child, lines: list[bytes]) -> None:
    for line in lines:
        echo.send(line)
    assert [echo.receive(150.0) for _ in lines] == lines


def test_a_long_line_comes_back_as_it_was() -> None:
    with child("echo") as begun:
        long = os.urandom(20_000_000).replace(b"\n", b" ")
        begun.send(long)
        assert begun.receive(150.0) == long


def test_a_line_break_in_a_line_is_refused() -> None:
    with child("echo") as begun, pytest.raises(ValueError, match="line break"):
        begun.send(b"a\nb")


@pytest.mark.parametrize("module", ["tests.ground.no_such_module", "tests.ground.forking"])
def test_a_module_that_cannot_be_run_is_told_with_its_status(
    module: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with Child(module, purpose="the process that counts") as begun:
        with pytest.raises(ChildLost, match="the process that counts has ended with status 1"):
            begun.receive(150.0)
        with pytest.raises(ChildLost, match="status 1"):
            begun.send(b"anybody there?")
    assert module in capfd.readouterr().err, "its traceback is on standard error"


@pytest.mark.parametrize("interpreter", ["/no/such/python", "", None])
def test_a_missing_interpreter_is_a_start_that_failed(
    interpreter: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", interpreter)
    with pytest.raises(ChildLost, match="the process that counts could not be started"):
        Child(CHILDREN, purpose="the process that counts")


def test_a_process_with_too_many_threads_leaves_no_child_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(ChildLost, match="can't start new thread"):
        Child(CHILDREN, purpose="it")


@pytest.mark.parametrize(
    ("deed", "how"), [("die", KILLED), ("raise", "with status 1"), ("return", "with status 0")]
)
def test_the_death_of_the_child_is_told_by_send_and_receive(deed: str, how: str) -> None:
    with child(deed) as begun:
        with contextlib.suppress(ChildLost):  # it may have ended already
            begun.send(b"go")
        with pytest.raises(ChildLost, match=how):  # noqa: PT012  # what was said before the end comes first
            assert begun.receive(150.0) == b"last"
            begun.receive(150.0)
        with pytest.raises(ChildLost, match=how):
            begun.receive(150.0)
        with pytest.raises(ChildLost, match=how):
            begun.send(b"anybody there?")


def test_half_a_line_is_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "half.py"
    path.write_text("import os\nos.write(1, b'whole\\nhalf')\n")
    with Child(path, purpose="it") as begun:
        assert begun.receive(150.0) == b"whole"
        with pytest.raises(ChildLost, match="it has ended with status 0"):
            begun.receive(150.0)


def test_each_sign_of_a_busy_child_starts_the_wait_for_it_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def next_of(items: SimpleQueue[bytes | None], timeout: float) -> bytes | None:
        asked.append(timeout)
        return waits.next_of(items, timeout)

    with child("busy") as begun:
        monkeypatch.setattr("rexec.ground.child.next_of", next_of)
        assert begun.receive(150.0) == b"done"
    assert asked == [150.0] * 9


def test_a_silent_child_is_killed() -> None:
    with child("echo") as begun:
        with pytest.raises(ChildSilent, match=r"said nothing for 0.2 s"):
            begun.receive(0.2)
        with pytest.raises(ChildLost, match=KILLED):
            begun.receive(150.0)


@posix
def test_what_a_killed_child_has_started_is_killed_with_it() -> None:
    with child("beget") as begun:
        grandchild = int(begun.receive(150.0))
        with pytest.raises(ChildSilent):
            begun.receive(0.1)
        assert ends(grandchild)


def test_the_standard_input_of_a_child_is_empty() -> None:
    with child("read") as begun:
        begun.send(b"not for input()")
        assert begun.receive(150.0) == b"EOFError"


def test_what_a_child_prints_is_no_answer(capfd: pytest.CaptureFixture[str]) -> None:
    with child("print") as begun:
        assert begun.receive(150.0) == b"said"
    assert capfd.readouterr().err.splitlines() == ["printed", "printed"]


@posix
def test_a_child_without_standard_error_works() -> None:
    text = """
        import os
        os.close(2)
        from rexec.ground.child import Child
        with Child("tests.ground.children", ["print"], purpose="it") as child:
            child.receive(150.0)
            print(child.receive(150.0).decode(), flush=True)
    """
    with program(text) as process:
        assert said(process) == "said"


@posix
def test_only_inherited_descriptors_are_open_in_the_child(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file:
        number = file.fileno()
        with child("write", str(number), inherit=(number,)) as begun:
            assert begun.receive(150.0) == b"written"
        with child("write", str(number)) as begun:
            assert b"Bad file descriptor" in begun.receive(150.0)


@posix
def test_ctrl_c_at_the_terminal_is_not_for_the_child_and_the_working_directory_is_not_searched() -> None:
    with child("signals") as begun:
        assert begun.receive(150.0) == b"session %d" % begun.pid
        path = begun.receive(150.0)
        assert path.startswith(b"path ")
        assert b"''" not in path


def test_the_end_of_its_input_ends_the_child() -> None:
    begun = child("echo")
    begun.close(patience=150.0)
    begun.close()
    with pytest.raises(ChildLost, match="status 0"):
        begun.send(b"anybody there?")


@posix
def test_a_child_that_does_not_end_is_killed_after_the_patience() -> None:
    begun = child("echo")
    os.kill(begun.pid, signal.SIGSTOP)
    os.waitpid(begun.pid, os.WUNTRACED)
    begun.close(patience=0.1)
    with pytest.raises(ChildLost, match="signal 9"):
        begun.receive(150.0)


@posix
def test_a_grandchild_that_holds_the_pipe_does_not_hold_the_close() -> None:
    begun = child("beget")
    grandchild = int(begun.receive(150.0))
    try:
        begun._input.close()
        assert ends(begun.pid)  # so that none of the patience is for it
        begun.close(patience=1.0)
        assert alive(grandchild)
    finally:
        os.kill(grandchild, signal.SIGKILL)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_child_that_nobody_holds_ends() -> None:
    begun = child("echo")
    pid = begun.pid
    del begun
    gc.collect()
    assert ends(pid)


@posix
@pytest.mark.parametrize("forks", [False, True])
def test_the_child_ends_when_its_parent_is_killed(forks: bool) -> None:
    # A forked process of the parent holds the child's standard input open.
    text = f"""
        import os, time
        from rexec.ground.child import Child
        child = Child("tests.ground.children", purpose="it")
        child.receive(150.0)
        print(child.pid, flush=True)
        fork = os.fork() if {forks} else 0
        if fork or not {forks}:
            print(fork, flush=True)
        time.sleep(60)
    """
    with program(text) as process:
        pid, fork = int(said(process)), int(said(process))
        process.kill()
        process.wait(150)
        assert ends(pid)
        assert not fork or alive(fork)


@posix
def test_a_child_whose_parent_dies_at_once_ends(tmp_path: Path) -> None:
    text = """
        import os
        from rexec.ground.child import Child
        child = Child("tests.ground.children", purpose="it")
        print(child.pid, flush=True)
        os._exit(0)
    """
    with program(text) as process:
        assert ends(int(said(process)))


@posix
def test_a_forked_process_cannot_use_or_end_the_child() -> None:
    with child("echo") as begun:

        def use() -> str:
            for act in (lambda: begun.send(b"mine"), lambda: begun.receive(150.0)):
                with pytest.raises(ChildLost, match="forked"):
                    act()
            begun.close()
            return "closed"

        assert in_a_fork(use) == "closed"
        begun.send(b"still there")
        assert begun.receive(150.0) == b"still there"


@posix
def test_a_program_by_its_path_runs_apart_from_every_package(tmp_path: Path) -> None:
    path = tmp_path / "small.py"
    path.write_text(
        "import sys\nfor line in sys.stdin:\n    print(sys.flags.isolated, line, end='', flush=True)\n"
    )
    with Child(path, purpose="it") as begun:
        begun.send(b"a")
        assert begun.receive(150.0) == b"1 a"


@posix
def test_a_program_that_ignores_the_end_of_its_input_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "deaf.py"
    path.write_text("import time\nprint('here', flush=True)\ntime.sleep(60)\n")
    begun = Child(path, purpose="it")
    assert begun.receive(150.0) == b"here"
    begun.close(patience=0.1)
    with pytest.raises(ChildLost, match="signal 9"):
        begun.send(b"anybody there?")
