"""What a server answers about leases: to any client, to each about its own connection."""

import contextlib
import os
import time
from types import SimpleNamespace
from typing import Any

import pytest

from rexec.access.guard import AccessGuard
from rexec.access.rights import RightsFile
from rexec.ground.client_label import labelled, program_name
from rexec.ground.lease_table import LeaseTable
from rexec.wire import _lease_requests
from rexec.wire._protocol import PYON_V2
from rexec.wire.pc_rpc import Client, Server
from tests.serving import running
from tests.waiting import within
from tests.wire.driver import Drv

LOCAL = "127.0.0.1"


def client(server: Server, *features: str, target: str = "drv") -> Client:
    return (
        Client(LOCAL, server.port, target, features=features)
        if features
        else Client(LOCAL, server.port, target)
    )


def test_a_connection_keeps_the_leases_of_one_holder_for_targets_that_there_are() -> None:
    with running({"drv": Drv(), "lamp": Drv()}) as server, client(server) as one, client(server) as other:
        assert one.rpc_lease("take", "drv", "a", False) == []
        assert one.rpc_lease("take", "lamp", "a", True) == []
        for device, holder in (("lamp", "b"), ("moon", "a")):
            with pytest.raises(
                ValueError, match=f"no device '{device}', or the connection is that of another"
            ):
                one.rpc_lease("take", device, holder, False)
        assert [each["device"] for each in other.rpc_lease("present", "")] == ["drv", "lamp"]
        assert other.rpc_lease("present", "a") == []
        (held,) = other.rpc_lease("take", "lamp", "b", False)
        assert (held["device"], held["exclusive"], held["waiting"]) == ("lamp", True, False)
        assert other.rpc_lease("take", "drv", "b", False) == []
        assert one.rpc_lease("shared", "lamp", "b") is None
        assert [each["waiting"] for each in one.rpc_lease("shared", "lamp", "a")] == [True]
        assert [each["waiting"] for each in one.rpc_lease("shared", "drv", "a")] == [False]
        other.close_rpc()
        assert within(150, lambda: len(one.rpc_lease("present", "")) == 2)


def test_a_lease_ends_with_its_connection_and_says_what_its_holder_does() -> None:
    with running({"drv": Drv()}) as server, client(server) as other:
        for what, holder in ((program_name(), "a"), ("run 7", "b")):
            with labelled("run 7") if holder == "b" else contextlib.nullcontext(), client(server) as one:
                assert one.rpc_lease("take", "drv", holder, True) == []
                assert [each["what"] for each in other.rpc_lease("present", "")] == [what]
            assert within(150, lambda: other.rpc_lease("present", "") == [])


def test_names_are_cut_and_the_same_name_is_the_same_holder() -> None:
    with running({"drv": Drv()}) as server, client(server) as one, client(server) as other:
        assert one.rpc_lease("take", "drv", "a" * 201, True) == []
        assert one.rpc_lease("take", "drv", "a" * 300, True) == []
        assert one.rpc_lease("shared", "drv", "a" * 200) == []
        assert other.rpc_lease("take", "drv", "a" * 199, True)
        assert [each["waiting"] for each in other.rpc_lease("present", "a" * 250)] == [True]  # not its lease


@pytest.mark.parametrize(
    "wrong",
    [("take", 1, "a", True), ("take", "drv", "a", 1), ("take", "drv", "a"), ("shared", "drv"), ("present",),
     ("connected", "a"), ("nothing",)],
)  # fmt: skip
def test_a_request_that_makes_no_sense_is_refused(wrong: tuple[Any, ...]) -> None:
    with running({"drv": Drv()}) as server, client(server) as one:
        with pytest.raises(ValueError, match=f"no request about leases: '{wrong[0]}'"):
            one.rpc_lease(*wrong)
        assert one.rpc_lease("present", "") == []


def test_clients_without_a_lease_are_those_of_other_processes() -> None:
    with running({"drv": Drv()}) as server, client(server) as asking, client(server):
        assert asking.rpc_lease("connected") == []
        before = time.time()
        with client(server, PYON_V2), client(server, PYON_V2) as silent:  # which do not say who they are
            found = asking.rpc_lease("connected")
            assert [each["pid"] for each in found] == [0, 0]
            assert all(0 <= each["seconds"] <= time.time() - before + 1 for each in found)
            silent.close_rpc()
            assert within(150, lambda: len(asking.rpc_lease("connected")) == 1)
        assert within(150, lambda: asking.rpc_lease("connected") == [])


def test_of_clients_without_a_lease_the_first_thousand_are_told() -> None:
    stock = SimpleNamespace(run="", program="", name="bob", known_by="kernel", host="lab", pid=0)
    there: Any = [
        SimpleNamespace(target_name="drv", closed=False, since=0.0, peer=f"lab:{port}", identity=stock)
        for port in range(1002)
    ]
    asking = there[0]
    assert len(_lease_requests._without_lease(LeaseTable(), asking, there[1:1001])) == 1000
    assert len(_lease_requests._without_lease(LeaseTable(), asking, there[1:])) == 1000


def test_a_lease_lasts_as_long_as_the_right_to_it(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rexec.access.identity.user_of_peer", lambda *_: "bob")
    monkeypatch.setattr("rexec.access.rights._LOOK", -1.0)
    path = tmp_path / "rights.json"

    def allow(*words: str) -> None:
        entry = f'{{"place": "device_db.py:1", "allow": {{"bob": {list(words)!r}}}}}'.replace("'", '"')
        path.write_text(f'{{"devices": {{"drv": {entry}}}}}')
        os.utime(path, (0, ord(words[0][0])))  # two texts of one length may be written in one tick

    allow("call")
    guard = AccessGuard(RightsFile(path, "drv"))
    with running({"drv": Drv(), "lamp": Drv()}, guard=guard) as server, client(server) as one:
        assert one.rpc_lease("take", "drv", "a", True) == []
        with client(server, target="lamp") as other:
            assert other.rpc_lease("take", "lamp", "b", False) == []
            allow("read")
            assert [each["device"] for each in other.rpc_lease("present", "")] == ["lamp"]
