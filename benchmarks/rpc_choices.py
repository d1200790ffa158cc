"""What each choice of decision 14 gives: a small call without it, beside one with all of them.

`python benchmarks/rpc_choices.py [--rounds N]`. Each choice is undone in a client and a server of their own. Rounds
are interleaved, and every other one goes through them backwards, so that whatever else the machine does meets all
alike. A ratio is the median over the rounds, with its quartiles: of the time, and of both ends' CPU time together.
"""

import argparse
import contextlib
import importlib
import statistics
import sys
from collections.abc import Callable
from typing import Any

import rpc
import rpc_ends


def _set(module: str, name: str, value: Any) -> None:
    owner: Any = importlib.import_module(f"rexec.wire.{module}")
    *path, last = name.split(".")
    for each in path:
        owner = getattr(owner, each)
    setattr(owner, last, value)


def proxies() -> None:
    """Let `__getattr__` find methods, instead of a class that has them."""
    from rexec.wire._client import Client

    def find(self: Any, name: str) -> Callable[..., Any]:
        if name.startswith("__") or "_Client__talk" not in self.__dict__:
            raise AttributeError(name)
        return lambda *args, **kwargs: self.rpc_call(name, args, kwargs)

    _set("_client", "Client._Client__with_methods", staticmethod(lambda base, names: base))
    Client.__getattr__ = find  # type: ignore[method-assign]


def asleep() -> None:
    """Never wait awake."""
    _set("_spin", "Spin.awake", lambda self: False)


def handed() -> None:
    """Hand every call from the I/O thread to the loop, also those of a tight loop."""
    _set("_call_queue", "_TIGHT", -1.0)


def walked() -> None:
    """Walk every value that was read, also a flat one."""
    _set("_pyon_decode", "_is_flat", lambda simple: False)


def shapeless() -> None:
    """Write each message as any other value."""
    from rexec.wire._pyon_encode import Base64Line, RawLine

    def encode_fields(self: Any, head: bytes, values: dict[str, Any]) -> Any:
        line = RawLine() if self.raw else Base64Line()
        text = b"".join(b',"%b":%b' % (name.encode(), line.json(x, name)) for name, x in values.items())
        return line.pieces(head + text + b"}\n")

    _set("_protocol", "Codec.encode_fields", encode_fields)
    _set("_protocol", "PLAIN", frozenset())


def stepwise() -> None:
    """Write the name of a method anew for each call, and a plain answer as any other message."""
    import rexec.wire._conversation as conversation
    import rexec.wire._protocol as protocol
    import rexec.wire._server as server

    def answer(codec: Any, ret: Any, number: Any) -> Any:
        return codec.encode_fields(b'{"status":"ok"' + protocol.numbered(codec, number), {"ret": ret})

    conversation._call_head = conversation._call_head.__wrapped__  # type: ignore[assignment]  # noqa: SLF001
    server.answer_message = answer  # type: ignore[attr-defined]


def batched() -> None:
    """Send one piece as if it were many."""
    from rexec.wire._pieces import batches
    from rexec.wire._server_connection import ServerConnection
    from rexec.wire.connection import Connection

    for kind, name in ((Connection, "_send"), (ServerConnection, "send")):
        before = getattr(kind, name)

        def send(self: Any, pieces: Any, *args: Any, _before: Any = before, **keywords: Any) -> Any:
            views = [view for batch in batches(pieces) for view in batch]  # no bytes: not the short way
            return _before(self, views, *args, **keywords)

        setattr(kind, name, send)


UNDONE: dict[str, Callable[[], None]] = {
    "everything": lambda: None,
    "nothing (the noise)": lambda: None,
    "a class with the target's methods": proxies,
    "waiting awake": asleep,
    "following a tight loop": handed,
    "flat messages at a glance": walked,
    "known shapes as text": shapeless,
    "names and plain answers in one step": stepwise,
    "one piece sent at once": batched,
}


class Pair(rpc.Pair):
    """A client and a server without one choice."""

    def __init__(self, name: str) -> None:
        super().__init__(rpc.Peer(name, name, name))


def command(kind: str, role: str, port: int) -> list[str]:
    """Return the command line of one end."""
    return [sys.executable, __file__, "--end", kind, role, str(port)]


def main() -> None:
    """Measure, or be one end."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--calls", type=int, default=500, help="in a round")
    parser.add_argument("--end", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.end:
        name, role, port = arguments.end
        UNDONE[name]()
        getattr(rpc_ends, role)("rexec", int(port))
        return
    rpc.command = command
    with contextlib.ExitStack() as stack:
        pairs = {}
        for name in UNDONE:
            pairs[name] = Pair(name)
            stack.callback(pairs[name].stop)
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in pairs}
        for number in range(arguments.rounds):
            for name, pair in list(pairs.items())[:: -1 if number % 2 else 1]:
                found[name].append(pair.measure("ping", 0, arguments.calls))
    whole = found.pop("everything")
    wall, *cpu = (statistics.median(column) * 1e6 for column in zip(*whole, strict=True))
    print(f"with everything: {wall:.1f} µs a call, {sum(cpu):.1f} µs of CPU")
    for name, rows in found.items():
        pairs_of_rounds = list(zip(rows, whole, strict=True))
        times = [row[0] / base[0] for row, base in pairs_of_rounds]
        costs = [sum(row[1:]) / sum(base[1:]) for row, base in pairs_of_rounds]
        print(f"without {name}: {_shown(times)} of the time, {_shown(costs)} of the CPU")


def _shown(ratios: list[float]) -> str:
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
