"""How a run ended, by what ended it."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import pytest

from rexec.experiment import EnvExperiment, NumberValue, TerminationRequested, interrupts
from rexec.experiment.argument_manager import ArgumentManager
from rexec.experiment.errors import ArgumentError
from rexec.experiment.interrupts import Interrupts
from rexec.experiment.lifecycle import Hooks, RunOutcome, live
from rexec.experiment.loading import import_file
from rexec.experiment.stand_ins import Scheduler, Termination
from rexec.experiment.tracebacks import argument_at
from tests.clock import set_clock


def chained(first: BaseException, second: BaseException) -> BaseException:
    try:
        try:
            raise first
        except BaseException:
            raise second  # noqa: B904  # what a clean-up raises
    except BaseException as error:
        return error


@pytest.mark.parametrize(
    ("error", "asked", "status", "remark"),
    [
        (None, False, "completed", ""),
        (None, True, "completed", "asked to end"),
        (KeyboardInterrupt(), True, "interrupted", ""),
        (TerminationRequested(), True, "interrupted", ""),
        (chained(KeyboardInterrupt(), OSError("while closing")), True, "interrupted", ""),
        (chained(KeyboardInterrupt(), SystemExit()), True, "interrupted", ""),
        (ValueError("of its own"), True, "failed", ""),
        (SystemExit(), False, "completed", "ended itself in run() by sys.exit()"),
        (SystemExit(0), False, "completed", "ended itself"),
        (SystemExit(3), False, "failed", ""),
        (SystemExit("text"), False, "failed", ""),
    ],
)
def test_only_what_was_cut_short_is_interrupted(
    error: BaseException | None, asked: bool, status: str, remark: str
) -> None:
    outcome = RunOutcome(phase="run", error=error, asked_to_end=asked)
    assert outcome.status == status
    assert remark in outcome.remark
    assert bool(remark) == bool(outcome.remark)


BUILD = """
from rexec.experiment import *

def made(default):
    return NumberValue(default)

class Measure(EnvExperiment):
    def build(self):
        {}
"""


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("self.setattr_argument('x', NumberValue('five'))", "x"),
        (
            "self.x = self.get_argument(\n            'x',\n            EnumerationValue(['a'], 'b'),\n        )",
            "x",
        ),
        ("for key in ('a', 'b'): self.setattr_argument(key, made(None if key == 'b' else 1))", "b"),
        ("self.setattr_argument('x', made(self.get_argument('y', NumberValue('five'))))", "y"),
        ("self.setattr_argument(5, NumberValue('five'))", None),
        ("self.setattr_argument('x' 'y' if made else 0, NumberValue('five'))", None),
        ("key = 5; self.setattr_argument(key, NumberValue('five'))", None),
        ("self.setattr_argument('x', NOT_TO_BE_READ.made(None))", "x"),
        ("processor = NumberValue(None)", None),
        ("1 / 0", None),
    ],
)
def test_a_processor_that_cannot_be_made_names_its_argument(
    tmp_path: Path, statement: str, name: str | None
) -> None:
    path = tmp_path / "wrong_processor.py"
    path.write_text(BUILD.format(statement))
    changed = tmp_path / "changed_since.py"
    changed.write_text(BUILD.format("..."))

    class Arguments:
        def get(self, *_: object) -> None:
            """Any argument is there."""

    try:
        module: Any = import_file(path)
        module.NOT_TO_BE_READ = import_file(changed)
        changed.write_text("x = (")
        with pytest.raises((ValueError, ZeroDivisionError)) as caught:
            module.Measure((None, None, Arguments(), {}))
    finally:
        sys.modules.pop("artiq_run_changed_since", None)
        sys.modules.pop("artiq_run_wrong_processor", None)
    assert argument_at(caught.value) == name


PHASES = ("build", "prepare", "run", "analyze")


class Life:
    """One run, and what happened in it, in order: phases, statuses, and what the devices were told."""

    def __init__(self, given: dict[str, Any] | None = None) -> None:
        self.events: list[str] = []
        self.scheduler = Scheduler(1, {}, Termination())
        self.interrupts = Interrupts(Termination())
        self.arguments = ArgumentManager(given or {}, None)
        self.run_times: list[float] = []
        self.closing: Callable[[], None] = lambda: None

    def notify_run_end(self) -> None:
        self.events.append("run has ended")

    def close_devices(self) -> None:
        self.closing()
        self.events.append("closed")

    def began_to_run(self, moment: float) -> None:
        self.run_times.append(moment)
        self.events.append("run_time")

    def live(self, experiment: type[EnvExperiment]) -> RunOutcome:
        hooks = Hooks(
            phase=lambda name: self.events.append(f"{name} ({self.scheduler.status})"),
            built=lambda: self.events.append("built"),
            running=self.began_to_run,
            ending=lambda: self.events.append("ending"),
        )
        devices: Any = self
        return live(experiment, devices, None, self.arguments, self.scheduler, self.interrupts, hooks)


class Steps(EnvExperiment):
    """Notes each of its methods; one of them may do something else."""

    life: ClassVar[Life]
    act: ClassVar[tuple[str, Callable[[], None]]] = ("", lambda: None)

    def step(self, name: str) -> None:
        self.life.events.append(f"{name}()")
        if self.act[0] == name:
            self.act[1]()

    def build(self) -> None:
        self.step("build")

    def prepare(self) -> None:
        self.step("prepare")

    def run(self) -> None:
        self.step("run")

    def analyze(self) -> None:
        self.step("analyze")


@contextmanager
def steps(in_phase: str = "", act: Callable[[], None] = lambda: None) -> Iterator[Life]:
    """Give a life to `Steps`, one of whose methods does something."""
    Steps.life, Steps.act = Life(), (in_phase, act)
    yield Steps.life


ALL = [
    ["build (preparing)", "build()", "built"],
    ["prepare (preparing)", "prepare()"],
    ["run (running)", "run_time", "run()", "run has ended"],
    ["analyze (analyzing)", "analyze()"],
]


def test_phases_statuses_and_what_is_told_come_in_their_order() -> None:
    with steps() as life:
        outcome = life.live(Steps)
    assert life.events == [*chain(*ALL), "ending", "closed"]
    assert (outcome.phase, outcome.error, outcome.status) == ("analyze", None, "completed")
    assert not outcome.asked_to_end
    assert [outcome.run_time] == life.run_times
    assert list(outcome.seconds) == list(PHASES)


@pytest.mark.parametrize("number", range(4), ids=PHASES)
@pytest.mark.parametrize("error", [ValueError("wrong"), KeyboardInterrupt(), SystemExit(1)], ids=repr)
def test_an_error_in_any_phase_ends_the_run_there_and_closes_its_devices(
    number: int, error: BaseException
) -> None:
    def fail() -> None:
        raise error

    with steps(PHASES[number], fail) as life:
        outcome = life.live(Steps)
    begun = list(chain(*ALL[: number + 1]))
    if number == 0:  # nothing was built that could have data
        assert life.events == [*begun[:-1], "closed"]
    else:
        assert life.events == [*begun, "ending", "closed"]
    assert (outcome.phase, outcome.error, outcome.built) == (PHASES[number], error, number > 0)
    assert (outcome.run_time is None) == (number < 2)
    assert list(outcome.seconds) == list(PHASES[: number + 1])


def test_each_phase_has_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    set_clock(monkeypatch, "rexec.experiment.lifecycle", perf_counter=lambda: now[0])

    class Timed(Steps):
        def step(self, name: str) -> None:
            now[0] += {"build": 1.0, "prepare": 2.0, "run": 4.0, "analyze": 8.0}[name]

    with steps() as life:
        outcome = life.live(Timed)
    assert outcome.seconds == {"build": 1.0, "prepare": 2.0, "run": 4.0, "analyze": 8.0}


def test_arguments_that_the_experiment_does_not_have_end_it_before_it_is_built() -> None:
    Steps.life = life = Life({"misspelt": 1})
    outcome = life.live(Steps)
    assert isinstance(outcome.error, ArgumentError)
    assert "misspelt" in str(outcome.error)
    assert life.events == ["build (preparing)", "build()", "closed"]


def test_an_error_in_a_processor_says_of_which_argument() -> None:
    class Wrong(EnvExperiment):
        def build(self) -> None:
            self.setattr_argument("gain", NumberValue("five"))

    outcome = Life().live(Wrong)
    assert isinstance(outcome.error, Exception)
    assert outcome.error.__notes__ == ["in the processor of argument 'gain'"]


def test_an_error_that_names_its_argument_needs_no_note() -> None:
    class Missing(EnvExperiment):
        def build(self) -> None:
            self.setattr_argument("gain", NumberValue())

    outcome = Life().live(Missing)
    assert isinstance(outcome.error, ArgumentError)
    assert not hasattr(outcome.error, "__notes__")


def test_ctrl_c_while_devices_are_closed_leaves_none_open() -> None:
    with steps() as life, life.interrupts.installed():
        life.closing = lambda: signal.raise_signal(signal.SIGINT)
        try:
            outcome = life.live(Steps)
        except KeyboardInterrupt:
            pytest.fail("the devices were not closed to the end")
    assert life.events[-1] == "closed"
    assert outcome.status == "completed"
    assert life.interrupts.received


def test_a_run_that_was_asked_to_end_says_so() -> None:
    with steps("run", lambda: signal.raise_signal(signal.SIGINT)) as life, life.interrupts.installed():
        outcome = life.live(Steps)
    assert (outcome.asked_to_end, outcome.status, outcome.phase) == (True, "interrupted", "run")
    assert life.events[-2:] == ["ending", "closed"]


class Left(list[str]):
    """Ends a forked child that goes on with its parent's run, because that has something to note."""

    def append(self, _: str) -> None:
        os._exit(9)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("error", [None, SystemExit(3)], ids=repr)
def test_a_child_that_was_forked_in_any_phase_leaves_at_its_end(
    phase: str, error: BaseException | None
) -> None:
    statuses: list[int] = []

    def fork() -> None:
        pid = os.fork()
        if pid == 0:
            life.events = Left()
            if error is not None:
                raise error
            return
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    with steps(phase, fork) as life:
        outcome = life.live(Steps)
    assert (statuses, outcome.error) == ([0 if error is None else 3], None)


def test_a_key_that_is_held_down_is_not_a_third_interrupt(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interrupts, "_HELD", 1000.0)
    survived = 0
    with Interrupts(Termination()).installed():
        for _ in range(50):
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                survived += 1
    assert survived == 50
    assert caplog.text.count("once more ends the program") == 1
