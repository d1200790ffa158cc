"""No test is in a hurry: what must come is waited for long enough, and no test asserts how long something took.

Nor does one set the clock of the whole process, by which threads of other tests and of pytest go, too.

A machine with a load of 12 needs 10 s for what takes 0.5 s on an idle one. Only a test that fails ever waits out its
patience, so that patience costs nothing.
"""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import pytest

TESTS: Final = Path(__file__).resolve().parents[1]
FILES: Final = sorted(each for each in TESTS.rglob("*.py") if "campaigns" not in each.parts)
ENOUGH: Final = 150
"""Seconds; pytest ends a test that hangs after 600."""

WAITS: Final = frozenset({
    "join", "wait", "result", "communicate", "exception", "within", "wait_for", "wait_procs", "receive", "ends",
    "create_connection", "settimeout", "Client", "HTTPConnection", "run", "get", "LoopThread",
})  # fmt: skip
CLOCKS: Final = frozenset({"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time"})
Nodes: TypeAlias = Sequence[ast.AST]


def nodes_of(text: str) -> Nodes:
    return list(ast.walk(ast.parse(text)))


def hurried(nodes: Nodes) -> Iterator[int]:
    """Yield the lines of waits between 1 s (a wait that is to be in vain) and what is enough."""
    for node in nodes:
        if isinstance(node, ast.Call) and name_of(node.func) in WAITS:
            timeouts = [each.value for each in node.keywords if each.arg == "timeout"]
            if name_of(node.func) in ("join", "wait", "result", "exception", "within", "wait_for", "receive"):
                timeouts += node.args
        elif isinstance(node, ast.BinOp) and is_clock(node.left):
            timeouts = [node.right]
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            timeouts = (
                [node.value] if any(name_of(each) in ("PATIENCE", "SECONDS") for each in targets) else []
            )
        else:
            continue
        for each in timeouts:
            if isinstance(each, ast.Constant) and isinstance(each.value, int | float):
                if 1 < each.value < ENOUGH:
                    yield each.lineno


def timed(nodes: Nodes) -> Iterator[int]:
    """Yield the lines of assertions that a clock has not gone on too far."""
    for node in nodes:
        if not isinstance(node, ast.Assert):
            continue
        for compare in ast.walk(node.test):
            if isinstance(compare, ast.Compare) and isinstance(compare.comparators[-1], ast.Constant):
                if isinstance(compare.ops[-1], ast.Lt | ast.LtE) and any(
                    map(is_time, ast.walk(compare.left))
                ):
                    yield node.lineno


def shared_clocks(nodes: Nodes) -> Iterator[int]:
    """Yield the lines that replace a function of the module `time` for all who use it."""
    for node in nodes:
        if isinstance(node, ast.Call) and node.args and name_of(node.func) in ("setattr", "patch", "object"):
            what = node.args[0]
            path = str(what.value).split(".")[:-1] if isinstance(what, ast.Constant) else [name_of(what)]
            if path[-1:] == ["time"]:
                yield node.lineno


def is_clock(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and name_of(node.func) in CLOCKS


def is_time(node: ast.AST) -> bool:
    return is_clock(node) or (
        isinstance(node, ast.Name) and node.id in ("elapsed", "took", "seconds", "duration")
    )


def name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def test_whatever_must_come_is_waited_for_long_enough_and_no_duration_is_asserted() -> None:
    found = []
    for path in FILES:
        nodes = nodes_of(path.read_text(encoding="utf-8"))
        place = path.relative_to(TESTS)
        found += [f"{place}:{line}: waits less than {ENOUGH} s for what must come" for line in hurried(nodes)]
        found += [f"{place}:{line}: asserts how long something took" for line in timed(nodes)]
        found += [f"{place}:{line}: sets the clock of all: see clock.py" for line in shared_clocks(nodes)]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "thread.join(20)",
        "process.wait(timeout=5)",
        "within(10.0, lambda: seen)",
        "until = time.monotonic() + 20",
        "PATIENCE: Final = 20.0",
    ],
)
def test_a_hurried_wait_is_found(line: str) -> None:
    assert list(hurried(nodes_of(line))) == [1]


@pytest.mark.parametrize("line", ["assert time.monotonic() - began < 2", "assert took <= 0.5"])
def test_a_timed_assertion_is_found(line: str) -> None:
    assert list(timed(nodes_of(line))) == [1]


@pytest.mark.parametrize(
    "line",
    [
        'monkeypatch.setattr("rexec.wire.tap.time.monotonic", clock)',
        'monkeypatch.setattr(time, "time", clock)',
        'monkeypatch.setattr(tap.time, "monotonic", clock)',
        'with patch.object(time, "sleep"): pass',
    ],
)
def test_a_clock_that_is_set_for_all_is_found(line: str) -> None:
    assert list(shared_clocks(nodes_of(line))) == [1]
    assert list(shared_clocks(nodes_of('monkeypatch.setattr("rexec.wire.tap.time", clock)'))) == []
