"""Makes folders of results: runs of ours, of ARTIQ, of bridges, killed ones, and what else lies about."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

from rexec.datasets import Dataset
from rexec.results import results_path, write_results
from schemas import GitState, RunIdentity

BEGIN: Final = datetime(2026, 11, 2, 9, 0).timestamp()
"""When the first run of a laboratory was built: a Monday."""


def made(
    folder: Path, rid: int, class_name: str = "Ramsey", *, values: dict[str, Any] | None = None, **fields: Any
) -> Path:
    """Write the result file of a run, an hour after the one before; return its path."""
    when = BEGIN + 3600 * rid
    arguments = fields.pop("arguments", {"phase": rid * 0.1})
    expid = {"file": "scan.py", "class_name": class_name, "arguments": arguments}
    identity = RunIdentity(
        rid=rid, class_name=class_name, start_time=when, file="/lab/scan.py", expid=expid, **fields
    )
    path = results_path(folder.parent, rid, class_name, datetime.fromtimestamp(when))
    assert path.is_relative_to(folder)
    return write_results(path, identity, {"signal": np.arange(4.0)} if values is None else values)


def made_by_artiq(path: Path, rid: int | None, *, start: float = BEGIN, **values: Any) -> Path:
    """Write a file as ARTIQ does; without a number as `artiq_run -o` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_group("archive")
        group = file.create_group("datasets")
        for name, value in values.items():
            group[name] = value
        if rid is not None:
            file["rid"], file["start_time"], file["run_time"] = rid, start, start + 1
            file["artiq_version"] = "9.0"
            file["expid"] = '{"file": "x.py", "class_name": "Flop", "arguments": {"n": 5, "label": "old"}}'
    return path


def laboratory(folder: Path, count: int, seed: int = 1) -> list[Path]:
    """Write so many runs of all kinds, and return their paths."""
    chance = random.Random(seed)
    paths = []
    for rid in range(count):
        class_name = chance.choice(["Ramsey", "Rabi", "Flop"])
        if chance.random() < 0.2:
            name = results_path(folder.parent, rid, class_name, datetime.fromtimestamp(BEGIN + 3600 * rid))
            paths.append(
                made_by_artiq(name, rid, start=BEGIN + 3600 * rid, x=chance.random(), trace=np.arange(3))
            )
            continue
        arguments: dict[str, Any] = {"phase": round(chance.uniform(0, 1), 2), "n": chance.randrange(5)}
        if chance.random() < 0.5:
            arguments["mode"] = chance.choice(["fast", "slow", "5ms", "yes"])
        if chance.random() < 0.3:
            arguments["scan"] = {"ty": "RangeScan", "start": 0.0, "stop": 1.0}
        values: dict[str, Any] = {
            "exposure": Dataset(chance.choice([1e-3, 5e-3, 0.02]), {"unit": "ms"}),
            "gain": chance.choice([1, 2, 10]),
        }
        if chance.random() < 0.5:
            values["signal"] = np.arange(4.0)
            values["good"] = chance.random() < 0.5
        git = GitState("/lab", chance.choice(["a" * 40, "b" * 40]), "main", dirty=chance.random() < 0.5)
        paths.append(
            made(
                folder,
                rid,
                class_name,
                values=values,
                arguments=arguments,
                git=git,
                host=chance.choice(["lab1", "lab2"]),
                person=chance.choice(["alice", "bob"]),
                simulated=["camera"] if chance.random() < 0.2 else [],
                device_db_sha256=chance.choice(["1" * 64, "2" * 64]),
                sources={chance.choice(["c" * 64, "d" * 64]): "pass"},
            )
        )
    return paths


def settled(folder: Path) -> None:
    """Make all files and folders look an hour and more old, so that nothing is looked at because it is young."""
    before = time.time() - 7200
    for path in [folder, *folder.rglob("*")]:
        if path.name != ".index.sqlite":
            os.utime(path, (before, before))


_GOING: Final = """
import sys, pathlib
from rexec.results import ResultsWriter
from schemas import RunIdentity
path = pathlib.Path(sys.argv[1])
path.parent.mkdir(parents=True, exist_ok=True)
expid = {"class_name": "Ramsey", "arguments": {"phase": 0.5}}
identity = RunIdentity(rid=int(sys.argv[2]), class_name="Ramsey", start_time=float(sys.argv[3]), expid=expid)
writer = ResultsWriter.create(path, identity, refresh_interval=0)
writer.set("late", 7, {})
print("going", flush=True)
sys.stdin.read()
"""


@contextmanager
def going(path: Path, rid: int) -> Iterator[subprocess.Popen[str]]:
    """Keep a run going in a process, which is killed at the end."""
    command = [sys.executable, "-c", _GOING, str(path), str(rid), str(BEGIN + 3600 * rid)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "going\n"
        try:
            yield process
        finally:
            process.kill()
            process.wait(150)
