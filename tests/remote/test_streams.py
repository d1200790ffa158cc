"""What a stream yields, in what batches, and how far it runs ahead of its consumer."""

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rexec.remote
from rexec.remote import Remote
from rexec.remote.agent import execution
from rexec.remote.agent.driver_queue import DriverQueue
from rexec.remote.agent.execution import Execution
from rexec.remote.agent.items import FEW, MOST_AHEAD, stacked
from rexec.wire.pc_rpc import Client
from tests.remote_exec.peers import controller
from tests.waiting import within


def numbers(n: int) -> Iterator[int]:
    yield from range(n)


def of_many_kinds() -> Iterator[Any]:
    import numpy

    for number in range(40):
        yield numpy.full((2, 3), number, ">i2")
    for number in range(40):
        yield number
        yield numpy.full(number, number, numpy.float32)
        yield numpy.array(number)
    yield from [[1, "a"]] * 20


@pytest.fixture(scope="module")
def remote() -> Iterator[Remote]:
    with (
        controller("ours") as port,
        rexec.remote.wrap(Client("127.0.0.1", port, "camera_rexec"), "camera") as remote,
    ):
        yield remote


def test_items_of_many_kinds_arrive_as_they_are(remote: Remote) -> None:
    came = list(remote.function(of_many_kinds).stream())
    for ours, theirs in zip(came, of_many_kinds(), strict=True):
        assert type(ours) is type(theirs)
        assert np.array_equal(ours, theirs)
        if isinstance(ours, np.ndarray):
            assert (ours.dtype, ours.shape, ours.flags.writeable) == (theirs.dtype, theirs.shape, True)
            assert ours.base is None or ours.base.nbytes == ours.nbytes  # keeping one keeps one


def test_a_stream_of_small_items_takes_few_requests(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    request = remote._channel.request

    def counted(action: str, *rest: Any) -> Any:
        asked.append(action)
        return request(action, *rest)

    monkeypatch.setattr(remote._channel, "request", counted)
    assert list(remote.function(numbers).stream(20_000)) == list(range(20_000))
    assert len(asked) < 1000  # 8 items each took 2,500


def made(items: Iterator[Any], queue: DriverQueue | None = None) -> Execution:
    """Return an execution without a dispatcher, to be run in this thread or another one."""
    spec = {
        "id": "1",
        "function": "f",
        "args": [],
        "kwargs": {},
        "parallel": queue is None,
        "deadline": None,
        "start_at": None,
        "streams": True,
        "detached": False,
    }
    return Execution(spec, lambda: items, queue or DriverQueue(), SimpleQueue(), {}, "test")


def until_full(job: Execution, items: Iterator[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make items until the window is full."""

    class Full(Exception):
        pass

    def wait(rest: Callable[[], float | None], **_: Any) -> None:
        if rest() is None:
            raise Full

    monkeypatch.setattr(job, "wait", wait)
    with pytest.raises(Full):
        job.produce(items)


def test_a_stream_is_as_far_ahead_as_its_consumer_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = iter(lambda: 1, 0)
    job = made(endless)
    ahead = []
    for spent in (0.001, 0.001, 0.001, 0.001, 10.0, 10.0):
        until_full(job, endless, monkeypatch)
        ahead.append(len(job.items.held))
        job.take_back(job.items.first + len(job.items.held), spent)
    assert ahead == [FEW, 2 * FEW, 4 * FEW, 8 * FEW, 16 * FEW, FEW]


def test_the_bytes_that_wait_for_a_consumer_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    item = b"x" * (MOST_AHEAD // 100)
    endless = iter(lambda: item, b"")
    job = made(endless)
    job.items.window = 1 << 30
    until_full(job, endless, monkeypatch)
    assert len(job.items.held) <= 101
    assert len(job.poll(0, 0)["items"]) <= 51
    large = iter(lambda: b"x" * MOST_AHEAD, b"")
    job = made(large)
    until_full(job, large, monkeypatch)
    assert len(job.items.held) == FEW == len(job.poll(0, 0)["items"])  # as few as it has to be


def test_a_request_waits_for_the_next_item_and_no_longer_than_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = made(iter(()))
    job.wait_a_moment()  # nothing comes
    monkeypatch.setattr(execution, "QUICK", 3600.0)
    thread = threading.Thread(target=job.produce, args=(iter([1]),))
    waiting = threading.Thread(target=job.wait_a_moment)
    waiting.start()
    assert within(150, lambda: job.awaited)
    thread.start()
    waiting.join()
    thread.join()
    assert job.poll(0, 0)["items"] == [1]


@given(st.lists(st.sampled_from([np.zeros(3), np.ones((3, 1)), np.zeros(3, np.int8), 1, "a", np.float64(2)])))
@settings(max_examples=50)
def test_what_is_stacked_has_the_items_as_rows(items: list[Any]) -> None:
    rows = list(stacked(items))
    assert [type(row) for row in rows] == [type(item) for item in items]
    assert all(np.array_equal(row, item) for row, item in zip(rows, items, strict=True))
