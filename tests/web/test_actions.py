"""What the page may do: nothing without --control, and then by rights, confirmed, written down first."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rexec.access.identity import Identity
from rexec.results.journal.records import Kind, Record
from rexec.results.journal.writer import Journal
from rexec.results.layout import journal_path
from rexec.results.status import status_of
from rexec.web.actions import ActionRefused, ActionTargets, PageActions, entry_rights, new_value
from rexec.web.labels import label
from tests.serving import running
from tests.waiting import within
from tests.web.conftest import enter
from tests.web.served import Served, served
from tests.web.test_browser_devices import database, entry
from tests.web.test_browser_runs import write


def act(lab: Served, order: dict[str, Any], **headers: str) -> tuple[int, Any]:
    found = {"origin": lab.address.rstrip("/"), "cookie": lab.cookie(), "content_type": "application/json"}
    status, _, content = lab.ask("/api/act", "POST", json.dumps(order), **{**found, **headers})
    return status, json.loads(content) if content[:1] == b"{" else content


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(each) for each in path.read_text(encoding="utf-8").splitlines()]


def test_a_page_that_only_reads_has_no_way_to_act() -> None:
    with served() as lab:
        lab.datasets.set("a", 1.0)
        assert act(lab, {"do": "set", "dataset": 1, "value": "2"})[0] == 404
        assert lab.datasets.get("a") == 1.0


def test_an_action_needs_origin_cookie_and_json(tmp_path: Path) -> None:
    with served(audit=tmp_path / "audit") as lab:
        lab.datasets.set("a", 1.0)
        order = {"do": "set", "dataset": 1, "value": "2", "instance": "that of an earlier start"}
        assert act(lab, order) == (
            409,
            {"problem": "rexec web was started again since the page was opened: ask once more"},
        )
        assert act(lab, order, cookie="")[0] == 401
        assert act(lab, order, origin="https://evil.example")[0] == 403
        assert act(lab, order, content_type="text/plain")[0] == 409
        assert lab.datasets.get("a") == 1.0
        assert lab.ask("/api/act", cookie=lab.cookie())[0] == 405


def test_a_dataset_is_set_and_written_down(tmp_path: Path, tab: Any) -> None:
    audit = tmp_path / "audit"
    with served(audit=audit) as lab:
        lab.datasets.set("a", 1.0, True, {"unit": "K"})
        tab.goto(lab.url)
        tab.click("[aria-label='Set a']")
        tab.fill("dialog input", "nonsense")
        tab.click("text=Do it")
        tab.wait_for_selector("dialog >> text='nonsense' is no float to take its place")
        tab.fill("dialog input", "2.5")
        tab.keyboard.press("Enter")
        tab.wait_for_selector("dialog", state="detached")
        tab.wait_for_selector("text=2.5 K")
        assert lab.datasets.get_entry("a") == (True, 2.5, {"unit": "K"})
        found = lines(audit)
        assert [(each["kind"], each["action"], each["of"]) for each in found] == [("act", "set", "a")]
        assert found[0]["person"]
        tab.click("[aria-label='Set a']")
        tab.keyboard.press("Escape")
        tab.wait_for_selector("dialog", state="detached")
        assert len(lines(audit)) == 1
    shown = subprocess.run(
        [sys.executable, "-P", "-m", "rexec", "audit", "show", str(audit)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "set a" in shown.stdout


class Supervisor:
    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []

    def status(self) -> list[dict[str, Any]]:
        return [{"name": name, "address": "", "state": "up", "memory": 1} for name in ("camera", "laser")]

    def restart(self, name: str) -> None:
        self.done.append(("restart", name))

    def retry_now(self, name: str) -> None:
        self.done.append(("retry", name))


ODD = "\x1b" + "x" * 400


def test_a_controller_is_restarted_by_who_may(tmp_path: Path, tab: Any) -> None:
    supervisor, audit = Supervisor(), tmp_path / "audit"
    with running({"ctlmgr": supervisor}) as server:
        closed = {**entry(1), "allow": {"nobody-here": ["rexec"], "*": ["read"]}}
        file = database(tmp_path, camera=entry(1), laser=closed, **{ODD: entry(1)})
        with served(device_db=file, supervisor=("127.0.0.1", server.port), audit=audit) as lab:
            enter(tab, lab, "devices/camera")
            tab.click("text=Restart…")
            tab.wait_for_selector("dialog >> text=Its users are disconnected")
            tab.click("text=Do it")
            tab.wait_for_selector("dialog", state="detached")
            assert supervisor.done == [("restart", "camera")]
            status, _ = act(lab, {"do": "retry", "device": "laser"})
            if os.name == "posix":
                # The one who runs the page runs the controllers: only a certificate of another name is refused.
                assert status == 200
            assert act(lab, {"do": "restart", "device": "nothing"})[0] == 409
            assert act(lab, {"do": "restart", "device": label(ODD)})[0] == 200
            assert supervisor.done[-1] == ("restart", ODD)
    with pytest.raises(ActionRefused):
        raise ActionRefused(entry_refusal(file))
    assert lines(audit)[0]["action"] == "restart"


def entry_refusal(file: Path) -> str:
    from devicedb import load_file
    from rexec.access.rights import Right

    who = Identity("mallory", "certificate", "")
    rights = entry_rights(load_file(file), "laser")
    assert rights.of(who) < Right.CALL
    return rights.refusal(who, "restart the controller", Right.CALL)


def test_a_run_is_noted(tmp_path: Path, tab: Any) -> None:
    path = write(tmp_path, 1, {"x": np.arange(3.0), "y": np.arange(3.0)})
    with served(with_master=False, results=tmp_path, audit=tmp_path / "audit") as lab:
        enter(tab, lab, f"runs/2026-11-26/09/{path.name}")
        tab.click("text=Comment…")
        tab.fill("dialog input", "good <b>contrast</b>")
        tab.click("text=Do it")
        tab.wait_for_selector("dialog", state="detached")
        tab.goto(f"{lab.address}runs")
        tab.wait_for_selector("text=good <b>contrast</b>")
        name = f"2026-11-26/09/{path.name}"
        assert act(lab, {"do": "tag", "file": name, "text": "paper"})[0] == 200
        assert act(lab, {"do": "tag", "file": name, "text": "two words"})[0] == 409
        assert act(lab, {"do": "end", "file": name})[1] == {"problem": "this run does not go on any more"}
        assert act(lab, {"do": "comment", "file": "../x.h5", "text": ""})[0] == 409
        assert act(lab, {"do": "comment", "file": name, "text": {"a": 1}})[1] == {
            "problem": "a text is needed"
        }


EXPERIMENT = """
from rexec.experiment import *
class Long(EnvExperiment):
    def build(self):
        self.setattr_device("scheduler")
    def run(self):
        self.set_dataset("a", 1.0)
        while not self.scheduler.check_termination():
            import time
            time.sleep(0.05)
"""


@pytest.mark.skipif(os.name != "posix", reason="a run is ended by a signal")
def test_a_run_is_ended_in_order(tmp_path: Path) -> None:
    (tmp_path / "device_db.py").write_text("device_db = {}\n", encoding="utf-8")
    (tmp_path / "long.py").write_text(EXPERIMENT, encoding="utf-8")
    command = [sys.executable, "-P", "-m", "rexec", "run", "-q", "long.py"]
    process = subprocess.Popen(
        command, cwd=tmp_path, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
    )
    try:
        with served(with_master=False, results=tmp_path / "results", audit=tmp_path / "audit") as lab:
            folder = tmp_path / "results"
            assert within(150, lambda: list(folder.glob("*/*/*.journal")))
            name = next(folder.glob("*/*/*.journal")).relative_to(folder).as_posix().removesuffix(".journal")
            assert within(150, lambda: act(lab, {"do": "end", "file": name})[0] == 200)
            process.wait(150)
            assert lines(tmp_path / "audit")[-1]["action"] == "end"
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(os.name != "posix", reason="a run is ended by a signal")
def test_a_journal_that_names_a_process_that_does_not_write_it_ends_none(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        for number, pid in enumerate((other.pid, 0, -1, -os.getpgrp(), 1, 10**30)):
            path = tmp_path / f"{number:09}-Evil.h5"
            journal = Journal(journal_path(path))
            journal.put(Record(Kind.IDENTITY, value={"pid": pid}))
            journal.sync()
            assert (status_of(path).state, status_of(path).pid) == ("running", pid)
            actions = PageActions(ActionTargets(None, None, None, None), None)  # type: ignore[arg-type]
            with pytest.raises(ActionRefused, match="which does not write it"):
                asyncio.run(actions.end_run(Identity("me", "kernel", ""), path))
            journal.close()
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize(
    ("present", "text", "value"),
    [
        (1.5, "2", 2.0), (1, "3", 3), (True, "false", False), ("a", "b c", "b c"), (np.int32(1), "3", np.int32(3)),
        (np.float32(1), "2", np.float32(2)), (np.float64(1), "2.5", np.float64(2.5)), (np.bool_(1), "false", np.False_),
    ],
)  # fmt: skip
def test_a_typed_value_is_of_the_kind_of_the_present_one(present: Any, text: str, value: Any) -> None:
    found = new_value(present, text)
    assert (found, type(found)) == (value, type(present))


@pytest.mark.parametrize(
    ("present", "text"),
    [(1, "1.5"), (1.0, "x"), (1.0, "true"), (True, "1"), ([1], "[2]"), (None, "1"), (1, "__import__('os')"),
     (np.int8(1), "300"), (np.int32(1), "1.5"), (np.bool_(1), "0"), (1.0, "NaN"), (1.0, "1e999"), (1, "1" * 400),
     (np.zeros(1), "1"), (np.datetime64("2026"), "2027")],
)  # fmt: skip
def test_what_is_no_value_is_refused(present: Any, text: str) -> None:
    with pytest.raises(ActionRefused):
        new_value(present, text)
