"""`devicedb show` lists the devices, or tells all about one."""

from pathlib import Path

import pytest

from devicedb.cli import main

TEXT = """
device_db = {
    "core": {"type": "local", "module": "artiq.coredevice.core", "class": "Core", "arguments": {}},
    "camera": {"type": "controller", "host": "::1", "port": 6283, "target_name": "camera",
               "command": "aqctl_camera -p {port} --bind {bind}"},
    "rexec": {"type": "controller_aux_target", "controller": "camera", "target_name": "camera_rexec"},
    "secure": {"type": "controller", "host": "lab", "port": 1, "command": "x {prot}", "simple_ssl_config": {
        "client_cert": "{ARTIQ_SSL_DIR}/c", "client_key": "k", "server_cert": "s"}},
    "nothing": {"type": "dummy"}, "off": {"type": "controller", "host": None, "port": 1},
    "remote": "rexec", "lost": "camrea", "odd": 3,
}
"""


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "device_db.py").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ARTIQ_SSL_DIR", raising=False)
    monkeypatch.setenv("COLUMNS", "300")
    return tmp_path / "device_db.py"


def rows(text: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}


@pytest.mark.usefixtures("database")
def test_every_name_has_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show"]) == 0
    found = rows(capsys.readouterr().out)
    assert found["core"] == ["local", "artiq.coredevice.core.Core"]
    assert found["rexec"] == ["controller_aux_target", "[::1]:6283", "camera_rexec"]
    assert found["secure"] == ["controller", "lab:1"]
    assert found["remote"] == ["alias", "rexec"]
    assert found["nothing"] == ["dummy"]
    assert found["off"] == ["controller", "host", "None"]
    assert "'camera'?" in found["lost"]
    assert found["odd"][0] == "?"


@pytest.mark.usefixtures("database")
def test_one_name_is_shown_with_all_that_a_client_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "remote"]) == 0
    text = capsys.readouterr().out
    for each in ("remote -> rexec", "[::1]:6283", "camera_rexec", "'controller': 'camera'"):
        assert each in text
    assert "aqctl_camera -p 6283 --bind ::1" in text


@pytest.mark.usefixtures("database")
def test_a_local_device_is_shown_without_an_endpoint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "core"]) == 0
    assert "address" not in capsys.readouterr().out


def test_certificates_and_a_broken_command_are_shown(
    database: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARTIQ_SSL_DIR", "/certs")
    assert main(["show", "secure", "--device-db", str(database)]) == 0
    text = capsys.readouterr().out
    assert "/certs/c" in text
    assert "Did you mean 'port'?" in text


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["show", "camrea"], "Did you mean 'camera'?"),
        (["show", "secure"], "ARTIQ_SSL_DIR is not set"),
        (["show", "--device-db", "nowhere.py"], "nowhere.py: there is no such file"),
    ],
)
@pytest.mark.usefixtures("database")
def test_an_error_is_one_line(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    text = capsys.readouterr().err
    assert text.startswith("devicedb show: error: ")
    assert said in text
    assert text.count("\n") == 1


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "show" in capsys.readouterr().out


def test_a_missing_command_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "a command is missing" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("artiq-rexec ")
