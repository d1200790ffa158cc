"""What is asked of a controller, and how often: nothing twice that it knows, and nothing once nobody waits."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import rexec.remote
from rexec.remote import Remote, _poller, open_remotes
from rexec.remote._provided import Placeholder
from rexec.wire.pc_rpc import Client
from tests.remote import code
from tests.remote_exec.peers import controller
from tests.waiting import within


class Noting:
    """A client that keeps what is asked through it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.client = Client("127.0.0.1", port, "camera_rexec")
        self.asked: list[tuple[str, Any, bool]] = []
        """The action, its payload, and whether the client says who it is."""

    def payloads(self, action: str) -> list[Any]:
        return [payload for each, payload, _ in self.asked if each == action]

    def add_code(self, text: str) -> None:
        self.client.add_code(text)

    def call(self, *args: Any) -> Any:
        self.asked.append((args[2], args[3], len(args) > 4))
        return self.client.call(*args)

    def connect_anew(self) -> None:
        self.client.close_rpc()
        self.client = Client("127.0.0.1", self._port, "camera_rexec")

    def close_rpc(self) -> None:
        self.client.close_rpc()


@pytest.fixture
def noting() -> Iterator[Noting]:
    with controller("ours") as port:
        yield Noting(port)


@pytest.fixture
def remote(noting: Noting) -> Iterator[Remote]:
    with rexec.remote.wrap(noting, "lamp") as remote:
        yield remote


def test_a_client_says_who_it_is_once_a_connection(noting: Noting, remote: Remote) -> None:
    scaled = remote.function(code.scaled)
    for number in (1, 2):
        assert [scaled(1), scaled(2)] == [3, 6]
        assert sum(says for _, _, says in noting.asked) == number
        noting.connect_anew()


def test_the_start_of_a_function_waits_for_its_end_where_it_is_alone(noting: Noting, remote: Remote) -> None:
    assert remote.function(code.scaled)(1) == 3
    assert rexec.remote.fleet({"lamp": remote}).call(code.scaled, 3).all() == {"lamp": 9}
    assert [each["quick"] for each in noting.payloads("submit")] == [True, False]


def test_a_module_is_sent_once(noting: Noting, remote: Remote) -> None:
    for _ in range(2):
        remote._shipper.ship_module(code)
    assert len(noting.payloads("ship")) == 1


def test_what_a_client_has_of_a_job_is_told_once(
    noting: Noting, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_poller, "_LONGEST_PAUSE", 0.01)
    job = remote.function(code.slow).submit(150)
    assert within(150, lambda: len(noting.payloads("news")) > 5)
    job.cancel()
    marks = [mark for _, some, _, _ in noting.payloads("news")[:6] for mark in some]
    # It has neither logged nor yielded: its progress changes nothing of what the controller has to know.
    assert marks == [[job.id, 0, 0]]


def test_nothing_is_asked_once_no_job_is_left(remote: Remote) -> None:
    def threads() -> list[str]:
        return [each.name for each in threading.enumerate() if each.name == "rexec lamp"]

    job = remote.function(code.slow).submit(150)
    assert threads()
    assert job.cancel()
    assert within(150, lambda: not threads())
    assert remote.function(code.slow).submit(0.3).result(150) == "done"


def test_a_remote_is_open_until_it_is_closed(noting: Noting) -> None:
    remote = rexec.remote.wrap(noting, "lamp")
    assert remote in open_remotes()
    remote.close_rpc()
    assert remote not in open_remotes()


def test_what_only_the_controller_has_says_so_here() -> None:
    driver = Placeholder("controller_driver")
    with pytest.raises(RuntimeError, match=r"controller_driver\.measure exists on the controller only"):
        driver.measure()
    assert not hasattr(driver, "__len__")
