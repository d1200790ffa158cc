"""The reference library's clients against our servers, and ours against its servers.

Needs an interpreter with the reference library: REXEC_PEER_PYTHON, or this one.
"""

import asyncio
import contextlib
import functools
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rexec.wire import certs, errors
from rexec.wire.broadcast import Broadcaster, Receiver
from rexec.wire.packed_exceptions import GenericRemoteException
from rexec.wire.pc_rpc import AsyncioClient, Client
from rexec.wire.sync_struct import Notifier, Publisher, Subscriber
from rexec.wire.tls import SimpleSSLConfig
from tests.serving import running
from tests.wire.driver import Drv

PEER = Path(__file__).parent / "peer.py"
LOCAL = "127.0.0.1"


@functools.cache
def peer_python() -> str | None:
    chosen = os.environ.get("REXEC_PEER_PYTHON")
    if chosen:
        return chosen
    return sys.executable if importlib.util.find_spec("sipyco") else None


@functools.cache
def speaks_v2() -> bool:
    code = "import sipyco.pyon, sys; sys.exit(0 if hasattr(sipyco.pyon, 'register') else 1)"
    return subprocess.run([peer_python() or "", "-c", code], timeout=150, check=False).returncode == 0


pytestmark = pytest.mark.skipif(
    peer_python() is None,
    reason="the reference library is not importable here: set REXEC_PEER_PYTHON to an interpreter that has it "
    "(dependency group `interop`)",
)


@contextlib.contextmanager
def peer(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [peer_python() or "", str(PEER), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said(process: "subprocess.Popen[str]") -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def tell(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def tls_files(folder: Path) -> tuple[SimpleSSLConfig, SimpleSSLConfig]:
    made = certs.make_set(folder, ["alice"])
    alice = made.clients["alice"]
    return (
        SimpleSSLConfig(str(made.server.cert), str(made.server.key), str(made.trusted_clients)),
        SimpleSSLConfig(str(alice.cert), str(alice.key), str(made.server.cert)),
    )


def arguments(config: SimpleSSLConfig | None) -> list[str]:
    return [] if config is None else [config.local_cert, config.local_key, config.peer_cert]


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_their_clients_call_our_server(tmp_path: Path, tls: bool) -> None:
    ours, theirs = tls_files(tmp_path) if tls else (None, None)
    with running({"drv": Drv()}, ours, description="d") as server:
        with peer("rpc_client", str(server.port), *arguments(theirs)) as client:
            result = said(client)
    assert result.pop("methods")[0] == "acall"
    assert result.pop("fail") == ["ValueError", "bad value"]
    name, message = result.pop("keyerr")
    assert name == "KeyError"
    assert "k" in message
    assert result == {
        "id": [["drv"], "d"],
        "ping": True,
        "add": 8.0,
        "echo": {"a": [1, 2.5, None, "µ"]},
        "tuple": "tuple",
        "array": True,
        "acall": "async",
        "unser": "TypeError",
        "best": 3.0,
        "async": True,
    }


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_our_clients_call_their_server(tmp_path: Path, tls: bool) -> None:
    theirs, ours = tls_files(tmp_path) if tls else (None, None)
    big = np.arange(300_000, dtype="<u4").reshape(300, 1000)
    with peer("rpc_server", *arguments(theirs)) as process:
        port = said(process)
        with Client(LOCAL, port, "drv", timeout=150, ssl_config=ours) as client:
            assert client.get_rpc_id() == (["drv"], "a description")
            assert client.add(1, b=3, scale=2.0) == 8.0
            assert client.echo({"a": (1, [2.5, None])}) == {"a": (1, [2.5, None])}
            assert np.array_equal(client.echo(big), big)
            assert client.acall() == "async"
            with pytest.raises(ValueError, match="bad value"):
                client.fail()
            with pytest.raises(KeyError) as missing:
                client.keyerr()
            assert missing.value.args == ("k",)
            with pytest.raises(TypeError):
                client.unser()
            # The reference server fails on the annotation None; the names are known all the same.
            assert {"add", "echo", "terminate"} <= set(client.get_rpc_method_list()["methods"])
            with pytest.raises(errors.MessageTooLong, match="4194304"):
                client.echo(np.zeros(1 << 20))
            with pytest.raises(errors.CallTimeout):
                client.rpc_call("sleep", (0.4,), timeout=0.1)
            assert client.echo("mine") == "mine"

            async def ask() -> Any:
                other = AsyncioClient()
                await other.connect_rpc(LOCAL, port, ssl_config=ours)
                answer = await other.echo(big)
                await other.close_rpc()
                return answer

            assert np.array_equal(asyncio.run(ask()), big)
            client.terminate()
        process.wait(150)


def test_their_client_executes_code_on_our_controller() -> None:
    from rexec.remote_exec import RemoteExecServer

    drv = Drv()
    namespace: dict[str, Any] = {"controller_driver": drv}
    namespace["controller_initial_namespace"] = namespace
    with running({"drv": drv, "drv_rexec": lambda: RemoteExecServer(namespace)}) as server:
        with peer("rexec_client", str(server.port)) as client:
            result, failed = said(client)
    assert result == 42.0
    assert failed[0] == "KeyError"
    assert GenericRemoteException.__name__ not in failed


def test_our_subscriber_and_receiver_follow_theirs() -> None:
    async def main(process: "subprocess.Popen[str]") -> None:
        sync_port, broadcast_port = said(process)
        copies: list[Any] = []
        messages: list[Any] = []

        def build(struct: Any) -> Any:
            copies.append(struct)
            return struct

        subscriber = Subscriber("datasets", build)
        receiver = Receiver("ccb", messages.append)
        await subscriber.connect(LOCAL, sync_port)
        await receiver.connect(LOCAL, broadcast_port)
        tell(process)
        async with asyncio.timeout(150):
            while not (copies and 5 in copies[0] and messages):  # noqa: ASYNC110 - told by no event
                await asyncio.sleep(0.01)
        assert copies[0]["list"] == (False, [1, 4], {})
        assert copies[0]["arr"][1].tolist() == [9.0, 9.0, 0.0]
        assert "a" not in copies[0]
        assert messages == [{"service": "x", "args": (1,)}]
        tell(process)
        await subscriber.close()
        await receiver.close()

    with peer("publisher") as process:
        asyncio.run(main(process))


def test_their_subscriber_follows_ours() -> None:
    async def main() -> None:
        notifier = Notifier({"a": (True, 1, {}), "arr": (False, np.zeros(3), {})})
        publisher = Publisher({"datasets": notifier}, pyon_v1=not speaks_v2())
        broadcaster = Broadcaster(pyon_v1=not speaks_v2())
        await publisher.start(LOCAL, 0)
        await broadcaster.start(LOCAL, 0)
        loop = asyncio.get_running_loop()
        with peer("subscriber", str(publisher.port), str(broadcaster.port)) as process:
            assert await loop.run_in_executor(None, said, process) == "ready"
            async with asyncio.timeout(150):
                while not (publisher.subscriptions("datasets") and broadcaster.subscriptions("ccb")):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            notifier["list"] = (False, [], {})
            notifier["list"][1].append(4)
            notifier["arr"][1][(slice(0, 2),)] = 9.0
            del notifier["a"]
            notifier[5] = "int key"
            broadcaster.broadcast("ccb", {"service": "x"})
            result = await loop.run_in_executor(None, said, process)
        assert result == [["5", "arr", "list"], [4], [9.0, 9.0, 0.0], [{"service": "x"}]]
        await publisher.stop()
        await broadcaster.stop()

    asyncio.run(main())


@pytest.mark.parametrize("key_vanishes", [False, True], ids=["latest values", "whole structure anew"])
def test_their_subscriber_that_fell_behind_is_brought_up_to_date(key_vanishes: bool) -> None:
    async def main() -> None:
        notifier = Notifier({"image": b"", "gone": b"", "count": 0})
        publisher = Publisher({"datasets": notifier}, pyon_v1=not speaks_v2(), backlog=1 << 20)
        await publisher.start(LOCAL, 0)
        loop = asyncio.get_running_loop()
        with peer("slow_subscriber", str(publisher.port), "yes" if key_vanishes else "") as process:
            assert await loop.run_in_executor(None, said, process) == "ready"
            async with asyncio.timeout(150):
                while not publisher.subscriptions("datasets"):  # noqa: ASYNC110 - told by no event
                    await asyncio.sleep(0.01)
            notifier["count"] = 1
            assert await loop.run_in_executor(None, said, process) == "looking away"
            for number in range(2, 42):  # far more than the system's buffers and the backlog hold
                notifier["image"] = bytes(1 << 20)
                notifier["gone"] = bytes(1 << 20)
                notifier["count"] = number
                await asyncio.sleep(0)
            if key_vanishes:
                del notifier["gone"]
            notifier["last"] = 1
            tell(process)
            result = await loop.run_in_executor(None, said, process)
        await publisher.stop()
        assert result == {
            "copies": 2 if key_vanishes else 1,
            "inits": 2 if key_vanishes else 1,
            "lost": False,
            "image": 1 << 20,
            "gone": None if key_vanishes else 1 << 20,
            "count": 41,
        }

    asyncio.run(main())
