"""Result files and their journals, as the commands read them."""

import subprocess
import sys
from pathlib import Path

from ..row import Work, program, row

BEGIN = """
import os, sys
from pathlib import Path
import numpy as np
from rexec.datasets import DatasetDB, DatasetManager
from rexec.results import ResultsWriter
from schemas import RunIdentity
path = Path(sys.argv[1])
identity = RunIdentity(rid=1, class_name="B", start_time=0.0)
writer = ResultsWriter.create(path, identity, refresh_interval=0)
manager = DatasetManager(DatasetDB(), sink=writer)
size = int(sys.argv[2])
"""
ARRAY = """
manager.set("x", np.random.default_rng(1).random(size * 125_000))
writer.close()
"""
APPENDS = """
manager.set("x", [])
for number in range(size):
    manager.append_to("x", number * 0.5)
writer.sync()
os._exit(0)
"""
DATASETS = """
for number in range(size):
    manager.set(f"d{number}", number * 0.5)
writer.close()
"""


def made(folder: Path, script: str, size: int) -> Path:
    """Return a result file that another process made: its memory is not the measured one's."""
    path = folder / "r.h5"
    subprocess.run([sys.executable, "-P", "-c", BEGIN + script, str(path), str(size)], check=True)
    return path


@row("`rexec results show FILE` of n datasets", start=100, owed="1.5 s of CPU at 10,000")
def results_show(size: int, folder: Path) -> Work:
    return program("rexec", "results", "show", made(folder, DATASETS, size))


@row("`rexec results show FILE` of a killed run with n records", start=10_000, owed="constant")
def results_show_killed(size: int, folder: Path) -> Work:
    return program("rexec", "results", "show", made(folder, APPENDS, size))


@row("`rexec results show FILE x` of n MB", start=8, owed="100 MB")
def results_show_key(size: int, folder: Path) -> Work:
    return program("rexec", "results", "show", made(folder, ARRAY, size), "x")


@row("`rexec results plot FILE x` of n MB", start=8, owed="100 MB above the plot library")
def results_plot(size: int, folder: Path) -> Work:
    return program("rexec", "results", "plot", made(folder, ARRAY, size), "x")


@row("`rexec results verify FILE` of n MB", start=8, owed="100 MB")
def results_verify(size: int, folder: Path) -> Work:
    return program("rexec", "results", "verify", made(folder, ARRAY, size))


@row("`rexec results tail --no-follow` of n records", start=100_000, owed="constant + one chunk")
def results_tail(size: int, folder: Path) -> Work:
    return program("rexec", "results", "tail", "--no-follow", made(folder, APPENDS, size))


@row("`rexec results recover` of n records", start=100_000, owed="constant + one chunk")
def results_recover(size: int, folder: Path) -> Work:
    return program("rexec", "results", "recover", made(folder, APPENDS, size).parent)
