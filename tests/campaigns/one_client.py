"""One client where programs do not expect it: in forked children, signal handlers, finalizers, after Ctrl-C anywhere.

`python -m tests.campaigns.one_client --calls 3000`. Every call sends a number that no other call has, and checks
that it gets this number back. Exit status 1 if a call got another answer, if a call after all that failed (stuck),
or if the connection of another process or call was disturbed. With REXEC_PEER_PYTHON (an interpreter that has the
reference library) the same against a server of that library.
"""

import argparse
import asyncio
import contextlib
import ctypes
import gc
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

from rexec.wire import certs
from rexec.wire.errors import WireError
from rexec.wire.pc_rpc import AsyncioClient, Client
from tests.campaigns.one_client_processes import asyncio_forks, exits, forks, leaving, pools, streams_forks
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
from tests.threads.opcodes import trace_opcodes

SERVER: Final = """
import sys
{imports}
class Drv:
    def echo(self, x): return x
print("ready", flush=True)
config = SimpleSSLConfig(*sys.argv[2:]) if sys.argv[2:] else None
simple_server_loop({{"drv": Drv()}}, "127.0.0.1", int(sys.argv[1]), ssl_config=config)
"""


@contextlib.contextmanager
def alarms(handler: Callable[[int, FrameType | None], None], between: tuple[float, float]) -> Iterator[None]:
    """Call a handler again and again, at random times."""

    over = False

    def handle(number: int, frame: FrameType | None) -> None:
        if over:  # an alarm that was on its way when the timer was stopped
            return
        signal.setitimer(signal.ITIMER_REAL, random.uniform(*between))
        handler(number, frame)

    previous = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, random.uniform(*between))
    try:
        yield
    finally:
        over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def handlers(port: int, calls: int) -> Tally:
    """A signal handler calls the client, whatever that does at the moment."""
    tally, inner = Tally(), Tally()
    with connected(port) as client:
        with alarms(lambda *_: ask(client, inner, "refused"), (1e-4, 1e-3)):
            until = time.monotonic() + 5 * PATIENCE
            while tally.right + tally.disturbed < calls and time.monotonic() < until:
                ask(client, tally, "disturbed")
        if client.rpc_connections != 1:
            tally.disturbed += client.rpc_connections - 1
    tally.add(inner)
    return tally


def finalizers(port: int, calls: int) -> Tally:
    """Finalizers call the client: the collector runs wherever something is allocated."""
    tally, inner = Tally(), Tally()

    class Garbage:
        def __init__(self, client: Client) -> None:
            self.client = client
            self.itself = self

        def __del__(self) -> None:
            ask(self.client, inner, "refused")

    threshold = gc.get_threshold()
    with connected(port) as client:
        gc.set_threshold(7)
        try:
            for number in range(calls):
                if number % 3 == 0:
                    Garbage(client)
                ask(client, tally, "disturbed")
        finally:
            gc.set_threshold(*threshold)
        gc.collect()
        if client.rpc_connections != 1:
            tally.disturbed += client.rpc_connections - 1
    tally.add(inner)
    return tally


class Interrupted(KeyboardInterrupt):
    """What is injected, so that it is not taken for that of a person."""


@contextlib.contextmanager
def interrupted_at(place: int, tally: Tally) -> Iterator[None]:
    """Raise KeyboardInterrupt before an instruction of the wire or of asyncio's locks, if that many are run."""
    left = place

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        name = frame.f_code.co_filename
        if f"rexec{os.sep}wire" not in name and name != asyncio.locks.__file__:
            return None
        trace_opcodes(frame, trace)
        if event == "opcode":
            left -= 1
            if left == 0:
                sys.settrace(None)
                raise Interrupted
        return trace

    sys.settrace(trace)
    try:
        yield
    except Interrupted:
        tally.refused += 1
    finally:
        sys.settrace(None)
        left = 0  # frames that go on keep the trace function


def traced(port: int, calls: int) -> Tally:
    """KeyboardInterrupt at one instruction after the other of a call, then calls of this and of another thread."""
    tally = Tally()
    client = connected(port)
    ask(client, tally, "stuck")
    at, last = itertools.cycle(range(1, 900)), 4000
    for _ in range(calls):
        # First a call on a connection that stands; then, after that one was interrupted, one that makes a new one.
        for place in (next(at), random.randrange(1, last)):
            with interrupted_at(place, tally):
                ask(client, tally, "refused")
        after(client, tally)
    client.close_rpc()
    return tally


def asyncio_traced(port: int, calls: int) -> Tally:
    """The same with the asyncio client: the loop, or tasks that wait for each other, are run on afterwards."""
    tally = Tally()
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # it tells of tasks that an interruption has ended
    # An interruption can come where asyncio has read an answer, and has not handed it on: only a timeout ends that.
    client = AsyncioClient(call_timeout=1.0)

    async def one(failure: str) -> None:
        number = next(numbers)
        try:
            async with asyncio.timeout(PATIENCE):
                # The last one may wait for a call whose answer was lost, until that one's own time limit.
                limit = PATIENCE if failure == "stuck" else None
                answer = await client.rpc_call("echo", ([number, "x" * (number % 50)],), timeout=limit)
                judge(answer, number, tally)
        except (WireError, TimeoutError) as error:
            setattr(tally, failure, getattr(tally, failure) + 1)
            tally.what.append(f"{failure}: {error!r:.150}")

    async def swallowing(place: int) -> None:
        with interrupted_at(place, tally):
            await one("refused")
        await one("stuck")

    loop.run_until_complete(client.connect_rpc(LOCAL, port, "drv", tls()))
    at = itertools.cycle(range(1, 1500))
    for number in range(calls):
        others = [loop.create_task(one("refused")) for _ in range(number % 3)]
        if number % 2:
            others.append(loop.create_task(swallowing(next(at))))
            with contextlib.suppress(Interrupted):  # in a callback of the loop, or in one of the others
                loop.run_until_complete(others[-1])
        else:
            with interrupted_at(next(at), tally):
                loop.run_until_complete(one("refused"))
        if others:
            loop.run_until_complete(asyncio.wait(others))
        loop.run_until_complete(one("stuck"))
    loop.run_until_complete(client.close_rpc())
    loop.close()
    return tally


def after(client: Client, tally: Tally) -> None:
    """Check that a client can be used, by this thread and by another."""
    if random.random() < 0.02:
        thread = threading.Thread(target=ask, args=(client, tally, "stuck"))
        thread.start()
        thread.join()
    ask(client, tally, "stuck")


def signalled(port: int, calls: int) -> Tally:
    """Real signals raise KeyboardInterrupt during calls, at random times."""
    tally = Tally()

    def interrupt(*_: object) -> None:
        raise Interrupted

    client = connected(port)
    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(calls):
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 1.5e-3))
                while True:
                    ask(client, tally, "refused")
            except Interrupted:
                tally.refused += 1
            after(client, tally)
    finally:
        signal.signal(signal.SIGALRM, previous)
    client.close_rpc()
    return tally


def thrown(port: int, calls: int) -> Tally:
    """Another thread raises KeyboardInterrupt in the one that calls (PyThreadState_SetAsyncExc), at random times."""
    tally = Tally()
    client = connected(port)
    ended = threading.Event()
    wanted = threading.Event()
    caller = threading.get_ident()

    def throw() -> None:
        while not ended.is_set():
            if wanted.wait(0.1):
                time.sleep(random.uniform(0, 1e-3))
                if wanted.is_set():
                    wanted.clear()
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(
                        ctypes.c_ulong(caller), ctypes.py_object(Interrupted)
                    )

    thread = threading.Thread(target=throw)
    thread.start()
    for _ in range(calls):
        with contextlib.suppress(Interrupted):
            try:
                wanted.set()
                while wanted.is_set():
                    ask(client, tally, "refused")
                for _ in range(1000):  # it arrives at one of the next instructions
                    pass
            except Interrupted:
                tally.refused += 1
        with contextlib.suppress(Interrupted):
            wanted.clear()
        after(client, tally)
    ended.set()
    thread.join()
    client.close_rpc()
    return tally


def cancelled(port: int, calls: int) -> Tally:
    """Calls of the asyncio client are cancelled at one await after the other."""
    tally = Tally()

    async def one(client: AsyncioClient) -> None:
        number = next(numbers)
        judge(await client.echo([number, "x" * (number % 50)]), number, tally)

    async def run() -> None:
        client = AsyncioClient(call_timeout=PATIENCE)
        await client.connect_rpc(LOCAL, port, "drv", tls())
        for _ in range(calls):
            tasks = [asyncio.ensure_future(one(client)) for _ in range(random.randrange(1, 4))]
            for _ in range(random.randrange(8)):
                await asyncio.sleep(0)
            if random.random() < 0.5:
                await asyncio.sleep(random.uniform(0, 1e-3))
            tasks[random.randrange(len(tasks))].cancel()
            for task in tasks:
                try:
                    await task
                except asyncio.CancelledError:
                    tally.refused += 1
                except WireError:
                    tally.refused += 1
            try:
                await one(client)
            except WireError as error:
                tally.stuck += 1
                tally.what.append(f"stuck: {error!r:.150}")
        await client.close_rpc()

    asyncio.run(run())
    return tally


KINDS: Final[dict[str, Callable[[int, int], Tally]]] = {
    each.__name__: each
    for each in (
        forks,
        asyncio_forks,
        streams_forks,
        pools,
        exits,
        handlers,
        finalizers,
        traced,
        asyncio_traced,
        signalled,
        thrown,
        cancelled,
        leaving,
    )
}


@contextlib.contextmanager
def serving(python: str, imports: str, files: Sequence[str] = ()) -> Iterator[int]:
    """Run a server in a process of its own; yields its port."""
    import socket

    with socket.socket() as held:  # nobody else gets this port meanwhile
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((LOCAL, 0))
        port = held.getsockname()[1]
        command = [python, "-c", SERVER.format(imports=imports), str(port), *files]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
            try:
                until = time.monotonic() + 150
                while True:
                    with contextlib.suppress(OSError), socket.create_connection((LOCAL, port), 1):
                        break
                    if time.monotonic() > until:
                        raise TimeoutError("the server does not listen")
                    time.sleep(0.05)
                yield port
            finally:
                server.kill()


OURS: Final = "from rexec.wire.pc_rpc import simple_server_loop\nfrom rexec.wire.tls import SimpleSSLConfig"
STOCK: Final = "from sipyco.pc_rpc import simple_server_loop"


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=3000, help="of each kind (default: %(default)s)")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    return parser


def main() -> int:
    """Run the campaign."""
    arguments = get_argparser().parse_args()
    good = True
    with tempfile.TemporaryDirectory() as folder:
        made = certs.make_set(Path(folder), ["us"])
        ours = [str(made.clients["us"].cert), str(made.clients["us"].key), str(made.server.cert)]
        theirs = [str(made.server.cert), str(made.server.key), str(made.trusted_clients)]
        servers: list[tuple[str, str, str, list[str], list[str]]] = [
            ("our server", sys.executable, OURS, [], []),
            ("our server, TLS", sys.executable, OURS, theirs, ours),
        ]
        if os.environ.get("REXEC_PEER_PYTHON"):
            servers.append(("stock server", os.environ["REXEC_PEER_PYTHON"], STOCK, [], []))
        for name, python, imports, files, mine in servers:
            TLS_FILES[:] = mine
            with serving(python, imports, files) as port:
                for kind in arguments.kinds:
                    tally = KINDS[kind](port, arguments.calls)
                    good = good and tally.good
                    print(f"{name}, {kind}: {tally}", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
