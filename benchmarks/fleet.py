"""How much longer a function takes on fifty controllers than on the slowest of them.

Run `python -m benchmarks.fleet`. The controllers are simulated: servers in one process of their own, each with a
driver that takes its time (0.5 to 1.5 s).
"""

import argparse
import asyncio
import multiprocessing
import time
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


def serve(number: int, ports: Connection) -> None:
    async def run() -> None:
        servers = []
        for index in range(number):
            server = Server(rexec_targets("device", Driver(0.5 + index / number)))
            await server.start("127.0.0.1", 0)
            servers.append(server)
        ports.send([server.port for server in servers])
        await asyncio.Event().wait()

    asyncio.run(run())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=50, help="controllers (default: %(default)d)")
    number: int = parser.parse_args().n
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(number, theirs), daemon=True)
    process.start()
    try:
        if not ours.poll(60):
            raise TimeoutError("the simulated controllers did not start in 60 s")
        clients = {f"device{port}": Client("127.0.0.1", port, "device_rexec") for port in ours.recv()}
        with rexec.remote.fleet(clients) as fleet:
            for label in ("first call, sends the agent", "second call", "third call"):
                began = time.perf_counter()
                values = fleet.call(measure).all()
                wall = time.perf_counter() - began
                slowest = max(values.values())
                print(f"{label}: {wall:.3f} s, slowest {slowest:.3f} s, ratio {wall / slowest:.3f}")
            for remote in fleet.devices.values():
                remote.close_rpc()
    finally:
        process.terminate()
        process.join(10)


if __name__ == "__main__":
    main()
