"""A controller gets a client of the experiment's dataset database."""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from rexec.remote_exec import connect_global_rpc, offer_dataset_db, offered_dataset_db
from rexec.remote_exec._global_rpc import addresses, target_names
from rexec.wire.pc_rpc import Client
from tests.remote_exec.peers import MAKES, NO_REFERENCE, REFERENCE, controller, reference_process
from tests.serving import free_port, serving

STORE = "def store(key, value):\n    controller_initial_namespace['dataset_db'].set(key, value)\n"

REFERENCE_MASTER = """
import sys
from sipyco.pc_rpc import simple_server_loop
class Datasets:
    def __init__(self): self.values = {}
    def set(self, key, value): self.values[key] = value
    def get(self, key): return self.values[key]
simple_server_loop({"dataset_db": Datasets(), "schedule": Datasets()}, "127.0.0.1", int(sys.argv[1]))
"""


class Datasets:
    """What a master offers, as far as these tests need it."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def set(self, key: str, value: Any) -> None:
        self.values[key] = value


@contextlib.contextmanager
def rexec_of(make: str) -> Iterator[Client]:
    with controller(make) as port, Client("127.0.0.1", port, "camera_rexec") as rexec:
        rexec.add_code(STORE)
        yield rexec


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("there", ["dataset_db", "master_dataset_db"])
@pytest.mark.parametrize("asked", [None, "dataset_db", "master_dataset_db"])
def test_the_target_is_found_under_its_old_and_its_new_name(make: str, there: str, asked: str | None) -> None:
    datasets = Datasets()
    with serving({there: datasets, "other": object()}) as port, rexec_of(make) as rexec:
        connect_global_rpc(rexec, "127.0.0.1", port, asked)
        rexec.call("store", "x", 3)
        assert datasets.values == {"x": 3}


@pytest.mark.parametrize("make", MAKES)
def test_later_connections_find_it_under_its_name(make: str) -> None:
    datasets = Datasets()
    with serving({"dataset_db": datasets}) as port, controller(make) as controller_port:
        with Client("127.0.0.1", controller_port, "camera_rexec") as first:
            connect_global_rpc(first, port=port, name="results")
        with Client("127.0.0.1", controller_port, "camera_rexec") as second:
            second.add_code("def store(): results.set('y', (1, 2.5))")
            second.call("store")
    assert datasets.values == {"y": (1, 2.5)}


def test_without_a_port_it_is_the_database_that_the_process_offers() -> None:
    datasets = Datasets()
    with serving({"dataset_db": datasets}) as port, rexec_of("ours") as rexec:
        assert offered_dataset_db() is None
        with offer_dataset_db(port, None):
            connect_global_rpc(rexec)
        assert offered_dataset_db() is None
        rexec.call("store", "x", 1)
    assert datasets.values == {"x": 1}


@pytest.mark.parametrize("make", MAKES)
def test_a_name_that_leads_elsewhere_is_kept_and_that_is_said(
    make: str, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = Datasets(), Datasets()
    with serving({"dataset_db": one}) as port, serving({"dataset_db": other}) as other_port:
        with rexec_of(make) as rexec:
            connect_global_rpc(rexec, port=port)
            with caplog.at_level(logging.WARNING):
                connect_global_rpc(rexec, port=port)
                assert caplog.text == ""
                connect_global_rpc(rexec, port=other_port)
            assert f"127.0.0.1:{port}" in caplog.text
            assert f"127.0.0.1:{other_port}" in caplog.text
            rexec.call("store", "x", 1)
    assert (one.values, other.values) == ({"x": 1}, {})


@pytest.mark.parametrize("make", MAKES)
def test_a_client_whose_server_has_gone_is_replaced(make: str) -> None:
    datasets = Datasets()
    with rexec_of(make) as rexec:
        with serving({"dataset_db": Datasets()}) as port:
            connect_global_rpc(rexec, port=port)
        with serving({"dataset_db": datasets}) as port:
            connect_global_rpc(rexec, port=port)
            rexec.call("store", "x", 1)
    assert datasets.values == {"x": 1}


@pytest.mark.parametrize("make", MAKES)
def test_after_a_restart_of_the_server_the_name_works_again(make: str) -> None:
    datasets = Datasets()
    port = free_port()
    with rexec_of(make) as rexec:
        with serving({"dataset_db": Datasets()}, port):
            connect_global_rpc(rexec, port=port)
        with serving({"dataset_db": datasets}, port):
            connect_global_rpc(rexec, port=port)
            rexec.call("store", "x", 1)
    assert datasets.values == {"x": 1}


def test_our_client_reconnects_by_itself_after_a_restart_of_the_server() -> None:
    datasets = Datasets()
    port = free_port()
    with rexec_of("ours") as rexec:
        with serving({"dataset_db": Datasets()}, port):
            connect_global_rpc(rexec, port=port)
        with serving({"dataset_db": datasets}, port):
            rexec.call("store", "x", 1)
    assert datasets.values == {"x": 1}


def test_something_else_of_that_name_is_left_alone() -> None:
    with serving({"dataset_db": Datasets()}) as port, rexec_of("ours") as rexec:
        rexec.add_code(
            "controller_initial_namespace['dataset_db'] = 7\n"
            "def what(): return controller_initial_namespace['dataset_db']"
        )
        connect_global_rpc(rexec, port=port)
        assert rexec.call("what") == 7


@pytest.mark.parametrize("make", MAKES)
def test_a_server_that_is_not_there_is_named(make: str) -> None:
    port = free_port()
    with rexec_of(make) as rexec, pytest.raises(ConnectionError, match=rf"127\.0\.0\.1:{port}"):
        connect_global_rpc(rexec, port=port)


@pytest.mark.parametrize("make", MAKES)
def test_a_target_that_is_not_there_is_named_with_those_that_are(make: str) -> None:
    with serving({"schedule": object()}) as port, rexec_of(make) as rexec:
        with pytest.raises(LookupError, match=r"none of the targets dataset_db.*it has schedule"):
            connect_global_rpc(rexec, port=port)


@pytest.mark.skipif(not REFERENCE, reason=NO_REFERENCE)
@pytest.mark.parametrize("python", REFERENCE)
@pytest.mark.parametrize("make", MAKES)
def test_a_master_of_the_reference_library_is_served(make: str, python: str) -> None:
    with reference_process(python, REFERENCE_MASTER) as port, rexec_of(make) as rexec:
        connect_global_rpc(rexec, port=port, target="master_dataset_db")
        rexec.call("store", "x", 5)
        with Client("127.0.0.1", port, "dataset_db") as master:
            assert master.get("x") == 5


def test_names_and_addresses_to_try() -> None:
    assert target_names(None) == ["dataset_db", "master_dataset_db"]
    assert target_names("master_schedule") == ["master_schedule", "schedule"]
    assert addresses("192.0.2.7") == ["192.0.2.7"]
    assert addresses("::1") == ["::1", "127.0.0.1"]
    assert addresses("laboratory.example") == ["laboratory.example"]
