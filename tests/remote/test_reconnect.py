"""Broken connections, restarted controllers, and the class for a plain ARTIQ."""

import time
from pathlib import Path
from typing import Any

import pytest

import rexec.remote
from rexec.artiq import RemoteDevice
from rexec.remote import RemoteFunctionError, StateLost
from rexec.remote._channel import Channel
from rexec.remote_exec import rexec_targets
from rexec.wire.pc_rpc import Client
from tests.remote import code
from tests.remote_exec.peers import MAKES, REFERENCE, Driver, controller, reference_process
from tests.serving import free_port, serving

STOCK = """
import sys
from sipyco.remote_exec import simple_rexec_server_loop
class Driver:
    def measure(self): return 1
simple_rexec_server_loop("camera", Driver(), "127.0.0.1", int(sys.argv[1]))
"""


class Manager:
    """A device manager as ARTIQ's, as far as RemoteDevice needs one."""

    def __init__(self, entry: dict[str, Any]) -> None:
        self.entry = entry

    def get_desc(self, name: str) -> dict[str, Any]:
        assert name == "camera"
        return self.entry


def client(port: int) -> Client:
    """Return a client that gives no restart up, however slow the machine is."""
    return Client("127.0.0.1", port, "camera_rexec", reconnect_timeout=150.0)


@pytest.mark.parametrize("make", MAKES)
def test_a_broken_connection_is_made_again_and_remote_state_is_still_there(make: str) -> None:
    with controller(make) as port:
        clients = [Client("127.0.0.1", port, "camera_rexec")]

        def again() -> Client:
            clients.append(Client("127.0.0.1", port, "camera_rexec"))
            return clients[-1]

        with rexec.remote.wrap(clients[0], reconnect=again) as remote:
            counted = remote.function(code.counted)
            assert counted() == 1
            clients[0].close_rpc()
            assert counted() == 2
        assert len(clients) == 2


def test_a_restarted_controller_has_lost_its_state_and_that_is_said_once() -> None:
    port = free_port()
    with serving(rexec_targets("camera", Driver()), port):
        remote = rexec.remote.wrap(client(port), "camera")
        counted = remote.function(code.counted)
        stateless = remote.function(code.scaled, stateless=True)
        assert counted() == 1
    with serving(rexec_targets("camera", Driver()), port), remote:
        with pytest.raises(StateLost, match="camera was restarted"):
            counted()
        assert counted() == 1
        assert stateless(2) == 6


def test_jobs_of_before_a_restart_fail_with_the_loss() -> None:
    port = free_port()
    with serving(rexec_targets("camera", Driver()), port):
        remote = rexec.remote.wrap(client(port), "camera")
        jobs = [remote.function(code.slow).submit(30) for _ in range(2)]
    with serving(rexec_targets("camera", Driver()), port), remote:
        for job in jobs:
            with pytest.raises(StateLost, match="camera was restarted"):
                job.result(150)


def test_a_stateless_function_goes_on_after_a_restart() -> None:
    port = free_port()
    with serving(rexec_targets("camera", Driver()), port):
        remote = rexec.remote.wrap(client(port))
        scaled = remote.function(code.scaled, stateless=True)
        assert scaled(1) == 3
    with serving(rexec_targets("camera", Driver()), port), remote:
        assert scaled(2) == 6


@pytest.mark.skipif(
    not REFERENCE, reason="REXEC_PEER_PYTHON names no interpreter that has the reference library"
)
def test_a_stock_controller_that_restarts_is_noticed_too() -> None:
    port = free_port()
    with reference_process(REFERENCE[0], STOCK, port):
        remote = rexec.remote.wrap(Client("127.0.0.1", port, "camera_rexec"), "camera")
        measure = remote.function(code.measure)
        assert measure() == 1
    with reference_process(REFERENCE[0], STOCK, port):
        with pytest.raises(StateLost):
            measure()
        assert measure() == 1
        remote.close_rpc()


def test_closing_after_the_controller_has_gone_asks_once_and_frees_the_connection() -> None:
    with serving(rexec_targets("camera", Driver())) as port:
        client = Client("127.0.0.1", port, "camera_rexec")
        remote = rexec.remote.wrap(client, "camera")
        job = remote.function(code.slow, detached=True).submit(0.0)
        assert job.result(150) == "done"
    remote.close_rpc()
    assert client.rpc_connections == 1
    with pytest.raises(RemoteFunctionError, match="camera: the remote is closed"):
        remote.jobs()


def test_closing_after_a_broken_connection_still_ends_the_jobs() -> None:
    with serving(rexec_targets("camera", Driver())) as port:
        clients = [Client("127.0.0.1", port, "camera_rexec")]

        def again() -> Client:
            clients.append(Client("127.0.0.1", port, "camera_rexec"))
            return clients[-1]

        remote = rexec.remote.wrap(clients[0], reconnect=again)
        job = remote.function(code.slow).submit(30)
        clients[0].close_rpc()
        remote.close_rpc()
        with rexec.remote.wrap(Client("127.0.0.1", port, "camera_rexec")) as other:
            # It has the driver only once the other job has ended.
            assert other.function(code.scaled).submit(2).result(150) == 6
        with pytest.raises(RemoteFunctionError, match="the remote is closed"):
            job.result(150)


def test_news_between_the_farewell_and_the_end_changes_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    farewell = Channel._say_farewell

    def slow_to_return(channel: Channel) -> None:
        farewell(channel)
        time.sleep(0.15)

    monkeypatch.setattr(Channel, "_say_farewell", slow_to_return)
    with serving(rexec_targets("camera", Driver())) as port:
        remote = rexec.remote.wrap(Client("127.0.0.1", port, "camera_rexec"))
        jobs = [remote.function(code.slow).submit(30) for _ in range(3)]
        remote.close_rpc()
        for job in jobs:
            with pytest.raises(RemoteFunctionError, match="the remote is closed"):
                job.result(150)


def test_a_plain_artiq_gets_remote_functions_by_an_entry() -> None:
    with serving(rexec_targets("camera", Driver())) as port:
        manager = Manager({"type": "controller", "host": "127.0.0.1", "port": port})
        device = RemoteDevice(manager, "camera", "camera_rexec")
        assert device.function(code.measure)() == 1
        device.close_rpc()


def test_what_is_no_controller_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'camera' is no controller but of type 'local'"):
        RemoteDevice(Manager({"type": "local"}), "camera", "camera_rexec")


def test_a_missing_folder_of_certificates_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ARTIQ_SSL_DIR", raising=False)
    files = dict.fromkeys(("client_cert", "client_key", "server_cert"), "{ARTIQ_SSL_DIR}/x.pem")
    manager = Manager({"type": "controller", "host": "::1", "port": 1, "simple_ssl_config": files})
    with pytest.raises(ValueError, match="ARTIQ_SSL_DIR"):
        RemoteDevice(manager, "camera", "camera_rexec")
