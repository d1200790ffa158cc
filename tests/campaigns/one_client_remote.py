"""Remote functions where programs do not expect it: forks, signal handlers, finalizers, Ctrl-C and cancels anywhere.

`python -m tests.campaigns.one_client_remote --step 7`. Every call sends a number that no other call has, and checks
that it gets this number back. An interruption is raised before each STEP-th bytecode of our modules, one run each;
after each a probe must come through. Exit status 1 if a call got another answer, if anything was stuck, or if a
bystander was disturbed.
"""

import argparse
import concurrent.futures
import contextlib
import gc
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

import rexec.remote
from rexec.remote import Remote, RemoteFunctionError, job
from rexec.wire.pc_rpc import Client
from tests.remote_exec.peers import controller, controller_apart
from tests.threads.opcodes import Interrupter

PATIENCE: Final = 20.0
"""Seconds after which a call counts as stuck."""
OURS: Final = str(Path(rexec.remote.__file__).parent)
LOCKS: Final = (threading.__file__, concurrent.futures.Future.__init__.__code__.co_filename)
AGENT: Final = "<rexec agent>"
_numbers = itertools.count(int(time.time()) << 20)


class Tally:
    """What became of calls."""

    def __init__(self) -> None:
        self.right = self.refused = self.interrupted = self.wrong = self.stuck = self.disturbed = 0
        self.what: list[str] = []

    @property
    def good(self) -> bool:
        """Whether nothing went wrong that must not."""
        return not (self.wrong or self.stuck or self.disturbed)

    def __str__(self) -> str:
        text = (
            f"{self.right} right, {self.interrupted} interrupted, {self.refused} refused, {self.wrong} wrong, "
            f"{self.stuck} stuck, {self.disturbed} disturbed"
        )
        return text + "".join(f"\n    {each}" for each in dict.fromkeys(self.what[:5]))


# What runs on the controller.


def same(x: int) -> int:
    """Return the number."""
    return x


def late(x: int) -> int:
    """Return the number, later than with the first news."""
    job.sleep(0.003)
    return x


def counts(first: int, n: int) -> Iterator[int]:
    """Yield n numbers."""
    for k in range(n):
        yield first + k


def victim(x: int) -> int:
    """Use all that a job has."""
    print("one line")
    job.progress(0.5, "half")
    job.sleep(0.0005)
    return x


def victims(first: int) -> Iterator[int]:
    """Yield more numbers than the window is wide."""
    yield from range(first, first + 20)


def connected(port: int) -> Remote:
    """Return remote functions on the controller."""
    return rexec.remote.wrap(Client("127.0.0.1", port, "camera_rexec", call_timeout=PATIENCE), "camera")


def probe(remote: Remote, tally: Tally) -> None:
    """Make a call, a job and a stream; all must come through."""
    number = next(_numbers)
    try:
        answers = [
            remote.function(same)(number),
            remote.function(same).submit(number).result(PATIENCE),
            *remote.function(counts).stream(number, 3),
        ]
    except TimeoutError as error:
        tally.stuck += 1
        tally.what.append(f"stuck: {error!r:.200}")
        return
    except Exception as error:
        tally.disturbed += 1
        tally.what.append(f"disturbed: {error!r:.200}")
        return
    if answers == [number, number, number, number + 1, number + 2]:
        tally.right += len(answers)
    else:
        tally.wrong += 1
        tally.what.append(f"wrong: {answers} for {number}")


def call_within(remote: Remote, tally: Tally) -> None:
    """Make a call, perhaps in the middle of another one: it must be answered rightly, or refused."""
    number = next(_numbers)
    try:
        tally.wrong += remote.function(late if number % 2 else same)(number) != number
        tally.right += 1
    except RemoteFunctionError:
        tally.refused += 1


# Interruptions, by a trace function: more places than a signal reaches.


def ctrl_c() -> None:
    """Do what Python does at a Ctrl-C."""
    raise KeyboardInterrupt


ACTIONS: Final[dict[str, Callable[[Remote, int], list[Any]]]] = {
    "call": lambda remote, n: [remote.function(same)(n)],
    "job": lambda remote, n: [remote.function(same).submit(n).result(PATIENCE)],
    "late job": lambda remote, n: [remote.function(late).submit(n).result(PATIENCE)],
    "stream": lambda remote, n: [item - k for k, item in enumerate(remote.function(counts).stream(n, 3))],
    "raw": lambda remote, n: [remote.call("abs", n)],
}
"""What is interrupted; each returns the number that it was given."""


def interrupted_client(port: int, step: int, most: int) -> Tally:
    """Ctrl-C before any bytecode of ours in the calling thread."""
    tally = Tally()
    with connected(port) as remote:
        remote.add_code("from builtins import abs")
        for action in ACTIONS.values():
            for number in range(0, most, step):
                interrupter = Interrupter(number, ctrl_c, lambda file: file.startswith(OURS))
                sent = next(_numbers)
                sys.settrace(interrupter)
                try:
                    answers = action(remote, sent)
                    sys.settrace(None)
                except KeyboardInterrupt:
                    sys.settrace(None)
                    tally.interrupted += 1
                else:
                    tally.right += len(answers)
                    tally.wrong += any(answer != sent for answer in answers)
                finally:
                    sys.settrace(None)
                probe(remote, tally)
                if not interrupter.acted:
                    break
    return tally


def handled_client(port: int, step: int, most: int) -> Tally:
    """A signal handler that calls before bytecodes of ours, and before each one of Python's locks."""
    tally = Tally()
    remote = connected(port)
    remote.add_code("from builtins import abs")

    def handle() -> None:
        call_within(remote, tally)

    def interrupted(action: Callable[[Remote, int], list[Any]], interrupter: Interrupter) -> None:
        sent = next(_numbers)
        sys.settrace(interrupter)  # of this thread
        try:
            answers = action(remote, sent)
        except BaseException as error:
            tally.disturbed += 1
            tally.what.append(f"disturbed: {error!r:.200}")
        else:
            tally.right += len(answers)
            tally.wrong += any(answer != sent for answer in answers)
        finally:
            sys.settrace(None)

    places = ((step, lambda file: file.startswith(OURS)), (1, LOCKS.__contains__))
    for (name, action), (each, wanted) in itertools.product(ACTIONS.items(), places):
        for number in range(0, most, each):
            interrupter = Interrupter(number, handle, wanted)
            # In a thread, because what waits for itself does so for ever; to close the client might wait for it, too.
            thread = threading.Thread(target=interrupted, args=(action, interrupter), daemon=True)
            thread.start()
            thread.join(2 * PATIENCE)
            if thread.is_alive():
                tally.stuck += 1
                tally.what.append(f"stuck: {name}, bytecode {number}")
                return tally
            if not interrupter.acted:
                break
    probe(remote, tally)
    remote.close_rpc()
    return tally


def interrupted_jobs(port: int, step: int, most: int) -> Tally:
    """A cancel before any bytecode of the agent in a job's thread. The controller is in this process."""
    tally = Tally()
    with connected(port) as remote, connected(port) as other:
        probe(remote, tally)
        hook, threading.excepthook = (
            threading.excepthook,
            lambda _: None,
        )  # shows what is raised on last lines
        agent = next(module for name, module in sys.modules.items() if name.startswith("_rexec_agent_"))

        def cancelled() -> None:
            raise agent.Cancelled

        for function in (victim, victims):
            for number in range(0, most, step):
                interrupter = Interrupter(number, cancelled, lambda file: file == AGENT)

                def trace(frame: FrameType, event: str, arg: Any, use: Interrupter = interrupter) -> Any:
                    return use(frame, event, arg) if "victim" in threading.current_thread().name else None

                threading.settrace(trace)
                sent = next(_numbers)
                try:
                    if function is victim:
                        tally.right += remote.function(victim).submit(sent).result(PATIENCE) == sent
                    else:
                        tally.right += list(remote.function(victims).stream(sent))[-1] == sent + 19
                except TimeoutError:
                    tally.stuck += 1
                    tally.what.append(f"stuck: {function.__name__}, bytecode {number}")
                except BaseException:
                    tally.interrupted += 1
                finally:
                    threading.settrace(None)
                probe(other, tally)
                if not interrupter.acted:
                    break
        threading.excepthook = hook
    return tally


def forks(port: int, children: int) -> Tally:
    """Children that use what their parent made, while the parent uses it, too."""
    tally = Tally()
    with connected(port) as remote:
        probe(remote, tally)
        stream = remote.function(counts).stream(0, 1_000_000)
        taken = next(stream)
        for _ in range(children):
            running = remote.function(same).submit(taken)
            read, write = os.pipe()
            child = os.fork()
            if child == 0:
                os._exit(_in_child(remote, running, stream, write))
            os.close(write)
            for _ in range(3):
                probe(remote, tally)
            taken += 1
            if next(stream) != taken:
                tally.wrong += 1
            if running.result(PATIENCE) == taken - 1:
                tally.right += 1
            else:
                tally.wrong += 1
            with open(read) as pipe:
                word = pipe.read()
            os.waitpid(child, 0)
            if word.startswith("good"):
                tally.right += 16
                tally.refused += word.count("refused")
            else:
                tally.wrong += 1
                tally.what.append(f"child: {word[:2000] or 'stuck or dead'}")
        stream.close()
        probe(remote, tally)
    return tally


def _in_child(remote: Remote, running: Any, stream: Any, write: int) -> int:
    signal.alarm(int(PATIENCE))
    tally = Tally()
    word = ""
    try:
        running.result(PATIENCE)
        word = " answered"
    except RemoteFunctionError:
        word = " refused"
    try:
        next(stream)
        word += " answered"
    except RemoteFunctionError:
        word += " refused"
    for _ in range(3):
        probe(remote, tally)
    random.choice((stream.close, stream.__del__))()
    probe(remote, tally)
    remote.close_rpc()
    os.write(write, f"{'good' if tally.good else tally}{word}".encode())
    return 0


def finalizers(calls: int) -> Tally:
    """Objects whose finalizers call, and streams that the garbage collector drops, in the middle of calls.

    The controller has a process of its own: in this one, its own thread would run finalizers, and wait for itself.
    """
    tally = Tally()
    with controller_apart("ours") as port, connected(port) as remote:

        class Caller:
            def __init__(self) -> None:
                self.me = self

            def __del__(self) -> None:
                call_within(remote, tally)

        threshold = gc.get_threshold()
        gc.set_threshold(50)
        try:
            for number in range(calls):
                Caller()
                if number % 10 == 0:
                    stream = remote.function(counts).stream(number, 1_000_000)
                    next(stream)
                    cycle: list[Any] = [stream]
                    cycle.append(cycle)
                    del stream, cycle
                probe(remote, tally)
        finally:
            gc.set_threshold(*threshold)
    return tally


def handlers(port: int, calls: int) -> Tally:
    """A signal handler that calls in the middle of calls."""
    tally = Tally()
    with connected(port) as remote:
        inside: list[int] = []

        def handle(number: int, frame: Any) -> None:
            if inside:
                return
            inside.append(number)
            call_within(remote, tally)
            inside.clear()

        before = signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.0113)
        try:
            for _ in range(calls):
                probe(remote, tally)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    return tally


SHELL: Final = """
import sys, os, time, signal, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
from rexec.cli import shell
arguments = shell.get_argparser().parse_intermixed_args(["127.0.0.1", sys.argv[1], "-t", "camera"])
session = shell.ShellSession(shell.sole_peer(arguments, None, ""), arguments.timeout)
answers, interrupted = [], 0
for number in range(int(sys.argv[2])):
    try:
        threading.Timer(0.0007 * (number % 11), os.kill, (os.getpid(), signal.SIGINT)).start()
        for line in ("measure()", "use camera", "ping()", "measure()"):
            answers.append(session.run(line))
        time.sleep(20)  # it comes by then, unless a finalizer had it
    except KeyboardInterrupt:
        interrupted += 1
    assert session.run("ping()") == "True"
print(interrupted, *[answer for answer in answers if answer and answer.isdigit()])
"""


def shell(port: int, lines: int) -> Tally:
    """Ctrl-C in `rexec shell`: what follows must be answered, and rightly."""
    tally = Tally()
    done = subprocess.run(
        [sys.executable, "-c", SHELL, str(port), str(lines)],
        capture_output=True,
        text=True,
        timeout=150,  # a busy machine takes long to start an interpreter
        check=False,
    )
    if done.returncode:
        tally.stuck += 1
        tally.what.append(done.stderr[-500:])
        return tally
    tally.interrupted, *numbers = map(int, done.stdout.split())
    tally.right = lines + len(numbers)
    tally.wrong = numbers != sorted(set(numbers))
    return tally


@contextlib.contextmanager
def own_controller() -> Iterator[int]:
    """Run a controller of ours in this process."""
    with controller("ours") as port:
        yield port


CASES: Final[dict[str, Callable[[int, argparse.Namespace], Tally]]] = {
    "Ctrl-C anywhere": lambda port, a: interrupted_client(port, a.step, a.most),
    "signal handlers anywhere": lambda port, a: handled_client(port, a.step, a.most),
    "cancels anywhere": lambda port, a: interrupted_jobs(port, a.step, a.most),
    "forks": lambda port, a: forks(port, a.calls // 20 + 1),
    "finalizers": lambda _, a: finalizers(a.calls),
    "signal handlers": lambda port, a: handlers(port, a.calls),
    "Ctrl-C in the shell": lambda port, a: shell(port, a.calls),
}


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the campaign."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--step", type=int, default=1, help="bytecodes between two interruptions (default: 1)"
    )
    parser.add_argument("--most", type=int, default=100_000, help="bytecodes of one action at most")
    parser.add_argument("--calls", type=int, default=200, help="rounds of the other cases (default: 200)")
    parser.add_argument("--only", choices=CASES, help="one case alone")
    return parser


def main() -> int:
    """Run the campaign."""
    arguments = get_argparser().parse_args()
    good = True
    with own_controller() as port:
        for name, run in CASES.items():
            if arguments.only in (None, name):
                tally = run(port, arguments)
                good = good and tally.good
                print(f"{name}: {tally}", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
