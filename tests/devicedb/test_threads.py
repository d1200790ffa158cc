"""The threads of an editor's server, and databases that are loaded at once."""

import sys
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from devicedb import load
from devicedb.lsp.analysis import Analysis, Outcome
from devicedb.lsp.buffer import BufferText
from devicedb.lsp.notices import Notice, NoticeBoard
from devicedb.sandbox.run import Stop
from tests.threads.interleaving import Race
from tests.threads.interrupting import interrupted_everywhere

LOAD = ("devicedb/load.py",)
STOP = ("devicedb/sandbox/run.py",)
BOARD = ("devicedb/lsp/notices.py",)
ANALYSIS = ("devicedb/lsp/analysis.py",)


def laboratory(folder: Path, name: str) -> Path:
    """Return a database that imports a module of a name that another one has, too."""
    folder.mkdir()
    (folder / "names_of_laboratory.py").write_text(f"name = {name!r}\n")
    path = folder / "device_db.py"
    path.write_text("from names_of_laboratory import name\ndevice_db = {name: {}}\n")
    return path


def process_state(_: object = None) -> Any:
    return list(sys.path), "names_of_laboratory" in sys.modules, sys.dont_write_bytecode


def test_two_databases_are_loaded_with_their_own_modules(tmp_path: Path) -> None:
    one, other = laboratory(tmp_path / "one", "camera"), laboratory(tmp_path / "other", "lamp")
    Race(
        list,
        lambda _: list(load.execute(one)),
        lambda _: list(load.execute(other)),
        process_state,
        LOAD,
        [(load, "_LOCK")],
        every=29,  # there are many modules to look through at each one
        overlaps=4,
    ).check()


# An iterator over the folder, lost just after it was made, is closed by its collection.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_load_that_is_interrupted_leaves_no_trace(tmp_path: Path) -> None:
    path, before = laboratory(tmp_path / "one", "camera"), process_state()

    def check(_: object, raised: bool, where: str) -> None:
        found, sys.path[:], sys.dont_write_bytecode = process_state(), before[0], before[2]
        sys.modules.pop("names_of_laboratory", None)
        assert found == before, where

    interrupted_everywhere(list, lambda _: load.execute(path), check, LOAD, shared=[(load, "_LOCK")], every=2)


class Running:
    """A run, and whether its child was killed."""

    def __init__(self) -> None:
        self.stop, self.kills = Stop(), 0

    def kill(self) -> None:
        self.kills += 1

    def watch(self) -> None:
        child: Any = self
        self.stop.watch(child)

    def seen(self) -> Any:
        return self.stop.is_set, self.kills > 0


def watched() -> Running:
    running = Running()
    running.watch()
    return running


def test_a_child_that_starts_as_its_run_is_stopped_is_killed() -> None:
    Race(Running, Running.watch, lambda run: run.stop.set(), Running.seen, STOP).check()


def test_a_child_that_ends_as_its_run_is_stopped_is_let_go() -> None:
    Race(watched, lambda run: run.stop.watch(None), lambda run: run.stop.set(), Running.seen, STOP).check()


class Board:
    """A board, and what is shown of a file."""

    def __init__(self) -> None:
        self.shown: dict[Path, list[str]] = {}
        self.board = NoticeBoard(lambda path: BufferText(""), self.show)

    def show(self, path: Path, notices: list[Notice]) -> None:
        self.shown[path] = [each.message for each in notices]

    def put(self, text: str) -> None:
        self.board.put(Path("/a.py"), Outcome(BufferText(""), problem=text))

    def seen(self) -> Any:
        at_last = [each.message for each in self.board.at(Path("/a.py"))]
        return self.shown, at_last


def test_what_is_shown_last_is_what_was_found_last() -> None:
    Race(Board, lambda b: b.put("one"), lambda b: b.put("other"), Board.seen, BOARD).check()


def test_notices_are_listed_while_a_check_ends() -> None:
    Race(
        Board,
        lambda b: [each.message for each in b.board.at(Path("/a.py"))],
        lambda b: b.put("x"),
        Board.seen,
        BOARD,
    ).check()


class Idle(Analysis):
    """An analysis whose thread does nothing, so that a test does it step by step."""

    def __init__(self) -> None:
        self.delivered: list[tuple[str, int]] = []
        super().__init__(Path("/a.py"), pause=0.0, is_static=True, deliver=self.note)
        self._thread.join()

    def _work(self) -> None: ...

    def note(self, outcome: Outcome) -> None:
        self.delivered.append((outcome.problem, self._wanted))

    def type(self, text: str) -> None:
        self.update(BufferText(text))

    def take(self) -> Any:
        task = self._next()
        return task and (task[0], task[1].text, task[2] is self._stop)

    def end(self) -> Any:
        view: Any = "found by reading"
        other: Any = "found by running"
        return self._finish(1, Outcome(self._buffer, problem="found"), static=view, ran=other)

    def seen(self) -> Any:
        return self._wanted, self._done, self._buffer.text, self._stop.is_set, self.delivered


def begun() -> Idle:
    analysis = Idle()
    analysis.type("old")
    return analysis


def known(analysis: Idle) -> Any:
    found = analysis.known()
    return found.buffer.text, found.static, found.ran


def asked() -> Idle:
    analysis = begun()
    analysis._done = 1
    return analysis


CHECKS: dict[str, tuple[Any, Any, Any]] = {
    "two texts": (begun, lambda a: a.type("new"), lambda a: a.type("newer")),
    "a text as a check begins": (begun, lambda a: a.take()[:2], lambda a: a.type("new")),
    "a text as another file changes": (begun, lambda a: a.type("new"), lambda a: a.again()),
    "a text as a check ends": (begun, lambda a: a.end(), lambda a: a.type("new")),
    "a question as a check ends": (asked, known, lambda a: a.end()),
    "the end as a check begins": (begun, lambda a: a.take() and None, lambda a: a.close()),
    "the end as a check ends": (begun, lambda a: a.end(), lambda a: a.close()),
}


@pytest.mark.parametrize("name", CHECKS)
def test_an_analysis_is_told(name: str) -> None:
    make, first, second = CHECKS[name]
    Race(make, first, second, Idle.seen, ANALYSIS).check()


def test_a_database_is_run_after_a_pause(tmp_path: Path) -> None:
    path, outcomes = tmp_path / "device_db.py", SimpleQueue[Outcome]()
    analysis = Analysis(path, pause=1e-6, is_static=False, deliver=outcomes.put)
    analysis.update(BufferText("device_db = {}\n"))
    assert [outcomes.get(timeout=150).problem for _ in range(2)] == ["", ""]
    analysis.close()
    assert analysis.known().ran is not None
