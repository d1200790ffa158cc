"""The table of `rexec up`: what somebody sees at night."""

import io

from rich.console import Console

from rexec.cli._up_display import duration, table
from rexec.supervise.status import Status

NOW = 1_000_000.0


def shown(
    found: list[Status], left_out: dict[str, str] | None = None, height: int = 40, width: int = 80
) -> str:
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(table(found, left_out or {}, {7: 42_000_000}, NOW, height))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def well(name: str) -> Status:
    return Status(name, "::1:1", "up", 7, NOW - 600, 1, NOW - 11, 0.0031)


def test_a_row_fits_into_eighty_columns() -> None:
    assert [line.rstrip() for line in shown([well("camera")]).splitlines()] == [
        "controller  state  pid  uptime  restarts  last ping       memory",
        "camera      up     7    10 min  1         3 ms, 11 s ago  42 MB",
    ]


def test_what_is_wrong_is_below_and_cut_not_the_table() -> None:
    busy = Status(
        "eye", "x", "busy", 7, NOW - 9000, 0, NOW - 420, 0.01, NOW - 400, reason="no answer for 400 s: " * 9
    )
    dead = Status("lamp", "x", "waiting", restarts=3, retry_at=NOW + 12, reason="ended with status 1\n  more")
    *rows, first, second, third = shown([busy, dead], {"far": "x", "off": "y"}).splitlines()
    assert rows[1].split()[:4] == ["eye", "busy", "7", "min"]
    assert rows[2].split() == ["lamp", "waiting,", "again", "in", "12", "s", "3"]
    assert first.startswith("eye: no answer for 400 s")
    assert first.rstrip().endswith("…")
    assert second.rstrip() == "lamp: ended with status 1"
    assert third.rstrip() == "not run here: far, off"


def test_where_they_do_not_fit_those_in_trouble_are_shown() -> None:
    found = [well(f"d{number}") for number in range(100)]
    found[90] = Status("sick", "x", "waiting", reason="no bus")
    text = shown(found, height=20)
    assert len(text.splitlines()) <= 20
    assert "sick" in text.splitlines()[1]
    assert "84 more are up" in text


def test_durations_are_as_people_say_them() -> None:
    assert [duration(each) for each in (1, 119, 120, 7199, 7200, 172_800)] == [
        "1 s", "119 s", "2 min", "120 min", "2 h", "2 d",
    ]  # fmt: skip
