"""The parts of supervision: selection, output, sources."""

import io
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from devicedb import DeviceDatabase, from_dict
from rexec.supervise import selection as selection_module
from rexec.supervise import sources
from rexec.supervise.output import LONGEST, Output
from rexec.supervise.selection import Selector
from tests.ground.forking import ends, program, said
from tests.waiting import within


def test_records_of_several_lines_keep_their_level(caplog: pytest.LogCaptureFixture) -> None:
    text = b"plain\nWARNING<3>:lamp:first\nsecond\nthird\nDEBUG:lamp:x\nlast \xff\n"
    with caplog.at_level(logging.DEBUG):
        output = Output("lamp", io.BytesIO(text), keep=3)
        assert output.tail(5.0) == ["third", "DEBUG:lamp:x", "last \ufffd"]
    found = [(level, said) for name, level, said in caplog.record_tuples if name == "controller.lamp"]
    assert found == [
        (logging.INFO, "plain"),
        (logging.WARNING, "lamp:first\nsecond\nthird"),
        (logging.DEBUG, "lamp:x"),
        (logging.INFO, "last \ufffd"),
    ]


def controllers(**entries: dict[str, Any]) -> DeviceDatabase:
    base = {"type": "controller", "host": "127.0.0.1", "command": "x -p {port}"}
    return from_dict({name: {**base, **each} for name, each in entries.items()}, "db")


def test_two_controllers_do_not_start_at_one_place(tmp_path: Path) -> None:
    selection = Selector([], tmp_path).select(controllers(a={"port": 1}, b={"port": 1}, c={"port": 2}))
    assert list(selection.specs) == ["a", "c"]
    assert "controller 'a' has the same address 127.0.0.1:1" in selection.left_out["b"]
    assert selection.is_final


def test_a_host_that_does_not_resolve_any_more_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"lab1": frozenset({"127.0.0.1"})}
    monkeypatch.setattr(
        selection_module, "resolve_all", lambda hosts: {h: known.get(h, frozenset()) for h in hosts}
    )
    selector = Selector([], tmp_path)
    database = controllers(a={"host": "lab1", "port": 1}, b={"host": "lab2", "port": 2})
    first = selector.select(database)
    assert (list(first.specs), first.left_out) == (["a"], {"b": "host 'lab2' does not resolve"})
    assert not first.is_final
    known.clear()  # the name server is gone
    assert list(selector.select(database).specs) == ["a"]
    known["lab2"] = frozenset({"127.0.0.1"})  # and comes back
    known["lab1"] = frozenset({"192.0.2.9"})  # with lab1 on another machine
    last = selector.select(database)
    assert list(last.specs) == ["b"]
    assert "host 'lab1' is 192.0.2.9, none of this machine's addresses" in last.left_out["a"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs process groups")
def test_controllers_end_with_a_killed_supervisor_whose_fork_lives_on() -> None:
    # The forked process holds the guardian's standard input open.
    text = """
        import os, subprocess, time
        from rexec.supervise.guardian import Guardian
        controller = subprocess.Popen(["sleep", "60"], start_new_session=True)
        Guardian().watch(controller.pid)
        print(controller.pid, flush=True)
        if os.fork():
            print("forked", flush=True)
        time.sleep(60)
    """
    with program(text) as supervisor:
        controller = int(said(supervisor))
        assert said(supervisor) == "forked"
        supervisor.kill()
        supervisor.wait(150)
        assert ends(controller)


def test_a_line_without_end_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        Output("lamp", io.BytesIO(b"x" * (LONGEST + 10))).tail(5.0)
    assert [len(said) for name, _, said in caplog.record_tuples if name == "controller.lamp"] == [LONGEST, 10]


def test_a_device_database_that_never_ends_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sources, "SLOW", 0.2)
    path = tmp_path / "device_db.py"
    path.write_text("device_db = {}\n")
    source = sources.FileSource(path)
    release = tmp_path / "release"
    path.write_text(
        f"import os, time\nwhile not os.path.exists({str(release)!r}): time.sleep(0.02)\ndevice_db = []\n"
    )
    assert within(150, lambda: source.poll() or "has been running for over 0.2 s" in caplog.text)
    assert source.database.raw == {}
    release.touch()
    assert within(150, lambda: source.poll() or "`device_db` is of type list" in caplog.text)
    assert source.database.raw == {}


def test_a_file_beside_the_device_database_is_followed_too(tmp_path: Path) -> None:
    path, sibling = tmp_path / "device_db.py", tmp_path / "lab_ports.py"
    sibling.write_text("entries = {}\n")
    path.write_text("from lab_ports import entries\ndevice_db = entries\n")
    source = sources.FileSource(path)
    sibling.write_text("entries = {'a': 'b'}\n")
    assert within(150, source.poll)
    assert source.database.raw == {"a": "b"}
