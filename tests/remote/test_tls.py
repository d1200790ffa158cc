"""Remote execution, its global client and the class for ARTIQ work on controllers with TLS."""

from pathlib import Path
from typing import Any

import pytest

from rexec.artiq import RemoteDevice
from rexec.remote_exec import close_global_clients, connect_global_rpc, rexec_targets
from rexec.wire import certs
from rexec.wire.tls import SimpleSSLConfig
from tests.remote import code
from tests.remote_exec.peers import Driver
from tests.serving import serving


class Datasets:
    """What a master offers, as far as this test needs it."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def set(self, key: str, value: Any) -> None:
        self.values[key] = value


class Manager:
    """A device manager as ARTIQ's, as far as RemoteDevice needs one."""

    def __init__(self, entry: dict[str, Any]) -> None:
        self.entry = entry

    def get_desc(self, name: str) -> dict[str, Any]:
        return self.entry


def test_remote_execution_and_its_global_client_speak_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = certs.make_set(tmp_path, ["laboratory"])
    pair = made.clients["laboratory"]
    server = SimpleSSLConfig(str(made.server.cert), str(made.server.key), str(made.trusted_clients))
    client = SimpleSSLConfig(str(pair.cert), str(pair.key), str(made.server.cert))
    monkeypatch.setenv("ARTIQ_SSL_DIR", str(tmp_path))
    names = {"client_cert": pair.cert, "client_key": pair.key, "server_cert": made.server.cert}
    files = {
        key: f"{{ARTIQ_SSL_DIR}}/{Path(file).relative_to(tmp_path).as_posix()}" for key, file in names.items()
    }
    datasets, targets = Datasets(), rexec_targets("camera", Driver())
    with serving({"dataset_db": datasets}, ssl_config=server) as master:
        with serving(targets, ssl_config=server) as port:
            entry = {"type": "controller", "host": "127.0.0.1", "port": port, "simple_ssl_config": files}
            device = RemoteDevice(Manager(entry), "camera", "camera_rexec")
            assert device.function(code.measure)() == 1
            connect_global_rpc(device, port=master, ssl_config=client)
            device.add_code("def store(): controller_initial_namespace['dataset_db'].set('x', 1)")
            device.call("store")
            device.close_rpc()
            close_global_clients(targets["camera_rexec"])
    assert datasets.values == {"x": 1}
