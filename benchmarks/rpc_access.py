"""What identity, rights and the audit cost a small call.

`python benchmarks/rpc_access.py [--rounds N] [--before PYTHON]`. Each row is a client and a server of their own. Rounds
are interleaved, and every other one goes through them backwards. A ratio is the median over the rounds, with its
quartiles: of the time, and of both ends' CPU time together. `--before` adds the toolkit of another interpreter.
"""

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rpc
import rpc_choices
import rpc_ends
from rpc_choices import _set, _shown

BEFORE = "another toolkit (--before)"


def _undone() -> None:
    _set("_server", "calls_for", lambda connection: None)
    _set("_server", "admit", lambda guard, connection, request: None)
    _set("_server", "recorded", lambda guard, connection, request, carry_out: carry_out(connection, request))
    _set("_server_connection", "ServerConnection.is_trusted", lambda self: True)


def _guarded(*, rights: bool = False, audit: bool = False, calls: bool = False) -> Callable[[], None]:
    """Return what has the servers of this process ask a guard."""

    def guarded() -> None:
        import rexec.access.guard as guard
        from rexec.access.audit_log import AuditLog
        from rexec.access.kernel_user import user_name
        from rexec.access.rights import RightsFile

        folder = Path(tempfile.mkdtemp(prefix="rexec-benchmark-"))
        allow = {user_name(os.getuid()): ["call"]}
        (folder / "rights.json").write_text(json.dumps({"devices": {"bench": {"place": "", "allow": allow}}}))
        made = guard.AccessGuard(
            RightsFile(folder / "rights.json", "bench") if rights else None,
            AuditLog(folder / "audit.jsonl") if audit else None,
            calls=calls,
        )
        guard._guards.append(made)  # noqa: SLF001

    return guarded


KINDS: dict[str, Callable[[], None]] = {
    "as it is": lambda: None,
    "as it is, again (the noise)": lambda: None,
    "without identity, rights, audit": _undone,
    "with rights": _guarded(rights=True),
    "with an audit": _guarded(audit=True),
    "with an audit of each call": _guarded(audit=True, calls=True),
}


def main() -> None:
    """Measure, or be one end."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--calls", type=int, default=500, help="in a round")
    parser.add_argument(
        "--before", metavar="PYTHON", help="interpreter that has another state of the toolkit"
    )
    parser.add_argument("--end", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.end:
        name, role, port = arguments.end
        if role == "serve":
            KINDS[name]()
        getattr(rpc_ends, role)("rexec", int(port))
        return

    def command(kind: str, role: str, port: int) -> list[str]:
        if kind == BEFORE:
            return [arguments.before, rpc_ends.__file__, role, "rexec", str(port)]
        return [sys.executable, __file__, "--end", kind, role, str(port)]

    rpc.command = command
    kinds = [*KINDS, *([BEFORE] if arguments.before else [])]
    with contextlib.ExitStack() as stack:
        pairs = {}
        for name in kinds:
            pairs[name] = rpc_choices.Pair(name)
            stack.callback(pairs[name].stop)
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in pairs}
        for number in range(arguments.rounds):
            for name, pair in list(pairs.items())[:: -1 if number % 2 else 1]:
                found[name].append(pair.measure("ping", 0, arguments.calls))
    whole: Any = found.pop("as it is")
    wall, *cpu = (statistics.median(column) * 1e6 for column in zip(*whole, strict=True))
    print(f"as it is: {wall:.1f} µs a call, {sum(cpu):.1f} µs of CPU")
    for name, rows in found.items():
        pairs_of_rounds = list(zip(rows, whole, strict=True))
        times = [row[0] / base[0] for row, base in pairs_of_rounds]
        costs = [sum(row[1:]) / sum(base[1:]) for row, base in pairs_of_rounds]
        print(f"{name}: {_shown(times)} of the time, {_shown(costs)} of the CPU")


if __name__ == "__main__":
    main()
