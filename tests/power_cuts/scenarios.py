"""What is recorded, what it promises meanwhile, and how that is held against what a loss of power has left.

    python -m tests.power_cuts.scenarios NAME FOLDER        (in the recorder)

A scenario's program is told nothing of the cuts. It says by `promise` what must survive from then on. Its check opens a
folder as the next program does, and returns what is wrong.
"""

import contextlib
import json
import logging
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

import rexec.results
from devicedb.whole_file import write_all, write_whole
from rexec.access.audit_check import records
from rexec.access.audit_log import AuditLog
from rexec.bridge.output_file import OutputFile
from rexec.bridge.plan import BridgePlan
from rexec.catalogue.notes import comment, notes_of
from rexec.datasets import DatasetDB
from rexec.datasets.changes import DatasetChange
from rexec.record.recording import RecordingWriter
from rexec.record.records import read_records
from rexec.results import ResultsWriter, recover_folder, verify
from rexec.results.layout import next_rid, results_path
from rexec.results.reading.replay import changes
from schemas import RunIdentity
from tests.power_cuts.catalogue_scenario import CatalogueScenario
from tests.power_cuts.master_scenario import MasterScenario
from tests.power_cuts.recording import MARKS
from tests.power_cuts.scenario import Promise, Scenario

_WHEN: Final = datetime(2026, 11, 1, 12)


def _points(path: Path) -> tuple[list[float], int]:
    """Return the list of a result file, and how many images it holds a version of."""
    if problems := verify(path):
        raise AssertionError(f"{path.name}: {problems}")
    with h5py.File(path, "r") as file:
        datasets = file["datasets"]
        points = datasets["points"][()].tolist() if "points" in datasets else []
        image = int(datasets["image"][0, 0]) if "image" in datasets else -1
        return points, image


def _recovered(folder: Path) -> None:
    failed = [
        str(recovery) for recovery in recover_folder(folder) if recovery.outcome in {"failed", "running"}
    ]
    assert not failed, failed
    assert not [each for each in recover_folder(folder) if each.outcome != "running"], "recovered twice"


def _is_begin(points: list[float], least: int) -> str:
    if points != [float(n) for n in range(len(points))]:
        return f"the list is no begin of what was appended: {points!r:.80}"
    return "" if len(points) >= least else f"{least} points were synced, {len(points)} are left"


class Run(Scenario):
    """An experiment: claims a number, appends, sets an image, refreshes the file, and ends."""

    name = "run"
    process_from: int | None = None
    overwrite = False

    def prepare(self, folder: Path) -> None:
        if self.overwrite:
            with ResultsWriter.create(self._path(folder, 0), _identity(0), refresh_interval=0) as writer:
                writer.set("points", [-1.0], {})

    def _path(self, folder: Path, rid: int) -> Path:
        return folder / "own.h5" if self.overwrite else results_path(folder, rid, "Run", _WHEN)

    def run(self, folder: Path, promise: Promise) -> None:
        rid = next_rid(folder)
        promise({"rid": rid, "points": 0})
        writer = ResultsWriter.create(
            self._path(folder, rid),
            _identity(rid),
            overwrite=self.overwrite,
            refresh_interval=0 if self.process_from is None else 0.02,
            sync_interval=3600,
            process_from=self.process_from,
        )
        with writer:
            writer.set("points", [], {})
            number = 0
            while self.process_from is not None and writer._refresher.process is None:
                writer.set("points", [], {})
                time.sleep(0.02)
            for step in range(4):
                for _ in range(5):
                    writer.append("points", float(number))
                    number += 1
                writer.set("image", np.full((16, 16), float(step)), {"unit": "count"})
                if step % 2:
                    writer.snapshot()
                writer.sync()
                promise({"rid": rid, "points": number})
        promise({"rid": rid, "points": number, "finished": True})

    nothing: Any = {"rid": -1, "points": 0}  # noqa: RUF012

    def check(self, folder: Path, promised: Any) -> str:
        _recovered(folder)
        if promised["rid"] >= 0 and not self.overwrite and next_rid(folder) <= promised["rid"]:
            return f"run number {promised['rid']} is given twice"
        files = [path for path in folder.rglob("*.h5") if not path.name.startswith(".")]
        if not files:
            is_lost = promised["points"] or self.overwrite
            return f"{promised['points']} points were synced, no file is left" if is_lost else ""
        points, image = _points(files[0])
        if points == [-1.0]:
            return "" if self.overwrite and not promised["points"] else "the replaced file is back"
        if promised.get("finished") and (len(points), image) != (20, 3):
            return f"the run was finished, {len(points)} points and image {image} are left"
        return _is_begin(points, promised["points"])


class RunFoldedByAProcess(Run):
    """The same, with a process of its own that keeps the file."""

    name = "run, folded by a process"
    process_from = 1


class RunOverAFile(Run):
    """The same, over the file of an earlier run."""

    name = "run over a file"
    overwrite = True


class Recovery(Scenario):
    """`rexec results recover` of a killed run."""

    name = "recovery"

    def prepare(self, folder: Path) -> None:
        path = folder / "000000001-Run.h5"
        child = os.fork()
        if child == 0:
            writer = ResultsWriter.create(path, _identity(1), refresh_interval=0, sync_interval=3600)
            writer.set("points", [], {})
            for number in range(20):
                writer.append("points", float(number))
                if number == 10:
                    writer.snapshot()
            writer.sync()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0

    def run(self, folder: Path, promise: Promise) -> None:
        _recovered(folder)

    def check(self, folder: Path, promised: Any) -> str:
        _recovered(folder)
        return _is_begin(_points(folder / "000000001-Run.h5")[0], 20)


class Persistent(Scenario):
    """A master, or a run without one: sets, appends to and deletes datasets that persist."""

    name = "persistent datasets"

    def run(self, folder: Path, promise: Promise) -> None:
        with DatasetDB(folder / "dataset_db.mdb") as db:
            db.set("small", 0, persist=True)
            db.set("list", [0.5] * 2000, persist=True)
            promise({"small": 0, "list": 2000})
            for number in range(1, 12):
                db.set("small", number, persist=True)
                promise({"small": number, "list": 2000 + 2 * number - 2})
                for _ in range(2):
                    db.update({"action": "append", "path": ["list", 1], "x": 0.5})
                promise({"small": number, "list": 2000 + 2 * number})
        promise({"small": 11, "list": 2022, "closed": True})

    def check(self, folder: Path, promised: Any) -> str:
        with DatasetDB(folder / "dataset_db.mdb") as db:
            if db.unreadable:
                return f"unreadable: {db.unreadable}"
            found = {}
            for key in ("small", "list"):
                with contextlib.suppress(KeyError):
                    found[key] = db.get(key)
        if not promised:
            return ""
        if found.get("small", -1) < promised["small"]:
            return f"{promised['small']} was acknowledged, {found.get('small')} is left"
        length = len(found.get("list", ()))
        return (
            ""
            if length >= promised["list"]
            else f"{promised['list']} items were acknowledged, {length} are left"
        )


class Bridge(Scenario):
    """A bridge that records: files begin, rotate, and end."""

    name = "bridge"

    def run(self, folder: Path, promise: Promise) -> None:
        present: dict[str, Any] = {"points": [False, [], {}]}
        plan = BridgePlan(folder, "record", "test", rotate_size=1, rotate_every="never", refresh=0)
        with ThreadPoolExecutor(1) as executor:
            file = OutputFile(plan, "all", lambda: present, executor, lambda text: None)
            for number in range(24):
                present["points"][1].append(float(number))
                file.keep(DatasetChange("append", "points", value=float(number)))
                if number % 8 == 7:
                    assert file._writer is not None
                    file._writer.sync()
                    promise(number + 1)
                    file.tick()
            file.close()
        promise(24)

    def check(self, folder: Path, promised: Any) -> str:
        _recovered(folder)
        kept = [_replayed(path) for path in folder.rglob("*.h5") if not path.name.startswith(".")]
        problems = [problem for points in kept if (problem := _is_begin(points, 0))]
        most = max(map(len, kept), default=0)
        return (
            problems[0]
            if problems
            else ""
            if most >= promised
            else f"{promised} were synced, {most} are left"
        )


def _replayed(path: Path) -> list[float]:
    """Return the list of a recording as its changes add up."""
    if problems := verify(path):
        raise AssertionError(f"{path.name}: {problems}")
    points: list[float] = []
    with rexec.results.open(path) as run, contextlib.suppress(rexec.results.ResultsError):
        for change in changes(run, "points"):
            points = [*points, change.value] if change.what == "append" else list(change.value)
    return points


class WholeFile(Scenario):
    """`write_whole` and `write_all`, which certificates, exports and settings are written by."""

    name = "whole files"

    def run(self, folder: Path, promise: Promise) -> None:
        for number in range(5):
            write_whole(folder / "one", _numbered(number))
            promise(number)
        for number in range(5, 8):
            write_all(folder / "many", {name: _numbered(number) for name in "abc"})
            promise(number)

    nothing = -1

    def check(self, folder: Path, promised: Any) -> str:
        for path in [folder / "one", *(folder / "many" / name for name in "abc")]:
            least = min(promised, 4) if path.name == "one" else promised
            if not path.exists():
                if least >= (0 if path.name == "one" else 5):
                    return f"{path.name} was written, and is gone"
                continue
            content = path.read_bytes()
            number = content[0] if content else -1
            if number < 0 or content != _numbered(number):
                return f"{path.name} is torn"
            if number < least:
                return f"{path.name} holds {number}, {least} was written"
        return ""


class SessionRecording(Scenario):
    """`rexec record` over an earlier recording."""

    name = "recording of a session"
    overwrite = True

    def prepare(self, folder: Path) -> None:
        writer = RecordingWriter(folder / "session")
        writer.write({"kind": "old"})
        writer.close()

    def run(self, folder: Path, promise: Promise) -> None:
        writer = RecordingWriter(folder / "session", overwrite=self.overwrite)
        for number in range(5):
            writer.write({"kind": "call", "n": number, "pad": "x" * 300})
        writer.close()
        promise(5)

    def check(self, folder: Path, promised: Any) -> str:
        if not (folder / "session").exists():
            is_lost = promised or self.overwrite
            return "neither the old recording nor the new one is left" if is_lost else ""
        if not self.overwrite and not promised:
            return ""
        records = list(read_records((folder / "session").read_bytes(), "session"))
        new = [record["n"] for record in records if record.get("kind") == "call"]
        if new != list(range(len(new))) or len(new) < promised:
            return f"{promised} calls were recorded, {new} are left"
        return ""


class FirstRecording(SessionRecording):
    """`rexec record` into a new file."""

    name = "first recording of a session"
    overwrite = False

    def prepare(self, folder: Path) -> None:
        pass


class Notes(Scenario):
    """`rexec results comment` beside a result file."""

    name = "notes"

    def run(self, folder: Path, promise: Promise) -> None:
        for number in range(1, 5):
            comment(folder / "own.h5", f"comment {number}")
            promise(number)

    def check(self, folder: Path, promised: Any) -> str:
        found = notes_of(folder / "own.h5").comment
        number = int(found.rpartition(" ")[2]) if found else 0
        return "" if number >= promised else f"comment {promised} was kept, {found!r} is left"


class Audit(Scenario):
    """A server's audit. It is not synced: after a cut it goes on, and says where its chain is broken."""

    name = "audit"

    def run(self, folder: Path, promise: Promise) -> None:
        log = AuditLog(folder / "camera.jsonl", limit=1500)
        for number in range(12):
            log.append("connection", {"number": number})
        log.close()

    def check(self, folder: Path, promised: Any) -> str:
        path = folder / "camera.jsonl"
        log = AuditLog(path)
        log.append("connection", {"number": -1})
        log.close()
        last = [found for _, found in records(path)][-1]
        return "" if isinstance(last, dict) and last.get("number") == -1 else f"the last line is {last!r:.80}"


def _numbered(number: int) -> bytes:
    return bytes([number]) * (600 + 2000 * number)


def _identity(rid: int) -> RunIdentity:
    return RunIdentity(rid=rid, class_name="Run", start_time=1e9)


SCENARIOS: Final[dict[str, Scenario]] = {
    each.name: each
    for each in (
        Run(),
        RunFoldedByAProcess(),
        RunOverAFile(),
        Recovery(),
        Persistent(),
        MasterScenario(),
        Bridge(),
        WholeFile(),
        SessionRecording(),
        FirstRecording(),
        Notes(),
        CatalogueScenario(),
        Audit(),
    )
}


def main() -> None:
    """Be the program of a scenario."""
    name, folder = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    marks = os.open(os.environ[MARKS], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def promise(what: Any) -> None:
        os.write(marks, json.dumps({"mark": what}).encode() + b"\n")

    SCENARIOS[name].run(Path(folder), promise)


if __name__ == "__main__":
    main()
