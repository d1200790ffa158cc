"""What `rexec results show` prints of a file: what is known of its run, its datasets, the value of one."""

import copy
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from devicedb.cli.output import lines_that_fit
from devicedb.cli.terminal import say_lines
from devicedb.printable import LINES, printable
from rexec.access.identity import Identity, KnownBy
from rexec.catalogue.notes import notes_of
from rexec.cli._table import value_table
from rexec.results import ResultsError, status_of
from rexec.results.reading.runs import Run, StoredDataset
from rexec.results.reading.shown import corners, moment, short, shown, stored_shown


def value_lines(run: Run, key: str) -> Iterator[str]:
    """Yield the value of a dataset, a line each, of a large array its ends.

    Raises:
        ResultsError: There is no such dataset, or it cannot be read.

    """
    if key not in run.datasets:
        raise ResultsError(f"{run.path} has no dataset {key!r}; it has {', '.join(run.datasets) or 'none'}")
    stored = run.datasets[key]
    if not stored.is_numeric():
        yield printable(str(stored.value), keep=LINES)
    elif not stored.shape:
        yield " ".join(filter(None, shown(stored.value, stored.metadata)))
    else:
        display = stored.display
        data = corners(stored, stored.shape)
        scaled = data if display.scale == 1 or data.dtype.kind == "b" else data / display.scale
        is_whole = data.shape == stored.shape
        text = np.array2string(scaled, threshold=sys.maxsize if is_whole else 0, edgeitems=3)
        yield f"{text} {printable(display.unit)}".rstrip()
        if not is_whole:
            yield stored_shown(stored)[0]


def facts(run: Run) -> Iterator[str]:
    """Yield what is known of a run beside its data, a line each."""
    identity = run.identity
    expid = identity.get("expid") or {}
    now = status_of(run.path)
    if run.rid is None:
        yield "does not say which run it is of (files of artiq_run do not)"
    else:
        status = run.status if now.state == "finished" else now.state
        yield f"run {run.rid} of {identity.get('class_name') or expid.get('class_name') or '?'}  {status}"
    if said := _noted(run.path):
        yield f"{'noted':12} {said}"
    if now.state != "finished" or now.detail:
        yield f"{'status':12} {now}"
    elif run.status == "running":
        yield f"{'status':12} the file was refreshed while its run went on, and its journal is not beside it (a copy?)"
    if identity.get("simulated"):
        yield f"SIMULATED    {', '.join(identity['simulated'])}: these data were not measured"
    for name in ("start_time", "run_time"):
        if identity.get(name):
            yield f"{name:12} {moment(identity[name])}"
    for name, value in expid.items():
        if value is not None and not (isinstance(value, str) and value in {"", "N/A"}):
            yield f"{name!s:12} {value if isinstance(value, str) else short(value, 1000)}"
    if identity.get("person"):
        yield f"{'person':12} {_person(identity)}"
    yield from _provenance(identity)
    if run.error is not None:
        yield f"{'error':12} {run.error}"
    for state in run.degraded:
        yield f"{'degraded':12} {state}"
    for problem in run.problems:
        yield f"{'problem':12} {problem}"


def _noted(path: Path) -> str:
    try:
        noted = notes_of(path)
    except ResultsError as error:  # no reason to show nothing of the run
        return f"({error})"
    return " ".join([*(f"#{each}" for each in noted.tags), *noted.comment.split()])


def _person(identity: Mapping[str, Any]) -> str:
    """Return who ran it: "alice (user of this machine), rexec on pc3"."""
    known_by = identity.get("person_known_by")
    how: KnownBy = known_by if known_by in ("certificate", "kernel") else "claimed"
    who = Identity(str(identity["person"]), how, str(identity.get("machine") or ""))
    return f"{who.person}, {identity.get('program') or 'a program'} on {who.host or 'an unknown machine'}"


def _provenance(identity: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is known of code, devices and versions, a line each."""
    git = identity.get("git")
    if git:
        changed = f", {len(git['diff'].splitlines())} lines of changes" if git.get("diff") else ""
        untracked = ", the experiment is not tracked" if git.get("tracked") is False else ""
        branch = f" on {git['branch']}" if git.get("branch") else ""
        yield f"{'git':12} {(git.get('commit') or 'no commit')[:12]}{branch}{changed}{untracked}"
    if identity.get("device_db_sha256"):
        origin = f" of {identity['device_db_origin']}" if identity.get("device_db_origin") else ""
        yield f"{'devices':12} {len(identity.get('device_db') or {})}{origin}, {identity['device_db_sha256'][:12]}"
    if identity.get("sources"):
        yield f"{'sources':12} {len(identity['sources'])}, in /rexec/sources"
    if identity.get("versions"):
        yield f"{'versions':12} {', '.join(f'{name} {version}' for name, version in identity['versions'].items())}"


def print_table(title: str, stored: list[StoredDataset], output: Console) -> None:
    """Print a table of datasets: name, value in its unit, unit; see `value_table`."""
    rows = []
    for each in stored:
        try:
            value, unit = stored_shown(copy.copy(each))  # which alone keeps its node open, not for long
        except ResultsError as error:
            value, unit = f"({error})", ""
        rows.append((printable(each.key), value, unit))
    lines = lines_that_fit((title, "value", "unit"), rows, output.width)
    if lines is None:
        output.print(value_table(title, rows, output.width, fold=True))
        return
    output.print(Text(lines[0], style="bold"))
    say_lines("\n".join(lines[1:]))
