"""Ctrl-C at any instruction of a change: it is in memory, journal, file and database, or in none; so are handlers'."""

import contextlib
import dis
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import h5py
import numpy as np
import pytest

from rexec.datasets import DatasetDB, DatasetError, DatasetManager
from rexec.datasets.values import same
from rexec.results import ResultsError
from rexec.results.writer import ResultsWriter
from schemas.run import RunIdentity
from tests.threads.interrupting import uncollected
from tests.threads.opcodes import trace_opcodes

_CHECKED = ("CALL", "RESUME", "JUMP_BACKWARD", "POP_JUMP_BACKWARD")
"""Instructions after which the interpreter looks for signals."""


@cache
def _instructions(code: CodeType) -> dict[int, str]:
    return {each.offset: each.opname for each in dis.get_instructions(code)}


def ctrl_c(_: str = "") -> None:
    raise KeyboardInterrupt


class Interrupt:
    """Calls a signal handler at the n-th place in our code where the interpreter looks for signals."""

    def __init__(self, number: int, handle: Callable[[], None]) -> None:
        self.left, self._handle = number, handle
        self._last: dict[FrameType, str] = {}

    def trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if "/rexec/" not in frame.f_code.co_filename.replace("\\", "/"):
            return None
        trace_opcodes(frame, self.trace)
        if event == "opcode":
            before = self._last.get(frame, "")
            self._last[frame] = _instructions(frame.f_code).get(frame.f_lasti, "")
            if before.startswith(_CHECKED):
                self.left -= 1
                if self.left == 0:
                    sys.settrace(None)
                    self._handle()
        return self.trace


def interrupted(change: Callable[[], None], number: int, handle: Callable[[], None] = ctrl_c) -> bool:
    """Make a change with an interrupt at the n-th place; return whether there was such a place."""
    interrupt = Interrupt(number, handle)
    with uncollected():
        sys.settrace(interrupt.trace)
        try:
            change()
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(None)
        return interrupt.left <= 0


_LARGE = [number * 0.5 for number in range(700)]
"""Beyond what a database writes whole at each change, where it persists."""

CHANGES: dict[str, tuple[Any, Callable[[DatasetManager, str], None]]] = {
    "append": ([1.0], lambda manager, key: manager.append_to(key, 2.0)),
    "append a list": ([[1]], lambda manager, key: manager.append_to(key, [2, "x"])),
    "mutate": (np.zeros(4), lambda manager, key: manager.mutate(key, (1, 3), 7.0)),
    "mutate a list": ([1, 2, 3], lambda manager, key: manager.mutate(key, (0, 2), [9])),
    "set again": ([1, 2], lambda manager, key: manager.set(key, "new", broadcast=True)),
    "hide": ([1, 2], lambda manager, key: manager.set(key, "new")),
    "append to a large list": (_LARGE, lambda manager, key: manager.append_to(key, 2.0)),
    "mutate a large array": (np.zeros(600), lambda manager, key: manager.mutate(key, (1, 3), 7.0)),
}


@contextlib.contextmanager
def a_run(folder: Path, *, persist: bool) -> Iterator[DatasetManager]:
    """Yield the datasets of a run; at its end, its file has them as they were last."""
    path = folder / "results.h5"
    identity = RunIdentity(rid=1, class_name="Test", start_time=1.0)
    with DatasetDB(folder / "dataset_db.mdb" if persist else None) as db:
        writer = ResultsWriter.create(path, identity, refresh_interval=0, sync_interval=0)
        manager = DatasetManager(db, sink=writer)
        yield manager
        expected = {key: dataset.value for key, dataset in manager.local.items()}
        manager.close()
        writer.close()
    with h5py.File(path) as file:
        assert set(file["datasets"]) == set(expected)
        for key, value in expected.items():
            stored = file["datasets"][key][()]
            if isinstance(value, list) and any(isinstance(each, list) for each in value):
                assert len(str(stored)) > 0
            elif isinstance(value, str):
                assert stored.decode() == value
            else:
                assert np.array_equal(stored, value), key


def interrupted_everywhere(
    manager: DatasetManager, name: str, persist: bool, handle: Callable[[str], None]
) -> tuple[int, int]:
    """Make a change of a new dataset again and again, interrupted at one in three places; the database follows.

    Returns:
        The number of places, and how many changes had an effect.

    """
    first, change = CHANGES[name]
    number, changed, went_on = 0, 0, True
    while went_on:
        number += 3  # as many as the suite has time for
        key = f"k{number}"
        manager.set(key, first, broadcast=True, persist=persist)
        went_on = interrupted(lambda key=key: change(manager, key), number, lambda key=key: handle(key))  # type: ignore[misc]
        value = manager.get(key)
        changed += not same(value, first)
        if manager.local[key].broadcast:
            assert same(manager._db.get(key), value), number
        else:
            with pytest.raises(KeyError):
                manager._db.get(key)
    return number, changed


@pytest.mark.skipif(sys.gettrace() is not None, reason="something else traces already")
@pytest.mark.parametrize("persist", [False, True])
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_everywhere_or_nowhere(tmp_path: Path, name: str, persist: bool) -> None:
    with a_run(tmp_path, persist=persist) as manager:
        number, changed = interrupted_everywhere(manager, name, persist, ctrl_c)
        assert 1 < changed < number


@pytest.mark.skipif(sys.gettrace() is not None, reason="something else traces already")
@pytest.mark.parametrize("persist", [False, True])
@pytest.mark.parametrize("name", CHANGES)
def test_a_signal_handler_changes_a_dataset_before_or_after_a_change_or_is_refused(
    tmp_path: Path, name: str, persist: bool
) -> None:
    refused = 0
    with a_run(tmp_path, persist=persist) as manager:

        def handle(key: str) -> None:
            nonlocal refused
            try:
                manager.set(key, CHANGES[name][0], broadcast=True, persist=persist)
                manager.set("seen", key)
            except (DatasetError, ResultsError):
                refused += 1

        number, _ = interrupted_everywhere(manager, name, persist, handle)
        assert 1 < refused < number
