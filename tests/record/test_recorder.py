"""The recording proxy: it passes everything on, and keeps it."""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devicedb import from_dict
from rexec.devices import DeviceUnreachable
from rexec.record.offers import ask
from rexec.record.recorder import Recorder
from rexec.record.recording import RecordingWriter
from rexec.remote_exec import rexec_targets
from rexec.simulate import RecordingError, laboratory, load_recording
from rexec.wire import certs
from rexec.wire.pc_rpc import Client
from rexec.wire.tls import SimpleSSLConfig
from tests.serving import can_be_taken_over, serving, silent

LOCAL = "127.0.0.1"


class Camera:
    """A camera."""

    def __init__(self) -> None:
        self.frames = 0

    def get_frame(self) -> Any:
        """Return a frame."""
        self.frames += 1
        return np.full((64, 64), self.frames, np.uint16)

    def set_exposure(self, seconds: float) -> None:
        if seconds > 10:
            raise ValueError(f"exposure of {seconds} s")

    def odd(self) -> Any:
        return object()

    def ping(self) -> bool:
        return True


def database(port: int, **more: Any) -> Any:
    entry = {"type": "controller", "host": LOCAL, "port": port, "target_name": "camera", **more}
    rexec = {"type": "controller_aux_target", "controller": "camera", "target_name": "camera_rexec"}
    return from_dict({"camera": entry, "rexec": rexec}, "device_db.py")


def session(host: str, port: int, tls: SimpleSSLConfig | None = None) -> list[Any]:
    """Ask some things; return what came."""
    with Client(host, port, "camera", ssl_config=tls) as client:
        found: list[Any] = [client.get_rpc_id(), int(client.get_frame()[0, 0]), int(client.get_frame().max())]
        found.append(client.set_exposure(seconds=1.5))
        for method, args in (("set_exposure", (20.0,)), ("odd", ())):
            try:
                getattr(client, method)(*args)
            except (ValueError, TypeError) as error:
                found.append((type(error).__name__, str(error)))
        found.append(client.get_rpc_method_list()["methods"]["get_frame"])
    with Client(host, port, "camera_rexec", ssl_config=tls) as remote:
        remote.add_code("def double(x): return 2 * x")
        found.append(remote.call("double", 21))
    return found


def record(port: int, path: Path, **more: Any) -> list[Any]:
    source = ask(database(port, **more), "rexec")
    with Recorder([source], RecordingWriter(path), LOCAL, {}) as recorder:
        return session(*recorder.addresses["camera"])


def test_a_recorded_session_is_replayed_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    with serving(rexec_targets("camera", Camera()), description="a real camera") as port:
        heard = record(port, path)
        real = database(port)
    assert heard[0] == (["camera", "camera_rexec"], "a real camera")
    assert heard[1:4] == [1, 2, None]
    with laboratory(real, recordings=[path]) as lab:
        endpoint = lab.database.endpoint("camera")
        replayed = session(endpoint.host, endpoint.port)
    assert replayed[1:] == heard[1:]
    assert replayed[0][1].startswith("SIMULATED")
    kept = load_recording(path).calls["camera", "camera"]
    assert [each["name"] for each in kept] == [
        "get_frame",
        "get_frame",
        "set_exposure",
        "set_exposure",
        "odd",
    ]
    assert {each["encoding"] for each in kept} == {"raw"}
    assert all(each["seconds"] >= 0 and each["began"] >= 0 for each in kept)


def test_many_clients_at_once_are_kept_apart(tmp_path: Path) -> None:
    with serving(rexec_targets("camera", Camera())) as port:
        source = ask(database(port), "camera")
        with Recorder([source], RecordingWriter(tmp_path / "a.rec"), LOCAL, {}) as recorder:
            host, at = recorder.addresses["camera"]

            def use(number: int) -> None:
                with Client(host, at, "camera_rexec") as client:
                    client.add_code("def mine(x): return x")
                    for index in range(20):
                        assert client.call("mine", (number, index)) == (number, index)

            threads = [threading.Thread(target=use, args=(number,)) for number in range(5)]
            for each in threads:
                each.start()
            for each in threads:
                each.join(150.0)
    calls = load_recording(tmp_path / "a.rec").calls["camera", "camera_rexec"]
    asked = [each for each in calls if each["name"] == "call"]
    assert len(asked) == 100
    assert all(each["ret"] == each["args"][1] for each in asked)
    assert len({each["connection"] for each in asked}) == 5


def test_a_controller_behind_tls_is_recorded_in_the_clear_and_with_tls(tmp_path: Path) -> None:
    made = certs.make_set(tmp_path / "tls", ["alice"])
    alice = made.clients["alice"]
    server = SimpleSSLConfig(str(made.server.cert), str(made.server.key), str(made.trusted_clients))
    client = SimpleSSLConfig(str(alice.cert), str(alice.key), str(made.server.cert))
    more = {"simple_ssl_config": {"client_cert": client.local_cert, "client_key": client.local_key,
                                  "server_cert": client.peer_cert}}  # fmt: skip
    with serving(rexec_targets("camera", Camera()), ssl_config=server) as port:
        assert record(port, tmp_path / "a.rec", **more)[1] == 1
        source = ask(database(port, **more), "camera")
        with Recorder([source], RecordingWriter(tmp_path / "b.rec"), LOCAL, {}, server) as recorder:
            assert session(*recorder.addresses["camera"], client)[1] == 3
    assert len(load_recording(tmp_path / "b.rec").calls["camera", "camera"]) == 5


def test_a_client_that_speaks_something_else_does_not_end_the_recording(tmp_path: Path) -> None:
    with serving({"camera": Camera()}) as port:
        source = ask(database(port), "camera")
        with Recorder([source], RecordingWriter(tmp_path / "a.rec"), LOCAL, {}) as recorder:
            with socket.create_connection(recorder.addresses["camera"], 150.0) as other:
                other.sendall(b"GET / HTTP/1.1\r\n\r\n")
                assert other.recv(100) == b""
            with Client(*recorder.addresses["camera"], "camera") as client:
                client.get_frame()
    assert len(load_recording(tmp_path / "a.rec").calls["camera", "camera"]) == 1


def test_its_end_with_a_connected_client_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving({"camera": Camera()}) as port:
        with Recorder(
            [ask(database(port), "camera")], RecordingWriter(tmp_path / "a.rec"), LOCAL, {}
        ) as recorder:
            client = Client(*recorder.addresses["camera"], "camera")
            assert client.ping()
        assert not caplog.text
        client.close_rpc()


def test_a_controller_that_cannot_be_had_is_named_before_anything_is_written(tmp_path: Path) -> None:
    with silent() as port, pytest.raises(DeviceUnreachable, match="device 'camera' at"):
        ask(database(port), "camera", timeout=0.3)
    with silent() as port, serving({"camera": Camera()}) as real:
        source = ask(database(real), "camera")
        with pytest.raises(RecordingError, match=f"the proxy of camera cannot listen on {LOCAL}:{port}"):
            Recorder([source], RecordingWriter(tmp_path / "a.rec"), LOCAL, {"camera": port}).__enter__()


def test_a_proxy_has_one_port_on_both_loopback_addresses_to_itself(tmp_path: Path) -> None:
    with serving({"camera": Camera()}) as port:
        source = ask(database(port), "camera")
        with Recorder([source], RecordingWriter(tmp_path / "a.rec"), "localhost", {}) as recorder:
            _, proxy = recorder.addresses["camera"]
            found = socket.getaddrinfo("localhost", proxy, type=socket.SOCK_STREAM)
            for host, number in {address[:2] for *_, address in found}:
                assert not can_be_taken_over((str(host), int(number)))
                with Client(str(host), proxy, "camera", timeout=150) as client:
                    assert client.ping() is True


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is of POSIX")
def test_a_recording_survives_kill_9_up_to_the_last_answer(tmp_path: Path) -> None:
    with serving({"camera": Camera()}) as port:
        (tmp_path / "device_db.py").write_text(f"device_db = {database(port).raw!r}")
        (tmp_path / "through.py").write_text('"""Devices of db.py, through the proxies of rexec record."""\n')
        command = [
            sys.executable,
            "-P",
            "-m",
            "rexec",
            "record",
            "camera",
            "-o",
            "a.rec",
            "--write-db",
            "through.py",
        ]
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                words = process.stdout.readline().split()
                process.stdout.readline()
                host, _, at = words[-1].rpartition(":")
                with Client(host, int(at), "camera") as client:
                    for _ in range(25):
                        client.get_frame()
                    process.kill()
                    process.wait(150.0)
            finally:
                process.kill()
    calls = load_recording(tmp_path / "a.rec").calls["camera", "camera"]
    assert [int(each["ret"][0, 0]) for each in calls] == list(range(1, 26))
    namespace: dict[str, Any] = {}
    exec((tmp_path / "through.py").read_text(), namespace)
    assert namespace["__doc__"] == "Devices of device_db.py, through the proxies of rexec record."
    assert namespace["device_db"]["camera"]["port"] == int(at)


def test_a_full_disk_ends_the_recording_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving({"camera": Camera()}) as port:
        source = ask(database(port), "camera")
        writer = RecordingWriter(tmp_path / "a.rec")
        with Recorder([source], writer, LOCAL, {}) as recorder:
            with Client(*recorder.addresses["camera"], "camera", handshake_timeout=2.0) as client:
                client.get_frame()

                def full(record: Any) -> None:
                    raise RecordingError("cannot record into a.rec: No space left on device")

                def until_it_breaks() -> None:
                    for _ in range(50):
                        client.get_frame()
                        time.sleep(0.01)

                monkeypatch.setattr(writer, "write", full)
                with pytest.raises(ConnectionError):
                    until_it_breaks()
            assert recorder.wait(150.0)
            assert "No space left" in str(recorder.failure)
