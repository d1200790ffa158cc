"""Standard streams that are closed, full, or that nobody reads any more (`| head`): no traceback, nothing spoilt."""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import h5py
import pytest

import devicedb

EXPERIMENT = "from rexec.experiment import EnvExperiment\nclass X(EnvExperiment):\n    '''One.'''\n"


PRINTING = [
    ("devicedb", ["explain", "--all"]),
    ("devicedb", ["--print-completion", "bash"]),
    ("rexec", ["run", "x.py", "--list"]),
    ("rexec", ["--version"]),
]


def run(program: str, arguments: list[str], folder: Path, output: int) -> "subprocess.CompletedProcess[str]":
    """Run a program with a file descriptor as standard output."""
    (folder / "x.py").write_text(EXPERIMENT)
    command = [sys.executable, "-m", program, *arguments]
    return subprocess.run(
        command, cwd=folder, stdout=output, stderr=subprocess.PIPE, text=True, timeout=150, check=False
    )


@pytest.mark.parametrize(("program", "arguments"), PRINTING)
def test_a_reader_that_has_gone_ends_the_program_quietly(
    program: str, arguments: list[str], tmp_path: Path
) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = run(program, arguments, tmp_path, write)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_reader_that_goes_while_a_write_waits_ends_the_program_quietly(tmp_path: Path) -> None:
    entry = {"type": "controller", "host": "::1", "port": 3250, "target_name": "camera"}
    database = {f"camera_{number}": {**entry, "port": 3250 + number} for number in range(3000)}
    (tmp_path / "device_db.py").write_text(f"device_db = {database}\n")
    command = [sys.executable, "-m", "devicedb", "show"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            time.sleep(0.5)  # it fills the pipe meanwhile
            process.stdout.close()
            assert process.stderr is not None
            said = process.stderr.read()
            assert (process.wait(150), said) == (141, "")
        finally:
            process.kill()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize(("program", "arguments"), PRINTING)
def test_a_full_disk_under_the_output_is_one_line(program: str, arguments: list[str], tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = run(program, arguments, tmp_path, full.fileno())
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "No space left" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX closes the streams")
@pytest.mark.parametrize(("program", "arguments"), PRINTING)
def test_output_that_is_closed_is_no_fault(program: str, arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text(EXPERIMENT)
    command = shlex.join([sys.executable, "-m", program, *arguments])
    done = subprocess.run(
        ["/bin/sh", "-c", f"{command} >&-"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        timeout=150,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX closes the streams")
def test_no_file_of_a_run_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    (tmp_path / "device_db.py").write_text("device_db = {}\n")
    (tmp_path / "x.py").write_text(
        "import os\nfrom rexec.experiment import EnvExperiment\nclass X(EnvExperiment):\n    def run(self):\n"
        "        self.set_dataset('kept', list(range(1000)))\n"
        "        for number in (1, 2):\n            os.write(number, b'noise'.upper() * 1000)\n"
    )
    command = shlex.join([sys.executable, "-m", "rexec", "run", "x.py", "-o", "x.h5"])
    done = subprocess.run(["/bin/sh", "-c", f"{command} <&- >&- 2>&-"], cwd=tmp_path, timeout=150)
    assert done.returncode == 0
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["datasets/kept"][-1] == 999
    assert b"NOISENOISE" not in (tmp_path / "x.h5").read_bytes()
    assert b"NOISENOISE" not in (tmp_path / "dataset_db.mdb").read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no folder that a program is in")
@pytest.mark.parametrize(
    "words", ["devicedb show", "devicedb check", "rexec run x.py", "rexec results list", "rexec up"]
)
def test_a_current_folder_that_is_gone_is_one_line(tmp_path: Path, words: str) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    command = shlex.join([sys.executable, "-P", "-m", *words.split()])
    done = subprocess.run(
        ["sh", "-c", f"rmdir ../gone; exec {command}"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(devicedb.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 2
    program = " ".join(words.split()[:2])
    said = "the current folder is gone (No such file or directory): change to another"
    assert done.stderr == f"{program}: error: {said}\n"
