"""The lock of a call by itself: one call at a time, in their order, and none waits for one that has ended."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest

from rexec.wire import call_lock
from rexec.wire.call_lock import CallLock
from rexec.wire.errors import ReentrantCall

PATIENCE = 150.0


@contextmanager
def in_a_thread(call: Callable[[threading.Event], None]) -> Iterator[threading.Event]:
    """Run a call, which gets the event that it ends at, in a thread."""
    end = threading.Event()
    thread = threading.Thread(target=call, args=(end,), daemon=True)
    thread.start()
    try:
        yield end
    finally:
        end.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()


@contextmanager
def held(lock: CallLock) -> Iterator[threading.Event]:
    """Have a thread hold a lock until the event that is yielded."""
    has = threading.Event()

    def hold(end: threading.Event) -> None:
        with lock:
            has.set()
            end.wait(PATIENCE)

    with in_a_thread(hold) as end:
        assert has.wait(PATIENCE)
        yield end


class Rung(SimpleQueue[None]):
    """A bell that has to ring: nobody looks at the holder again."""

    waiting: "SimpleQueue[None]"

    def get(self, block: bool = True, timeout: float | None = None) -> None:
        self.waiting.put(None)
        try:
            super().get(timeout=PATIENCE)
        except Empty:
            raise AssertionError("the bell did not ring") from None


class Ticking:
    """A clock, and a bell that never rings: each wait moves the clock on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 64.0
        self.waits: list[float] = []
        self.bells = 0
        self.meanwhile: Callable[[], object] = lambda: None
        clock = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr(call_lock, "time", clock)
        monkeypatch.setattr(call_lock, "SimpleQueue", self.bell)

    def bell(self) -> "Ticking":
        self.bells += 1
        return self

    def put(self, item: None) -> None: ...

    def get(self, *, timeout: float) -> None:
        self.waits.append(timeout)
        self.now += timeout
        self.meanwhile()
        raise Empty


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> Ticking:
    return Ticking(monkeypatch)


def test_calls_go_on_one_at_a_time_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    lock, order, waiting = CallLock(), list[str](), SimpleQueue[None]()
    Rung.waiting = waiting
    monkeypatch.setattr(call_lock, "SimpleQueue", Rung)

    def entering(name: str) -> Callable[[threading.Event], None]:
        def call(end: threading.Event) -> None:
            with lock:
                order.append(name)
                assert len(lock._queue) == 4 - len(order)

        return call

    def acquiring(name: str) -> Callable[[threading.Event], None]:
        def call(end: threading.Event) -> None:
            try:
                assert lock.acquire(None)
                order.append(name)
            finally:
                lock.release()

        return call

    for kinds in ((entering, acquiring, entering), (acquiring, entering, acquiring)):
        order.clear()
        with held(lock) as end:
            with in_a_thread(kinds[0]("a")):
                waiting.get(timeout=PATIENCE)
                with in_a_thread(kinds[1]("b")):
                    waiting.get(timeout=PATIENCE)
                    with in_a_thread(kinds[2]("c")):
                        waiting.get(timeout=PATIENCE)
                        assert order == []
                        end.set()
        assert order == ["a", "b", "c"]
        assert not lock._queue
        while not waiting.empty():
            waiting.get()


def test_a_call_waits_as_long_as_it_may_and_looks_at_the_holder_meanwhile(ticking: Ticking) -> None:
    lock = CallLock()
    assert lock.acquire(0.0)
    lock.release()
    with held(lock):
        assert not lock.acquire(0.625)
        lock.release()
        assert ticking.waits == [0.25, 0.25, 0.125]
        ticking.waits.clear()
        assert not lock.acquire(0.0)
        lock.release()
        assert ticking.waits == [0.0]
    assert not lock._queue
    assert lock.acquire(None)
    lock.release()
    assert not lock._queue
    with lock:
        pass
    assert ticking.bells == 2  # none for a free lock


def test_those_further_behind_look_more_rarely(ticking: Ticking) -> None:
    lock = CallLock()
    waits, behind, first = threading.Event(), threading.Event(), threading.get_ident()

    def meanwhile() -> None:
        if threading.get_ident() == first:
            behind.set()
        else:
            waits.set()
            assert behind.wait(PATIENCE)

    def second(end: threading.Event) -> None:
        lock.acquire(0.25)
        lock.release()

    ticking.meanwhile = meanwhile
    with held(lock), in_a_thread(second):
        assert waits.wait(PATIENCE)
        assert not lock.acquire(0.5)
        lock.release()
    assert ticking.waits == [0.25, 0.5]


@pytest.mark.parametrize("timeout", [None, 0.25, 0.5])
def test_a_call_that_has_ended_holds_nothing(timeout: float | None, ticking: Ticking) -> None:
    lock = CallLock()

    def forgets() -> None:
        assert lock.acquire(None)

    def forgets_too() -> None:
        lock.__enter__()

    for careless in (forgets, forgets_too):
        careless()
        assert lock.acquire(timeout)
        lock.release()
        assert ticking.waits == [0.25]
        ticking.waits.clear()
        careless()
        with lock:
            assert len(lock._queue) == 1
        assert ticking.waits == [0.25]
        ticking.waits.clear()
    assert not lock._queue


def test_a_call_within_a_call_is_refused(ticking: Ticking) -> None:
    for lock, kind, said in (
        (
            CallLock(),
            ReentrantCall,
            "re-entrant call: this thread is already in a call of this client (signal",
        ),
        (
            CallLock("a request to x", LookupError),
            LookupError,
            "this thread is already in a request to x (signal",
        ),
    ):

        def acquires(lock: CallLock = lock) -> None:
            try:
                lock.acquire(None)
            finally:
                lock.release()

        def enters(lock: CallLock = lock) -> None:
            with lock:
                raise AssertionError("entered")

        def asks(lock: CallLock = lock) -> None:
            lock.refuse_reentry()

        lock.refuse_reentry()
        for call in (acquires, enters, asks):
            with lock:
                with pytest.raises(kind) as caught:
                    call()
                assert said in str(caught.value)
                assert len(lock._queue) == 1
                with pytest.raises(kind):
                    lock.refuse_reentry()
            assert not lock._queue

            def interrupt(call: Callable[[], None] = call, kind: type[Exception] = kind) -> None:
                with pytest.raises(kind):
                    call()  # as a signal handler does, of a thread that waits

            with held(lock):
                lock.refuse_reentry()  # the call of another thread
                ticking.meanwhile = interrupt
                assert not lock.acquire(0.25)
                lock.release()
        ticking.meanwhile = lambda: None


def test_a_holder_lends_the_lock_to_calls_that_it_makes(ticking: Ticking) -> None:
    lock = CallLock()

    def calls() -> Any:
        try:
            return lock.acquire(None), lock.is_lent()
        finally:
            lock.release()

    def enters() -> bool:
        with lock:
            return lock.is_lent()

    assert not lock.is_lent()
    with lock:
        assert not lock.is_lent()
        with lock.lent():
            assert lock.is_lent()
            assert (calls(), enters()) == ((True, True), True)
            found: list[bool] = []
            with in_a_thread(lambda _: found.append(lock.is_lent() or lock.acquire(0.25))):
                pass
            assert found == [False]  # another thread
        for call in (calls, enters):
            with pytest.raises(ReentrantCall):
                call()
        assert not lock.is_lent()
        assert lock._lender is None
