"""A connection that cannot be made leaves nothing behind, and its error names the device, the cause and the remedy."""

import inspect
import pickle
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from devicedb import Endpoint, from_dict
from rexec.devices import (
    DeviceManager,
    DeviceTargetError,
    DeviceUnreachable,
    LocalDeviceError,
    MasterUnreachable,
)
from rexec.devices.connect import connect
from rexec.devices.errors import start_advice, where
from rexec.devices.master import fetch_database
from rexec.wire import certs
from rexec.wire.errors import ConnectionFailed
from rexec.wire.pc_rpc import Client
from rexec.wire.tls import SimpleSSLConfig
from tests.serving import free_port, running, serving, silent
from tests.waiting import within

LOCAL = "127.0.0.1"


class Camera:
    def name(self) -> str:
        return "camera"


def controller(port: int, **further: Any) -> dict[str, Any]:
    return {"type": "controller", "host": LOCAL, "port": port, "target_name": "camera", **further}


def manager(raw: dict[str, Any], **options: Any) -> DeviceManager:
    return DeviceManager(from_dict(raw, "device_db.py"), **options)


def endpoint(name: str = "camera", **further: Any) -> tuple[Endpoint, dict[str, Any]]:
    entry = controller(7, **further)
    return from_dict({"camera": entry, "eye": "camera"}, "device_db.py").endpoint(name), entry


@pytest.mark.parametrize("target", ["camra", None])
def test_a_wrong_target_leaves_no_connection(target: str | None) -> None:
    with running({"camera": Camera(), "other": Camera()}) as server:
        entry = controller(server.port, target_name=target)
        if target is None:
            del entry["target_name"]
        with pytest.raises(DeviceTargetError) as kept:  # and with it whatever its frames refer to
            manager({"camera": entry}).get("camera")
        io = server._io
        assert io is not None
        assert within(150, lambda: not io.connections())
        assert kept.tb is not None


def test_a_connection_that_breaks_as_its_target_is_chosen_is_said_and_leaves_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def breaks(client: Client, target: str) -> None:
        raise ConnectionFailed(f"no target {target}")

    monkeypatch.setattr(Client, "select_rpc_target", breaks)
    with running({"camera": Camera()}) as server:
        with pytest.raises(DeviceUnreachable, match="no target camera") as kept:
            manager({"camera": controller(server.port)}).get("camera")
        io = server._io
        assert io is not None
        assert within(150, lambda: not io.connections())
        assert kept.tb is not None


def test_the_only_target_needs_no_name() -> None:
    with serving({"camera": Camera()}) as port:
        entry = controller(port)
        del entry["target_name"]
        with manager({"camera": entry}) as devices:
            assert devices.get("camera").name() == "camera"


def test_a_best_effort_controller_with_another_target_is_an_error() -> None:
    with serving({"camera": Camera()}) as port:
        with pytest.raises(DeviceTargetError, match=r"device 'camera' at .*camra"):
            manager({"camera": controller(port, best_effort=True, target_name="camra")}).get("camera")


def test_a_best_effort_client_has_the_address_the_target_and_the_files_of_its_entry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted: list[Any] = []
    monkeypatch.setattr(
        "rexec.devices.connect.BestEffortClient", lambda *args, **options: noted.append((args, options))
    )
    files = {"client_cert": "/c", "client_key": "/k", "server_cert": "/s"}
    own: dict[str, Any] = {"simple_ssl_config": files}
    for tls in (None, SimpleSSLConfig("/c", "/k", "/s")):
        found, entry = endpoint(best_effort=True, **(own if tls else {}))
        assert connect(found, entry, 1.0) is None
        assert noted.pop() == ((LOCAL, 7, "camera"), {"ssl_config": tls})


def test_a_place_is_the_name_the_entry_the_address_and_the_target() -> None:
    assert where(endpoint()[0]) == "device 'camera' at 127.0.0.1:7, target 'camera'"
    assert where(endpoint("eye")[0]) == "device 'eye' (entry 'camera') at 127.0.0.1:7, target 'camera'"
    raw = controller(7)
    del raw["target_name"]
    only = from_dict({"camera": raw}, "device_db.py").endpoint("camera")
    assert where(only) == "device 'camera' at 127.0.0.1:7, its only target"


def test_the_advice_is_the_command_if_there_is_one() -> None:
    def advice(**further: Any) -> str:
        found, entry = endpoint(**further)
        return start_advice(found, entry, None)

    assert advice() == "Start the controller 'camera' there (its entry has no command)"
    assert advice(command="x {odd}").startswith("Start the controller there (its command cannot be used: ")
    assert advice(command="x -p {port}") == "Start it with: x -p 7   (or rexec up camera)"
    found, entry = endpoint(command="x {ARTIQ_SSL_DIR}/c")
    assert start_advice(found, entry, "/tls") == "Start it with: x /tls/c   (or rexec up camera)"


def test_a_master_that_does_not_answer_is_given_up() -> None:
    with (
        silent() as port,
        pytest.raises(MasterUnreachable, match=f"the master at 127.0.0.1:{port}: .*artiq_master"),
    ):
        fetch_database(LOCAL, port, 0.2)


def test_the_port_of_a_master_is_the_one_that_artiq_gives_it() -> None:
    for function in (fetch_database, DeviceManager.from_master):
        assert inspect.signature(function).parameters["port"].default == 3251


class Hung:
    def __init__(self) -> None:
        self.free = threading.Event()

    def get_device_db(self) -> dict[str, Any]:
        self.free.wait(150)
        return {}


def test_a_master_that_hangs_or_has_no_database_is_said_and_leaves_no_connection() -> None:
    hung = Hung()
    with running({"device_db": hung}) as server:
        # Of the call, or a step before it.
        with pytest.raises(MasterUnreachable, match=r"did not answer|sent no answer") as kept:
            fetch_database(LOCAL, server.port, 0.3)
        hung.free.set()
        io = server._io
        assert io is not None
        assert within(150, lambda: not io.connections())
        assert kept.tb is not None

    class Odd:
        def get_device_db(self) -> int:
            return 3

    with serving({"device_db": Odd()}) as port, pytest.raises(MasterUnreachable, match="device database of"):
        fetch_database(LOCAL, port)
    with pytest.raises(MasterUnreachable, match="Is artiq_master running there"):
        fetch_database(LOCAL, free_port())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import absent_part", r"no module 'absent_part'; install it, or put its folder on PYTHONPATH"),
        ("import artiq.absent", r"no module 'artiq"),
        ("1 / 0", r"importing it raised ZeroDivisionError: division by zero \(.*lab_broken\.py:1\)"),
        ("raise ValueError('a\\n  b')", r"importing it raised ValueError: a b \("),
        ("1 +", r"importing it raised SyntaxError: .*lab_broken\.py, line 1\)$"),  # no line of it has run
        ("class _Hidden: pass\nDriver2 = 1", r"lab_broken.py has no 'Driver'\. Did you mean 'Driver2'\?"),
    ],
)
def test_a_driver_that_cannot_be_imported_is_named_with_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    (tmp_path / "lab_broken.py").write_text(text + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "lab_broken", raising=False)
    entry = {"type": "local", "module": "lab_broken", "class": "Driver"}
    with pytest.raises(LocalDeviceError, match=said) as caught:
        manager({"d": entry}).get("d")
    assert str(caught.value).startswith("device 'd' (entry 'd': lab_broken.Driver): ")
    assert "\n" not in str(caught.value)


def test_an_error_in_the_call_of_a_constructor_names_no_line() -> None:
    entry = {"type": "local", "module": "threading", "class": "Lock"}
    with pytest.raises(LocalDeviceError, match="its constructor raised TypeError: ") as caught:
        manager({"d": entry}).get("d")
    assert ".py:" not in str(caught.value)


def test_artiq_that_is_not_installed_is_said() -> None:
    entry = {"type": "local", "module": "artiq.coredevice.core", "class": "Core"}
    try:
        import artiq  # type: ignore[import-not-found, unused-ignore]  # noqa: F401
    except ImportError:
        with pytest.raises(LocalDeviceError, match="no module 'artiq'; ARTIQ is not installed here"):
            manager({"core": entry}).get("core")


@pytest.mark.parametrize("was_busy", [False, True])
def test_the_text_of_an_unreachable_device_is_the_whole_message(was_busy: bool) -> None:
    error = DeviceUnreachable("device 'd': no answer", was_busy)
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), copied.in_a_call) == ("device 'd': no answer", was_busy)


def test_a_server_that_closes_at_once_is_no_hung_one() -> None:
    with socket.create_server((LOCAL, 0)) as listener:

        def close() -> None:
            listener.accept()[0].close()

        thread = threading.Thread(target=close)
        thread.start()
        with pytest.raises(DeviceUnreachable, match="device 'camera'") as caught:
            manager({"camera": controller(listener.getsockname()[1])}, wait=150.0).get("camera")
        thread.join(150)
        assert not caught.value.in_a_call


@pytest.mark.parametrize("is_own", [False, True])
def test_the_remedy_is_one_of_the_step_that_failed(is_own: bool, tmp_path: Path) -> None:
    """A controller that runs is not to be started, and a wrong entry is not mended by that."""
    further = {"command": "camera -p {port}"} if is_own else {}
    made = certs.make_set(tmp_path / "a", ["us"])
    files = {"client_cert": str(made.clients["us"].cert), "client_key": str(made.clients["us"].key)}
    absent = str(tmp_path / "absent.pem")
    with serving({"camera": Camera()}) as port:
        cases = {
            "camera -p" if is_own else "Start the controller 'camera' there": controller(free_port()),
            "Is the host of the entry 'camera' spelled right?": controller(port, host="a host that is none"),
            f"{absent} does not exist. simple_ssl_config of the entry": controller(
                port, simple_ssl_config={**files, "server_cert": absent}
            ),
            "`rexec doctor camera` tells more": controller(
                port, simple_ssl_config={**files, "server_cert": str(made.server.cert)}
            ),
        }
        for said, entry in cases.items():
            with pytest.raises(DeviceUnreachable) as caught:
                manager({"camera": {**entry, **further}}, wait=0.0).get("camera")
            assert said in str(caught.value)
            assert str(caught.value).count("Start ") == ("-p" in said or "Start" in said)
