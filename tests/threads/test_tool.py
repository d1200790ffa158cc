"""The tool finds what goes wrong without a lock, and nothing where there is one."""

import contextlib
import gc
import threading
from typing import Any

import pytest

from tests.threads.interleaving import Race
from tests.threads.interrupting import interrupted_everywhere

HERE = ("tests/threads/test_tool.py",)


class Counter:
    def __init__(self, lock: Any = None) -> None:
        self.lock = threading.Lock() if lock is None else lock
        self.value = 0
        self.log: list[int] = []

    def count(self) -> int:
        with self.lock:
            self.value += 1
            return self.value

    def note(self) -> None:
        with self.lock:
            self.value += 1
            self.log.append(self.value)


def race(make: Any) -> "Race[Counter]":
    return Race(make, Counter.count, Counter.count, lambda counter: counter.value, HERE)


def test_a_lock_makes_every_interleaving_one_after_the_other() -> None:
    assert race(Counter).check() > 8


def test_a_re_entrant_lock_and_a_condition_do_too() -> None:
    race(lambda: Counter(threading.RLock())).check()
    race(lambda: Counter(threading.Condition())).check()


def test_without_the_lock_it_names_the_place() -> None:
    with pytest.raises(AssertionError, match=r"operation stopped before Counter\.count:\d+"):
        race(lambda: Counter(contextlib.nullcontext())).check()


def test_two_locks_in_different_orders_are_a_deadlock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.threads.interleaving.JOINED", 0.5)

    def both(first: Any, second: Any) -> None:
        with first, second:
            pass

    def make() -> Any:
        return threading.Lock(), threading.Lock()

    with pytest.raises(AssertionError, match="deadlock"):
        Race(make, lambda s: both(*s), lambda s: both(*reversed(s)), lambda _: None, HERE).check()


def test_an_interrupt_is_raised_at_each_place_and_the_lock_is_free() -> None:
    found: list[tuple[int, list[int]]] = []
    places = interrupted_everywhere(
        Counter, Counter.note, lambda counter, *_: found.append((counter.value, counter.log)), HERE
    )
    assert places >= 2
    assert found[0] == (0, [])
    assert (1, [1]) in found[:-1]  # after the call of append
    assert found[-1] == (1, [1])


class Dropped:
    """Something that only the collector ends: it holds itself."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        repr(self)  # a place, if it is ended within the operation


def test_no_finalizer_is_interrupted_in_place_of_the_operation() -> None:
    def act(counter: Counter) -> None:
        Dropped()
        kept: list[list[object]] = list(map(list, [()] * 2000))  # collects, were it allowed to
        counter.note()
        assert kept

    found: list[tuple[bool, str]] = []
    threshold = gc.get_threshold()
    gc.set_threshold(1000)
    try:
        interrupted_everywhere(Counter, act, lambda _, *seen: found.append(seen), HERE)
    finally:
        gc.set_threshold(*threshold)
    assert [where for raised, where in found if raised != bool(where)] == []


def test_a_lock_that_stays_held_is_noticed() -> None:
    def act(counter: Counter) -> None:
        counter.lock.acquire()
        counter.log.append(1)
        counter.lock.release()

    with pytest.raises(AssertionError, match="1 locks stay held after an interrupt at"):
        interrupted_everywhere(Counter, act, lambda *_: None, HERE)
