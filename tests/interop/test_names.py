"""Every public name of the reference library, and every parameter, is one of ours, or said to have no counterpart."""

import inspect
import json
import subprocess
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from rexec.sipyco import COUNTERPARTS, missing
from tests.remote_exec.peers import NO_REFERENCE, REFERENCE

PROGRAM = Path(__file__).with_name("names.py")


@pytest.mark.skipif(not REFERENCE, reason=NO_REFERENCE)
@pytest.mark.parametrize("python", REFERENCE)
def test_nothing_is_missing_without_a_word(python: str) -> None:
    done = subprocess.run(
        [python, "-W", "ignore", str(PROGRAM)], capture_output=True, check=True, timeout=150
    )
    wrong: list[str] = []
    compared = 0
    for module, names in json.loads(done.stdout).items():
        for name, wanted in names.items():
            first = name.partition(".")[0]
            text = missing(module) or missing(module, first)
            if text is not None:
                if ":" not in text:
                    wrong.append(text)
                continue
            ours: Any = reduce(getattr, name.split("."), import_module(COUNTERPARTS[module]))
            compared += 1
            if wanted and callable(ours) and not isinstance(ours, dict):
                wrong += [
                    f"{module}.{name}({each})"
                    for each in wanted
                    if each not in inspect.signature(ours).parameters
                ]
    assert not wrong
    assert compared > 60
