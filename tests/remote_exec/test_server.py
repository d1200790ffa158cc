"""Code that is sent to a controller runs there, in a namespace of its connection."""

import gc
import linecache
import sys
import traceback

import pytest

from rexec.remote_exec import RemoteExecServer
from rexec.remote_exec._sources import Sources
from rexec.wire.pc_rpc import Client
from tests.remote_exec.peers import MAKES, Driver, controller

CODE = """
import math

def twice(x):
    return 2 * x

def measured():
    return controller_driver.measure()

def fails():
    value = 0
    return 1 / value  # this line is shown
"""


@pytest.mark.parametrize("make", MAKES)
def test_code_runs_beside_the_driver(make: str) -> None:
    with controller(make) as port, Client("127.0.0.1", port, "camera_rexec") as rexec:
        rexec.add_code(CODE)
        assert rexec.call("twice", 21) == 42
        assert rexec.call("twice", x="ab") == "abab"
        assert rexec.call("measured") == 1
        with Client("127.0.0.1", port, "camera") as camera:
            assert camera.measure() == 2


@pytest.mark.parametrize("make", MAKES)
def test_each_connection_has_its_namespace_and_the_controller_has_one(make: str) -> None:
    with controller(make) as port:
        with Client("127.0.0.1", port, "camera_rexec") as first:
            first.add_code("here = 1\ncontroller_initial_namespace['everywhere'] = 2\ndef f(): return here")
            assert first.call("f") == 1
        with Client("127.0.0.1", port, "camera_rexec") as second:
            second.add_code("def f(): return everywhere\ndef g(): return here")
            assert second.call("f") == 2
            with pytest.raises(NameError):
                second.call("g")


@pytest.mark.parametrize("make", MAKES)
def test_the_namespace_says_a_module_that_exists(make: str) -> None:
    with controller(make) as port, Client("127.0.0.1", port, "camera_rexec") as rexec:
        rexec.add_code("import sys\ndef exists(): return exists.__module__ in sys.modules")
        assert rexec.call("exists") is True


def test_a_remote_traceback_shows_the_lines_that_were_sent() -> None:
    with controller("ours") as port, Client("127.0.0.1", port, "camera_rexec") as rexec:
        rexec.add_code(CODE)
        with pytest.raises(ZeroDivisionError) as caught:
            rexec.call("fails")
        text = "".join(traceback.format_exception(caught.value))
        assert "return 1 / value  # this line is shown" in text
        assert "line 12, in fails" in text


def test_a_coroutine_function_is_awaited() -> None:
    with controller("ours") as port, Client("127.0.0.1", port, "camera_rexec") as rexec:
        rexec.add_code(
            "import asyncio\nasync def later(x):\n    await asyncio.sleep(0.01)\n    return x + 1\n"
        )
        assert rexec.call("later", 1) == 2


def test_what_a_connection_registered_is_dropped_with_it() -> None:
    server = RemoteExecServer({})
    server.add_code("def f(): raise ValueError('x')")
    name = server.namespace["f"].__code__.co_filename
    assert linecache.getline(name, 1).startswith("def f()")
    del server
    gc.collect()
    assert name not in linecache.cache


def test_lines_stay_as_long_as_one_connection_has_sent_them() -> None:
    first, second = Sources(), Sources()
    name = first.add("x = 1\n")
    assert second.add("x = 1\n") == name
    first.drop()
    assert linecache.getline(name, 1) == "x = 1\n"
    linecache.checkcache()
    assert linecache.getline(name, 1) == "x = 1\n"
    second.drop()
    assert name not in linecache.cache


def test_the_memory_of_a_connection_for_source_is_bounded() -> None:
    sources = Sources(limit=1000)
    names = [sources.add(f"x = {number}\n" + "#" * 300) for number in range(20)]
    kept = [name for name in names if name in linecache.cache]
    assert kept == names[-3:]
    sources.drop()
    assert not any(name in linecache.cache for name in names)


def test_the_controllers_namespace_is_not_changed_by_a_connection() -> None:
    initial = {"controller_driver": Driver()}
    server = RemoteExecServer(initial)
    server.add_code("x = 1")
    assert set(initial) == {"controller_driver"}
    assert server.namespace["__name__"] in sys.modules


def test_source_that_is_none_is_refused_with_its_line() -> None:
    server = RemoteExecServer({})
    with pytest.raises(SyntaxError, match="line 2"):
        server.add_code("x = 1\ndef f(:\n")
