"""Shell completion: the script that a program prints is run by the shell that it is for."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def script(program: str, shell: str) -> str:
    """Return what the program prints."""
    command = [sys.executable, "-m", program, "--print-completion", shell]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=True).stdout


def run(program: str, path: Path, *arguments: str, folder: Path | None = None) -> str:
    """Run a shell on a file and return what it prints."""
    shell = shutil.which(program)
    if shell is None:
        pytest.skip(f"{program} is not on the path")
    command = [shell, *arguments, str(path)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=50, check=False)
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["rexec", "doc"], {"doctor"}),
        (["rexec", "results", "p"], {"plot"}),
        (["rexec", "run", "--device-d"], {"--device-db"}),
        (["rexec", "run", "experi"], {"experiments.py"}),
        (["rexec", "up", "--folder", ""], {"lab"}),
        (["devicedb", "gr"], {"graph"}),
        (["devicedb", "graph", "--format", ""], {"mermaid", "dot", "svg"}),
    ],
)
def test_bash_completes_commands_options_choices_and_files(
    words: list[str], expected: set[str], tmp_path: Path
) -> None:
    program = words[0]
    (tmp_path / "experiments.py").touch()
    (tmp_path / "lab").mkdir()
    typed = " ".join(f"'{word}'" for word in words)
    asking = tmp_path / "lab" / "ask.sh"
    asking.write_text(
        f"{script(program, 'bash')}\nCOMP_WORDS=({typed})\nCOMP_CWORD={len(words) - 1}\n"
        f"_shtab_{program} {program}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        encoding="utf-8",
    )
    assert set(run("bash", asking, folder=tmp_path).split()) == expected


@pytest.mark.parametrize("program", ["rexec", "devicedb"])
def test_zsh_accepts_the_script(program: str, tmp_path: Path) -> None:
    path = tmp_path / "_completion"
    path.write_text(script(program, "zsh"), encoding="utf-8")
    assert path.read_text(encoding="utf-8").startswith(f"#compdef {program}\n")
    run("zsh", path, "-n")


def test_tcsh_gets_every_command() -> None:
    text = script("devicedb", "tcsh")
    assert all(name in text for name in ("check", "diff", "explain", "graph", "schema", "show", "stubs"))


def test_another_shell_is_refused() -> None:
    command = [sys.executable, "-m", "rexec", "--print-completion", "fish"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 2
    assert "invalid choice: 'fish'" in done.stderr
