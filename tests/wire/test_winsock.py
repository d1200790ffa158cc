"""Windows: more connections than `select` takes, and a port that nobody takes over."""

import contextlib
import selectors
import socket
import sys

import pytest

from rexec.wire._winsock import PollSelector
from rexec.wire.pc_rpc import Client
from tests.serving import can_be_taken_over, serving

LOCAL = "127.0.0.1"


class Driver:
    def ping(self) -> bool:
        return True


def test_the_selector_tells_what_can_be_read_and_written() -> None:
    here, there = socket.socketpair()
    with here, there, PollSelector() as selector:
        here.setblocking(False)
        selector.register(here, selectors.EVENT_READ, "key")
        assert selector.select(0) == []
        there.send(b"x")
        ((key, events),) = selector.select(20)
        assert (key.data, events) == ("key", selectors.EVENT_READ)
        selector.modify(here, selectors.EVENT_READ | selectors.EVENT_WRITE, "both")
        ((key, events),) = selector.select(20)
        assert (key.data, events) == ("both", selectors.EVENT_READ | selectors.EVENT_WRITE)
        here.recv(1)
        ((key, events),) = selector.select(20)
        assert events == selectors.EVENT_WRITE
        selector.modify(here, selectors.EVENT_READ)
        there.close()
        ((key, events),) = selector.select(20)
        assert events == selectors.EVENT_READ  # the end


@pytest.mark.skipif(sys.platform != "win32", reason="select takes 512 sockets on Windows")
def test_a_server_serves_over_512_connections() -> None:
    with contextlib.ExitStack() as stack, serving({"drv": Driver()}) as port:
        for _ in range(600):
            stack.enter_context(socket.create_connection((LOCAL, port), 150))
        with Client(LOCAL, port, "drv", timeout=150) as client:
            assert client.ping() is True


def test_nobody_takes_over_the_port_of_a_server() -> None:
    with serving({"drv": Driver()}) as port:
        assert not can_be_taken_over((LOCAL, port))
