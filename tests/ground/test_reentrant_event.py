"""An event may be set, cleared and waited for in the middle of its own methods."""

import itertools
import sys
import threading
from collections.abc import Callable

import pytest

from rexec.ground import reentrant_event
from rexec.ground.reentrant_event import ReentrantEvent
from tests.threads.opcodes import Interrupter


def interrupted(act: Callable[[], object], number: int, handle: Callable[[], object]) -> bool:
    """Call a function, with a handler before its n-th instruction in the module; return whether it has so many."""
    interrupter = Interrupter(number, handle, reentrant_event.__file__.__eq__)
    sys.settrace(interrupter)
    try:
        act()
    finally:
        sys.settrace(None)
    return interrupter.acted


@pytest.mark.parametrize("name", ["set", "clear", "wait"])
def test_a_handler_may_set_it_anywhere(name: str) -> None:
    acts: dict[str, Callable[[ReentrantEvent], object]] = {
        "set": ReentrantEvent.set,
        "clear": ReentrantEvent.clear,
        "wait": lambda event: event.wait(0.001),
    }
    ends: list[int] = []

    def everywhere() -> None:
        for number in itertools.count():
            event = ReentrantEvent()
            if not interrupted(lambda event=event: acts[name](event), number, event.set):  # type: ignore[misc]
                ends.append(number)
                return
            assert name == "clear" or event.is_set()
            assert event.wait(0.0) is event.is_set()

    thread = threading.Thread(target=everywhere, daemon=True)  # what waits for itself does so for ever
    thread.start()
    thread.join(150)
    assert ends
    assert ends[0] > 10


def test_a_wait_ends_when_it_is_set_for_each_that_waits() -> None:
    event = ReentrantEvent()
    found: list[bool] = []
    threads = [threading.Thread(target=lambda: found.append(event.wait(150.0))) for _ in range(3)]
    for thread in threads:
        thread.start()
    event.set()
    for thread in threads:
        thread.join(150)
    assert found == [True] * 3
