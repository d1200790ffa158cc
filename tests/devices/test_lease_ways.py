"""How a lease is kept: by the server itself, by code shipped to its remote execution, or in a lock file."""

import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from devicedb import DeviceDatabase, from_dict
from rexec.devices import _lease_ways
from rexec.devices._lease_files import FileLease, file_users
from rexec.devices._lease_ways import AgentLease, ServerLease, clients_of, lease_way, users_of
from rexec.devices.manager import DeviceManager
from rexec.remote_exec import RemoteExecServer, rexec_targets
from rexec.wire import certs
from rexec.wire.errors import WireError
from rexec.wire.pc_rpc import Client
from rexec.wire.tls import SimpleSSLConfig
from tests.devices.test_leases import Camera, leases
from tests.serving import running, serving
from tests.waiting import within

LOCAL = "127.0.0.1"


@pytest.fixture
def stock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Make all servers stock ones; return the folder of the lock files."""
    monkeypatch.setattr(Client, "rpc_has_leases", False)
    monkeypatch.setenv("REXEC_LEASES", str(tmp_path / "leases"))
    return tmp_path / "leases"


def database(port: int, aux: Mapping[str, Mapping[str, str]] | None = None, **further: Any) -> DeviceDatabase:
    """Return a database of `camera`, and of auxiliary targets by name: their `controller` and `target_name`."""
    entry = {"type": "controller", "host": LOCAL, "port": port, "target_name": "camera", **further}
    other = {"type": "controller", "host": LOCAL, "port": 1, "target_name": "other"}
    entries = {
        name: {"type": "controller_aux_target", "controller": "camera", **each}
        for name, each in (aux or {}).items()
    }
    return from_dict({"camera": entry, "other": other, **entries}, "device_db.py")


def way_of(raw: DeviceDatabase, name: str = "camera") -> Any:
    way = lease_way(raw, raw.endpoint(name), "a" * 12)
    assert way is not None
    way.close()
    return type(way)


def rexec_at(name: str, **further: Any) -> dict[str, Any]:
    """Return the targets of a controller whose remote execution has a name of its own."""
    targets = rexec_targets("camera", Camera())
    return {"camera": targets["camera"], name: targets["camera_rexec"], **further}


def test_a_server_of_ours_keeps_the_lease_under_the_name_of_the_driver() -> None:
    with running(rexec_at("camera_rexec")) as server:
        for raw, name in (
            (database(server.port), "camera"),
            (database(server.port, {"rexec": {"target_name": "camera_rexec"}}), "rexec"),
        ):
            assert way_of(raw, name) is ServerLease
            with leases(raw, "a") as (mine,):
                mine.take(raw.endpoint(name), True)
                assert [each["device"] for each in server.leases.present()] == ["camera"]
            assert within(150, lambda: not server.leases.present())
    with running({"sole": Camera()}) as server:
        raw = database(server.port, target_name=None)
        del raw.raw["camera"]["target_name"]
        with leases(raw, "a") as (mine,):
            mine.take(raw.endpoint("camera"), True)
            assert [each["device"] for each in server.leases.present()] == ["sole"]


@pytest.mark.usefixtures("stock")
def test_remote_execution_is_found_by_its_usual_name_or_by_the_database() -> None:
    with serving(rexec_at("camera_rexec")) as port:
        assert way_of(database(port)) is AgentLease
    with serving(rexec_at("beside")) as port:
        assert way_of(database(port)) is FileLease
        broken_first = {"broken": {"controller": "absent"}, "beside": {"target_name": "beside"}}
        assert way_of(database(port, broken_first)) is AgentLease
        assert way_of(database(port, {"b": {"controller": "other", "target_name": "beside"}})) is FileLease


class Phone:
    def call(self) -> str:
        return "hello"


class Editor:
    def add_code(self, code: str) -> int:
        return len(code)


@pytest.mark.usefixtures("stock")
@pytest.mark.parametrize("driver", [Camera, Phone, Editor])
def test_an_auxiliary_target_that_runs_no_code_keeps_no_lease(driver: Callable[[], Any]) -> None:
    aux = {"s": {"target_name": "settings"}, "r": {"target_name": "beside"}}
    with serving(rexec_at("beside", settings=driver())) as port:
        assert way_of(database(port, aux)) is AgentLease
        assert way_of(database(port, dict(reversed(aux.items())))) is AgentLease
        raw = database(port, {"s": aux["s"]})
        assert way_of(raw) is FileLease
        with Client(LOCAL, port, "settings") as client, leases(raw, "a" * 12) as (mine,):
            mine.take(raw.endpoint("camera"), True)
            assert len(users_of(client, raw.endpoint("camera"), "camera")) == 1


@pytest.mark.usefixtures("stock")
def test_no_connection_is_left_where_a_file_keeps_the_lease() -> None:
    with running({"camera": Camera(), "camera_rexec": Camera()}) as server:
        raw = database(server.port)
        with leases(raw, "a" * 12) as (mine,):
            mine.take(raw.endpoint("camera"), True)
            io = server._io
            assert io is not None
            assert within(150, lambda: not io.connections())


def test_no_connection_is_left_by_an_interrupted_look_for_a_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: Client) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "get_rpc_id", interrupt)
    with running({"camera": Camera()}) as server:
        raw = database(server.port)
        with pytest.raises(KeyboardInterrupt) as kept:  # and with it whatever its frames refer to
            lease_way(raw, raw.endpoint("camera"), "a" * 12)
        io = server._io
        assert io is not None
        assert within(150, lambda: not io.connections())
        assert kept.tb is not None


@pytest.mark.usefixtures("stock")
@pytest.mark.parametrize("has_agent", [True, False])
def test_only_the_connection_of_the_lease_is_left_by_a_look_for_its_way(
    has_agent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Client] = []  # which keeps them open unless they are closed

    class Kept(Client):
        def __init__(self, *args: Any, **options: Any) -> None:
            made.append(self)
            super().__init__(*args, **options)

    monkeypatch.setattr(_lease_ways, "Client", Kept)
    with running(rexec_targets("camera", Camera()) if has_agent else {"camera": Camera()}) as server:
        raw = database(server.port)
        way = lease_way(raw, raw.endpoint("camera"), "a" * 12)
        assert way is not None
        assert way.take(True, 150.0) == []
        io = server._io
        assert io is not None
        assert len(made) == (3 if has_agent else 1)
        assert within(150, lambda: len(io.connections()) == has_agent)
        way.close()
        assert within(150, lambda: not io.connections())


def test_a_connection_that_failed_does_not_tell_who_uses_a_controller() -> None:
    with running({"camera": Camera()}) as server:
        endpoint = database(server.port).endpoint("camera")
        with Client(LOCAL, server.port, "camera", reconnect_timeout=0.0) as client:
            assert users_of(client, endpoint, "camera") == clients_of(client) == ()
    with pytest.raises(WireError):
        users_of(client, endpoint, "camera")
    with pytest.raises(WireError):
        clients_of(client)


def test_a_lease_goes_over_tls_as_the_device_does(tmp_path: Path) -> None:
    made = certs.make_set(tmp_path, ["alice"])
    alice = made.clients["alice"]
    own = {"client_cert": str(alice.cert), "client_key": str(alice.key), "server_cert": str(made.server.cert)}
    tls = SimpleSSLConfig(str(made.server.cert), str(made.server.key), str(made.trusted_clients))
    with running({"camera": Camera()}, tls) as server:
        raw = database(server.port, simple_ssl_config=own)
        with leases(raw, "a") as (mine,), DeviceManager(raw) as devices:
            mine.take(raw.endpoint("camera"), False)
            assert len(server.leases.present()) == 1
            assert devices.get("camera").get_rpc_id()[0] == ["camera"]


class Counting(RemoteExecServer):
    shipped: list[int]

    def add_code(self, code: str) -> None:
        self.shipped.append(len(code))
        super().add_code(code)


@pytest.mark.usefixtures("stock")
def test_the_code_of_a_lease_is_shipped_once_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rexec.devices.leases.RENEW", 1000.0)
    Counting.shipped = []
    with running(rexec_targets("camera", Camera(), Counting)) as server:
        raw = database(server.port)
        endpoint = raw.endpoint("camera")
        with leases(raw, "a" * 12, "b" * 12) as (first, second):
            first.take(endpoint, False)
            assert first.shared() == {}
            assert first.shared() == {}
            assert len(Counting.shipped) == 1
            assert server._io is not None
            connections = server._io.connections
            (connection,) = connections()
            connection.sock.shutdown(socket.SHUT_RDWR)
            assert within(150, lambda: connection not in connections())
            assert first.shared() == {}
            assert len(Counting.shipped) == 2
            second.take(endpoint, False)
            assert len(first.shared()["camera"]) == 1


def test_the_users_of_a_controller_are_those_of_its_own_target(stock: Path) -> None:
    with serving({"camera": Camera(), "other": Camera()}) as port:
        raw = from_dict(
            {
                name: {"type": "controller", "host": LOCAL, "port": port, "target_name": name}
                for name in ("camera", "other")
            },
            "device_db.py",
        )
        endpoint = raw.endpoint("camera")
        with leases(raw, "a" * 12) as (mine,), Client(LOCAL, port, "camera") as client:
            mine.take(raw.endpoint("other"), False)
            assert users_of(client, endpoint, "camera") == users_of(client, endpoint, None) == ()
            mine.take(endpoint, False)
            for own in ("camera", None):
                (found,) = users_of(client, endpoint, own)
                assert found.what == file_users(stock, f"{port} camera")[0].what


@pytest.mark.usefixtures("stock")
def test_a_stock_controller_with_remote_execution_tells_who_uses_it() -> None:
    with serving(rexec_targets("camera", Camera())) as port:
        raw = database(port)
        endpoint = raw.endpoint("camera")
        with leases(raw, "a" * 12) as (mine,), Client(LOCAL, port, "camera_rexec") as client:
            assert users_of(client, endpoint, "camera") == ()
            mine.take(endpoint, True)
            (found,) = users_of(client, endpoint, "camera")
            assert found.is_exclusive
            assert users_of(client, endpoint, "other") == ()


@pytest.mark.usefixtures("stock")
def test_a_controller_elsewhere_or_one_that_runs_no_code_tells_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Refusing(RemoteExecServer):
        def add_code(self, code: str) -> None:
            raise PermissionError("not here")

    with serving(rexec_targets("camera", Camera(), Refusing)) as port:
        endpoint = database(port).endpoint("camera")
        with Client(LOCAL, port, "camera_rexec") as client:
            assert users_of(client, endpoint, "camera") == ()
    with serving({"camera": Camera()}) as port:
        raw = database(port)
        with leases(raw, "a" * 12) as (mine,), Client(LOCAL, port, "camera") as client:
            mine.take(raw.endpoint("camera"), False)
            assert len(users_of(client, raw.endpoint("camera"), "camera")) == 1
            monkeypatch.setattr("rexec.devices.hosts.is_this_machine", lambda host: False)
            assert users_of(client, raw.endpoint("camera"), "camera") == ()
            assert clients_of(client) == ()


def test_clients_without_a_lease_are_told_by_a_server_of_ours_only(monkeypatch: pytest.MonkeyPatch) -> None:
    said = [{"device": "camera", "what": f"run {number}"} for number in range(1002)]
    with running({"camera": Camera()}) as server, Client(LOCAL, server.port, "camera") as client:
        monkeypatch.setattr(server.leases, "present", lambda *_: said)
        assert len(users_of(client, database(server.port).endpoint("camera"), "camera")) == 1000
        monkeypatch.setattr(Client, "rpc_lease", lambda *_: said[:2])
        assert [user.what for user in clients_of(client)] == ["run 0", "run 1"]
