"""Experiments that fork, spawn and use threads: one process owns the run, and it alone ends it."""

import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
from typing import Any

import h5py
import pytest

from rexec.experiment.forks import RunProcess, default_signals_in_children
from tests.cli.program import Lab, Result
from tests.ground.forking import ROOT, in_a_fork

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks on Windows")

WORK = """
def square(number):
    return number * number
"""


def finished(lab: Lab, result: Result, status: int = 0) -> dict[str, Any]:
    """Check that a run has ended in good order, once, and return its datasets."""
    assert result.status == status, result.err
    (path,) = lab.results()
    assert list(path.parent.iterdir()) == [path]
    with h5py.File(path) as file:
        assert file["rexec"].attrs["status"] == ("completed" if status == 0 else "failed")
    return lab.datasets()


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_pools_of_each_kind_give_values_back(lab: Lab, method: str) -> None:
    lab.write("work.py", WORK)
    lab.write(
        "an.experiment.py",
        f"""
import dataclasses, multiprocessing, work
from rexec.experiment import *

@dataclasses.dataclass
class Fit:
    number: int

def fit(number):
    return Fit(work.square(number))

class Measure(EnvExperiment):
    def run(self):
        self.set_dataset("squares", [])
        with multiprocessing.get_context({method!r}).Pool(2) as pool:
            for value in pool.imap(work.square, range(25)):
                self.append_to_dataset("squares", value)
            for value in pool.imap(fit, range(25, 50)):
                assert type(value) is Fit
                self.append_to_dataset("squares", value.number)
""",
    )
    datasets = finished(lab, lab.run("an.experiment.py", timeout=150.0))
    assert datasets["squares"].tolist() == [each * each for each in range(50)]


def test_threads_share_the_run(lab: Lab) -> None:
    lab.experiment(
        """
def run(self):
    from concurrent.futures import ThreadPoolExecutor
    self.set_dataset("numbers", [])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: self.append_to_dataset("numbers", each), range(200)))
"""
    )
    assert sorted(finished(lab, lab.run("experiment.py", timeout=150.0))["numbers"].tolist()) == list(
        range(200)
    )


def test_a_forked_child_is_refused_and_changes_nothing(lab: Lab) -> None:
    lab.experiment(
        """
def run(self):
    import multiprocessing
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    self.set_dataset("mine", [], persist=True)

    def child():
        said = []
        for action in (
            lambda: self.set_dataset("theirs", 1),
            lambda: self.append_to_dataset("mine", -1),
            lambda: self.mutate_dataset("mine", 0, -1),
            lambda: self.get_dataset("mine"),
        ):
            try:
                action()
            except Exception as error:
                said.append(f"{type(error).__name__}: {error}")
        answers.put(said)

    process = context.Process(target=child)
    process.start()
    for number in range(500):
        self.append_to_dataset("mine", number)
    self.set_dataset("said", answers.get(timeout=30))
    process.join()
"""
    )
    datasets = finished(lab, lab.run("experiment.py", timeout=150.0))
    assert set(datasets) == {"mine", "said"}
    assert datasets["mine"].tolist() == list(range(500))
    said = [each.decode() for each in datasets["said"]]
    assert len(said) == 4
    assert all(each.startswith("ForkedRun: a forked child cannot use the datasets") for each in said)


WAYS = {
    "returns": "return",
    "raises": "raise ValueError('in the child')",
    "exits": "sys.exit(3)",
    "exits at once": "os._exit(3)",
    "is killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "is terminated": "os.kill(os.getpid(), signal.SIGTERM); time.sleep(20)",
    "is hung up": "os.kill(os.getpid(), signal.SIGHUP); time.sleep(20)",
    "is interrupted": "os.kill(os.getpid(), signal.SIGINT); time.sleep(20)",
}
STATUS = {"returns": 0, "raises": 1, "exits": 3, "exits at once": 3, "is killed": -9, "is terminated": -15,
          "is hung up": -1,          "is interrupted": 1}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("phase", ["prepare", "run", "analyze"])
def test_however_a_forked_child_ends_the_run_goes_on(lab: Lab, way: str, phase: str) -> None:
    if phase != "run" and way not in {"returns", "raises"}:
        pytest.skip("as in run")
    lab.experiment(
        f"""
def run(self):
    self.set_dataset("first", 1)

def {phase}(self):
    import atexit, os, signal, sys, time
    atexit.register(lambda: open("atexit.txt", "a").write("once "))
    pid = os.fork()
    if pid == 0:
        {WAYS[way]}
    else:
        _, status = os.waitpid(pid, 0)
        self.set_dataset("status", os.waitstatus_to_exitcode(status))
        self.set_dataset("after", list(range(100)))
"""
    )
    result = lab.run("experiment.py", timeout=150.0)
    datasets = finished(lab, result)
    assert datasets["status"] == STATUS[way]
    assert datasets["after"].tolist() == list(range(100))
    assert (lab.folder / "atexit.txt").read_text() == "once "
    assert result.out.count("run 0 of Measure: ") == 1
    assert "Traceback" not in result.err
    assert ("a forked child of the experiment ended: ValueError: in the child" in result.err) is (
        way == "raises"
    )


@pytest.mark.parametrize(("number", "status"), [("SIGTERM", -15), ("SIGINT", 1)])
def test_a_signal_to_a_child_that_has_just_begun_is_not_lost(lab: Lab, number: str, status: int) -> None:
    lab.experiment(
        f"""
def run(self):
    import os, signal, time
    self.set_dataset("ended", [])
    for _ in range(40):
        pid = os.fork()
        if pid == 0:
            time.sleep(60)
            os._exit(7)
        os.kill(pid, signal.{number})
        self.append_to_dataset("ended", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    )
    result = lab.run("experiment.py", timeout=150.0)
    assert finished(lab, result)["ended"].tolist() == [status] * 40
    assert "Exception ignored" not in result.err


def test_a_library_that_registers_a_lock_for_forks_is_there_before_the_first_one(lab: Lab) -> None:
    lab.experiment(
        """
def run(self):
    import sys
    self.set_dataset("there", "concurrent.futures.thread" in sys.modules)
"""
    )
    assert finished(lab, lab.run("experiment.py", timeout=150.0))["there"]


def test_a_child_that_outlives_the_run_does_not_hold_it(lab: Lab) -> None:
    lab.experiment(
        """
def run(self):
    import os, time
    self.set_dataset("x", 1, persist=True)
    if os.fork() == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        time.sleep(30)
        os._exit(0)
"""
    )
    assert finished(lab, lab.run("experiment.py", timeout=150.0))["x"] == 1
    lab.experiment('def run(self):\n    self.set_dataset("y", self.get_dataset("x"))\n', "second.py")
    assert lab.run("second.py", timeout=150.0).status == 0
    assert sys.platform == "win32" or lab.datasets()["y"] == 1


def left(error: BaseException | None, *, is_stream_closed: bool = False) -> tuple[int, str]:
    """Return the status of a forked child that leaves, and what it wrote until then."""
    process = RunProcess()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            sys.stdout = sys.stderr = open(writing, "w", buffering=65536)  # as long as the child
            logging.getLogger().handlers = [logging.StreamHandler()]  # whoever ran here before
            print("from the child", end="|")
            if is_stream_closed:
                sys.stdout.flush()
                sys.stdout = open(os.devnull, "w")  # closed at once
                sys.stdout.close()
            process.leave_if_forked(error)
        finally:
            os._exit(99)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text.removeprefix("from the child|").strip()


ENDED = "a forked child of the experiment ended: "


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (None, 0, ""),
        (SystemExit(), 0, ""),
        (SystemExit(0), 0, ""),
        (SystemExit(3), 3, ""),
        (SystemExit(256 + 5), 5, ""),
        (SystemExit("no beam"), 1, ENDED + "no beam"),
        (ValueError("no beam"), 1, ENDED + "ValueError: no beam"),
        (KeyboardInterrupt(), 1, ENDED + "KeyboardInterrupt: "),
    ],
    ids=repr,
)
def test_a_child_leaves_with_its_status_and_all_that_it_has_said(
    error: BaseException | None, status: int, said: str
) -> None:
    assert left(error) == (status, said.strip())
    assert left(error, is_stream_closed=True) == (status or 1, said.strip())


def test_the_process_of_the_run_does_not_leave() -> None:
    RunProcess().leave_if_forked(ValueError())


def test_children_have_their_own_handlers_inside_the_block_only() -> None:
    def handlers() -> str:
        return repr([signal.getsignal(each) for each in (signal.SIGUSR1, signal.SIGUSR2)])

    def here(number: int, frame: object) -> None:
        """Handle what the parent gets."""

    usual = [signal.signal(each, here) for each in (signal.SIGUSR1, signal.SIGUSR2)]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    default, ignored = signal.SIG_DFL, signal.SIG_IGN
    try:
        with default_signals_in_children({signal.SIGUSR1: default}):
            with default_signals_in_children({signal.SIGUSR1: ignored, signal.SIGUSR2: default}):
                assert in_a_fork(handlers) == repr([ignored, default])
            assert in_a_fork(handlers) == repr([default, here])
            found: list[str] = []
            thread = threading.Thread(target=lambda: found.append(in_a_fork(handlers)))
            thread.start()
            thread.join()
            assert found == [repr([default, here])]
            assert in_a_fork(lambda: repr(signal.pthread_sigmask(signal.SIG_BLOCK, ()))) == repr(mask)
            assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
        assert in_a_fork(handlers) == handlers() == repr([here, here])
    finally:
        for number, before in zip((signal.SIGUSR1, signal.SIGUSR2), usual, strict=True):
            signal.signal(number, before)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("before", "parent interrupted"),
        ("after_in_parent", "parent interrupted"),
        ("after_in_child", "child 1"),
    ],
)
def test_a_ctrl_c_during_a_fork_is_lost_in_neither_process(place: str, said: str) -> None:
    text = f"""
        import os, signal, time
        from rexec.experiment.forks import default_signals_in_children

        # Registered first: it runs while ours holds signals back.
        os.register_at_fork({place}=lambda: signal.raise_signal(signal.SIGINT))
        with default_signals_in_children({{signal.SIGINT: signal.default_int_handler}}):
            try:
                pid = os.fork()
                if pid == 0:
                    os._exit(7)
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                if {place!r} == "after_in_child":
                    print("child", status)
                else:
                    time.sleep(60)
            except KeyboardInterrupt:
                print("parent interrupted")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == (said, "")
