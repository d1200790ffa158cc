"""Whole conversations of real peers, played against our server and our clients."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rexec.wire import pyon, pyon_v1
from rexec.wire.packed_exceptions import GenericRemoteException
from rexec.wire.pc_rpc import Client
from tests.serving import running
from tests.wire.driver import Drv

DATA = Path(__file__).parent / "data"
NEW = json.loads((DATA / "transcripts.json").read_text(encoding="utf-8"))["sessions"]
OLD = json.loads((DATA / "transcripts_1_9.json").read_text(encoding="utf-8"))["sessions"]
Events = list[list[str]]

# What our driver has beside the recorded one, or does better.
OURS_ALONE = {
    "echo",
    "fail_chained",
    "undecodable",
    "deep_unser",
    "leave",
    "sleep",
    "wait",
    "hold",
}


def events(name: str, session: dict[str, Any] = NEW) -> Events:
    found: Events = session[name]["connections"][0]["events"]
    return found


def simplified(line: str, v2: bool) -> Any:
    """Return a server's line without what depends on the machine or on us."""
    value = (pyon if v2 else pyon_v1).decode(line)
    if isinstance(value, set):
        return {"add", "ping", "fail", "_private", "terminate", "__class__"} <= value
    if isinstance(value, dict) and "targets" in value:
        value.pop("features", None)
        return value
    if "exception" in value:
        exception = value["exception"]
        assert set(exception) == {"class", "message", "traceback"}
        assert all(isinstance(frame, str) for frame in exception["traceback"])
        assert exception["traceback"]
        exception["traceback"] = "frames"
        if exception["class"] == "TypeError":
            exception["message"] = "unserialisable"
        exception["message"] = re.sub(r"^.*?(Drv\.fail_custom)", r"\1", exception["message"])
        return value
    if isinstance(value.get("ret"), dict) and "methods" in value["ret"]:
        value["ret"]["methods"] = {
            name: spec
            for name, spec in value["ret"]["methods"].items()
            if name in ("add", "ping", "terminate")
        }
        for name, (spec, _) in value["ret"]["methods"].items():
            if name != "terminate":
                # Our driver's annotations say more.
                spec.pop("annotations")
        return value
    if isinstance(value.get("ret"), np.ndarray):
        value["ret"] = (value["ret"].dtype.str, value["ret"].tolist())
    return value


@pytest.mark.parametrize(
    "name",
    [
        "rpc_calls",
        "rpc_v1_client",
        "rpc_bad_banner",
        "rpc_bad_target",
        "rpc_bad_feature",
        "rpc_unknown_action",
    ],
)
def test_our_server_answers_a_recorded_client_as_the_real_one_did(name: str) -> None:
    description = "a description" if name == "rpc_calls" else None
    v2 = name != "rpc_v1_client"
    with running({"drv": Drv()}, description=description) as server:
        with socket.create_connection(("127.0.0.1", server.port), 150) as sock, sock.makefile("rb") as lines:
            for side, text in events(name):
                if side == "client" and text != "<closed>":
                    sock.sendall(text.encode("ascii"))
                elif side == "server" and text == "<closed>":
                    if not events(name)[-1] == [side, text]:
                        assert lines.readline() == b""
                elif side == "server":
                    line = lines.readline().decode("ascii")
                    assert line.endswith("\n")
                    assert simplified(line, v2) == simplified(text, v2)


@contextmanager
def playing(recorded: Events) -> Iterator[tuple[int, list[str]]]:
    """A server that says what was recorded, and notes what our client says."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(150)
    heard: list[str] = []

    def play() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as lines:
            connection.settimeout(150)
            for side, text in recorded:
                if text == "<closed>":
                    continue
                if side == "client":
                    heard.append(lines.readline().decode("ascii"))
                else:
                    connection.sendall(text.encode("ascii"))

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield listener.getsockname()[1], heard
    finally:
        thread.join(150)
        listener.close()


@pytest.mark.parametrize(("sessions", "codec"), [(NEW, pyon), (OLD, pyon_v1)], ids=["1.10", "1.9"])
def test_our_client_says_what_a_real_one_says_and_understands_the_answers(
    sessions: dict[str, Any], codec: Any
) -> None:
    recorded = events("rpc_calls", sessions)
    with playing(recorded) as (port, heard), Client("127.0.0.1", port, "drv", timeout=150) as client:
        assert client.get_rpc_id() == (["drv"], "a description")
        assert client.ping() is True
        assert client.add(1, b=3, scale=2.0) == 8.0
        assert client.frame().tolist() == [[0, 1, 2], [3, 4, 5]]
        assert client.acall() == "async"
        with pytest.raises(ValueError, match=r"^bad value\n") as caught:
            client.fail()
        assert caught.value.parent_traceback == ['  File "<path>", line 1, in <function>\n    <source>\n']  # type: ignore[attr-defined]
        with pytest.raises(GenericRemoteException) as generic:
            client.fail_custom()
        assert str(generic.value) == "Drv.fail_custom.<locals>.Custom: odd"
        assert generic.value.remote_class == "Drv.fail_custom.<locals>.Custom"
        with pytest.raises(KeyError) as missing:
            client.keyerr()
        assert missing.value.args == ("k",)
        with pytest.raises(TypeError):
            client.unser()
        methods = client.get_rpc_method_list()["methods"]
        assert methods["add"][0]["defaults"] == (2,)
        with pytest.raises(AttributeError, match=r"no method 'pong'.*Did you mean 'ping'"):
            client.pong()
    said = [text for side, text in recorded if side == "client" and text != "<closed>"]
    assert heard[:2] == said[:2]
    for ours, theirs in zip(heard[2:], said[2:], strict=True):
        assert codec.decode(ours) == codec.decode(theirs)


def test_a_client_without_a_target_chooses_later() -> None:
    recorded = events("rpc_none_then_select_terminate")
    with playing(recorded) as (port, heard), Client("127.0.0.1", port, None, timeout=150) as client:
        assert client.get_selected_target() is None
        client.select_rpc_target("drv")
        assert client.get_selected_target() == "drv"
        assert client.ping() is True
        client.terminate()
    assert heard == [text for side, text in recorded if side == "client" and text != "<closed>"]
