"""A wait in slices takes as long as one wait, and sees the same."""

import queue
import threading
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future

import pytest

from rexec.ground import waits
from rexec.ground.waits import InterruptibleFuture, done_within, join_all, next_of, wait_in_slices
from tests.clock import set_clock

SLICES = (waits._LOOK_UP, 0.01)


@pytest.fixture(params=SLICES)
def slices(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    length: float = request.param
    monkeypatch.setattr(waits, "_LOOK_UP", length)
    return length


def test_no_wait_is_longer_than_a_slice_and_all_are_as_long_as_asked(
    slices: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    set_clock(monkeypatch, "rexec.ground.waits", monotonic=lambda: now[0])
    waited: list[float] = []

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        now[0] += seconds
        return len(waited) == 4

    assert wait_in_slices(wait)
    assert waited == [slices] * 4
    assert not wait_in_slices(wait, 2.5 * slices)
    assert waited[4:] == pytest.approx([slices, slices, slices / 2])


def test_what_is_there_already_is_seen_without_time(slices: float) -> None:
    assert wait_in_slices(lambda seconds: seconds == 0.0, 0.0)
    assert not wait_in_slices(lambda seconds: False, -1.0)


def later(do: threading.Timer) -> threading.Timer:
    do.daemon = True
    do.start()
    return do


def test_a_future_gives_what_it_ends_with(slices: float) -> None:
    given: InterruptibleFuture[int] = InterruptibleFuture()
    later(threading.Timer(0.05, lambda: given.set_result(3)))
    assert given.result(150) == 3
    assert given.exception() is None
    failed: InterruptibleFuture[int] = InterruptibleFuture()
    error = TimeoutError("the function's own")
    later(threading.Timer(0.05, lambda: failed.set_exception(error)))
    assert failed.exception() is error
    with pytest.raises(TimeoutError, match="own"):
        failed.result()


def test_a_future_that_does_not_end_in_time(slices: float) -> None:
    future: InterruptibleFuture[int] = InterruptibleFuture()
    for wait in (future.result, future.exception):
        with pytest.raises(TimeoutError):
            wait(0.03)


def test_a_future_that_is_cancelled_meanwhile(slices: float) -> None:
    for way in ("result", "exception"):
        future: InterruptibleFuture[int] = InterruptibleFuture()
        later(threading.Timer(0.05, future.cancel))
        with pytest.raises(CancelledError):
            getattr(future, way)(150)


def test_futures_are_waited_for_as_by_the_library(slices: float) -> None:
    first, second = futures = [Future[int](), Future[int]()]
    assert done_within(futures, 0.03) == set()
    assert done_within(futures, 0.03, FIRST_COMPLETED) == set()
    later(threading.Timer(0.05, lambda: first.set_result(1)))
    assert done_within(futures, 150, FIRST_COMPLETED) == {first}
    assert done_within(futures, 0.03) == {first}
    later(threading.Timer(0.05, lambda: second.set_result(1)))
    assert done_within(futures) == {first, second}
    assert done_within([]) == set()


def test_the_next_item_is_taken_once(slices: float) -> None:
    items: queue.SimpleQueue[int] = queue.SimpleQueue()
    with pytest.raises(queue.Empty):
        next_of(items, 0.03)
    later(threading.Timer(0.05, items.put, (1,)))
    assert next_of(items, 150) == 1
    with pytest.raises(queue.Empty):
        next_of(items, 0.0)


def test_threads_are_waited_for(slices: float) -> None:
    go = threading.Event()
    threads = [threading.Thread(target=go.wait, args=(150,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    later(threading.Timer(0.05, go.set))
    join_all(threads)
    assert not any(thread.is_alive() for thread in threads)
