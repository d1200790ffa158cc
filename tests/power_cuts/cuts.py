"""Cuts the power of a recorded program at each of its calls, and checks what is left."""

import contextlib
import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.power_cuts.disk import Disk, Tree
from tests.power_cuts.recording import Op, recorded
from tests.power_cuts.scenarios import SCENARIOS

_State = tuple[Tree, Any, str]
"""What is left, what was promised by then, and where the power was cut."""


@dataclass
class Recorded:
    """A scenario that has run once."""

    name: str
    folder: str
    before: Tree
    ops: list[Op]

    def sites(self) -> list[str]:
        """Return the lines of the product that sync."""
        return sorted({op.site for op in self.ops if op.kind == "sync"})


@dataclass
class Outcome:
    """What came of the cuts of one scenario."""

    states: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    """Where each fault was met first."""


def record(name: str) -> Recorded:
    """Run a scenario under the recorder; AssertionError if it cannot be carried out again from what was recorded."""
    with scratch() as root:
        folder = root / "folder"
        folder.mkdir()
        SCENARIOS[name].prepare(folder)
        before = tree_of(folder)
        ops = recorded("tests.power_cuts.scenarios", [name, str(folder)], folder)
        disk = Disk(str(folder), before)
        for op in ops:
            disk.do(op)
        seen, there = disk.tree(), tree_of(folder)
        assert seen.keys() == there.keys(), (sorted(seen), sorted(there))
        assert seen == there, [path for path in seen if seen[path] != there[path]]
        return Recorded(name, str(folder), before, ops)


def cut(
    program: Recorded,
    *,
    seed: int = 0,
    most: int | None = None,
    is_kept: Callable[[Op], bool] = lambda op: True,
    stop_at_fault: bool = False,
) -> Outcome:
    """Cut the power at each call, and check what may be left.

    Args:
        program: What was recorded.
        seed: Chooses among the states between the extremes.
        most: How many states are checked at most, spread over the calls; None: all.
        is_kept: Whether a call is made. Leaving out a sync makes a mutant of the product.
        stop_at_fault: Whether the first fault is enough.

    """
    chance = random.Random(seed)
    scenario = SCENARIOS[program.name]
    chosen: Iterable[_State] = _states(program, chance, is_kept)
    if most is not None:
        states = list(chosen)
        chosen = chance.sample(states, most) if most < len(states) else states
    outcome = Outcome()
    with scratch() as root:
        for tree, promised, where in chosen:
            outcome.states += 1
            fault = _fault(scenario.check, root, tree, promised)
            if fault:
                outcome.faults[fault] += 1
                outcome.first.setdefault(fault, where)
                if stop_at_fault:
                    break
    return outcome


def _states(program: Recorded, chance: random.Random, is_kept: Callable[[Op], bool]) -> Iterator[_State]:
    """Yield each state once; of a mutant those from the first call that it leaves out: before, it is the product."""
    seen = set[tuple[Any, ...]]()
    disk, promised = Disk(program.folder, program.before), SCENARIOS[program.name].nothing
    first = next((number for number, op in enumerate(program.ops) if not is_kept(op)), 0)
    for number, op in enumerate(program.ops):
        if op.kind == "mark":
            promised = op.mark
        elif is_kept(op):
            disk.do(op)
        if number < first or op.kind == "seek" or not is_kept(op):  # nothing that a cut could undo
            continue
        for tree in disk.after_cuts(chance):
            key = repr(promised), *sorted(tree.items(), key=lambda item: item[0])
            if key not in seen:
                seen.add(key)
                yield tree, promised, f"call {number}: {op.kind} {os.path.basename(op.path)}"


def _fault(check: Callable[[Path, Any], str], root: Path, tree: Tree, promised: Any) -> str:
    folder = root / "after"
    put(folder, tree)
    try:
        return check(folder, promised)
    except Exception as error:
        return f"{type(error).__name__}: {error}".replace(str(folder), "")[:200]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def tree_of(folder: Path) -> Tree:
    """Return what is in a folder."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
        if not path.name.endswith("-lock")
    }


def put(folder: Path, tree: Tree) -> None:
    """Write what is in a folder."""
    folder.mkdir()
    for path, content in sorted(tree.items()):
        if content is None:
            (folder / path).mkdir(parents=True, exist_ok=True)
        else:
            (folder / path).write_bytes(content)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder, in memory where there is one: a check of thousands of states must wait for no disk."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as folder:
        yield Path(folder)
