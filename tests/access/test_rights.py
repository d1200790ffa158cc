"""No request has an effect unless its person has the right, whoever's client sends it, over TLS and plain."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rexec.access import identity
from rexec.access.guard import AccessGuard
from rexec.access.identity import Identity
from rexec.access.kernel_user import user_of_peer
from rexec.access.rights import DeviceRights, Right, RightsFile, device_rights, right_of
from rexec.remote_exec import rexec_targets
from rexec.wire import certs, pyon, pyon_v1
from rexec.wire._protocol import FEATURES, PYON_V2
from rexec.wire.pc_rpc import Client, Server, read_only, while_busy
from rexec.wire.tap import load_raw
from rexec.wire.tls import SimpleSSLConfig
from tests.serving import running
from tests.waiting import within

LOCAL = "127.0.0.1"
PLACE = "device_db.py:12"
ALLOW: Final = {"alice": ["call", "rexec"], "bob": ["call"], "carol": ["read"], "dave": [], "*": []}
PEOPLE: Final = [*(name for name in ALLOW if name != "*"), "mallory"]
RIGHTS: Final = {"alice": Right.REXEC, "bob": Right.CALL, "carol": Right.READ}

effects: list[str] = []


class Camera:
    """A driver every part of which notes that it was used."""

    def __init__(self) -> None:
        effects.append("made")

    def ping(self) -> bool:
        effects.append("ping")
        return True

    @read_only
    def temperature(self) -> float:
        effects.append("temperature")
        return 4.0

    @read_only
    @while_busy
    def status(self) -> str:
        effects.append("status")
        return "on"

    @while_busy
    def stop(self) -> None:
        effects.append("stop")

    def expose(self, *_: Any) -> None:
        effects.append("expose")

    async def expose_later(self) -> None:
        effects.append("expose_later")

    def _secret(self) -> None:
        effects.append("_secret")

    @property
    def value(self) -> Any:
        effects.append("value")
        return lambda: None

    @read_only
    @staticmethod
    def version() -> int:
        effects.append("version")
        return 1


class Changed(Camera):
    """Overrides a marked method by one that is not."""

    def temperature(self) -> float:
        effects.append("heat")
        return 5.0


CALLS: Final[dict[tuple[str, str], tuple[Right, str]]] = {
    ("camera", "ping"): (Right.READ, "ping"),
    ("camera", "temperature"): (Right.READ, "temperature"),
    ("camera", "status"): (Right.READ, "status"),
    ("camera", "version"): (Right.READ, "version"),
    ("camera", "stop"): (Right.CALL, "stop"),
    ("camera", "expose"): (Right.CALL, "expose"),
    ("camera", "expose_later"): (Right.CALL, "expose_later"),
    ("camera", "_secret"): (Right.CALL, "_secret"),
    ("camera", "value"): (Right.CALL, "value"),
    ("camera", "__init__"): (Right.CALL, "made"),
    ("camera", "terminate"): (Right.CALL, "terminate"),
    ("changed", "temperature"): (Right.CALL, "heat"),
    ("own", "expose"): (Right.CALL, "expose"),
    ("own", "temperature"): (Right.READ, "temperature"),
    ("camera_rexec", "add_code"): (Right.REXEC, "code"),
    ("camera_rexec", "call"): (Right.REXEC, "expose"),
    ("hidden_rexec", "add_code"): (Right.REXEC, "code"),
}
"""Target and method: the right that it takes, and the effect that it has."""
ARGUMENTS: Final[dict[str, list[Any]]] = {
    "add_code": ["controller_driver.effects.append('code')"],
    "call": ["expose"],
}


def rights_text(allow: Mapping[str, list[str]] | None = ALLOW) -> str:
    return json.dumps({"devices": {"camera": {"place": PLACE, "allow": allow}}})


def targets() -> dict[str, Any]:
    driver: Any = Camera()
    driver.effects = effects

    def prepared(namespace: dict[str, Any]) -> Any:
        from rexec.remote_exec import RemoteExecServer

        made = RemoteExecServer(namespace)
        made.namespace["expose"] = driver.expose
        return made

    found = rexec_targets("camera", driver, prepared)
    hidden = rexec_targets("hidden", driver)["hidden_rexec"]
    return {**found, "changed": Changed(), "own": Camera, "hidden_rexec": lambda: hidden()}


class Lab:
    """A guarded server of each transport, and requests to it as bytes."""

    def __init__(self, folder: Path, plain: Server, secure: Server, made: certs.CertificateSet) -> None:
        self.rights = folder / "rights.json"
        self.plain = plain
        self.secure = secure
        self.made = made

    def ask(
        self, person: str, features: tuple[str, ...], tls: bool, target: str, request: dict[str, Any]
    ) -> Any:
        """Send one request as a client with these features would, whatever the target's methods are."""
        server = self.secure if tls else self.plain
        sock = socket.socket()
        sock.settimeout(150)
        sock.bind((LOCAL, 0))
        KERNEL[sock.getsockname()[1]] = person
        sock.connect((LOCAL, server.port))
        if tls:
            pair = self.made.clients[person]
            context = SimpleSSLConfig(
                str(pair.cert), str(pair.key), str(self.made.server.cert)
            ).create_client_context()
            sock = context.wrap_socket(sock)
        v2 = PYON_V2 in features
        encode = pyon.encode if v2 else pyon_v1.encode
        with sock, sock.makefile("rb") as lines:
            sock.sendall(b"ARTIQ pc_rpc\n")
            lines.readline()
            words = [target, *features]
            if "introduction_1" in features:
                words.append('{"user":"alice","host":"here"}')  # what is claimed does not count
            sock.sendall(" ".join(words).encode() + b"\n")
            if not lines.readline():
                return None
            sock.sendall(encode(request).encode() + b"\n")
            line = lines.readline()
            if not line:
                return None
            return (
                (load_raw(line) if line[:1] == b"#" else pyon.decode(line.decode()))
                if v2
                else pyon_v1.decode(line.decode())
            )


KERNEL: dict[int, str] = {}
"""Port of a client: the user that the kernel would tell."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with guarded_lab(tmp_path_factory.mktemp("rights")) as made:
        yield made


@contextlib.contextmanager
def guarded_lab(folder: Path) -> Iterator[Lab]:
    """Serve cameras with rights, plain and over TLS."""
    (folder / "rights.json").write_text(rights_text())
    made = certs.make_set(folder / "tls", PEOPLE)
    tls = SimpleSSLConfig(str(made.server.cert), str(made.server.key), str(made.trusted_clients))
    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "user_of_peer", lambda ours, theirs: KERNEL.get(theirs[1]))
        guards = [AccessGuard(RightsFile(folder / "rights.json", "camera")) for _ in range(2)]
        plain = stack.enter_context(running(targets(), guard=guards[0]))
        secure = stack.enter_context(running(targets(), tls, guard=guards[1]))
        # So that `terminate` is an effect like others.
        for server in (plain, secure):
            patch.setattr(server, "_terminate", Terminated())
        yield Lab(folder, plain, secure, made)


class Terminated:
    """Stands for the event that a server sets when it is told to end."""

    def set(self) -> None:
        effects.append("terminate")

    def is_set(self) -> bool:
        return False

    async def wait(self) -> None:
        import asyncio

        await asyncio.Event().wait()


REQUESTS: Final = [
    *sorted(CALLS),
    *((target, "(list)") for target in ("camera", "changed", "own", "camera_rexec", "hidden_rexec")),
    *(
        (target, name)
        for target in ("camera", "camera_rexec")
        for name in ("(none)", "gone", "(action)", "(lease)")
    ),
]
SPOKEN: Final = [FEATURES, FEATURES[:3], (PYON_V2,), ()]
"""What our clients and stock ones of each kind speak."""


@settings(max_examples=150)
@given(
    person=st.sampled_from(PEOPLE),
    features=st.sampled_from(SPOKEN),
    tls=st.booleans(),
    request=st.sampled_from(REQUESTS),
    size=st.sampled_from([0, 0, 0, 100_000]),
)
def test_no_request_without_a_right_has_an_effect(
    lab: Lab, person: str, features: tuple[str, ...], tls: bool, request: tuple[str, str], size: int
) -> None:
    check_request(lab, person, features, tls, request, size)


def check_request(
    lab: Lab, person: str, features: tuple[str, ...], tls: bool, request: tuple[str, str], size: int
) -> None:
    """Send a request as a person; its effects, and the answer, must be those of the person's rights."""
    target, name = request
    message: dict[str, Any] = {
        "action": "call",
        "name": name,
        "args": tuple(ARGUMENTS.get(name, [])),
        "kwargs": {},
    }
    if name == "expose" and size:  # decoded in the loop's thread
        message["args"] = ("x" * size,)
    if name == "(list)":
        message = {"action": "get_rpc_method_list"}
    elif name == "(action)":
        message["action"] = "do"
    elif name == "(lease)":
        message = {"action": "lease", "name": "take", "args": ["camera", "1", True]}
    elif name == "(none)":
        del message["name"]
    if "call_ids_1" in features:
        message["id"] = 1
    effects.clear()
    answer = lab.ask(person, features, tls, target, message)
    needed, effect = CALLS.get((target, name), (Right.READ if name == "(list)" else Right.CALL, ""))
    if "rexec" in target and name != "(lease)":
        needed = Right.REXEC
    if RIGHTS.get(person, Right.NONE) >= needed:
        if effect:
            assert answer["status"] == "ok"
            assert effect in effects
    else:
        factory = {"made"} if target == "own" and RIGHTS.get(person, Right.NONE) else set()
        assert set(effects) <= factory
        assert answer["status"] == "failed"
        if name != "(action)":
            assert answer["exception"]["class"] == "PermissionError"
            text = answer["exception"]["message"]
            how = "by certificate" if tls else "user of this machine"
            assert text.startswith(f"refused: {person} ({how}) may not ")
            assert "'camera'" in text
            assert PLACE in text


def test_a_refusal_says_who_what_and_which_entry(lab: Lab) -> None:
    request = {"action": "call", "name": "expose", "args": (), "kwargs": {}}
    answer = lab.ask("carol", (PYON_V2,), True, "camera", request)
    assert answer["exception"]["message"] == (
        "refused: carol (by certificate) may not call expose() of 'camera': that takes 'call', "
        "and its entry (device_db.py:12) allows 'read' only"
    )


def test_rights_are_reloaded_without_a_restart_on_open_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "user_of_peer", lambda *_: "bob")
    file = tmp_path / "rights.json"
    file.write_text(rights_text({"bob": ["read"]}))
    with running(targets(), guard=AccessGuard(RightsFile(file, "camera"))) as server:
        with (
            Client(LOCAL, server.port, "camera") as client,
            Client(LOCAL, server.port, "camera_rexec") as code,
        ):
            assert client.temperature() == 4.0
            with pytest.raises(PermissionError, match="may not call expose"):
                client.expose()
            with pytest.raises(PermissionError, match="may not call add_code"):
                code.add_code("")
            file.write_text(rights_text({"bob": ["rexec"]}))
            assert within(150, lambda: not refused(client.expose))
            with pytest.raises(PermissionError, match="connect again"):
                code.add_code("")
            file.write_text("{")  # what cannot be read leaves the last rights
            client.expose()
            file.write_text(rights_text({"bob": []}))
            assert within(150, lambda: refused(client.expose))
            file.unlink()
            assert within(1, lambda: not refused(client.expose)) is False


def refused(call: Any) -> bool:
    try:
        call()
    except PermissionError:
        return True
    return False


def rights(allow: Mapping[str, list[str]] | None, owner: str | None = None) -> DeviceRights:
    given = None if allow is None else {name: right_of(words) for name, words in allow.items()}
    return DeviceRights("camera", PLACE, given, owner)


def test_only_a_proven_name_has_the_rights_of_its_line() -> None:
    for known_by, right in (("certificate", Right.REXEC), ("kernel", Right.REXEC), ("claimed", Right.READ)):
        who = Identity("alice", known_by, "pc3")  # type: ignore[arg-type]
        assert rights({"alice": ["rexec"], "*": ["read"]}).of(who) == right
    claimed = Identity("alice", "claimed", "pc3")
    assert "connect with a TLS certificate" in rights({"alice": ["rexec"]}).refusal(
        claimed, "call x()", Right.CALL
    )
    assert "TLS" not in rights({"bob": []}).refusal(claimed, "call x()", Right.CALL)


def test_the_user_who_runs_the_controller_has_every_right_unless_it_is_named() -> None:
    owner = Identity("lab", "kernel", "pc3")
    assert rights({"alice": ["call"]}, "lab").of(owner) == Right.REXEC
    assert rights({"alice": ["call"], "lab": ["read"]}, "lab").of(owner) == Right.READ
    assert rights({"alice": ["call"]}, "lab").of(Identity("lab", "certificate", "pc4")) == Right.NONE
    assert rights({}, "lab").of(Identity("lab", "claimed", "pc4")) == Right.NONE
    assert rights({}, None).of(Identity("", "kernel", "pc4")) == Right.NONE
    assert rights(None).of(Identity("", "claimed", "")) == Right.REXEC


def test_a_certificate_of_the_name_star_is_no_line_of_its_own() -> None:
    assert rights({"*": ["read"]}).of(Identity("*", "certificate", "pc3")) == Right.READ


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Expecting value"),
        ("[]", "no controller"),
        ('{"devices": {"camera": {"allow": []}}}', "no dict of lists"),
        ('{"devices": {"camera": {"allow": {"a": "call"}}}}', "no dict of lists"),
        ('{"devices": {"camera": {"allow": {"a": ["admin"]}}}}', "'ADMIN'"),
        ('{"devices": {"camera": {"allow": {"a": [1]}}}}', "not"),
        ('{"devices": {"other": {}}}', "no controller 'camera'"),
    ],
)
def test_a_file_that_is_no_file_of_rights_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        device_rights(text, "camera")


def test_the_server_runs_for_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On this machine a controller with rights answers pings and calls of the user who has started it."""
    monkeypatch.setattr(identity, "user_of_peer", user_of_peer)
    file = tmp_path / "rights.json"
    file.write_text(rights_text({"somebody-else": ["rexec"]}))
    with (
        running(targets(), guard=AccessGuard(RightsFile(file, "camera"))) as server,
        Client(LOCAL, server.port, "own") as client,
    ):
        if sys.platform == "linux":  # whose kernel tells
            assert client.ping()
        else:
            with pytest.raises(PermissionError):
                client.ping()


STOCK = """
import json, sys
from sipyco.pc_rpc import Client
from sipyco.tools import SimpleSSLConfig
port, tls, requests = int(sys.argv[1]), SimpleSSLConfig(*sys.argv[2:5]), json.loads(sys.argv[5])
said = []
for target, name, arguments in requests:
    try:
        client = Client("127.0.0.1", port, target, ssl_config=tls)
        try:
            said.append([type(x).__name__ if (x := getattr(client, name)(*arguments)) is not None else "None", ""])
        finally:
            client.close_rpc()
    except Exception as error:
        said.append([type(error).__name__, str(error)])
print(json.dumps(said))
"""


@pytest.mark.skipif(not os.environ.get("REXEC_PEER_PYTHON"), reason="REXEC_PEER_PYTHON names no interpreter")
def test_a_stock_client_is_refused_in_words(lab: Lab) -> None:
    # A stock client finds its own `__init__`, and no `value`, which is no method.
    calls = {request: facts for request, facts in CALLS.items() if request[1] not in ("value", "__init__")}
    requests = [[*request, ARGUMENTS.get(request[1], [])] for request in calls]
    for person in PEOPLE:
        effects.clear()
        pair = lab.made.clients[person]
        files = [str(pair.cert), str(pair.key), str(lab.made.server.cert)]
        command = [
            os.environ["REXEC_PEER_PYTHON"],
            "-c",
            STOCK,
            str(lab.secure.port),
            *files,
            json.dumps(requests),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=True)
        allowed = {effect for needed, effect in calls.values() if needed <= RIGHTS.get(person, Right.NONE)}
        assert set(effects) - {"made"} == allowed - {"made"}
        for request, (kind, text) in zip(calls, json.loads(done.stdout), strict=True):
            if RIGHTS.get(person, Right.NONE) < CALLS[request][0]:
                assert kind == "PermissionError", (person, request, text)
                assert text.startswith(f"refused: {person} (by certificate) may not call {request[1]}()")


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can be another user")
def test_another_user_of_this_machine_has_the_rights_of_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "user_of_peer", user_of_peer)
    file = tmp_path / "rights.json"
    file.write_text(rights_text({"uid 12345": ["read"]}))
    code = (
        "import os, sys; from rexec.wire.client import Client; ''.encode('idna'); os.setuid(int(sys.argv[2]))\n"
        "client = Client('127.0.0.1', int(sys.argv[1]), 'camera')\n"
        "for name in ('temperature', 'expose'):\n"
        "    try: print(getattr(client, name)())\n"
        "    except PermissionError as error: print(error)\n"
    )
    with running(targets(), guard=AccessGuard(RightsFile(file, "camera"))) as server:
        for uid, answers in (
            (12345, ("4.0", "refused: uid 12345 (user of")),
            (12346, ("refused:", "refused:")),
        ):
            effects.clear()
            command = [sys.executable, "-c", code, str(server.port), str(uid)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=True)
            for line, begin in zip(done.stdout.splitlines(), answers, strict=True):
                assert line.startswith(begin)
            assert effects == (["temperature"] if uid == 12345 else [])
