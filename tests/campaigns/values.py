"""Sets and appends values of every sort by `rexec run`, and compares the result file with what h5py makes of them.

    python -m tests.campaigns.values            every value, a line for each that differs
    python -m tests.campaigns.values --only ma  those whose name has "ma" in it

Where h5py takes a value (`file[name] = value`), the result file must hold the same shape, type and content. Where it
does not, the value must be there whole and marked. `rexec.results` must read an equal value back in both cases.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

from rexec.results.reading.runs import Run
from tests.campaigns.value_cases import CASES, Case, equal

_EXPERIMENT = """
from rexec.experiment import EnvExperiment
from tests.campaigns.value_cases import CASES


class Values(EnvExperiment):
    def build(self):
        pass

    def run(self):
        for name, case in CASES.items():
            if name not in {names!r}:
                continue
            self.set_dataset("alone/" + name, case.make())
            self.set_dataset("appended/" + name, [])
            for _ in range(3):
                self.append_to_dataset("appended/" + name, case.make())
"""


@dataclass(frozen=True)
class Outcome:
    """What became of one value in one place.

    Attributes:
        name: "alone/…" or "appended/…".
        is_taken: Whether h5py takes it.
        faults: What is wrong, as text.

    """

    name: str
    is_taken: bool
    faults: list[str]


def run(folder: Path, names: list[str]) -> list[Outcome]:
    """Run one experiment that sets values by name, and compare; return what became of each."""
    (folder / "device_db.py").write_text("device_db = {}\n", encoding="utf-8")
    (folder / "values.py").write_text(_EXPERIMENT.format(names=names), encoding="utf-8")
    target = folder / "values.h5"
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-m", "rexec", "run", "-q", "values.py", "-o", str(target)],
        cwd=folder, env=os.environ | {"PYTHONPATH": root}, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    output = done.stdout + done.stderr
    if done.returncode != 0 or not target.exists():
        raise RuntimeError(f"rexec run ended with {done.returncode}:\n{output[-6000:]}")
    outcomes = []
    with Run(target) as found:
        for name in names:
            outcomes.append(_compared(found, f"alone/{name}", CASES[name]))
            outcomes.append(_compared(found, f"appended/{name}", _thrice(CASES[name])))
    return outcomes


def _thrice(case: Case) -> Case:
    """Return the list that three appended values make."""
    return replace(
        case, make=lambda: [case.make() for _ in range(3)], back=lambda: [case.expected() for _ in range(3)]
    )


def _compared(found: Run, name: str, case: Case) -> Outcome:
    with warnings.catch_warnings(), h5py.File.in_memory() as reference:
        warnings.simplefilter("ignore")  # NumPy's, of masked numbers that become NaN
        try:
            reference["x"] = case.make()
            taken = reference["x"]
        except Exception:  # whatever h5py says of a value that it does not take
            taken = None
        if name not in found.datasets:
            return Outcome(name, taken is not None, ["missing"])
        stored = found.datasets[name]
        faults = _differences(stored.node, taken) if isinstance(taken, h5py.Dataset) else []
        form = stored.node.attrs.get("rexec_form")
        if taken is None and not {"rexec_form", "rexec_class", "rexec_dtype", "rexec_beside"} & set(
            stored.node.attrs
        ):
            faults += [] if case.is_native else ["h5py does not take it, and it is not marked"]
        if form == "repr" and not case.is_text:
            faults.append("only its text was kept")
        if not case.is_text:
            try:
                value = stored.value
                if not equal(value, case.expected()):
                    faults.append(f"read back as {type(value).__name__} {value!r:.80}")
            except Exception as error:  # a fault of the reader is what is looked for
                faults.append(f"reading raised {type(error).__name__}: {error}")
        return Outcome(name, taken is not None, faults)


def _differences(ours: h5py.Dataset, theirs: h5py.Dataset) -> list[str]:
    if ours.shape != theirs.shape:
        return [f"shape {ours.shape}, h5py has {theirs.shape}"]
    strings = h5py.check_string_dtype(theirs.dtype)
    if strings is not None and strings.length is None:
        if h5py.check_string_dtype(ours.dtype) is None:
            return [f"type {ours.dtype}, h5py has strings"]
        same = np.array_equal(ours[()], theirs[()])
    elif ours.dtype != theirs.dtype or h5py.check_enum_dtype(ours.dtype) != h5py.check_enum_dtype(
        theirs.dtype
    ):
        return [f"type {ours.dtype}, h5py has {theirs.dtype}"]
    else:
        same = equal(np.asarray(ours[()]), np.asarray(theirs[()]))
    return [] if same else ["other content"]


def main() -> int:
    """Run all values and print the table; 1 if one of them differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="only values whose name contains this (default: all)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcomes = run(Path(folder), [name for name in CASES if options.only in name])
    for outcome in outcomes:
        for fault in outcome.faults:
            print(f"{outcome.name}: {fault}")
    for title, chosen in (
        (
            "values that h5py takes, alone",
            [each for each in outcomes if each.is_taken and each.name[1] == "l"],
        ),
        (
            "values that h5py takes, appended",
            [each for each in outcomes if each.is_taken and each.name[1] == "p"],
        ),
        (
            "values that h5py refuses, alone",
            [each for each in outcomes if not each.is_taken and each.name[1] == "l"],
        ),
        ("values that h5py refuses, appended", [e for e in outcomes if not e.is_taken and e.name[1] == "p"]),
        ("all", outcomes),
    ):
        print(f"{title:36} {sum(not each.faults for each in chosen):4} of {len(chosen)}")
    return int(any(outcome.faults for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
