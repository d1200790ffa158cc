"""Times a publisher of sync_struct with many subscribers, beside the reference library's in the same run.

`REXEC_PEER_PYTHON=PATH python -m benchmarks.publisher [--subscribers 100] [--appends 2000] [--rounds 5]`

A publisher appends to a list, one or several times in each turn of its event loop, until all subscribers have received
everything. The figure is the CPU time of its process for each append and subscriber, which other work disturbs least;
rounds of both are interleaved, and the ratio is the median of those of the rounds. Without REXEC_PEER_PYTHON, the
interpreter of another checkout or of the reference library, it times this project alone.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
from typing import Final

PUBLISHER: Final = """
import asyncio, sys, time
try:
    from rexec.wire.sync_struct import Notifier, Publisher
except ImportError:
    from sipyco.sync_struct import Notifier, Publisher

async def main(port, appends, at_once):
    notifier = Notifier({"list": []})
    publisher = Publisher({"x": notifier})
    await publisher.start("127.0.0.1", port)
    print("listening", flush=True)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.readline)
    cpu, begun = time.process_time(), time.perf_counter()
    for number in range(0, appends, at_once):
        for each in range(number, number + at_once):
            notifier["list"].append(each)
        await asyncio.sleep(0)
    await loop.run_in_executor(None, sys.stdin.readline)
    print(time.process_time() - cpu, time.perf_counter() - begun, flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)

asyncio.run(main(*map(int, sys.argv[1:])))
"""

SUBSCRIBERS: Final = """
import selectors, socket, sys
port, count, lines = map(int, sys.argv[1:])
selector = selectors.DefaultSelector()
for _ in range(count):
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(b"ARTIQ sync_struct\\nx\\n")
    data = b""
    while not data.endswith(b"\\n"):
        data += sock.recv(1 << 16)
    selector.register(sock, selectors.EVENT_READ, [lines])
print("following", flush=True)
while count:
    for key, _ in selector.select():
        key.data[0] -= key.fileobj.recv(1 << 20).count(b"\\n")
        if not key.data[0]:
            selector.unregister(key.fileobj)
            count -= 1
print("received", flush=True)
sys.stdin.readline()
"""


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def measured(python: str, appends: int, subscribers: int, at_once: int) -> tuple[float, float]:
    """Return the CPU time of the publisher, in seconds for each append and subscriber, and the wall time of all."""

    def child(*command: object) -> "subprocess.Popen[str]":
        words = [*map(str, command)]
        return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def said(process: "subprocess.Popen[str]") -> str:
        assert process.stdout is not None
        return process.stdout.readline()

    def tell(process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()

    port = free_port()
    with child(python, "-P", "-c", PUBLISHER, port, appends, at_once) as publisher:
        assert said(publisher) == "listening\n"
        with child(sys.executable, "-P", "-c", SUBSCRIBERS, port, subscribers, appends) as followers:
            assert said(followers) == "following\n"
            tell(publisher)
            assert said(followers) == "received\n"
            tell(publisher)
            cpu, wall = map(float, said(publisher).split())
            tell(publisher)
            tell(followers)
    return cpu / appends / subscribers, wall


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--subscribers", type=int, default=100, help="default: 100")
    parser.add_argument("--appends", type=int, default=2000, help="default: 2000")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    options = parser.parse_args()
    peer = os.environ.get("REXEC_PEER_PYTHON")
    print("| appends in a turn | here | reference | times |")
    print("| --- | --- | --- | --- |")
    for at_once in (1, 10, 100):
        ours, theirs = [], []
        for _ in range(options.rounds):
            ours.append(measured(sys.executable, options.appends, options.subscribers, at_once)[0])
            if peer is not None:
                theirs.append(measured(peer, options.appends, options.subscribers, at_once)[0])
        texts = [f"{statistics.median(each) * 1e6:.2f} µs" if each else "" for each in (ours, theirs)]
        ratios = [other / own for own, other in zip(ours, theirs, strict=False)]
        times = f"{statistics.median(ratios):.1f}" if ratios else ""
        print(f"| {at_once} | {texts[0]} | {texts[1]} | {times} |", flush=True)


if __name__ == "__main__":
    main()
