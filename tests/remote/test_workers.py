"""Workers of a fleet take calls from one queue; what ends, is cancelled or fails costs the other calls nothing."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, wait
from typing import Any

import pytest

from rexec.remote import RemoteClosed, RemoteFunctionError, StateLost
from rexec.remote._workers import Workers, gone
from tests.waiting import within


class Device:
    """A remote whose functions run here, once they may."""

    def __init__(self, is_free: bool = True) -> None:
        self.free = threading.Event()
        self.begun = threading.Event()
        self.threads: list[threading.Thread] = []
        self.is_cancelled = False
        if is_free:
            self.free.set()

    def function(self, function: Callable[..., Any]) -> "Device":
        self.threads.append(threading.current_thread())
        self.run = function
        return self

    def submit(self, *args: Any, **kwargs: Any) -> "Device":
        self.given = args, kwargs
        return self

    def result(self) -> Any:
        self.begun.set()
        assert self.free.wait(150)
        if self.is_cancelled:
            raise CancelledError
        args, kwargs = self.given
        return self.run(*args, **kwargs)

    def cancel(self) -> None:
        self.is_cancelled = True
        self.free.set()


def workers(**devices: Any) -> Workers:
    return Workers(devices)


def fails(error: BaseException) -> None:
    raise error


def told(future: "Future[Any]") -> str:
    """Return how a call ended, in words."""
    try:
        return repr(future.result(150))
    except (Exception, CancelledError) as error:
        return f"{type(error).__name__}: {error}"


def test_each_device_has_one_thread_which_does_not_keep_the_program() -> None:
    left, right = Device(False), Device(False)
    spread = workers(left=left, right=right)
    futures = [spread.submit(max, 1, number, key=abs) for number in (-2, -3)]
    assert left.begun.wait(150)
    assert right.begun.wait(150)
    further = spread.submit(str)
    left.free.set()
    right.free.set()
    assert sorted(map(told, futures)) == ["-2", "-3"]
    assert told(further) == "''"
    for name, device in (("left", left), ("right", right)):
        assert {(each.name, each.daemon) for each in device.threads} == {(f"rexec {name} work", True)}
        assert len(set(device.threads)) == 1


def test_the_end_waits_for_what_was_taken_if_it_is_to() -> None:
    device = Device(False)
    spread = workers(lamp=device)
    futures = [spread.submit(int, number) for number in range(3)]
    spread.shutdown(wait=False, cancel=False)
    with pytest.raises(RuntimeError, match="the fleet was shut down: it takes no more work"):
        spread.submit(int)
    assert not any(each.done() for each in futures)
    device.free.set()
    spread.shutdown(wait=True, cancel=False)
    assert [each.result(0) for each in futures] == [0, 1, 2]
    assert within(150, lambda: not device.threads[0].is_alive())
    workers(lamp=Device()).shutdown(wait=True, cancel=True)  # it has no threads yet


def test_a_cancelled_end_cancels_what_runs_and_what_waits() -> None:
    device = Device(False)
    spread = workers(lamp=device)
    running = spread.submit(int)
    assert device.begun.wait(150)
    waiting = [spread.submit(int) for _ in range(2)]
    spread.shutdown(wait=True, cancel=True)
    assert all(each.cancelled() for each in waiting)
    assert wait([running, *waiting], 150).not_done == set()
    assert told(running).startswith("CancelledError")
    assert len(device.threads) == 1


def test_a_cancelled_end_lets_no_device_begin_what_waits(caplog: pytest.LogCaptureFixture) -> None:
    device = Device(False)
    spread = workers(lamp=device)
    running = spread.submit(int)
    assert device.begun.wait(150)
    first, second, *_ = waiting = [spread.submit(int) for _ in range(3)]

    def go_on(_: object) -> None:
        device.cancel()  # its thread takes the next one while the others are still being cancelled
        assert within(150, second.done)

    first.add_done_callback(go_on)
    spread.shutdown(wait=True, cancel=True)
    assert all(each.cancelled() for each in waiting)
    assert told(running).startswith("CancelledError")
    assert len(device.threads) == 1
    assert caplog.messages == []


def test_a_call_that_was_cancelled_is_left_out_and_one_that_fails_ends_nothing() -> None:
    device = Device(False)
    spread = workers(lamp=device)
    first = spread.submit(fails, ValueError("odd"))
    assert device.begun.wait(150)
    second, third = spread.submit(int), spread.submit(int)
    assert second.cancel()
    device.free.set()
    assert (told(first), told(third)) == ("ValueError: odd", "0")
    assert len(device.threads) == 2
    assert within(150, lambda: not spread._running)


def test_a_device_that_is_gone_is_left_out_and_the_last_one_fails_all_that_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    left, right = Device(False), Device(False)
    spread = workers(left=left, right=right)
    futures = [spread.submit(fails, ConnectionError("cut")) for _ in range(2)]
    assert left.begun.wait(150)
    assert right.begun.wait(150)
    waiting = [spread.submit(int) for _ in range(3)]
    waiting[1].cancel()
    with caplog.at_level(logging.WARNING):
        left.free.set()
        assert within(150, lambda: not spread._threads["left"].is_alive())
        assert caplog.messages == ["left is left out from now on: cut"]
        assert not waiting[0].done()
        right.free.set()
        assert [told(each) for each in futures] == ["ConnectionError: cut"] * 2
        none = "no device of the fleet can be reached any more"
        said = f"RemoteFunctionError: {none}: cut"
        assert [told(each) for each in waiting] == [said, "CancelledError: ", said]
    with pytest.raises(RemoteFunctionError, match=none):
        spread.submit(int)


def test_a_forked_child_has_threads_and_a_queue_of_its_own() -> None:
    device = Device(False)
    spread = workers(lamp=device)
    spread.submit(int)
    assert device.begun.wait(150)
    theirs = spread._queue
    spread._generation = -1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spread, "_devices", {"lamp": Device()})
        assert told(spread.submit(int)) == "0"
    assert spread._queue is not theirs
    mine = spread._queue
    spread._generation = -1
    spread.shutdown(wait=True, cancel=False)
    assert spread._queue is not mine
    assert not spread._threads
    device.free.set()
    theirs.put(None)
    mine.put(None)


def remote(error: Exception) -> Exception:
    """Return an error as one that a controller has sent."""
    error.parent_traceback = []  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("error", "is_gone"),
    [(ConnectionError("x"), True), (RemoteClosed("x"), True), (StateLost("x"), False), (ValueError("x"), False),
     (remote(ConnectionError("x")), False)],
    ids=repr,
)  # fmt: skip
def test_a_controller_is_gone_if_it_cannot_be_reached(error: Exception, is_gone: bool) -> None:
    assert gone(error) == is_gone
