"""Compares `rexec run` with ARTIQ: `python -m tests.campaigns.artiq_run`.

Each case of tests/campaigns/artiq_cases.py runs by `artiq_run` and by our runner, those that say something by an ARTIQ
master, too. What is compared: whether the run is accepted and its exit status, what it prints, every dataset of the
HDF5 file with its form and attributes, and the expid (the master's). ARTIQ's side needs an interpreter that has ARTIQ
(ARTIQ_PYTHON; of several, each is compared). The arguments of our expids go back to `artiq_run`, as a dashboard takes
them from our result files.
"""

import argparse
import contextlib
import io
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import h5py

from devicedb import from_dict
from devicedb.cli.console import TerminalConsole
from rexec.cli._ending import tell_error
from rexec.datasets import DatasetDB, DatasetManager
from rexec.devices import DeviceManager
from rexec.experiment import ExperimentError
from rexec.experiment.argument_manager import ArgumentManager
from rexec.experiment.identity import expid
from rexec.experiment.interrupts import Interrupts
from rexec.experiment.lifecycle import Hooks, RunOutcome, live
from rexec.experiment.loading import choose_class, importable
from rexec.experiment.runner import RunPlan, imported, run
from rexec.experiment.stand_ins import CCB, Scheduler, Termination
from rexec.testing import QuietWatcher
from rexec.wire import pyon, pyon_v1
from rexec.wire.pc_rpc import Client
from tests.campaigns.artiq_cases import CASES, Case
from tests.campaigns.artiq_observed import FILE, contents
from tests.interop.artiq import PYTHONS, program, release
from tests.serving import free_port

Observed = dict[str, Any]

ROOT: Final = Path(__file__).resolve().parents[2]
RECORDED: Final = ROOT / "tests" / "experiment" / "artiq_recorded.json"
_FIRST: Final = 8
"""The release whose language the cases are written in."""
_PYON_2: Final = 9
"""The release whose reference library always writes and reads PYON v2."""
_OF_PYON_2: Final = ("NaN", "Infinity", "PYONValue(", "np.float64(0)")
"""Parts of the names of cases that an older PYON tells apart: numbers beyond it, the text of a value, our expids."""
PATIENCE: Final = 20.0
"""Seconds for ARTIQ to run one case."""


def given(case: Case) -> dict[str, Any]:
    """Return the arguments of a case as a client sends them."""
    pairs = (word.split("=", 1) for word in case.words)
    return {key: pyon.decode(text) for key, text in pairs}


def ours(case: Case, folder: Path, *, is_whole: bool) -> Observed:
    """Run a case by our runner, in this process.

    Args:
        case: The case.
        folder: An empty folder.
        is_whole: Whether to write a result file; without, the datasets are written as they are.

    """
    file = folder / FILE
    file.write_text(case.source.replace("artiq.experiment", "rexec.experiment"))
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), DatasetDB(None) as db:
            outcome, made, found = (_whole if is_whole else _light)(case, file, db)
    except ExperimentError as refused:
        return {"status": 2, "error": str(refused), "said": said.getvalue().splitlines(), "datasets": {}}
    error = outcome.error
    return {
        "status": tell_error(outcome, file, TerminalConsole(file=io.StringIO())),
        "error": f"{type(error).__name__}: {error}" if error is not None else "",
        "said": said.getvalue().splitlines(),
        "datasets": found if error is None else {},
        "expid": _shown(made) if made is not None else None,
    }


def _shown(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of an expid that are compared, as plain values."""
    arguments = {key: repr(value) for key, value in sent["arguments"].items()}
    return {"class_name": sent["class_name"], "log_level": sent["log_level"], "arguments": arguments}


def _whole(case: Case, file: Path, db: DatasetDB) -> tuple[RunOutcome, Any, dict[str, Any]]:
    plan = RunPlan(file, case.class_name, given(case), from_dict({}, "device_db.py"), db, root=file.parent)
    report = run(plan, QuietWatcher())
    if report.path is None:
        return report.outcome, None, {}
    with h5py.File(report.path) as result:
        made = pyon.decode(result["expid"].asstr()[()])
    return report.outcome, made, contents(report.path)


def _light(case: Case, file: Path, db: DatasetDB) -> tuple[RunOutcome, Any, dict[str, Any]]:
    termination = Termination()
    arguments, datasets = ArgumentManager(given(case)), DatasetManager(db)
    with importable([file.parent]):
        name, experiment = choose_class(imported(file), file, case.class_name)
        scheduler = Scheduler(0, expid(file, name, arguments, {}, 30), termination)
        devices = DeviceManager(from_dict({}, "device_db.py"), {"scheduler": scheduler, "ccb": CCB()})
        hooks = Hooks(phase=lambda _: None, built=lambda: None, running=lambda _: None)
        outcome = live(experiment, devices, datasets, arguments, scheduler, Interrupts(termination), hooks)
    path = file.with_suffix(".h5")
    with h5py.File(path, "w") as result:
        for key, dataset in datasets.local.items():
            result[f"datasets/{key}"] = dataset.value
    return outcome, expid(file, name, arguments, arguments.given, 30), contents(path)


def by_artiq_run(python: str, cases: Sequence[Case], folder: Path) -> dict[str, Observed]:
    """Run cases by `artiq_run`."""
    done = subprocess.run(
        [python, "-W", "ignore", str(Path(__file__).with_name("artiq_observed.py")), str(folder)],
        input=json.dumps([[each.name, each.source, each.class_name, each.words] for each in cases]),
        capture_output=True, text=True, check=True, timeout=PATIENCE * len(cases),
    )  # fmt: skip
    observed: dict[str, Observed] = json.loads(done.stdout)
    return observed


def _decoded(text: str) -> Any:
    try:
        return pyon.decode(text)
    except ValueError:  # of an older ARTIQ
        return pyon_v1.decode(text)


def expids_by_master(python: str, cases: Sequence[Case], folder: Path) -> dict[str, Any]:
    """Run cases by an ARTIQ master; return the expid of each result file, decoded."""
    (folder / "device_db.py").write_text("device_db = {}\n")
    (folder / "repository").mkdir()
    ports = {name: free_port() for name in ("control", "notify", "broadcast", "logging")}
    words = [word for name, port in ports.items() for word in (f"--port-{name}", str(port))]
    names: dict[int, str] = {}
    with program(python, "artiq.frontend.artiq_master", *words, folder=folder) as master:
        master.wait_for(lambda text: "ready" in text)
        client = Client("127.0.0.1", ports["control"], None, timeout=60)
        targets = client.get_rpc_id()[0]
        client.select_rpc_target("schedule" if "schedule" in targets else "master_schedule")
        for number, case in enumerate(cases):
            file = folder / str(number) / FILE
            file.parent.mkdir()
            file.write_text(case.source)
            sent = {
                "log_level": 30,
                "class_name": case.class_name,
                "arguments": given(case),
                "file": str(file),
            }
            names[client.submit("main", sent, 0, None, False)] = case.name
        deadline = time.monotonic() + PATIENCE * len(cases)
        while client.get_status():
            if time.monotonic() > deadline:
                raise TimeoutError("the master still runs cases")
            time.sleep(0.5)
        client.close_rpc()
    found = {}
    for path in folder.glob("results/*/*/*.h5"):
        with h5py.File(path) as file:
            found[names[int(file["rid"][()])]] = _decoded(file["expid"].asstr()[()])
    return found


def differences(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> list[str]:
    """Return what differs between an observation of ARTIQ and ours, in lines."""
    found = []
    if bool(theirs["status"]) != bool(mine["status"]) or (
        theirs["status"] not in (0, 1) and theirs["status"] != mine["status"] != 2
    ):
        return [f"status: {theirs['status']} {theirs.get('error')}, ours {mine['status']} {mine['error']}"]
    if theirs["status"]:
        return []
    if theirs["said"] != mine["said"]:
        found.append(f"printed: {theirs['said']}, ours {mine['said']}")
    one, other = theirs["datasets"], mine["datasets"]
    found += [
        f"{name}: {one.get(name)}, ours {other.get(name)}"
        for name in sorted({*one, *other})
        if one.get(name) != other.get(name)
    ]
    sent, made = theirs.get("expid"), mine.get("expid")
    if sent and made:
        for key in ("log_level", "class_name"):
            if sent[key] is not None and sent[key] != made[key]:
                found.append(f"expid, {key}: {sent[key]!r}, ours {made[key]!r}")
        mine_sent = made["arguments"]
        found += [
            f"expid, argument {key}: {value}, ours {mine_sent.get(key)}"
            for key, value in sent["arguments"].items()
            if value != mine_sent.get(key)
        ]
    return found


def compare(recorded: Mapping[str, Observed], folder: Path, *, always_whole: bool) -> dict[str, list[str]]:
    """Run every case by ours; return the differences by case, those that are meant left out."""
    found = {}
    for number, case in enumerate(CASES):
        place = folder / f"case{number}"
        place.mkdir()
        mine = json.loads(json.dumps(ours(case, place, is_whole=always_whole or case.is_whole)))
        lines = differences(recorded[case.name], mine)
        if lines and not case.differs:
            found[case.name] = lines
        elif case.differs and not lines:
            found[case.name] = [f"no longer differs: {case.differs}"]
    return found


def sent_back(python: str, theirs: Mapping[str, Observed], folder: Path) -> dict[str, list[str]]:
    """Give the arguments of our expids to `artiq_run`; return the cases in which ARTIQ gets other values."""
    cases = []
    for number, case in enumerate(CASES):
        if theirs[case.name]["status"] or "datasets/x" not in theirs[case.name]["datasets"]:
            continue
        file = folder / f"sent{number}" / FILE
        file.parent.mkdir()
        file.write_text(case.source.replace("artiq.experiment", "rexec.experiment"))
        with DatasetDB(None) as db:
            _, made, _ = _light(case, file, db)
        words = tuple(f"{key}={pyon.encode(value)}" for key, value in made["arguments"].items())
        cases.append(replace(case, words=words))
    found = {}
    for name, back in by_artiq_run(python, cases, folder).items():
        values = [each["datasets"].get("datasets/x") for each in (theirs[name], back)]
        if values[0] != values[1]:
            found[name] = [f"given back: {values[0]}, from our expid {values[1]} {back['error']}"]
    return found


def main(argv: Sequence[str]) -> int:
    """Compare with every ARTIQ that is named; 1 if something differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.artiq_run", description=__doc__)
    parser.add_argument("--record", action="store_true", help="write what the first ARTIQ did, for the suite")
    options = parser.parse_args(argv)
    if not PYTHONS:
        print("skipped: ARTIQ_PYTHON names no interpreter that has ARTIQ")
        return 0
    status = 0
    logging.disable()
    for python in PYTHONS:
        if release(python) < _FIRST:
            print(
                f"ARTIQ {release(python)}: skipped, because its language lacks `precision`, `quickstyle` and metadata"
            )
            continue
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two, \
             tempfile.TemporaryDirectory() as three:  # fmt: skip
            theirs = by_artiq_run(python, CASES, Path(one))
            said = [
                each for each in CASES if not theirs[each.name]["status"] and (each.words or each.class_name)
            ]
            for name, sent in expids_by_master(python, said, Path(two)).items():
                theirs[name]["expid"] = _shown(sent)
            found = compare(theirs, Path(three), always_whole=True) | sent_back(python, theirs, Path(three))
        older = [
            name for name in found if release(python) < _PYON_2 and any(each in name for each in _OF_PYON_2)
        ]
        found = {name: lines for name, lines in found.items() if name not in older}
        accepted = sum(not each["status"] for each in theirs.values())
        meant = sum(bool(each.differs) for each in CASES)
        print(
            f"ARTIQ {release(python)}: {len(CASES)} cases, {accepted} accepted by artiq_run, "
            f"{sum('expid' in each for each in theirs.values())} with an expid of the master; "
            f"{meant} differ as documented, {len(older)} by its older PYON, {len(found)} otherwise"
        )
        for name, lines in found.items():
            print(f"  {name}")
            for line in lines:
                print(f"      {line}")
        status |= bool(found)
        if options.record:
            kept = {
                name: each if not each["status"] else {"status": each["status"]}
                for name, each in theirs.items()
            }
            RECORDED.write_text(json.dumps(kept, separators=(",", ":"), sort_keys=True) + "\n")
            options.record = False
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
