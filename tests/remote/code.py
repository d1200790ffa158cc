"""Functions that the tests send to controllers: they run there."""

import contextlib
import logging
import math
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import rexec.remote
from rexec.remote import controller_driver, job

FACTOR = 3
TABLE = {"a": (1, 2.5), 4: [None, True]}
WORD = re.compile(r"\w+")
LOCK = contextlib.ExitStack()
logger = logging.getLogger(__name__)
count = 0


@dataclass
class Point:
    """A class that travels."""

    x: float
    y: float

    def length(self) -> float:
        return math.hypot(self.x, self.y)


class Overflow(Exception):
    """An exception that only the experiment defines."""


def scaled(value: float) -> float:
    return FACTOR * value


def compute(x: float, *, y: float = 4.0) -> dict[str, Any]:
    """Uses an import, a helper, a constant and a class."""
    return {
        "length": Point(x, y).length(),
        "scaled": scaled(x),
        "table": TABLE,
        "words": WORD.findall("a bc"),
    }


def measure() -> Any:
    return controller_driver.measure()


def adder(amount: int) -> Any:
    def add(x: int) -> int:
        return x + amount

    return add


def counted() -> int:
    global count
    count += 1
    return count


def fails(depth: int) -> float:
    try:
        return scaled(1) / depth  # here it divides
    except ZeroDivisionError as error:
        failure = Overflow("too deep")
        failure.add_note("while testing")
        raise failure from error


def fails_oddly() -> None:
    class Odd(Exception):
        pass

    raise Odd("only there")


def misses() -> None:
    raise KeyError("a key")


def speaks() -> int:
    print("printed", 1)
    logger.warning("logged %d", 2)
    return 7


def tells() -> float:
    rexec.remote.job.progress(0.25)
    return float(rexec.remote.controller_driver.measure())


def slow(seconds: float) -> str:
    job.progress(0.5, "half way")
    job.sleep(seconds)
    return "done"


def frames(number: int, log: bool = False) -> Iterator[int]:
    try:
        for index in range(number):
            controller_driver.measure()
            yield index
    finally:
        if log:
            controller_driver.ended = True


def has_ended() -> bool:
    """Tell whether one of these has come to its `finally` since it was asked last."""
    ended = getattr(controller_driver, "ended", False)
    controller_driver.ended = False
    return ended


def breaks() -> Iterator[int]:
    yield 1
    yield 2
    raise ValueError("after two")


def uses_unsendable() -> Any:
    return LOCK


def uses_unknown() -> Any:
    return nowhere_defined  # type: ignore[name-defined]  # noqa: F821


def returns_unsendable() -> Any:
    return time


def overlaps(seconds: float) -> bool:
    """Tell whether another of these runs within so many seconds."""
    inside = controller_driver.inside = getattr(controller_driver, "inside", 0) + 1
    if inside == 1:
        controller_driver.met = threading.Event()
    else:
        controller_driver.met.set()
    met = controller_driver.met.wait(seconds)
    controller_driver.inside -= 1
    return bool(met)


@rexec.remote  # type: ignore[operator]  # a package that can be called: mypy knows the form below
def marked(x: float) -> float:
    return scaled(x) + 2


@rexec.remote.remote
def decorated(x: float) -> float:
    return scaled(x) + 1


def first_only() -> Any:
    if controller_driver.measure() > 1:
        raise ValueError("measured before")
    return 1


def deaf(seconds: float) -> str:
    """Does not look whether it is to end."""
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            time.sleep(0.01)
    finally:
        controller_driver.ended = True
    return "done"


def unchanged(value: Any) -> Any:
    return value


def size_of(array: Any) -> int:
    size: int = array.nbytes
    return size


def holder(array: Any) -> Any:
    def held() -> int:
        size: int = array.nbytes
        return size

    return held


def version(number: int) -> Any:
    """Two functions of one name in one module."""
    if number == 1:

        def same_name() -> int:
            return 1

    else:

        def same_name() -> int:
            return 2

    return same_name


def says(number: int) -> Iterator[int]:
    for index in range(number):
        print("item", index)
        yield index


def what_time_is_it() -> float:
    return time.time()


def peak(x: float) -> float:
    return math.exp(-((x / 0.1) ** 2))
