"""Staged faults, each diagnosed rightly."""

import os
import re
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest

from devicedb import from_dict
from rexec.access.guard import AccessGuard
from rexec.access.rights import RightsFile
from rexec.doctor import Audit, Diagnosis, diagnose, elsewhere, run
from rexec.doctor.diagnosis import Cause
from rexec.remote_exec import RemoteExecServer
from rexec.wire import certs
from rexec.wire.pc_rpc import Client
from rexec.wire.tls import SimpleSSLConfig
from tests.serving import free_port, running, serving, silent


class Lamp:
    def __init__(self, answer: bool = True) -> None:
        self.answer = answer
        self.works = threading.Event()
        self.may_end = threading.Event()

    def ping(self) -> bool:
        return self.answer

    def work(self) -> None:
        self.works.set()
        self.may_end.wait(150)


class Broken:
    def ping(self) -> bool:
        raise OSError("the bus is stuck")


class Mute:
    """Has no ping."""


def rexec_target() -> Any:
    return lambda: RemoteExecServer({"__name__": "builtins"})


class BrokenRemote:
    def add_code(self, code: str) -> None:
        raise RuntimeError("no compiler")

    def call(self, name: str) -> None:
        return None


@contextmanager
def speaking(*words: bytes) -> Iterator[int]:
    """Serve each connection with fixed words, one after each line that it sends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, connection.makefile("rb") as lines:
                    connection.settimeout(150)
                    for word in words:
                        if not lines.readline():
                            break
                        connection.sendall(word)
                    else:
                        if words:
                            lines.readline()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            if sys.platform.startswith(
                "linux"
            ):  # elsewhere a listener cannot be shut down: its end wakes `accept`
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join(150)


def entry(port: int, **further: Any) -> dict[str, Any]:
    return {"type": "controller", "host": "127.0.0.1", "port": port, "target_name": "lamp", **further}


def examined(raw: dict[str, Any], name: str = "lamp", timeout: float = 60.0, **options: Any) -> Diagnosis:
    return diagnose(Audit(from_dict(raw, "device_db.py"), timeout, **options), name)


def test_a_well_controller_with_its_round_trip() -> None:
    with serving({"lamp": Lamp()}) as port:
        found = examined({"lamp": entry(port)})
    assert (found.cause, found.severity) == ("ok", "ok")
    assert found.milliseconds is not None
    assert found.milliseconds > 0


def test_remote_execution_that_works_with_clock_and_version() -> None:
    aux = {"type": "controller_aux_target", "controller": "lamp", "target_name": "lamp_rexec"}
    with serving({"lamp": Lamp(), "lamp_rexec": rexec_target()}) as port:
        found = examined({"lamp": entry(port), "rexec": aux}, "rexec")
    assert found.cause == "ok", found
    assert found.milliseconds is not None
    # It is one clock: what is measured is how much longer the way there was than the way back.
    assert abs(found.details["clock_offset"]) <= found.milliseconds / 2e3 + 1e-3
    assert found.details["python"].startswith("3.")


def test_remote_execution_that_fails() -> None:
    with serving({"lamp": BrokenRemote()}) as port:
        found = examined({"lamp": entry(port)})
    assert (found.cause, "no compiler" in found.message) == ("rexec-failed", True)


def test_remote_execution_that_is_missing() -> None:
    aux = {"type": "controller_aux_target", "controller": "lamp", "target_name": "lamp_rexec"}
    with serving({"lamp": Lamp()}) as port:
        found = examined({"lamp": entry(port), "rexec": aux}, "rexec")
    assert found.cause == "target"
    assert "no target 'lamp_rexec'; it has lamp." in found.message


def test_a_wrong_entry() -> None:
    found = examined({"lamp": {"type": "controller", "host": "::1"}})
    assert (found.cause, "'port' is missing" in found.message) == ("entry", True)


def test_a_host_that_does_not_resolve() -> None:
    found = examined({"lamp": entry(1, host="no-such-host.invalid")})
    assert found.cause == "unresolved"


def test_a_refused_connection_with_the_command() -> None:
    port = free_port()
    found = examined({"lamp": entry(port, command="aqctl_lamp -p {port}")})
    assert found.cause == "refused"
    assert f"aqctl_lamp -p {port}" in found.message


@pytest.mark.parametrize(
    ("raised", "cause"),
    [
        (OSError(113, "No route to host"), "unroutable"),
        (OSError(101, "Network is unreachable"), "unroutable"),
        (TimeoutError("timed out"), "no-accept"),
    ],
)
def test_a_machine_out_of_reach(monkeypatch: pytest.MonkeyPatch, raised: OSError, cause: str) -> None:
    # No address is sure to be unroutable on every machine that runs this test.
    def connect(*_: object) -> None:
        raise raised

    monkeypatch.setattr("rexec.wire.reach._connected", connect)
    assert examined({"lamp": entry(1)}).cause == cause


def test_a_server_that_says_nothing() -> None:
    with silent() as port:
        found = examined({"lamp": entry(port)}, timeout=0.5)
    assert (found.cause, "sends no greeting" in found.message) == ("silent", True)


def test_a_server_that_closes_at_once() -> None:
    with speaking() as port:
        assert examined({"lamp": entry(port)}).cause == "closed"


def test_another_protocol() -> None:
    with speaking(b"SSH-2.0-OpenSSH_9.6\r\n") as port:
        found = examined({"lamp": entry(port)})
    assert (found.cause, "SSH-2.0" in found.message) == ("protocol", True)


def test_another_controller_on_the_port() -> None:
    with serving({"camera": Lamp()}) as port:
        found = examined({"lamp": entry(port), "eye": entry(1, target_name="camera")})
    assert found.cause == "target"
    assert "It looks like the controller of 'eye'" in found.message


def test_several_targets_and_none_named() -> None:
    with serving({"lamp": Lamp(), "lamp_rexec": Lamp()}) as port:
        found = examined({"lamp": entry(port, target_name=None)})
    assert (found.cause, "several: lamp, lamp_rexec" in found.message) == ("target", True)


def test_the_old_protocol_only() -> None:
    words = (
        b'{"targets": ["lamp"], "description": null}\n',
        b'{"ping"}\n',
        b'{"status": "ok", "ret": True}\n',
    )
    words = (words[0], words[1], words[2].replace(b"True", b"true"))
    with speaking(*words) as port:
        found = examined({"lamp": entry(port)})
    assert (found.cause, found.severity) == ("old", "warning")


def test_a_driver_without_ping() -> None:
    with serving({"lamp": Mute()}) as port:
        found = examined({"lamp": entry(port)})
    assert (found.cause, found.severity) == ("ping-missing", "warning")


@pytest.mark.parametrize(
    ("driver", "said"), [(Lamp(False), "reports a problem"), (Broken(), "OSError: the bus is stuck")]
)
def test_a_ping_that_fails(driver: Any, said: str) -> None:
    with serving({"lamp": driver}) as port:
        found = examined({"lamp": entry(port)})
    assert (found.cause, said in found.message) == ("ping-failed", True)


def test_a_busy_controller() -> None:
    lamp = Lamp()
    with serving({"lamp": lamp}) as port, Client("127.0.0.1", port) as client:
        thread = threading.Thread(target=client.work)
        thread.start()
        assert lamp.works.wait(150)
        found = examined({"lamp": entry(port)}, timeout=4.0)
        lamp.may_end.set()
        thread.join(150)
    assert (found.cause, found.severity) == ("busy", "warning")


def tls(pair: certs.Pair, peer: Path) -> dict[str, str]:
    return {"client_cert": str(pair.cert), "client_key": str(pair.key), "server_cert": str(peer)}


def test_tls_that_works_and_each_way_that_it_does_not(tmp_path: Path) -> None:
    made = certs.make_set(tmp_path / "a", ["us"])
    other = certs.make_set(tmp_path / "b", ["us"])
    us = made.clients["us"]
    server = SimpleSSLConfig(str(made.server.cert), str(made.server.key), str(made.trusted_clients))
    with serving({"lamp": Lamp()}, ssl_config=server) as port, serving({"lamp": Lamp()}) as plain:
        good = examined({"lamp": entry(port, simple_ssl_config=tls(us, made.server.cert))})
        assert good.cause == "ok", good
        cases = [
            (entry(port), "the server requires TLS"),
            (entry(plain, simple_ssl_config=tls(us, made.server.cert)), "the server"),
            (entry(port, simple_ssl_config=tls(us, other.server.cert)), f"is not in {other.server.cert}"),
            (
                entry(port, simple_ssl_config=tls(other.clients["us"], made.server.cert)),
                str(other.clients["us"].cert),
            ),
            (entry(port, simple_ssl_config=tls(us, tmp_path / "absent")), str(tmp_path / "absent")),
        ]
        for raw, said in cases:
            found = examined({"lamp": raw})
            assert found.cause == "tls", found
            assert said in found.message, found


@pytest.mark.parametrize(
    "ends", [ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError, BrokenPipeError]
)
def test_a_server_that_ends_the_handshake_has_no_tls(
    ends: type[OSError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: object) -> None:
        raise ends(1, "it has ended")

    made = certs.make_set(tmp_path / "a", ["us"])
    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", end)
    with serving({"lamp": Lamp()}) as port:
        files = tls(made.clients["us"], made.server.cert)
        found = examined({"lamp": entry(port, simple_ssl_config=files)})
    assert found.cause == "tls"
    assert found.message.startswith("the server has no TLS, but the entry has simple_ssl_config")


def test_a_laboratorys_own_check() -> None:
    def check_warm(endpoint: Any, client: Any) -> None:
        raise AssertionError(f"{endpoint.name} is cold")

    with serving({"lamp": Lamp()}) as port:
        found = examined({"lamp": entry(port)}, checks={"check_warm": check_warm})
    assert (found.cause, found.message) == ("check", "check_warm: AssertionError: lamp is cold")


def test_many_devices_are_audited_at_once() -> None:
    # 28 that are well, 12 that say nothing: as long as one of these takes, not 12 times.
    with ExitStack() as stack:
        well = stack.enter_context(serving({"lamp": Lamp()}))
        dead = stack.enter_context(silent())
        raw = {f"d{number}": entry(dead if number % 10 < 3 else well) for number in range(40)}
        found = run(Audit(from_dict(raw, "db"), 10.0), [])
    assert [each.name for each in found] == list(raw)
    assert [each.cause for each in found] == ["silent" if number % 10 < 3 else "ok" for number in range(40)]


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has one loopback address of IPv4")
def test_a_controller_on_this_machine_that_should_be_on_another() -> None:
    # Nobody listens at 127.0.0.2; the one that is meant has been started at 127.0.0.1.
    with serving({"lamp": Lamp()}) as port:
        found = examined({"lamp": entry(port, host="127.0.0.2")})
    assert found.cause == "wrong-machine", found
    assert (
        f"but its target answers at 127.0.0.1:{port}, on this machine ({socket.gethostname()})"
        in found.message
    )


def test_a_controller_that_listens_at_the_other_loopback_address() -> None:
    with serving({"lamp": Lamp()}, free_port()) as port:  # which nobody has at the other address
        found = examined({"lamp": entry(port, host="::1")})
    assert found.cause == "wrong-machine", found
    assert "its --bind differs from the entry's host" in found.message


def test_a_controller_on_another_host_of_the_database() -> None:
    raw = {"lamp": entry(3290, host="lab1"), "eye": entry(1, host="lab2"), "twin": entry(2, host="lab2")}
    endpoint = from_dict(raw, "db").endpoint("lamp")
    hosts = elsewhere.candidates(from_dict(raw, "db"), endpoint, ("master",))
    assert hosts == ["127.0.0.1", "::1", "master", "lab2"]
    assert elsewhere.where("lab2", endpoint) == (
        "but its target answers at lab2:3290: if that is the right machine, change host in the entry"
    )


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has one loopback address of IPv4")
def test_another_server_in_the_place_is_not_taken_for_it() -> None:
    with serving({"camera": Lamp()}) as port:
        assert examined({"lamp": entry(port, host="127.0.0.2")}).cause == "refused"


class RemoteWithAClock:
    def __init__(self, ahead: float) -> None:
        self.ahead = ahead

    def add_code(self, code: str) -> None:
        return None

    def call(self, name: str) -> Any:
        if name == "rexec_doctor_clock":
            return time.time() + self.ahead
        return {"python": "3.9.1", "host": "lab1", "versions": {"sipyco": "1.9"}}


@pytest.mark.parametrize(("ahead", "order"), [(30.0, "ahead of"), (-7200.0, "behind")])
def test_a_clock_that_is_wrong(ahead: float, order: str) -> None:
    with serving({"lamp": RemoteWithAClock(ahead)}) as port:
        found = examined({"lamp": entry(port)})
    assert (found.cause, found.severity) == ("clock", "warning")
    said = re.search(rf"its clock is (\d+\.\d) s {order} this machine's", found.message)
    assert said is not None, found.message
    assert found.milliseconds is not None
    # No better than half the round trip, which a busy machine makes long; the message has one decimal.
    assert abs(float(said[1]) - abs(ahead)) <= found.milliseconds / 2e3 + 0.051
    assert found.details["versions"] == {"sipyco": "1.9"}


def test_remote_execution_that_was_not_started() -> None:
    aux = {"type": "controller_aux_target", "controller": "lamp", "target_name": "lamp_rexec"}
    with serving({"lamp": Lamp()}) as port:
        assert "started without remote execution?" in examined({"lamp": entry(port), "r": aux}, "r").message


def test_the_process_that_has_the_port_is_named() -> None:
    with speaking(b"220 ftp\r\n") as port:
        (found,) = run(Audit(from_dict({"lamp": entry(port)}, "db"), 60.0), [])
    assert f"The port belongs to pid {os.getpid()} (" in found.message


def test_a_key_of_another_certificate(tmp_path: Path) -> None:
    us = certs.make_set(tmp_path / "a", ["us"]).clients["us"]
    other = certs.make_set(tmp_path / "b", ["us"]).clients["us"]
    files = {"client_cert": str(us.cert), "client_key": str(other.key), "server_cert": str(us.cert)}
    with serving({"lamp": Lamp()}) as port:
        found = examined({"lamp": entry(port, simple_ssl_config=files)})
    assert (found.cause, found.message) == (
        "tls",
        f"{other.key} is not the key of {us.cert}; simple_ssl_config in the entry names it",
    )


def test_a_file_that_holds_no_certificate(tmp_path: Path) -> None:
    us = certs.make_set(tmp_path / "a", ["us"]).clients["us"]
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    with serving({"lamp": Lamp()}) as port:
        found = examined({"lamp": entry(port, simple_ssl_config=tls(us, empty))})
    assert (found.cause, str(empty) in found.message, "PEM" in found.message) == ("tls", True, True)


def test_checks_that_hang_or_exit_are_named() -> None:
    release = threading.Event()

    def check_slow(endpoint: Any, client: Any) -> None:
        release.wait(150)

    def check_exits(endpoint: Any, client: Any) -> None:
        raise SystemExit(3)

    with serving({"lamp": Lamp()}) as port:
        database = from_dict({"lamp": entry(port)}, "db")
        (found,) = run(Audit(database, 4.0, {"check_slow": check_slow}), [])
        release.set()
        assert (found.cause, found.message) == (
            "check",
            "not finished in time: check_slow hangs, or this machine is too busy",
        )
        (found,) = run(Audit(database, 60.0, {"check_exits": check_exits}), [])
    assert (found.cause, found.message) == ("check", "check_exits: SystemExit: 3")


def test_more_devices_than_are_examined_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rexec.doctor.audit.MOST", 4)
    with serving({"lamp": Lamp()}) as port:
        raw = {f"d{number}": entry(port) for number in range(21)}
        found = run(Audit(from_dict(raw, "db"), 60.0), [])
    assert [each.cause for each in found] == ["ok"] * 21


def test_who_may_do_nothing_is_told_by_which_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rexec.access.identity.user_of_peer", lambda *_: "carol")
    path = tmp_path / "rights.json"
    path.write_text('{"devices": {"lamp": {"place": "device_db.py:3", "allow": {}}}}')
    targets = {"lamp": Lamp(), "lamp_rexec": rexec_target()}
    with running(targets, guard=AccessGuard(RightsFile(path, "lamp"))) as server:
        raw = {
            "lamp": entry(server.port),
            "rexec": {"type": "controller_aux_target", "controller": "lamp", "target_name": "lamp_rexec"},
        }
        for name in raw:
            found = examined(raw, name)
            assert (found.cause, found.severity) == ("not-allowed", "warning")
            assert found.message.startswith("refused: carol (user of this machine) may not call ")
            assert "device_db.py:3" in found.message


def test_a_stock_server_does_not_enforce_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rexec.wire._handshake.FEATURES", ("pyon_v2",))
    with serving({"lamp": Lamp()}) as port:
        assert examined({"lamp": entry(port)}).cause == "ok"
        found = examined({"lamp": entry(port, allow={"alice": ["call"]})})
    assert (found.cause, found.severity) == ("not-enforced", "warning")
    assert "everyone who reaches its port may do everything" in found.message


def test_every_cause_is_staged_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [cause for cause in get_args(Cause) if f'"{cause}"' not in text] == []
