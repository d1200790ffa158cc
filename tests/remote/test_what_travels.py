"""Which functions can be sent, with what they use, and how those are refused that cannot."""

import collections
import contextlib
import dataclasses
import enum
import functools
import json
import linecache
import pickle
import sys
import threading
import traceback
import types
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import pytest

import rexec.remote
from rexec.remote import CannotTravel, Remote
from rexec.wire.pc_rpc import Client
from tests.remote_exec.peers import controller

T = TypeVar("T")


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int
    near: "list[int]" = dataclasses.field(default_factory=list)


class Box(Generic[T]):
    def __init__(self, value: T) -> None:
        self.value = value


class Pair(NamedTuple):
    a: int = 1


Sum = collections.namedtuple("Sum", "terms total")
ARRAY = np.arange(5)
LOCK = threading.Lock()
increased: Callable[[int], int] = lambda x: x + 1  # noqa: E731


class Gain:
    factor = 2

    def method(self, x: float) -> float:
        return self.factor * x

    @staticmethod
    def static(x: float) -> float:
        return 2 * x


GAIN = Gain()


def classes() -> Any:
    box = Box(Pair(3).a)
    return Colour.RED.name, dataclasses.asdict(Point(1, [2])), box.value, Sum([1], 1).total, Gain.static(2)


def plus_hundred(function: Callable[..., int]) -> Callable[..., int]:
    @functools.wraps(function)
    def more(*args: int) -> int:
        return function(*args) + 100

    return more


@plus_hundred
def decorated(x: int) -> int:
    return x


def plain(x: Any) -> Any:
    return x


later = plus_hundred(plain)
other_name = plain


@functools.lru_cache
def cached(x: int) -> int:
    return 2 * x


@contextlib.contextmanager
def opened() -> Iterator[int]:
    yield 5


def uses_decorated() -> Any:
    with opened() as value:
        return decorated(1), later(1), other_name(1), cached(4), increased(1), value


def default(x: Any = ARRAY) -> int:
    return int(x.sum())


def makes_global() -> int:
    global made
    made = 5  # type: ignore[name-defined]
    return made  # type: ignore[name-defined, no-any-return]


def recursive() -> Callable[[int], int]:
    one = 1

    def factorial(n: int) -> int:
        return one if n == 0 else n * factorial(n - 1)

    return factorial


def each_other() -> Callable[[int], bool]:
    def even(n: int) -> bool:
        return n == 0 or odd(n - 1)

    def odd(n: int) -> bool:
        return n != 0 and even(n - 1)

    return even


async def awaits(x: int) -> int:
    return x + 1


async def items(number: int) -> AsyncIterator[int]:
    for index in range(number):
        yield index


def generates() -> Iterator[int]:
    yield 1


def uses_lock() -> None:
    with LOCK:
        pass


def uses_instance() -> float:
    return GAIN.method(2)


def decodes() -> str:
    return b"\xff".decode()


class Trouble(Exception):
    level = 0


def raises_trouble(which: str) -> None:
    error = Trouble(*{"two": ("a", 2), "none": (), "odd": ("a", object)}[which])
    error.level = 3
    raise error


def opens() -> None:
    open("/nowhere/at/all")


def raises_group() -> None:
    raise ExceptionGroup("several", [ValueError("a"), KeyError("k")])


@pytest.fixture(scope="module")
def remote() -> Iterator[Remote]:
    with (
        controller("ours") as port,
        rexec.remote.wrap(Client("127.0.0.1", port, "camera_rexec"), "camera") as remote,
    ):
        yield remote


def test_classes_of_every_kind_travel(remote: Remote) -> None:
    assert remote.function(classes)() == ("RED", {"x": 1, "near": [2]}, 3, 1, 4)


def test_decorated_functions_aliases_and_named_lambdas_travel(remote: Remote) -> None:
    assert remote.function(uses_decorated)() == (101, 101, 1, 8, 2, 5)
    assert remote.function(decorated)(2) == 102
    assert remote.function(cached)(2) == 4


def test_nested_functions_that_name_themselves_or_each_other_travel(remote: Remote) -> None:
    assert remote.function(recursive())(4) == 24
    assert remote.function(each_other())(4) is True


def test_defaults_and_globals_that_are_made_there_travel(remote: Remote) -> None:
    assert remote.function(default)() == 10
    assert remote.function(makes_global)() == 5


def test_coroutines_are_awaited_there(remote: Remote) -> None:
    value: Any = remote.function(awaits)(1)
    assert value == 2
    assert list(remote.function(items).stream(3)) == [0, 1, 2]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (uses_lock, r"test_what_travels\.py:\d+: LOCK is of type lock and cannot travel"),
        (uses_instance, r"test_what_travels\.py:\d+: GAIN is of type Gain and cannot travel"),
        (GAIN.method, r"test_what_travels\.py:\d+: Gain\.method is a method: write a function"),
        (Gain.static, r"test_what_travels\.py:\d+: Gain\.static is a method: write a function"),
        (lambda x: x, r"test_what_travels\.py:\d+: a lambda cannot travel: write a def"),
        (functools.partial(plain, 1), "a partial of .*plain.*: give the function itself"),
        (Point, "Point is a class"),
        (len, "no function written in Python"),
        (np.sum, r"numpy.*\.sum is of an installed package"),
    ],
)
def test_what_cannot_travel_is_refused_before_anything_is_sent(
    remote: Remote, function: Any, message: str
) -> None:
    with pytest.raises(CannotTravel, match=message):
        remote.function(function)


def test_a_function_without_source_is_named(remote: Remote) -> None:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec("def typed_in(): return 1", space)
    with pytest.raises(CannotTravel, match=r"typed_in: its source cannot be found.*in a file or a notebook"):
        remote.function(space["typed_in"])


def test_a_module_without_source_is_named(remote: Remote) -> None:
    with pytest.raises(CannotTravel, match=r"the source of made_up cannot be found"):
        remote.add_module(types.ModuleType("made_up"))
    with pytest.raises(CannotTravel, match=r"json is a package: install it on the controller"):
        remote.add_module(json)


def test_a_function_of_a_notebook_travels_and_so_does_its_next_version(remote: Remote) -> None:
    space: dict[str, Any] = {"__name__": "__main__"}

    def cell(number: int, text: str) -> None:
        # As IPython does it.
        name = f"/tmp/ipykernel_1/{number}.py"
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        exec(compile(text, name, "exec"), space)

    cell(1, "FACTOR = 2\ndef scaled(x):\n    return FACTOR * x\n")
    assert remote.function(space["scaled"])(3) == 6
    cell(2, "def scaled(x):\n    return FACTOR * x + 1\n")
    assert remote.function(space["scaled"])(3) == 7
    cell(1, "FACTOR = 2\ndef scaled(x):\n    return FACTOR * x\n")
    assert remote.function(space["scaled"])(3) == 6


def test_a_class_of_a_notebook_travels(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", notebook)
    name = "/tmp/ipykernel_1/7.py"
    text = "from dataclasses import dataclass\n@dataclass\nclass Spot:\n    x: int\ndef makes(): return Spot(3).x\n"
    monkeypatch.setitem(linecache.cache, name, (len(text), None, text.splitlines(keepends=True), name))
    exec(compile(text, name, "exec"), vars(notebook))
    assert remote.function(vars(notebook)["makes"])() == 3


def test_what_derives_from_a_class_that_has_changed_is_made_again(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", notebook)

    def cell(number: int, text: str) -> None:
        name = f"/tmp/ipykernel_1/{number}.py"
        monkeypatch.setitem(linecache.cache, name, (len(text), None, text.splitlines(keepends=True), name))
        exec(compile(text, name, "exec"), vars(notebook))

    for number, area in ((10, 2), (20, 5)):
        cell(number, f"class Shape:\n    def area(self): return {area}\n")
        cell(number + 1, "class Spot(Shape):\n    pass\ndef area(): return Spot().area()\n")
        assert remote.function(vars(notebook)["area"])() == area


def test_a_file_that_was_edited_after_its_import_is_refused(
    remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "edited_module.py"
    file.write_text("def first():\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    import edited_module  # type: ignore[import-not-found]

    assert remote.function(edited_module.first)() == 1
    file.write_text("def second():\n    return 2\n\n\ndef first():\n    return 1\n")
    with pytest.raises(CannotTravel, match=r"edited_module\.py:1: first is not there: the file was edited"):
        remote.function(edited_module.first)


def test_values_that_cannot_travel_are_told_by_path(remote: Remote) -> None:
    with pytest.raises(TypeError, match=r"^plain\(\): args\[0\]\['a'\]\[1\]: a lock cannot"):
        remote.function(plain)({"a": [1, LOCK]})
    with pytest.raises(TypeError, match=r"generates is a generator function: use \.stream\(\)"):
        remote.function(generates)()


@pytest.mark.parametrize("function", [opens, raises_group])
def test_builtin_errors_with_unusual_arguments_come_back_and_can_be_pickled(
    remote: Remote, function: Callable[[], Any]
) -> None:
    with pytest.raises((FileNotFoundError, ExceptionGroup)) as caught:
        remote.function(function)()
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again).__name__, str(again)) == (type(caught.value).__name__, str(caught.value))


def test_an_error_with_bytes_in_it_comes_back_as_it_was(remote: Remote) -> None:
    with pytest.raises(UnicodeDecodeError, match="can't decode byte 0xff in position 0") as caught:
        remote.function(decodes)()
    assert caught.value.object == b"\xff"


def test_an_error_of_a_class_of_the_user_s_has_its_arguments_or_its_text(remote: Remote) -> None:
    for which, args in (("two", ("a", 2)), ("none", ()), ("odd", ("('a', <class 'object'>)",))):
        with pytest.raises(Trouble) as caught:
            remote.function(raises_trouble)(which)
        assert (caught.value.args, caught.value.level) == (args, 3)
        assert pickle.loads(pickle.dumps(caught.value)).args == args


ERRORS = [
    error
    for error in (getattr(rexec.remote, name) for name in rexec.remote.__all__)
    if isinstance(error, type) and issubclass(error, Exception)
]


@pytest.mark.parametrize("kind", ERRORS)
def test_a_traceback_names_an_error_as_it_is_imported(kind: type[Exception]) -> None:
    failed = rexec.remote.FleetResults[int]({}, {"left": ValueError("x")})
    error = kind(failed) if kind is rexec.remote.FleetError else kind("text")
    assert traceback.format_exception_only(error)[0].startswith(f"rexec.remote.{kind.__name__}: ")
    assert type(pickle.loads(pickle.dumps(error))) is kind
