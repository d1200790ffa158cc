"""A reader that goes away, as `| head` does, is no fault: no traceback, and no complaint at the end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXPERIMENT = "from rexec.experiment import EnvExperiment\nclass X(EnvExperiment):\n    '''One.'''\n"


@pytest.mark.parametrize(
    ("program", "arguments"), [("devicedb", ["explain", "--all"]), ("rexec", ["run", "x.py", "--list"])]
)
def test_a_reader_that_has_gone_ends_the_program_quietly(
    program: str, arguments: list[str], tmp_path: Path
) -> None:
    (tmp_path / "x.py").write_text(EXPERIMENT)
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", program, *arguments],
            cwd=tmp_path,
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            timeout=50,
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, "")
