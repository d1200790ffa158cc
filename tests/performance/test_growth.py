"""Cost grows with what is new: calls and bytes, counted at n and 4 n. Never a time.

A step that looks at everything again for each further thing costs 16 times as much at 4 n, a linear one 4 times.
`python -m benchmarks.growth` measures the same kind over larger sizes.
"""

import asyncio
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import pytest

from devicedb import from_dict
from devicedb.check.config import Settings
from devicedb.check.engine import Subject, check_file
from rexec.datasets import DatasetDB, DatasetManager
from rexec.results import ResultsWriter, Run, journal_path
from rexec.results.journal.reader import JournalReader
from rexec.results.reading.shown import stored_shown
from rexec.wire import _snapshots
from rexec.wire._line_queue import WHOLE
from rexec.wire._pyon_parts import V2
from rexec.wire._snapshots import Snapshots
from rexec.wire.sync_struct import Notifier
from schemas import RunIdentity

Work = Callable[[], object]
Prepare = Callable[[int, Path], Work]

FACTOR: Final = 4
MOST: Final = 6
"""Times the cost at n that the cost at 4 n may be: between linear and quadratic."""


def calls(work: Work) -> int:
    """Return how many functions of Python and of C are called."""
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    gc.disable()
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
        gc.enable()
    return count


def entries(size: int) -> dict[str, Any]:
    """Return a device database: controllers, a target of each, an alias of each target."""
    found: dict[str, Any] = {}
    for number in range(size):
        name = f"camera{number}"
        found[name] = {
            "type": "controller",
            "host": "::1",
            "port": 2000 + number,
            "target_name": "c",
            "command": "x",
        }
        found[f"{name}_rexec"] = {
            "type": "controller_aux_target",
            "controller": name,
            "target_name": "c_rexec",
        }
        found[f"fit{number}"] = f"{name}_rexec"
    return found


def resolve_all(size: int, folder: Path) -> Work:
    database = from_dict(entries(size), "test")
    return lambda: [database.endpoint(name) for name in database]


def check(size: int, folder: Path) -> Work:
    path = folder / "device_db.py"
    path.write_text(f"device_db = {entries(size)!r}\n".replace("}, ", "},\n"))
    return lambda: check_file(Subject(path, "device_db.py"), Settings(static=True))


def run(folder: Path) -> tuple[ResultsWriter, DatasetManager]:
    """Return a run that is refreshed on demand."""
    identity = RunIdentity(rid=1, class_name="A", start_time=0.0)
    writer = ResultsWriter.create(folder / "r.h5", identity, refresh_interval=0)
    return writer, DatasetManager(DatasetDB(), sink=writer)


def append(size: int, folder: Path) -> Work:
    writer, manager = run(folder)
    manager.set("x", [])

    def work() -> None:
        for number in range(size):
            manager.append_to("x", number * 0.5)

    return ended(work, writer)


def append_broadcast(size: int, folder: Path) -> Work:
    writer, manager = run(folder)
    manager.set("x", [], broadcast=True)

    def work() -> None:
        for number in range(size):
            manager.append_to("x", number * 0.5)

    return ended(work, writer)


def set_many(size: int, folder: Path) -> Work:
    writer, manager = run(folder)

    def work() -> None:
        for number in range(size):
            manager.set(f"d{number}", number * 0.5)

    return ended(work, writer)


def end_many(size: int, folder: Path) -> Work:
    writer, manager = run(folder)
    for number in range(size):
        manager.set(f"d{number}", number * 0.5)
    return writer.close


def refresh_each(size: int, folder: Path) -> Work:
    """Refresh after each part of a list: what is new, not what is there."""
    writer, manager = run(folder)
    manager.set("x", [])

    def work() -> None:
        for _ in range(size):
            manager.append_to("x", 0.5)
            writer.snapshot()

    return ended(work, writer)


def notify(size: int, folder: Path) -> Work:
    notifier = Notifier({"x": []})
    seen: list[object] = []
    notifier.publish = lambda mod: seen.append(mod)

    def work() -> None:
        for number in range(size):
            notifier["x"].append(number)

    return work


def snapshot_of_list(size: int, folder: Path) -> Work:
    """Encode a list for those who begin to follow it."""
    return lambda: encoded({"x": [0.5] * size})


def snapshot_of_names(size: int, folder: Path) -> Work:
    """Encode many datasets for those who begin to follow them."""
    return lambda: encoded({f"d{number}": (False, number, {}) for number in range(size)})


def encoded(struct: dict[str, Any]) -> bytes:
    found: list[Any] = []

    async def main() -> None:
        snapshots = Snapshots(lambda name: struct, V2)
        for _ in range(4):
            snapshots.give("x", WHOLE, found.append)
        while len(found) < 4:  # noqa: ASYNC110 - has no event
            await asyncio.sleep(0)

    # A turn of the loop for each piece: else there are the more turns, the slower this machine is now.
    with patch.object(_snapshots, "_TURN", -1.0):
        asyncio.run(main())
    return bytes(found[0][0])


def read_journal(size: int, folder: Path) -> Work:
    writer, manager = run(folder)
    manager.set("x", [])
    for number in range(size):
        manager.append_to("x", number * 0.5)
    writer.sync()

    def work() -> None:
        with JournalReader(journal_path(writer.path)) as reader:
            assert len(list(reader.records())) > size

    return ended(work, writer)


def show_table(size: int, folder: Path) -> Work:
    """Show each dataset of a finished file."""
    writer, manager = run(folder)
    for number in range(size):
        manager.set(f"d{number}", number * 0.5)
    writer.close()
    opened = Run(writer.path)
    return ended(lambda: [stored_shown(each) for each in opened.datasets.values()], opened)


def ended(work: Work, of: ResultsWriter | Run) -> Work:
    """Return the same work; a fixture ends the run or closes the file that it belongs to."""
    _OPEN.append(of)
    return work


_OPEN: list[ResultsWriter | Run] = []


@pytest.fixture(autouse=True)
def _runs_end() -> Any:
    yield
    while _OPEN:
        last = _OPEN.pop()
        last.close() if isinstance(last, Run) else last.discard()


STEPS: Final[dict[Prepare, int]] = {
    resolve_all: 20,
    check: 10,
    append: 100,
    append_broadcast: 100,
    set_many: 20,
    end_many: 8,
    refresh_each: 4,
    notify: 100,
    read_journal: 200,
    show_table: 20,
    snapshot_of_list: 20_000,
    snapshot_of_names: 1000,
}
"""Step, n."""


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_calls_grow_with_what_is_new(step: Prepare, tmp_path: Path) -> None:
    counts = []
    for index, size in enumerate((1, 1, STEPS[step], FACTOR * STEPS[step])):
        folder = tmp_path / str(index)
        folder.mkdir()
        counts.append(calls(step(size, folder)))
    _, first, small, large = counts  # the very first fills caches
    assert large - first < MOST * (small - first), counts


@pytest.mark.parametrize("broadcast", [False, True])
def test_bytes_of_the_journal_grow_with_what_is_new(broadcast: bool, tmp_path: Path) -> None:
    writer, manager = run(tmp_path)
    manager.set("x", [], broadcast=broadcast)
    sizes = []
    for number in range(1, 401):
        manager.append_to("x", number * 0.5)
        if number in (100, 400):
            sizes.append(writer.journal_size)
    writer.discard()
    assert sizes[1] < MOST * sizes[0]
