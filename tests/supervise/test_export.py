"""Controllers become configuration of systemd, supervisord and Compose."""

import configparser
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from devicedb import from_dict
from rexec.supervise.export import FORMATS, export
from rexec.supervise.selection import Selector, Spec

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="systemd, supervisord and Compose start programs of Linux"
)
OWN = {"PATH": "/usr/bin:/bin", "HOME": "/root", "ARTIQ_SSL_DIR": "/s"}


@pytest.fixture
def specs(tmp_path: Path) -> dict[str, Spec]:
    raw = {
        "lamp": {
            "type": "controller",
            "host": "::1",
            "port": 3300,
            "command": "sh -c 'echo \"100% of $HOME\"' -p {port}",
            "environment": {"KEY": 'a "b" %c'},
            "retry_timer": 7.0,
        },
        "far away": {"type": "controller", "host": "192.0.2.1", "port": 1, "command": "x"},
    }
    selection = Selector([], tmp_path).select(from_dict(raw, "db"))
    assert list(selection.left_out) == ["far away"]
    assert "host '192.0.2.1' is none of this machine's addresses" in selection.left_out["far away"]
    return selection.specs


def test_systemd_gets_a_unit_with_its_own_quoting(specs: dict[str, Spec], tmp_path: Path) -> None:
    ((name, text),) = export("systemd", specs, OWN).items()
    assert name == "controller-lamp.service"
    lines = text.splitlines()
    shell = shutil.which("sh", path=OWN["PATH"])
    assert f'ExecStart="{shell}" "-c" "echo \\"100%% of $$HOME\\"" "-p" "3300"' in lines
    assert 'Environment="KEY=a \\"b\\" %%c"' in lines
    assert 'Environment="PYTHONUNBUFFERED=1"' in lines
    assert 'Environment="ARTIQ_SSL_DIR=/s"' in lines
    assert f"WorkingDirectory={tmp_path}" in lines
    assert "RestartSec=7" in lines
    assert not any("HOME=" in line for line in lines)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
def test_systemd_accepts_the_unit(specs: dict[str, Spec], tmp_path: Path) -> None:
    for name, text in export("systemd", specs, OWN).items():
        (tmp_path / name).write_text(text)
        done = subprocess.run(
            ["systemd-analyze", "verify", tmp_path / name], capture_output=True, text=True, timeout=150
        )
        assert done.returncode == 0, done.stderr


def test_supervisord_gets_a_section(specs: dict[str, Spec], tmp_path: Path) -> None:
    text = export("supervisord", specs, OWN)["controllers.conf"]
    parser = configparser.ConfigParser(interpolation=configparser.BasicInterpolation())
    parser.read_string(text)
    section = parser["program:controller-lamp"]
    shell = str(shutil.which("sh", path=OWN["PATH"]))
    words = shlex.split(section["command"])
    assert words == ["env", 'KEY=a "b" %c', shell, "-c", 'echo "100% of $HOME"', "-p", "3300"]
    assert section["directory"] == str(tmp_path)
    assert 'ARTIQ_SSL_DIR="/s"' in section["environment"]


def test_what_supervisord_takes_for_a_comment_is_kept(tmp_path: Path) -> None:
    raw = {"lamp": {"type": "controller", "host": "::1", "port": 1, "command": "x 'a ;b' \"it's #1\" 'c;'"}}
    text = export("supervisord", Selector([], tmp_path).select(from_dict(raw, "db")).specs, OWN)[
        "controllers.conf"
    ]
    parser = configparser.ConfigParser(inline_comment_prefixes=(";", "#"))
    parser.read_string(text)
    assert shlex.split(parser["program:controller-lamp"]["command"]) == ["x", "a ;b", "it's #1", "c;"]


def test_compose_gets_a_service(specs: dict[str, Spec], tmp_path: Path) -> None:
    service = json.loads(export("compose", specs, OWN)["compose.yaml"])["services"]["controller-lamp"]
    assert service["command"] == ["sh", "-c", 'echo "100% of $$HOME"', "-p", "3300"]
    assert service["network_mode"] == "host"
    assert service["volumes"][0]["source"] == str(tmp_path)
    assert "PATH" not in service["environment"]


def test_an_empty_selection_makes_nothing_that_fails() -> None:
    for kind in FORMATS:
        assert isinstance(export(kind, {}, OWN), dict)
