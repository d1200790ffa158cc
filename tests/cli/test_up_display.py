"""The table of `rexec up`: what somebody sees at night."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from rexec.cli._up_display import duration, table
from rexec.devices.uses import DeviceUser
from rexec.laboratory import ControllerFact
from rexec.supervise.status import ControllerStatus

NOW = 1_000_000.0


def shown(
    found: list[ControllerStatus], left_out: dict[str, str] | None = None, height: int = 40, width: int = 80
) -> str:
    console = Console(file=io.StringIO(), width=width, height=height, legacy_windows=False)
    facts = {
        each.name: ControllerFact(each.name, place, each, memory=42_000_000 if each.pid else None)
        for place, each in enumerate(found)
    }
    facts.update((name, ControllerFact(name, left_out=reason)) for name, reason in (left_out or {}).items())
    console.print(table(facts, NOW, height, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def well(name: str) -> ControllerStatus:
    return ControllerStatus(name, "::1:1", "up", 7, NOW - 600, 1, NOW - 11, 0.0031)


def test_a_row_fits_into_eighty_columns() -> None:
    assert [line.rstrip() for line in shown([well("camera")]).splitlines()] == [
        "controller  state  pid  uptime  restarts  last ping       memory",
        "camera      up     7    10 min  1         3 ms, 11 s ago  42 MB",
    ]


def test_who_uses_a_controller_stands_beside_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rexec.devices.leases.time", SimpleNamespace(time=lambda: NOW))
    users = (
        DeviceUser("run 41", "alice", "pc3", "certificate", since=NOW - 11.7),
        DeviceUser("run 42", "bob", "pc4", since=NOW, is_waiting=True),
    )
    fact = ControllerFact("camera", 0, well("camera"), users=users)
    console = Console(file=io.StringIO(), width=80, legacy_windows=False)
    console.print(table({"camera": fact}, NOW, 40, 80))
    assert isinstance(console.file, io.StringIO)
    heading, row = (line.rstrip() for line in console.file.getvalue().splitlines())
    assert heading.startswith("controller  state  pid  used by  ")
    assert row.startswith("camera      up     7    run 41 of alice@pc3, since 12 s; 1 more waits  10 min")


@pytest.mark.parametrize("width", [30, 40, 60])
def test_name_state_and_pid_are_whole_at_any_width(width: int) -> None:
    name = "camera_of_the_trap"
    heading, row = shown([well(name)], width=width).splitlines()
    assert heading.split()[:3] == ["controller", "state", "pid"]
    assert row.split()[:3] == [name, "up", "7"]
    assert "…" not in heading + row


def test_what_is_wrong_is_below_and_cut_not_the_table() -> None:
    busy = ControllerStatus(
        "eye", "x", "busy", 7, NOW - 9000, 0, NOW - 420, 0.01, NOW - 400, reason="no answer for 400 s: " * 9
    )
    dead = ControllerStatus(
        "lamp", "x", "waiting", restarts=3, retry_at=NOW + 12, reason="ended with status 1\n  more"
    )
    *rows, first, second, third = shown([busy, dead], {"far": "x", "off": "y"}).splitlines()
    assert rows[1].split()[:4] == ["eye", "busy", "7", "min"]
    assert rows[2].split() == ["lamp", "waiting,", "again", "in", "12", "s", "3"]
    assert first.startswith("eye: no answer for 400 s")
    assert first.rstrip().endswith("…")
    assert second.rstrip() == "lamp: ended with status 1"
    assert third.rstrip() == "not run here: far, off"


def test_where_they_do_not_fit_those_in_trouble_are_shown() -> None:
    found = [well(f"d{number}") for number in range(100)]
    found[90] = ControllerStatus("sick", "x", "waiting", reason="no bus")
    text = shown(found, height=20)
    assert len(text.splitlines()) <= 20
    assert "sick" in text.splitlines()[1]
    assert "84 more are up" in text


def test_durations_are_as_people_say_them() -> None:
    assert [duration(each) for each in (1, 119, 120, 7199, 7200, 172_800)] == [
        "1 s", "119 s", "2 min", "120 min", "2 h", "2 d",
    ]  # fmt: skip
