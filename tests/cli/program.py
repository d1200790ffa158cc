"""Runs the real program `rexec` in a folder of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py

from tests.ports import without_status

CONTROLLER = """
import sys
from rexec.remote_exec import simple_rexec_server_loop

class Camera:
    def frame(self):
        return [1, 2, 3]
    def ping(self):
        return True

simple_rexec_server_loop("camera", Camera(), "127.0.0.1", int(sys.argv[1]))
"""


@dataclass(frozen=True)
class Result:
    """How the program ended."""

    status: int
    out: str
    err: str

    def one_line(self, *parts: str) -> None:
        """Check that standard error is one line of ours that holds `parts`, and no traceback."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("rexec run: error: "), self.err
        assert "Traceback" not in self.err + self.out
        for part in parts:
            assert part in lines[0], self.err


@dataclass(frozen=True)
class Lab:
    """A folder with a device database and experiments, in which the program runs."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, text: str) -> Path:
        """Write a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def devices(self, entries: Mapping[str, Any]) -> None:
        """Write the device database."""
        self.write("device_db.py", f"device_db = {dict(entries)!r}\n")

    def experiment(self, body: str, name: str = "experiment.py") -> Path:
        """Write an experiment: a class `Measure` with the given methods, or a whole file with a class."""
        if "class " not in body:
            body = "".join(f"    {line}\n" if line else "\n" for line in body.strip("\n").splitlines())
            body = f"from rexec.experiment import *\n\nclass Measure(EnvExperiment):\n{body}"
        return self.write(name, body)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start the program."""
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "rexec", *arguments],
            cwd=self.folder,
            env={**os.environ, "COLUMNS": "200", **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, timeout: float = 500.0) -> Result:
        """Run `rexec run` to its end; its lines of progress, which a slow machine makes it print, are left out."""
        with self.start("run", *arguments) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return Result(process.returncode, out, without_status(err))

    def results(self) -> list[Path]:
        """Return the result files, oldest first."""
        return sorted(self.folder.glob("results/*/*/*.h5"))

    def datasets(self) -> dict[str, Any]:
        """Return the datasets of the newest result file, read with h5py alone."""
        with h5py.File(self.results()[-1]) as file:
            return {name: item[()] for name, item in file["datasets"].items()}
