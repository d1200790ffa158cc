"""Logs go to a master's logging port, whatever becomes of the master, and nobody waits for it."""

import logging
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from rexec.supervise import forward
from rexec.supervise.forward import LogForwarder
from rexec.wire.logs import BANNER
from tests.serving import free_port, ports_released
from tests.waiting import within


class LoggingPort:
    """The logging port of a master: keeps the lines of each connection."""

    def __init__(self, port: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = port
        self.lines: queue.Queue[bytes] = queue.Queue()
        self.connections: list[socket.socket] = []
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            thread = threading.Thread(target=self._read, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def _read(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            for line in lines:
                self.lines.put(line)

    def next(self) -> bytes:
        return self.lines.get(timeout=150)

    def close(self) -> None:
        if self.listener.fileno() < 0:
            return
        with suppress(OSError):  # Windows and macOS shut down no listener; there its end wakes `accept`
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for each in self.connections:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self.threads:
            thread.join(150)


@pytest.fixture
def master() -> Iterator[LoggingPort]:
    with ports_released():
        port = LoggingPort(free_port())  # nobody else gets it while the master is away
        yield port
        port.close()


@contextmanager
def forwarding(port: int, keep: int = 1 << 20) -> Iterator[tuple[logging.Logger, LogForwarder]]:
    logger = logging.Logger("lab")
    forwarder = LogForwarder("127.0.0.1", port, "ctlmgr(here)", keep)
    logger.addHandler(forwarder)
    try:
        yield logger, forwarder
    finally:
        forwarder.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "RECONNECT", 0.1)


def test_records_bear_the_name_of_who_says_them(master: LoggingPort) -> None:
    with forwarding(master.port) as (logger, _):
        logger.warning("two\nlines")
        logger.error("x:y", extra={"controller": "lamp", "said_by": "x", "said": "y"})
        assert [master.next() for _ in range(4)] == [
            BANNER,
            b"ctlmgr(here):WARNING<2>:lab:two\n",
            b"lines\n",
            b"controller(lamp):ERROR:x:y\n",
        ]


def test_what_is_logged_while_the_master_is_away_comes_later(
    master: LoggingPort, caplog: pytest.LogCaptureFixture
) -> None:
    with forwarding(master.port) as (logger, _):
        logger.info("before")
        assert [master.next(), master.next()] == [BANNER, b"ctlmgr(here):INFO:lab:before\n"]
        master.close()
        assert within(150, lambda: "cannot be sent to the master" in caplog.text)
        logger.info("meanwhile")
        again = LoggingPort(master.port)
        try:
            assert [again.next(), again.next()] == [BANNER, b"ctlmgr(here):INFO:lab:meanwhile\n"]
            assert "again; 0 records were dropped" in caplog.text
        finally:
            again.close()


def test_the_oldest_are_dropped_and_counted(master: LoggingPort, caplog: pytest.LogCaptureFixture) -> None:
    master.close()
    size = len(b"ctlmgr(here):INFO:lab:0\n") + 100
    with forwarding(master.port, keep=3 * size) as (logger, forwarder):
        assert within(150, lambda: f"Up to {3 * size} bytes of records are kept meanwhile" in caplog.text)
        for number in range(10):
            logger.info("%d", number)
        assert forwarder.dropped == 7
        again = LoggingPort(master.port)
        try:
            assert [again.next() for _ in range(4)][1:] == [
                b"ctlmgr(here):INFO:lab:%d\n" % n for n in (7, 8, 9)
            ]
            assert within(150, lambda: "again; 7 records were dropped" in caplog.text)
        finally:
            again.close()


def test_a_master_that_takes_nothing_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "SEND_TIMEOUT", 0.2)
    monkeypatch.setattr(forward, "FAREWELL", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with forwarding(listener.getsockname()[1], keep=5_000_000) as (logger, forwarder):
            for _ in range(200):
                logger.info("x" * 100_000)
            assert forwarder.dropped > 0
    assert within(150, lambda: not any(each.name == "log forwarder" for each in threading.enumerate()))


def test_what_is_kept_at_the_end_is_sent(master: LoggingPort) -> None:
    with forwarding(master.port) as (logger, _):
        for number in range(50):
            logger.info("%d", number)
    assert [master.next() for _ in range(51)][-1] == b"ctlmgr(here):INFO:lab:49\n"
