"""A job takes its news in any order and as often as they come, and ends once, as its controller says."""

import io
import logging
import os
import sys
import threading
from typing import Any, ClassVar

import pytest

from rexec.remote import JobExpired, Remote, RemoteFunctionError
from rexec.remote._jobs import Job
from rexec.remote.agent.output import (
    CURRENT,
    FORWARD,
    LOCAL,
    MOST_LINES,
    MOST_OUTPUT,
    Lines,
    OutputLog,
    show,
)
from tests.ground.forking import in_a_fork


@pytest.fixture
def job(remote: Remote) -> Job[Any]:
    """Return a job of which only the test has news."""
    return Job(remote._channel, "0", "measure")


def news(*lines: tuple[int, str, int], count: int, state: str = "running", progress: Any = (0.0, "")) -> Any:
    """Return news with lines of output: number, text and level."""
    events = [[number, 0.0, level, "stdout", text] for number, text, level in lines]
    return {"state": state, "progress": list(progress), "events": events, "event_count": count}


def test_lines_come_once_and_what_was_dropped_is_said_where_it_was(job: Job[Any]) -> None:
    first = news((1, "a", 0), (2, "b", 0), count=2)
    second = news((2, "b", 0), (5, "e", 0), count=7)
    job.take(first)
    assert job.output == ["a", "b"]
    job.take(second)
    expected = ["a", "b", "(2 lines were dropped)", "e", "(2 lines were dropped)"]
    assert job.output == expected
    for again in (second, first, second):
        job.take(again)
    assert job.output == expected
    assert job.mark == ["0", 7, 0]


def test_a_line_that_is_newer_than_its_news_comes_once(job: Job[Any]) -> None:
    """The agent counts lines first, and then returns them; the function may print in between."""
    job.take(news((1, "a", 0), (2, "b", 0), count=1))
    job.take(news((3, "c", 0), count=2))
    job.take(news(count=3))
    assert job.output == ["a", "b", "c"]
    assert job.mark == ["0", 3, 0]


def test_the_agent_returns_every_line_that_it_still_has_after_a_number() -> None:
    log = OutputLog()
    assert log.since(0) == []
    for number in range(1, 7):
        log.add(0, "stdout", str(number))
    log.count = 5  # as while the sixth is being added
    for seen in range(5):
        assert [line[-1] for line in log.since(seen)] == [str(number) for number in range(seen + 1, 7)]
    assert log.since(5) == log.since(6) == []
    for number in range(7, MOST_LINES + 3):
        log.add(0, "stdout", str(number))
    assert [line[-1] for line in log.since(0)[:2]] == ["3", "4"]
    assert len(log.since(0)) == MOST_LINES
    assert [line[-1] for line in log.since(3)[:2]] == ["4", "5"]
    assert [line[-1] for line in log.since(MOST_LINES + 1)] == [str(MOST_LINES + 2)]
    log.clear()
    assert log.since(0) == []


def test_the_agent_keeps_a_bounded_amount_of_text() -> None:
    assert (MOST_LINES, MOST_OUTPUT) == (10_000, 4 << 20)
    log = OutputLog()
    most = MOST_OUTPUT // 4
    log.add(0, "stdout", "x" * most)
    log.add(0, "stdout", "y" * (most + 1))
    assert [len(line[-1]) for line in log.since(0)] == [most, most + len(f"… ({most + 1} characters)")]
    log.clear()
    assert log.size == 0
    for _ in range(4):
        log.add(0, "stdout", "x" * most)
    assert len(log.since(0)) == 4
    log.add(0, "stdout", "x")
    assert [line[0] for line in log.since(0)] == [4, 5, 6, 7]


def test_what_shipped_code_prints_goes_to_its_job_or_to_where_it_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    show("no job", 1, sep="-")
    with pytest.raises(RuntimeError, match=r"job\.check: this thread was started by a remote function"):
        CURRENT.check()
    FORWARD.handle(logging.makeLogRecord({"msg": "no job"}))
    assert capsys.readouterr().out == "no job-1\n"

    class Events:
        events: ClassVar[list[tuple[int, str, str]]] = []

        def event(self, *what: Any) -> None:
            self.events.append(what)

    monkeypatch.setattr(LOCAL, "job", Events(), raising=False)
    show("a", "b\nc")
    show("d", file=sys.stderr, end="")
    show("e", file=sys.stdout, flush=True)
    with io.StringIO() as other:
        show("f", file=other)
        assert other.getvalue() == "f\n"
    FORWARD.handle(logging.makeLogRecord({"msg": "g", "name": "rexec_shipped_lab", "levelno": 30}))
    assert CURRENT.events == [
        (0, "stdout", "a b\nc"),
        (0, "stderr", "d"),
        (0, "stdout", "e"),
        (30, "lab", "g"),
    ]
    assert capsys.readouterr().out == ""
    lines = Lines()
    assert [lines.write("ab"), lines.write("")] == [2, 0]


def test_a_printed_line_is_logged_as_information_and_a_logged_one_at_its_level(
    job: Job[Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "rexec.remote.camera"):
        job.take(news((1, "printed", 0), (2, "logged", logging.WARNING), count=2, progress=(0.5, "half")))
        job.take(news(count=2, progress=(0.5, "half")))
    found = [(level, text) for name, level, text in caplog.record_tuples if name == "rexec.remote.camera"]
    assert found[-3:] == [
        (logging.INFO, "[camera] measure: 50% half"),
        (logging.INFO, "[camera] stdout: printed"),
        (logging.WARNING, "[camera] stdout: logged"),
    ]
    assert [text for _, text in found].count("[camera] measure: 50% half") == 1


def test_a_job_says_what_it_is_about(job: Job[Any]) -> None:
    assert repr(job) == "<Job measure on camera: waiting>"
    assert not job.running()
    job.take(news(count=0))
    assert repr(job) == "<Job measure on camera: running>"
    assert job.running()
    job.take(news(count=0, progress=(0.25, "")))
    assert repr(job) == "<Job measure on camera: running, 25%>"
    job.take(news(count=0, progress=(0.25, "warm")))
    assert repr(job) == "<Job measure on camera: running, 25% warm>"
    job.finish({"value": 7})
    assert repr(job) == "<Job measure on camera: returned>"
    assert not job.running()
    job.finish({"cancelled": "cancelled"})
    assert job.result() == 7
    assert job.exception() is None
    assert not job.cancel()


def test_a_job_that_was_ended_says_why(remote: Remote) -> None:
    def ended(outcome: dict[str, Any]) -> Job[Any]:
        job: Job[Any] = Job(remote._channel, "0", "measure")
        job.finish(outcome)
        assert job.done()
        return job

    late, closed = ended({"cancelled": "deadline"}), ended({"cancelled": "client closed"})
    with pytest.raises(JobExpired, match="camera: measure was ended: its deadline has passed"):
        late.result()
    with pytest.raises(RemoteFunctionError, match="camera: measure was ended there: client closed"):
        closed.result()
    assert repr(closed) == "<Job measure on camera: raised RemoteFunctionError>"
    cancelled = ended({"cancelled": "cancelled"})
    assert repr(cancelled) == "<Job measure on camera: cancelled>"
    assert cancelled.cancel()
    cancelled.finish({"cancelled": "cancelled"})
    assert ended({"value": None}).result() is None


def test_an_outcome_that_comes_twice_ends_a_job_once(job: Job[Any]) -> None:
    job.fail(ValueError("first"))
    job.fail(ValueError("second"))
    job.finish({"value": 7})
    with pytest.raises(ValueError, match="first"):
        job.result()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_job_of_the_parent_is_refused_in_a_fork_whatever_its_threads_do(job: Job[Any]) -> None:
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with job._condition:
            held.set()
            free.wait(150)

    def refused() -> str:
        assert job.done()
        error = job.exception()
        with pytest.raises(RemoteFunctionError):
            job.result()
        return str(error)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(150)
    try:
        said = in_a_fork(refused)
    finally:
        free.set()
        thread.join(150)
    assert "measure is a job of the process that this one was forked from: Remote.job('0')" in said
    assert "a job of the process" in in_a_fork(lambda: str(job.exception()))
    assert not job.done()
