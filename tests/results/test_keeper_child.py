"""The process that keeps a result file: what it answers, and that it shows that it lives."""

import contextlib
import json
import os
import queue
from pathlib import Path
from typing import Any

import pytest

from rexec import results
from rexec.ground.child import BUSY, Child, ChildLost
from rexec.results import _keeper_child, verify
from rexec.results.journal.records import Kind, Record
from rexec.results.journal.writer import Journal
from rexec.results.keeper import Keeper
from tests.ground.forking import in_a_fork
from tests.waiting import within

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="it is called in a forked process")


class Over(Exception):
    """Ends the process."""


def conversation(journal: Path, path: Path, orders: list[str], replaces: str = "False") -> Any:
    """Return what the process answers to each order, whether it said that it lives, and how much nicer it became."""

    def spoken() -> str:
        lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        answers: list[Any] = []
        beats: list[bytes] = []
        _keeper_child.HEARTBEAT = 0.01  # type: ignore[misc]
        before = os.nice(0)

        def say(text: bytes) -> None:
            if text == BUSY:
                beats.append(text)
                return
            answers.append(json.loads(text))
            if len(answers) > len(orders):
                assert within(150, lambda: beats)
                raise Over
            lines.put(orders[len(answers) - 1].encode())

        with contextlib.suppress(Over):
            _keeper_child.main(lines, say, str(journal), str(path), replaces)
        return json.dumps([answers, os.nice(0) - before])

    return json.loads(in_a_fork(spoken))


def test_each_order_is_answered_by_its_number_and_what_came_of_it(tmp_path: Path) -> None:
    path = tmp_path / "r.h5"
    with contextlib.closing(Journal(tmp_path / "j", sync_interval=0)) as journal:
        journal.put(Record(Kind.IDENTITY, value={"rid": 5}))
        begun = journal.size
        journal.put(Record(Kind.SET, "x", value=[1.0], metadata={}, archive=True))
        end = json.dumps({"status": "completed", "error": None, "time": 2.0})
        orders = [f"7 {begun}", f"8 {journal.size + 1}", f"9 {journal.size}", f"10 {journal.size} {end}"]
        answers, nicer = conversation(tmp_path / "j", path, orders)
    assert [answer["order"] for answer in answers] == [0, 7, 8, 9, 10]
    assert [answer["shown"] for answer in answers] == [False, True, True, True, True]
    assert [answer["damaged"] for answer in answers] == [False, False, True, False, False]
    assert [answer["error"] is None for answer in answers] == [True, True, False, True, True]
    assert all(answer["problems"] == [] for answer in answers)
    assert nicer == min(5, 19 - os.nice(0))  # nothing is nicer than 19
    assert verify(path) == []
    with results.open(path) as run:
        assert run.status == "completed"


def test_a_file_that_is_in_the_way_is_replaced_when_there_are_data(tmp_path: Path) -> None:
    path = tmp_path / "r.h5"
    path.write_text("of another run")
    with contextlib.closing(Journal(tmp_path / "j", sync_interval=0)) as journal:
        journal.put(Record(Kind.IDENTITY, value={"rid": 5}))
        answers, _ = conversation(tmp_path / "j", path, [f"1 {journal.size}"], "True")
    assert [answer["shown"] for answer in answers] == [False, False]
    assert path.read_text() == "of another run"


def test_it_catches_up_while_no_order_waits_and_no_more_after_the_last_one(tmp_path: Path) -> None:
    end = json.dumps({"status": "completed", "error": None, "time": 2.0})

    def spoken() -> str:
        waiting: list[str] = []
        happened: list[str] = []

        class Lines:
            def empty(self) -> bool:
                return not waiting

            def get(self) -> bytes:
                if not waiting:
                    raise Over
                return waiting.pop(0).encode()

        def say(text: bytes) -> None:
            if text == BUSY:
                return
            happened.append(f"answer {json.loads(text)['order']}")
            if len(happened) == 1:
                waiting.append(f"1 {size}")

        def catch_up(keeper: Any) -> None:
            happened.append("catch up")
            if len(happened) > 5:
                raise Over
            waiting.append(f"2 {size} {end}")

        Keeper.catch_up = catch_up  # type: ignore[assignment, method-assign]
        with contextlib.suppress(Over):
            _keeper_child.main(Lines(), say, str(tmp_path / "j"), str(tmp_path / "r.h5"), "False")  # type: ignore[arg-type]
        return json.dumps(happened)

    with contextlib.closing(Journal(tmp_path / "j", sync_interval=0)) as journal:
        journal.put(Record(Kind.IDENTITY, value={"rid": 5}))
        size = journal.size
        assert json.loads(in_a_fork(spoken)) == ["answer 0", "answer 1", "catch up", "answer 2"]


def test_one_that_fails_does_not_go_on_to_show_that_it_lives(tmp_path: Path) -> None:
    arguments = (str(tmp_path / "absent"), str(tmp_path / "r.h5"), "False")
    with Child("rexec.results._keeper_child", arguments, purpose="the keeper under test") as child:
        with pytest.raises(ChildLost):
            child.receive(150.0)
