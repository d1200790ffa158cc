"""Actions over TLS: a person is who the certificate says, on the page and at the master's control port."""

import asyncio
import contextlib
import http.client
import json
from pathlib import Path
from typing import Any

import pytest

from rexec.access.identity import Identity
from rexec.ground.loop_thread import LoopThread
from rexec.web.actions import ActionRefused, ActionTargets, PageActions
from rexec.web.clock import VersionClock
from rexec.web.live_datasets import LiveDatasets
from rexec.wire import certs
from rexec.wire.tls import SimpleSSLConfig
from tests.serving import running
from tests.web.served import TOKEN, Served, served
from tests.web.test_actions import Supervisor, lines
from tests.web.test_browser_devices import database, entry


def config(local: certs.Pair, peer: Path) -> SimpleSSLConfig:
    return SimpleSSLConfig(str(local.cert), str(local.key), str(peer))


def ask(lab: Served, tls: SimpleSSLConfig, order: dict[str, Any]) -> tuple[int, Any]:
    """Enter with the token and act, as a browser that has a certificate."""
    headers = {"origin": lab.address.rstrip("/"), "content-type": "application/json"}
    context = tls.create_client_context()
    with contextlib.closing(
        http.client.HTTPSConnection("127.0.0.1", lab.port, timeout=60, context=context)
    ) as page:
        page.request("GET", f"/?token={TOKEN}")
        entered = page.getresponse()
        entered.read()
        headers["cookie"] = (entered.getheader("set-cookie") or "").partition(";")[0]
        page.request("POST", "/api/act", json.dumps(order), headers)
        answer = page.getresponse()
        return answer.status, json.loads(answer.read())


def test_a_controller_is_restarted_by_the_certificate_that_may(tmp_path: Path) -> None:
    made = certs.make_set(tmp_path / "tls", ["alice", "bob"])
    alice, bob = (config(made.clients[name], made.server.cert) for name in ("alice", "bob"))
    supervisor, audit = Supervisor(), tmp_path / "audit"
    allowed = {**entry(1), "allow": {"alice": ["call"], "*": ["read"]}}
    file = database(tmp_path, camera=allowed, laser=entry(1))
    page = config(made.server, made.trusted_clients)
    with (
        running({"ctlmgr": supervisor}) as server,
        served(
            with_master=False,
            device_db=file,
            supervisor=("127.0.0.1", server.port),
            audit=audit,
            ssl_config=page,
        ) as lab,
    ):
        for how in ("restart", "retry"):
            order = {"do": how, "device": "camera"}
            assert ask(lab, alice, order)[0] == 200
            status, said = ask(lab, bob, order)
            assert status == 409
            assert "bob" in said["problem"]
            assert "camera" in said["problem"]
        # An entry without rights is everybody's.
        assert ask(lab, bob, {"do": "restart", "device": "laser"})[0] == 200
    assert supervisor.done == [("restart", "camera"), ("retry", "camera"), ("restart", "laser")]
    found = [(each["kind"], each["person"], each["known_by"]) for each in lines(audit)]
    known = "certificate"
    assert found == [
        ("act", "alice", known), ("refused", "bob", known), ("act", "alice", known), ("refused", "bob", known),
        ("act", "bob", known),
    ]  # fmt: skip


class Master:
    """The control port of a master."""

    def __init__(self) -> None:
        self.done: list[tuple[str, Any]] = []

    def set(self, key: str, value: Any) -> None:
        self.done.append((key, value))


class Log:
    def __init__(self) -> None:
        self.kinds: list[str] = []

    def append(self, kind: str, facts: Any) -> None:
        self.kinds.append(kind)


@contextlib.asynccontextmanager
async def datasets() -> Any:
    found = LiveDatasets(VersionClock())
    found.take_snapshot({"a": (False, 1.0, {})})
    yield found


@pytest.mark.parametrize(("name", "is_trusted"), [("alice", True), ("stranger", False)])
def test_a_dataset_is_set_over_tls_by_a_page_that_the_master_trusts(
    tmp_path: Path, name: str, is_trusted: bool
) -> None:
    made = certs.make_set(tmp_path, ["alice"])
    pair = made.clients["alice"] if is_trusted else certs.make_pair(tmp_path, name)
    master, log = Master(), Log()
    who = Identity("alice", "certificate", "")
    with (
        running({"dataset_db": master}, config(made.server, made.trusted_clients)) as server,
        LoopThread(datasets, name="datasets of a test") as live,
    ):
        targets = ActionTargets(live, ("127.0.0.1", server.port), config(pair, made.server.cert), None)
        actions = PageActions(targets, log)
        if is_trusted:
            assert asyncio.run(actions.set_dataset(who, 1, "2.5")) == "a was set"
        else:
            with pytest.raises(ActionRefused, match="127"):
                asyncio.run(actions.set_dataset(who, 1, "2.5"))
    assert master.done == ([("a", 2.5)] if is_trusted else [])
    assert log.kinds == (["act"] if is_trusted else ["act", "failed"])
