"""Scheduler and ccb of a run without a master."""

import logging
import signal
import sys
import threading
import time
import types
from collections.abc import Callable
from typing import Any

import pytest

from rexec.experiment import NeedsMasterError, TerminationRequested
from rexec.experiment.errors import is_termination, termination_exception
from rexec.experiment.interrupts import Interrupts, _interrupt_main
from rexec.experiment.stand_ins import CCB, Scheduler, Termination


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler(7, {"file": "e.py"}, Termination())


def test_the_run_knows_itself(scheduler: Scheduler) -> None:
    assert (scheduler.rid, scheduler.pipeline_name, scheduler.priority) == (7, "main", 0)
    assert scheduler.get_status() == {
        7: {
            "pipeline": "main", "expid": {"file": "e.py"}, "priority": 0, "due_date": None, "flush": False,
            "status": "preparing", "repo_msg": None,
        }
    }  # fmt: skip


def test_pause_does_nothing_until_the_run_is_to_end(scheduler: Scheduler) -> None:
    scheduler.pause()
    assert not scheduler.check_pause()
    scheduler.request_termination(7)
    assert scheduler.check_pause()
    assert scheduler.check_termination(7)
    with pytest.raises(TerminationRequested):
        scheduler.pause()


@pytest.mark.parametrize("method", ["submit", "delete"])
def test_what_needs_a_queue_says_so(scheduler: Scheduler, method: str) -> None:
    with pytest.raises(NeedsMasterError, match=f"{method} needs a master"):
        getattr(scheduler, method)(8)
    with pytest.raises(NeedsMasterError, match="of run 8 needs a master"):
        scheduler.request_termination(8)
    for ask in (scheduler.check_pause, scheduler.check_termination):
        with pytest.raises(NeedsMasterError, match="check_termination of run 8 needs a master"):
            ask(8)
        assert not ask(7)


def test_the_termination_of_artiq_is_raised_and_known(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = type("TerminationRequested", (Exception,), {})
    core: Any = types.ModuleType("artiq.language.core")
    core.TerminationRequested = theirs
    monkeypatch.setitem(sys.modules, "artiq.language.core", core)
    scheduler.request_termination(7)
    with pytest.raises(theirs):
        scheduler.pause()
    with pytest.raises(TerminationRequested):
        scheduler.pause()
    for odd in ("no class", type("TerminationRequested", (), {})):
        core.TerminationRequested = odd
        assert termination_exception() is TerminationRequested
    assert is_termination(theirs())
    assert is_termination(TerminationRequested())
    assert not is_termination(ValueError())


def test_ccb_requests_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        CCB().issue("create_applet", "name", command="x")
    assert "create_applet('name', command='x')" in caplog.text


def test_the_first_signal_interrupts_an_experiment_that_does_not_look() -> None:
    termination = Termination()
    with Interrupts(termination).installed(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert termination.requested


def test_the_first_signal_waits_for_one_that_looks_and_the_second_does_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    termination = Termination()
    interrupts = Interrupts(termination)
    own = Scheduler(1, {}, termination)
    own.pause()
    with interrupts.installed():
        signal.raise_signal(signal.SIGTERM)
        assert "waiting up to" in caplog.text
        with pytest.raises(TerminationRequested):
            own.pause()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        assert interrupts._alarm is None  # nothing strikes again while the run is cleaned up
    assert interrupts.received


@pytest.mark.parametrize("look", [Scheduler.pause, Scheduler.check_pause, Scheduler.check_termination])
def test_whoever_looks_in_any_way_gets_time_to_end(look: Callable[[Scheduler], object]) -> None:
    termination = Termination()
    look(Scheduler(1, {}, termination))
    interrupts = Interrupts(termination)
    with interrupts.installed():
        signal.raise_signal(signal.SIGINT)
        assert termination.requested
        alarm = interrupts._alarm
    assert interrupts._alarm is None
    assert alarm is not None
    assert alarm.finished.is_set()


def test_the_patience_with_an_experiment_is_over_when_its_results_are_written() -> None:
    termination = Termination()
    termination.watched = True
    interrupts = Interrupts(termination)
    with interrupts.installed():
        signal.raise_signal(signal.SIGINT)
        with interrupts.shielded():
            assert interrupts._alarm is None


def test_a_shield_is_down_behind_the_last_block_only() -> None:
    interrupts = Interrupts(Termination())
    with interrupts.installed():
        with interrupts.shielded():
            with interrupts.shielded():
                pass
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_in_another_thread_no_signal_is_handled() -> None:
    before, found = signal.getsignal(signal.SIGINT), []

    def run() -> None:
        with Interrupts(Termination()).installed():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [before]


def test_patience_with_one_that_looked_is_bounded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rexec.experiment.interrupts.PATIENCE", 0.05)
    termination = Termination()
    termination.watched = True

    def run() -> None:
        signal.raise_signal(signal.SIGINT)  # the end of patience may come before this returns
        time.sleep(150)

    with Interrupts(termination).installed(), pytest.raises(KeyboardInterrupt):
        run()
    assert "waiting up to" in caplog.text


def test_what_strikes_later_interrupts_what_the_main_thread_waits_in(monkeypatch: pytest.MonkeyPatch) -> None:
    struck: list[tuple[object, ...]] = []
    monkeypatch.setattr(signal, "pthread_kill", lambda *to: struck.append(to), raising=False)
    monkeypatch.setattr(signal, "raise_signal", lambda number: struck.append((number,)))
    _interrupt_main()
    monkeypatch.delattr(signal, "pthread_kill")  # as on Windows
    _interrupt_main()
    assert struck == [(threading.main_thread().ident, signal.SIGINT), (signal.SIGINT,)]


def test_writing_of_results_takes_two_signals_to_interrupt(caplog: pytest.LogCaptureFixture) -> None:
    interrupts = Interrupts(Termination())
    with interrupts.installed(), interrupts.shielded():
        signal.raise_signal(signal.SIGINT)
        assert "once more to give them up" in caplog.text
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
def test_a_lost_terminal_ends_a_run_once_and_not_under_nohup() -> None:
    interrupts = Interrupts(Termination())
    with interrupts.installed(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGHUP)
    interrupts = Interrupts(Termination())
    with interrupts.installed(), interrupts.shielded():
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
    assert interrupts.received
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts(Termination()).installed():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts(Termination()).installed():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


class _Interrupting:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_an_interrupt_that_python_drops_in_a_finalizer_comes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[object] = []
    before = shown.append
    monkeypatch.setattr(sys, "unraisablehook", before)
    interrupts = Interrupts(Termination())
    with interrupts.installed():
        with pytest.raises(KeyboardInterrupt):
            _let_go_and_wait([_Interrupting()])
        with interrupts.shielded():
            signal.raise_signal(signal.SIGINT)  # noted
            with pytest.raises(KeyboardInterrupt):
                _let_go_and_wait([_Interrupting()])
    assert interrupts._raised == 2
    assert sys.unraisablehook is before
    assert shown == []


def test_a_dropped_interrupt_does_not_strike_while_results_are_written_nor_after_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    struck: list[None] = []
    monkeypatch.setattr("rexec.experiment.interrupts._interrupt_main", lambda: struck.append(None))
    interrupts = Interrupts(Termination())
    with interrupts.installed():
        [_Interrupting()].clear()
        with interrupts.shielded():
            time.sleep(0.3)
        [_Interrupting()].clear()
    time.sleep(0.3)
    assert struck == []
    assert interrupts.received


def _let_go_and_wait(held: list[_Interrupting]) -> None:
    held.clear()
    time.sleep(150)


def test_another_error_in_a_finalizer_is_shown_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def __del__(self) -> None:
            raise ValueError("in a finalizer")

    shown: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: shown.append(str(dropped.exc_value)))
    with Interrupts(Termination()).installed():
        Failing()
    assert shown == ["in a finalizer"]
