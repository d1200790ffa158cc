"""Publishers: subscribers that do not read, that are new, and that are many."""

import asyncio
import socket
import subprocess
import sys
import time
from pathlib import Path

from rexec.wire.sync_struct import Notifier, Publisher

from ..row import Cost, Work, row

FOLLOWERS = """
import selectors, socket, sys
port, count = int(sys.argv[1]), int(sys.argv[2])
selector = selectors.DefaultSelector()
for _ in range(count):
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(b"ARTIQ sync_struct\\nx\\n")
    selector.register(sock, selectors.EVENT_READ)
while count:
    for key, _ in selector.select():
        if not key.fileobj.recv(1 << 20):
            selector.unregister(key.fileobj)
            count -= 1
"""


async def published(struct: object, backlog: int = 64 << 20) -> tuple[Notifier, Publisher]:
    notifier = Notifier(struct)
    publisher = Publisher({"x": notifier}, backlog=backlog)
    await publisher.start("127.0.0.1", 0)
    return notifier, publisher


def followers(publisher: Publisher, count: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-P", "-c", FOLLOWERS, str(publisher.port), str(count)])


async def followed(publisher: Publisher, count: int) -> None:
    while len(publisher.subscriptions("x")) < count:  # noqa: ASYNC110 - has no event
        await asyncio.sleep(0.001)


def p99(times: list[float]) -> float:
    return sorted(times)[int(0.99 * (len(times) - 1))]


async def set_each(names: int) -> Cost:
    notifier, publisher = await published({}, backlog=300 * names)
    with socket.create_connection(("127.0.0.1", publisher.port)) as slow:
        slow.sendall(b"ARTIQ sync_struct\nx\n")
        await followed(publisher, 1)
        for number in range(-(8 << 10), names):  # fills the buffers of the sockets, then the backlog
            notifier[f"name{number % names}"] = "x" * 1000
        times = []
        for number in range(500):
            began = time.perf_counter()
            notifier[f"name{number}"] = "x" * 1000
            await asyncio.sleep(0)
            times.append(time.perf_counter() - began)
    await publisher.stop()
    return Cost(p99(times))


@row("p99 of a set of one of n names, one follower does not read", start=1000, owed="20 ms at 100,000")
def slow_follower(size: int, folder: Path) -> Work:
    return lambda: asyncio.run(set_each(size))


async def begin_to_follow(struct: object) -> Cost:
    _, publisher = await published(struct)
    child = followers(publisher, 20)
    times: list[float] = []
    while len(publisher.subscriptions("x")) < 20 or publisher.status()[-1]["waiting"]:
        began = time.thread_time()  # what others of this machine do delays no call
        await asyncio.sleep(0.001)
        times.append(time.thread_time() - began)
    await publisher.stop()
    child.wait()
    return Cost(max(times))


@row(
    "CPU time of the loop's longest turn, 20 begin to follow a list of n",
    start=10_000,
    owed="20 ms at 1,000,000",
)
def new_followers(size: int, folder: Path) -> Work:
    struct = {"list": [number / 7 for number in range(size)]}
    return lambda: asyncio.run(begin_to_follow(struct))


@row(
    "CPU time of the loop's longest turn, 20 begin to follow n names",
    start=1000,
    owed="20 ms at 100,000",
)
def new_followers_of_names(size: int, folder: Path) -> Work:
    struct = {f"name{number}": (False, number * 0.5, {"unit": "V"}) for number in range(size)}
    return lambda: asyncio.run(begin_to_follow(struct))


async def append_to(subscribers: int) -> Cost:
    notifier, publisher = await published({"list": []})
    child = followers(publisher, subscribers)
    await followed(publisher, subscribers)
    seconds = 0.0
    for _ in range(20):
        began = time.perf_counter()
        for number in range(100):
            notifier["list"].append(number)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        seconds += time.perf_counter() - began
        await asyncio.sleep(0.01)
    await publisher.stop()
    child.wait()
    return Cost(seconds / 2000)


@row("an append of 100 in a turn, to n subscribers", start=1, owed="a third of the reference's time at 100")
def publisher_append(size: int, folder: Path) -> Work:
    return lambda: asyncio.run(append_to(size))


async def append_each_turn(subscribers: int) -> Cost:
    notifier, publisher = await published({"list": []})
    child = followers(publisher, subscribers)
    await followed(publisher, subscribers)
    began = time.process_time()
    for number in range(2000):
        notifier["list"].append(number)
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    seconds = time.process_time() - began
    await publisher.stop()
    child.wait()
    return Cost(seconds / 2000)


@row(
    "an append in a turn of its own, to n subscribers", start=1, owed="a third of the reference's time at 100"
)
def publisher_turns(size: int, folder: Path) -> Work:
    return lambda: asyncio.run(append_each_turn(size))
