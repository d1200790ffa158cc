"""A server's loop and its I/O thread record in one audit."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from rexec.access.audit_log import AuditLog
from rexec.access.chain import head_of, head_text, read_line
from rexec.access.guard import AccessGuard
from rexec.access.identity import Identity
from tests.clock import set_clock
from tests.threads.interleaving import Race
from tests.threads.interrupting import interrupted_everywhere

FILES = ("rexec/access/audit_log.py",)
_numbers = itertools.count()


def begun(folder: Path) -> AuditLog:
    log = AuditLog(folder / f"{next(_numbers)}.jsonl")
    log.append("start", {})
    return log


def lines(log: AuditLog) -> Any:
    log.close()
    return written(log)


def written(log: AuditLog) -> Any:
    """Return the lines, whose chain must be whole."""
    text = log.path.read_bytes()
    found = [read_line(each) for each in text.splitlines(keepends=True)]
    assert [each["n"] for each in found] == list(range(1, len(found) + 1))
    assert all(one["hash"] == other["prev"] for one, other in itertools.pairwise(found))
    assert head_of(log.path).read_bytes() == head_text(len(found), found[-1]["hash"])
    return [(each["kind"], each.get("source"), each.get("lost")) for each in found]


PAIRS: dict[str, tuple[Any, Any]] = {
    "two lines": (lambda log: log.append("a", {}), lambda log: log.append("b", {})),
    "the same code twice": (lambda log: log.append_code({}, "x=1"), lambda log: log.append_code({}, "x=1")),
}


@pytest.mark.parametrize("name", PAIRS)
def test_lines_of_two_threads_are_a_chain(tmp_path: Path, name: str) -> None:
    first, second = PAIRS[name]
    Race(lambda: begun(tmp_path), first, second, lines, FILES).check()


def test_a_line_at_the_end_is_written_or_refused(tmp_path: Path) -> None:
    def append(log: AuditLog) -> bool:
        try:
            log.append("a", {})
        except OSError:
            return False
        return True

    Race(lambda: begun(tmp_path), append, lambda log: log.close(), written, FILES).check()


def test_a_line_that_is_interrupted_is_whole_or_absent(tmp_path: Path) -> None:
    def check(log: AuditLog, raised: bool, where: str) -> None:
        log.append("next", {})
        kinds = [kind for kind, *_ in lines(log)]
        assert kinds in (["start", "code", "next"], ["start", "next"][: 3 if raised else 0]), where

    interrupted_everywhere(lambda: begun(tmp_path), lambda log: log.append_code({}, "x = 1"), check, FILES)


class Stranger:
    peer, target_name, granted, was_refused = "192.0.2.1:1", "", None, False
    identity = Identity("somebody", "claimed", "192.0.2.1")


class Guarded:
    """A guard, and a client that may still cause one record."""

    def __init__(self, folder: Path) -> None:
        self.log = begun(folder)
        self.guard = AccessGuard(audit=self.log)
        self.guard._budget._left["192.0.2.1"] = 1.0, float("inf"), 7

    def record(self) -> None:
        stranger: Any = Stranger()
        self.guard.record_bounded("refused", stranger, {})

    def seen(self) -> Any:
        self.log.close()
        found = [json.loads(line) for line in self.log.path.read_bytes().splitlines()]
        return [each.get("dropped") for each in found if each["kind"] == "refused"], self.guard._budget._left


def test_two_threads_share_the_budget_of_a_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_clock(monkeypatch, "rexec.access.record_budget", monotonic=lambda: 0.0)
    Race(
        lambda: Guarded(tmp_path), Guarded.record, Guarded.record, Guarded.seen, ("access/record_budget.py",)
    ).check()
