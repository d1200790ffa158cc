"""How much longer a function takes on fifty controllers than on the slowest of them.

Run `python -m benchmarks.fleet`. The controllers are simulated: servers in a few processes on this machine, each with
a driver that takes its time (0.5 to 2 s). The first call sends the agent and the function; the processor time is that
of the caller's side. The controllers' own work, which in a laboratory is done by as many machines, is part of the time.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import rexec.remote
from rexec.remote import controller_driver
from rexec.remote_exec import rexec_targets
from rexec.wire.pc_rpc import Client, Server


class Driver:
    """Takes some time for a measurement."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def measure(self) -> float:
        """Measure."""
        began = time.perf_counter()
        time.sleep(self.seconds)
        return time.perf_counter() - began


def measure() -> Any:
    return controller_driver.measure()


def serve(times: list[float], ports: Connection) -> None:
    async def run() -> None:
        servers = []
        for seconds in times:
            server = Server(rexec_targets("device", Driver(seconds)))
            await server.start("127.0.0.1", 0)
            servers.append(server)
        ports.send([server.port for server in servers])
        await asyncio.Event().wait()

    asyncio.run(run())


def rounds(ports: list[int], number: int) -> list[float]:
    """Call a function on all controllers some times; print and return the ratios."""
    ratios = []
    clients = {f"device{port}": Client("127.0.0.1", port, "device_rexec") for port in ports}
    with rexec.remote.fleet(clients) as fleet:
        for index in range(number):
            began, processor = time.perf_counter(), time.process_time()
            values = fleet.call(measure).all()
            wall, processor = time.perf_counter() - began, time.process_time() - processor
            slowest = max(values.values())
            ratios.append(wall / slowest)
            print(
                f"{'first' if index == 0 else 'later'} call: {wall:.3f} s, slowest {slowest:.3f} s, "
                f"{1e3 * (wall - slowest):.0f} ms more, ratio {wall / slowest:.3f}; {processor:.2f} s of processor"
            )
        for remote in fleet.devices.values():
            remote.close_rpc()
    return ratios


@contextlib.contextmanager
def controllers(number: int, processes: int, longest: float) -> Iterator[list[int]]:
    """Run simulated controllers; yields their ports."""
    times = [longest * (0.25 + 0.75 * (index + 1) / number) for index in range(number)]
    context = multiprocessing.get_context("spawn")
    running = []
    try:
        for index in range(processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(times[index::processes], theirs), daemon=True)
            process.start()
            running.append((process, ours))
        ports: list[int] = []
        for _, ours in running:
            if not ours.poll(120):
                raise TimeoutError("the simulated controllers did not start in 120 s")
            ports += ours.recv()
        yield ports
    finally:
        for process, _ in running:
            process.terminate()
            process.join(10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=50, help="controllers (default: %(default)d)")
    parser.add_argument("-p", type=int, default=5, help="processes that they share (default: %(default)d)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of the slowest (default: %(default)g)")
    parser.add_argument("--repeat", type=int, default=3, help="times from the start (default: %(default)d)")
    args = parser.parse_args()
    firsts, laters = [], []
    for _ in range(args.repeat):
        with controllers(args.n, args.p, args.seconds) as ports:
            first, *later = rounds(ports, 4)
        firsts.append(first)
        laters += later
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(
        f"median ratio, first call: {statistics.median(firsts):.3f}, later: {statistics.median(laters):.3f}"
    )


if __name__ == "__main__":
    main()
