"""Run by the interpreter that has the reference library: one end of a conversation, told what to do by its arguments.

Prints one line of JSON when it listens or has finished.
"""

import asyncio
import json
import sys
import time
from typing import Any

SCRIPT = __file__


def payload(kind: str, size: int) -> Any:
    """Return a large value: an "array" or "bytes"."""
    import numpy as np

    return np.ones(size, np.uint8) if kind == "array" else b"\1" * size


class Drv:
    """A driver."""

    def give(self, kind: str, size: int) -> Any:
        return payload(kind, size)

    def ping(self) -> bool:
        """Always true."""
        return True

    def add(self, a: float, b: float = 2, *, scale: float = 1.0) -> float:
        """Adds."""
        return (a + b) * scale

    def echo(self, x: Any) -> Any:
        return x

    async def acall(self) -> str:
        return "async"

    def fail(self) -> None:
        raise ValueError("bad value")

    def keyerr(self) -> None:
        dict[str, int]()["k"]

    def unser(self) -> Any:
        return object()

    def sleep(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds


def tls(arguments: list[str]) -> Any:
    from sipyco.tools import SimpleSSLConfig

    return SimpleSSLConfig(*arguments) if arguments else None


async def started(server: Any, tls_config: Any = None) -> int:
    """Start a server at a port that the system chooses, and return that."""
    await server.start("127.0.0.1", 0, *([tls_config] if tls_config else []))
    return int(server.server.sockets[0].getsockname()[1])


def say(value: Any) -> None:
    print(json.dumps(value), flush=True)


def rpc_server(*arguments: str) -> None:
    from sipyco.pc_rpc import Server

    async def main() -> None:
        server = Server({"drv": Drv()}, "a description", True)
        say(await started(server, tls(list(arguments))))
        await server.wait_terminate()
        await server.stop()

    asyncio.run(main())


def failure(action: Any) -> list[str]:
    try:
        action()
    except Exception as error:
        return [type(error).__name__, str(error)]
    return ["none", ""]


def rpc_client(port: str, *arguments: str) -> None:
    import numpy as np
    from sipyco.pc_rpc import AsyncioClient, BestEffortClient, Client

    config = tls(list(arguments))
    client = Client("127.0.0.1", int(port), "drv", ssl_config=config)
    big = np.arange(300_000, dtype="<u4").reshape(300, 1000)
    result: dict[str, Any] = {
        "id": client.get_rpc_id(),
        "ping": client.ping(),
        "add": client.add(1, b=3, scale=2.0),
        "echo": client.echo({"a": [1, 2.5, None, "µ"]}),
        "tuple": type(client.echo((1, (2,)))).__name__,
        "array": bool((client.echo(big) == big).all()),
        "acall": client.acall(),
        "fail": failure(client.fail),
        "keyerr": failure(client.keyerr),
        "unser": failure(client.unser)[0],
        "methods": sorted(client.get_rpc_method_list()["methods"]),
    }
    client.close_rpc()
    best = BestEffortClient("127.0.0.1", int(port), "drv", ssl_config=config)
    result["best"] = best.add(1)
    best.close_rpc()

    async def ask() -> Any:
        client = AsyncioClient()
        await client.connect_rpc("127.0.0.1", int(port), "drv", ssl_config=config)
        answer = await client.echo(big)
        await client.close_rpc()
        return bool((answer == big).all())

    result["async"] = asyncio.run(ask())
    say(result)


def big_call(port: str, direction: str, kind: str, size: str) -> None:
    from sipyco.pc_rpc import Client

    client = Client("127.0.0.1", int(port), "drv")
    begin = time.perf_counter()
    if direction == "down":
        assert len(client.give(kind, int(size))) == int(size)
    else:
        assert client.take(payload(kind, int(size))) == int(size)
    say(time.perf_counter() - begin)
    client.close_rpc()


def rexec_client(port: str) -> None:
    from sipyco.pc_rpc import Client

    client = Client("127.0.0.1", int(port), "drv_rexec")
    client.add_code("def f(n):\n    return controller_driver.add(n)\n")
    say([client.call("f", 40), failure(lambda: client.call("nothere"))])
    client.close_rpc()


def publisher(*arguments: str) -> None:
    import numpy as np
    from sipyco.broadcast import Broadcaster
    from sipyco.sync_struct import Notifier, Publisher

    async def main() -> None:
        notifier = Notifier({"a": (True, 1, {}), "arr": (False, np.zeros(3), {})})
        publisher = Publisher({"datasets": notifier})
        broadcaster = Broadcaster()
        say([await started(publisher), await started(broadcaster)])
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        # What is broadcast to nobody is gone, and a connection may not have been looked at yet.
        while not (publisher._recipients["datasets"] and broadcaster._recipients.get("ccb")):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        notifier["list"] = (False, [], {})
        notifier["list"][1].append(4)
        notifier["list"][1].insert(0, 1)
        notifier["arr"][1][(slice(0, 2),)] = 9.0
        del notifier["a"]
        notifier[5] = "int key"
        broadcaster.broadcast("ccb", {"service": "x", "args": (1,)})
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        await publisher.stop()
        await broadcaster.stop()

    asyncio.run(main())


def subscriber(sync_port: str, broadcast_port: str) -> None:
    from sipyco.broadcast import Receiver
    from sipyco.sync_struct import Subscriber

    async def main() -> None:
        copies: list[Any] = []
        messages: list[Any] = []
        done = asyncio.Event()

        def check(_: Any) -> None:
            if copies and 5 in copies[-1] and messages:
                done.set()

        def received(message: Any) -> None:
            messages.append(message)
            check(None)

        def build(struct: Any) -> Any:
            copies.append(struct)
            return struct

        one = Subscriber("datasets", build, check)
        other = Receiver("ccb", [received])
        await one.connect("127.0.0.1", int(sync_port))
        await other.connect("127.0.0.1", int(broadcast_port))
        say("ready")
        await asyncio.wait_for(done.wait(), 150)
        struct = copies[-1]
        say([sorted(map(str, struct)), struct["list"][1], struct["arr"][1].tolist(), messages])
        await one.close()
        await other.close()

    asyncio.run(main())


def slow_subscriber(port: str, key_vanishes: str = "") -> None:
    """Follow a structure, but look away at the first change until told to go on."""
    from sipyco.sync_struct import Subscriber

    async def main() -> None:
        copies: list[Any] = []
        actions: list[str] = []
        done = asyncio.Event()
        lost = asyncio.Event()

        def changed(mod: Any) -> None:
            actions.append(mod["action"])
            if actions == ["init", "setitem"]:
                say("looking away")
                sys.stdin.readline()
            if up_to_date(copies[-1]):
                done.set()

        def up_to_date(struct: Any) -> bool:
            if struct.get("last") != 1 or struct["count"] != 41 or len(struct["image"]) != 1 << 20:
                return False
            return "gone" not in struct if key_vanishes else len(struct["gone"]) == 1 << 20

        def build(struct: Any) -> Any:
            copies.append(struct)
            return struct

        one = Subscriber("datasets", build, changed, lost.set)
        await one.connect("127.0.0.1", int(port))
        say("ready")
        await asyncio.wait_for(done.wait(), 150)
        struct = copies[-1]
        say(
            {
                "copies": len(copies),
                "inits": actions.count("init"),
                "lost": lost.is_set(),
                "image": len(struct["image"]),
                "gone": len(struct["gone"]) if "gone" in struct else None,
                "count": struct["count"],
            }
        )
        await one.close()

    asyncio.run(main())


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
