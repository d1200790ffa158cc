"""Shell completion as a person has it: Tab is pressed in a real shell at a terminal, for each shell that there is."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.cli.terminal import terminal

if sys.platform == "win32":
    pytest.skip("Windows has no pseudo-terminal of this kind", allow_module_level=True)

SHELLS: Final = {
    # How it is started; how it reads the scripts of a folder, and shows what it was asked to run.
    "bash": (
        ("--norc", "--noprofile", "-i"),
        "PS1='READY> '; bind 'set bell-style none'; . {folder}/rexec; . {folder}/devicedb",
        '{program}() {{ echo "GOT $*."; }}',
    ),
    "zsh": (
        ("-f", "-i"),
        "PROMPT='READY> '; fpath=({folder} $fpath); autoload -U compinit; compinit -u -D",
        '{program}() {{ echo "GOT $*."; }}',
    ),
    "tcsh": (
        ("-f",),
        "set prompt='READY> '; source {folder}/rexec; source {folder}/devicedb",
        "alias {program} 'echo GOT \\!*.'",
    ),
}
TYPED: Final = [
    ("rexec doc", "doctor"),
    ("rexec --vers", "--version"),
    ("rexec --print-completion zs", "--print-completion zsh"),
    ("rexec run --device-d", "run --device-db"),
    ("rexec run experi", "run experiments.py"),
    ("rexec run -o x experi", "run -o x experiments.py"),
    ("rexec run experiments.py --device-db experi", "run experiments.py --device-db experiments.py"),
    ("rexec up --folder la", "up --folder lab"),
    ("rexec up --export sys", "up --export systemd"),
    ("rexec up --output la", "up --output lab"),
    ("rexec master --ssl experi", "master --ssl experiments.py"),
    ("rexec bridge rec", "bridge record"),
    ("rexec results p", "results plot"),
    ("rexec results plot --outp", "results plot --output"),
    ("rexec results show experi", "results show experiments.py"),
    ("rexec certs la", "certs lab"),
    ("devicedb gr", "graph"),
    ("devicedb graph --format me", "graph --format mermaid"),
    ("devicedb check experi", "check experiments.py"),
    ("devicedb check --format sar", "check --format sarif"),
    ("devicedb check --experiments la", "check --experiments lab"),
    ("devicedb diff experiments.py experi", "diff experiments.py experiments.py"),
    ("devicedb schema dev", "schema device_db"),
]
"""What is typed before Tab, and what the program then gets."""


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_completes_commands_options_choices_and_files(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not on the path")
    options, setup, showing = SHELLS[shell]
    scripts = tmp_path / "completion"
    for folder in (scripts, tmp_path / "work" / "lab"):
        folder.mkdir(parents=True)
    (tmp_path / "work" / "experiments.py").touch()
    for program in ("rexec", "devicedb"):
        command = [sys.executable, "-m", program, "--print-completion", shell]
        text = subprocess.run(command, capture_output=True, text=True, timeout=150, check=True).stdout
        (scripts / (f"_{program}" if shell == "zsh" else program)).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path / "work")
    with terminal(path, *options, environment={"HOME": str(tmp_path)}) as at:
        at.type(setup.format(folder=scripts) + "\r")
        for program in ("rexec", "devicedb"):
            at.type(showing.format(program=program) + "\r")
        at.type("echo BE''GIN\r")
        at.expect(r"BEGIN\n")
        for keys, expected in TYPED:
            at.expect("READY>")
            at.type(f"{keys}\t\r")
            assert at.expect(r"GOT ([^\n]*)\.\n")[1].rstrip(" /") == expected
