"""Persistent datasets under SIGKILL: two processes append to large lists of one database, and are killed at random.

A part of `python -m tests.campaigns.results_faults persistent`. Each child follows a plan of its own, and reports each
acknowledged change through a pipe. What the next opening finds must be the plan up to a change that is not before the
last acknowledged one; after it was closed, LMDB alone must find the same.
"""

import os
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import lmdb

from rexec.datasets import DatasetDB
from rexec.wire import pyon

_REPORT: Final = struct.Struct("<I")
_SHARED: Final = "shared"
_LENGTH: Final = 700
"""Items of a list at first: beyond what is written whole at each change."""


def plan(seed: int, child: int) -> Iterator[dict[str, Any]]:
    """Yield the changes of a child, as modifications of the database."""
    chance = random.Random(seed * 2 + child)
    own = f"own{child}"
    yield _set(own, [0.5] * _LENGTH)
    for number in range(2000):
        kind = chance.randrange(100)
        if kind < 70:
            yield {"action": "append", "path": [own, 1], "x": number * 0.5}
        elif kind < 80:
            yield {"action": "setitem", "path": [own, 1], "key": kind, "value": number}
        elif kind < 92:
            yield {"action": "append", "path": [_SHARED, 1], "x": (child, number)}
        elif kind < 95:
            yield {"action": "append", "path": [own, 1], "x": "y" * chance.randrange(30_000)}
        elif kind < 98:
            yield _set(f"small{child}", number)
        else:
            yield _set(own, [float(number)] * chance.randrange(2 * _LENGTH))


def _set(key: str, value: Any) -> dict[str, Any]:
    return {"action": "setitem", "path": [], "key": key, "value": (True, value, {})}


def carry_out(path: Path, seed: int, child: int, report: int) -> None:
    """Carry out a plan in the database, telling after each change that it was acknowledged."""
    with DatasetDB(path) as db:
        for number, mod in enumerate(plan(seed, child), start=1):
            db.update(mod)
            os.write(report, _REPORT.pack(number))


def states_after(seed: int, child: int, changes: int) -> tuple[dict[str, Any], list[Any]]:
    """Return what a child's datasets are after so many changes, and what it has appended to the shared list."""
    db = DatasetDB()
    db.set(_SHARED, [])
    for mod, _ in zip(plan(seed, child), range(changes), strict=False):
        db.update(mod)
    found = {key: value for key, (_, value, _) in db.snapshot().items()}
    return found, found.pop(_SHARED)


def wrong(found: dict[str, Any], seed: int, acknowledged: list[int]) -> str:
    """Return what is wrong with the datasets that were found, or ''."""
    shared = found[_SHARED][_LENGTH:]
    for child, last in enumerate(acknowledged):
        own = {key: value for key, value in found.items() if key.endswith(str(child))}
        mine = [tuple(each) for each in shared if each[0] == child]
        if not any((own, mine) == states_after(seed, child, changes) for changes in (last, last + 1)):
            return f"process {child}: neither the state after change {last} nor the next"
    return ""


def read_by_lmdb(path: Path) -> dict[str, Any]:
    """Return what ARTIQ's readers find."""
    with (
        lmdb.open(str(path), subdir=False, readonly=True, lock=False, map_size=2**30) as env,
        env.begin() as transaction,
    ):
        return {bytes(key).decode(): pyon.decode(bytes(text))[0] for key, text in transaction.cursor()}


def open_and_close(path: Path) -> None:
    """Recover a database, as every program does that opens it."""
    DatasetDB(path).close()


def round_persistent(folder: Path, seed: int, in_child: Callable[..., None]) -> tuple[str, str]:
    """Kill two processes that share a database, one after the other, and the recovery after them.

    Args:
        folder: An empty folder.
        seed: Number of the round.
        in_child: Runs a function in a forked process, and kills it after `kill_after` seconds.

    """
    chance = random.Random(seed * 7919 + 3)
    path = folder / "dataset_db.mdb"
    with DatasetDB(path) as db:
        db.set(_SHARED, [0] * _LENGTH, persist=True)
    children, ends = [], []
    for child in range(2):
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(read_end)
                in_child(
                    carry_out, path, seed, child, write_end, kill_after=chance.uniform(0.0, 0.6) + 0.2 * child
                )
            finally:
                os._exit(0)
        os.close(write_end)
        children.append(pid)
        ends.append(read_end)
    acknowledged = [_last(read_end) for read_end in ends]
    for pid in children:
        os.waitpid(pid, 0)
    what = "two processes killed"
    while chance.random() < 0.5:
        in_child(open_and_close, path, kill_after=chance.uniform(0.0, 0.05))
        what = "two processes killed, and the recovery"
    copy = folder / "copy"
    copy.mkdir()
    for name in (path.name, f"{path.name}-log"):
        if (folder / name).exists():
            shutil.copy(folder / name, copy)
    with DatasetDB(path) as db:
        found = {key: value for key, (_, value, _) in db.snapshot().items()}
    if problem := wrong(found, seed, acknowledged):
        return what, f"{problem} (see {_kept(copy, seed)})"
    if read_by_lmdb(path) != found:
        return what, "ARTIQ's readers find something else"
    if (folder / f"{path.name}-log").exists():
        return what, "the log is left behind"
    return what, ""


def _kept(copy: Path, seed: int) -> Path:
    return Path(shutil.copytree(copy, f"/tmp/rexec-persistent-{seed}", dirs_exist_ok=True))


def _last(read_end: int) -> int:
    data = b""
    while piece := os.read(read_end, 1 << 20):
        data += piece
    os.close(read_end)
    whole = len(data) // _REPORT.size
    return int(_REPORT.unpack_from(data, (whole - 1) * _REPORT.size)[0]) if whole else 0
