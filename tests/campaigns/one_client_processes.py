"""The part of the campaign `one_client` in which processes fork, pool, and end."""

import ast
import asyncio
import gc
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Final

from rexec.wire.broadcast import Broadcaster, Receiver
from rexec.wire.errors import WireError
from rexec.wire.pc_rpc import AsyncioClient, BestEffortClient, Client, Server
from rexec.wire.sync_struct import Notifier, Publisher, Subscriber
from tests.campaigns.one_client_tally import (
    LOCAL,
    PATIENCE,
    TLS_FILES,
    Tally,
    ask,
    connected,
    judge,
    numbers,
    tls,
)


def in_child(work: Callable[[Tally], None], tally: Tally) -> None:
    """Fork, work there, and add what came of it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        mine = Tally()
        status = 1
        try:
            signal.alarm(30)
            work(mine)
            mine.what = mine.what[:5]
            os.write(writing, repr(vars(mine)).encode())
            gc.collect()
            status = 0
        except BaseException as error:
            os.write(writing, repr({"stuck": 1, "what": [f"child: {error!r:.500}"]}).encode())
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(pid, 0)
    if not text:
        tally.stuck += 1
        tally.what.append("a child ended without a word")
        return
    tally.add(Tally(**ast.literal_eval(text)))


def forks(port: int, calls: int) -> Tally:
    """Children use a client while threads of the parent do; then the parent's connection is as it was."""
    tally = Tally()
    each = 20
    client = connected(port)
    best = BestEffortClient(LOCAL, port, "drv", firstcon_timeout=PATIENCE, ssl_config=tls())
    ended = threading.Event()
    parents = Tally()

    def go_on() -> None:
        while not ended.is_set():
            ask(client, parents, "disturbed")
            ask(best, parents, "disturbed")

    thread = threading.Thread(target=go_on)
    thread.start()

    def work(mine: Tally) -> None:
        for _ in range(each):
            ask(client, mine, "refused")
        for _ in range(each):
            ask(best, mine, "refused")
        if random.random() < 0.5:
            client.close_rpc()
            best.close_rpc()

    for _ in range(-(-calls // (2 * each))):
        in_child(work, tally)
    ended.set()
    thread.join(PATIENCE)
    if client.rpc_connections != 1:
        parents.disturbed += client.rpc_connections - 1
        parents.what.append(f"the parent had {client.rpc_connections} connections")
    client.close_rpc()
    best.close_rpc()
    tally.add(parents)
    return tally


def asyncio_forks(port: int, calls: int) -> Tally:
    """The same with the asyncio client: the child has a loop of its own."""
    tally = Tally()
    client = AsyncioClient(call_timeout=PATIENCE)

    async def several(count: int, failure: str, mine: Tally) -> None:
        for _ in range(count):
            number = next(numbers) + (os.getpid() << 50)
            try:
                judge(await client.echo([number, "x" * (number % 50)]), number, mine)
            except (WireError, RuntimeError) as error:
                setattr(mine, failure, getattr(mine, failure) + 1)
                mine.what.append(f"{failure}: {error!r:.150}")

    runner = asyncio.Runner()
    runner.run(client.connect_rpc(LOCAL, port, "drv", tls()))
    for _ in range(-(-calls // 20)):
        runner.run(several(2, "disturbed", tally))
        in_child(lambda mine: asyncio.run(several(18, "refused", mine)), tally)
    runner.run(several(20, "disturbed", tally))
    if client.rpc_connections != 1:
        tally.disturbed += 1
        tally.what.append(f"the parent had {client.rpc_connections} connections")
    runner.run(client.close_rpc())
    runner.close()
    return tally


def streams_forks(port: int, calls: int) -> Tally:
    """Children end, use and drop servers and followers of their parent, whose streams go on."""
    tally = Tally()
    asyncio.run(_streams_forks(tally, max(1, calls // 200)))
    return tally


async def _streams_forks(tally: Tally, rounds: int) -> None:
    notifier = Notifier({"number": 0})
    publisher, broadcaster = Publisher({"all": notifier}), Broadcaster()
    server = Server({"drv": object()})
    heard: dict[str, Any] = {"lost": 0}
    news = asyncio.Event()

    def lose() -> None:
        heard["lost"] += 1

    def hear(**what: Any) -> None:
        heard.update(what)
        news.set()

    subscriber = Subscriber("all", lambda struct: struct, lambda mod: hear(mod=mod.get("value")), lose)
    receiver = Receiver("all", lambda number: hear(message=number), lose)
    for one in (publisher, broadcaster, server):
        await one.start(LOCAL, 0)
    await subscriber.connect(LOCAL, publisher.port)
    await receiver.connect(LOCAL, broadcaster.port)

    async def anew() -> None:
        await subscriber.connect(LOCAL, publisher.port)
        await subscriber.close()

    def forget() -> None:
        vars(subscriber).clear()
        vars(receiver).clear()

    uses: list[Callable[[], object]] = [
        lambda: asyncio.run(subscriber.close()),
        lambda: asyncio.run(receiver.close()),
        lambda: asyncio.run(anew()),
        forget,
        lambda: notifier.__setitem__("number", -1),
        lambda: broadcaster.broadcast("all", -1),
        lambda: asyncio.run(publisher.stop()),
        lambda: asyncio.run(broadcaster.stop()),
        lambda: asyncio.run(server.stop()),
        server.abort,
    ]

    def used(use: Callable[[], object]) -> Callable[[Tally], None]:
        def work(mine: Tally) -> None:
            use()
            mine.right += 1

        return work

    for number in range(rounds * len(uses)):
        use = uses[number % len(uses)]
        await asyncio.to_thread(in_child, used(use), tally)
        notifier["number"] = number
        broadcaster.broadcast("all", number)
        try:
            async with asyncio.timeout(PATIENCE):
                while (heard.get("mod"), heard.get("message")) != (number, number):
                    await news.wait()
                    news.clear()
        except TimeoutError:
            tally.stuck += 1
            tally.what.append(f"the parent's followers after use {number % len(uses)}: {heard}")
    tally.disturbed += heard["lost"]
    await subscriber.close()
    await receiver.close()
    for one in (publisher, broadcaster, server):
        await one.stop()


_pooled: list[Client] = []
"""What the children of a pool inherit."""


def _of_pool(number: int) -> Any:
    return _pooled[0].echo(number)


def pools(port: int, calls: int) -> Tally:
    """Pools of forked processes use a client that their parent has connected, and goes on to use."""
    tally = Tally()
    with connected(port) as client:
        _pooled[:] = [client]
        context = multiprocessing.get_context("fork")
        asked = list(range(calls))
        with context.Pool(2) as pool, ProcessPoolExecutor(2, mp_context=context) as executor:
            running = pool.map_async(_of_pool, asked)
            found = executor.map(_of_pool, asked, chunksize=-(-calls // 20))
            for _ in range(calls):
                ask(client, tally, "disturbed")
            for answer, number in zip([*running.get(6 * PATIENCE), *found], 2 * asked, strict=True):
                tally.right += answer == number
                tally.wrong += answer != number
        tally.disturbed += client.rpc_connections - 1
    return tally


FORKING: Final = """
import gc, os, sys, random
from rexec.wire.pc_rpc import Client, BestEffortClient
from rexec.wire.tls import SimpleSSLConfig
port, *files = sys.argv[1:]
config = SimpleSSLConfig(*files) if files else None
clients = [Client("127.0.0.1", int(port), "drv", ssl_config=config),
           BestEffortClient("127.0.0.1", int(port), "drv", 10.0, ssl_config=config)]
class Last:
    def __del__(self):
        try: clients[0].echo(2)
        except Exception: pass  # refused, or the server is gone: that the process ends is what counts
for number in range(4):
    pid = os.fork()
    if pid == 0:
        if number % 4 == 0: clients[0].echo(3); clients[1].echo(3)
        if number % 4 == 1: last = Last()
        if number % 4 == 2: clients.clear(); gc.collect()
        sys.exit(0)
    os.waitpid(pid, 0)
    for client in clients:
        assert client.echo(number) == number
assert clients[0].rpc_connections == 1
"""


def exits(port: int, calls: int) -> Tally:
    """Forked children end as interpreters do, with all their finalizers; the parent's connections are as they were."""
    return programs(FORKING, port, max(1, calls // 200))


LEAVING: Final = """
import sys, threading, random, time
from rexec.wire.pc_rpc import Client, BestEffortClient
from rexec.wire.tls import SimpleSSLConfig
port, *files = sys.argv[1:]
config = SimpleSSLConfig(*files) if files else None
clients = [Client("127.0.0.1", int(port), "drv", ssl_config=config),
           BestEffortClient("127.0.0.1", int(port), "drv", 10.0, ssl_config=config)]
def go_on(client):
    while True: client.echo(1)
for client in clients:
    threading.Thread(target=go_on, args=(client,), daemon=True).start()
class Last:
    def __del__(self):
        try: clients[0].echo(2)
        except Exception: pass  # refused, or the server is gone: that the process ends is what counts
last = Last()
time.sleep(random.uniform(0, 0.2))
"""


def leaving(port: int, calls: int) -> Tally:
    """The interpreter ends while daemon threads and finalizers call."""
    return programs(LEAVING, port, max(1, calls // 300))


def programs(program: str, port: int, count: int) -> Tally:
    """Run a program several times; it must end by itself, with the status 0."""
    tally = Tally()
    for _ in range(count):
        command = [sys.executable, "-c", program, str(port), *TLS_FILES]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        except subprocess.TimeoutExpired:
            tally.stuck += 1
            continue
        if done.returncode == 0:
            tally.right += 1
        else:
            tally.disturbed += 1
            tally.what.append(f"exit {done.returncode}: {done.stderr[-300:]}")
    return tally
