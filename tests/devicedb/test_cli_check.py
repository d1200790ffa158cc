"""`devicedb check` and `explain` from the command line: formats, settings, exit status, accidents."""

import io
import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devicedb.check.config import Settings
from devicedb.check.engine import hits_of
from devicedb.cli import main
from devicedb.model.database import CheckedDatabase
from devicedb.model.located import from_plain
from devicedb.rules import RULES

ROOT = Path(__file__).resolve().parents[2]
BROKEN = """device_db = {
    "camera": {"type": "controller", "host": "::1", "port": 70000},
    "cam": "camrea",
    "odd": {"type": "controller", "host": "::1", "port": "3286"},
}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "device_db.py").write_text(BROKEN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_text_shows_line_and_caret(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 1
    text = capsys.readouterr().out
    assert "device_db.py:2:61: error DDB109" in text
    assert '\n3 |     "cam": "camrea",\n  |            ^^^^^^^^\n  = Did you mean' in text
    assert "1 file checked: 2 errors, 1 warning" in text
    assert "\x1b" not in text


@pytest.mark.usefixtures("folder")
def test_colour_and_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--color", "always", "-q"]) == 1
    text = capsys.readouterr().out
    assert "\x1b[1;31merror DDB109" in text
    assert "|" not in text


@pytest.mark.usefixtures("folder")
def test_json_is_as_its_schema_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--format", "json"]) == 1
    report = json.loads(capsys.readouterr().out)
    jsonschema.validate(report, json.loads((ROOT / "schemas" / "report.schema.json").read_text()))
    assert [each["code"] for each in report["findings"]] == ["DDB109", "DDB201", "DDB110"]
    assert report["summary"]["by_severity"] == {"error": 2, "warning": 1, "info": 0}


@pytest.mark.usefixtures("folder")
def test_github_annotations(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--format", "github"]) == 1
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("::error file=device_db.py,line=2,endLine=2,col=61,endColumn=66,title=DDB109::")


def test_sarif_junit_and_gitlab_are_written_whole(folder: Path) -> None:
    for form in ("sarif", "junit", "gitlab"):
        assert main(["check", "--format", form, "--output", f"out.{form}"]) == 1
    sarif = json.loads((folder / "out.sarif").read_text())
    assert sarif["version"] == "2.1.0"
    run = sarif["runs"][0]
    assert {each["ruleId"] for each in run["results"]} == {"DDB109", "DDB110", "DDB201"}
    for each in run["results"]:
        assert run["tool"]["driver"]["rules"][each["ruleIndex"]]["id"] == each["ruleId"]
    junit = ET.fromstring((folder / "out.junit").read_text())
    assert (junit.get("tests"), junit.get("failures")) == ("3", "2")
    issues = json.loads((folder / "out.gitlab").read_text())
    assert len({each["fingerprint"] for each in issues}) == 3
    assert sorted(each.name for each in folder.iterdir()) == [
        "device_db.py",
        "out.gitlab",
        "out.junit",
        "out.sarif",
    ]


@pytest.mark.parametrize(
    ("argv", "status"),
    [
        (["--select", "DDB110"], 0),
        (["--select", "DDB110", "--fail-on", "warning"], 1),
        (["--ignore", "DDB109,DDB201"], 0),
        (["--static"], 1),
        (["--statistics"], 1),
    ],
)
@pytest.mark.usefixtures("folder")
def test_exit_status_says_whether_it_fails(argv: list[str], status: int) -> None:
    assert main(["check", *argv]) == status


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["nowhere.py"], "nowhere.py: there is no such file"),
        (["--select", "XYZ"], "no rule's code"),
        (["--fail-on", "never"], "fail-on must be one of"),
        (["--artiq-release", "3"], "artiq-release must be one of 7, 8, 9"),
        (["--output", "no/such/folder"], "cannot be written"),
        (["--experiments", "no-such"], "there is no such folder of experiments"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_check_that_cannot_run_is_one_line(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *argv]) == 2
    text = capsys.readouterr().err
    assert said in text
    assert text.count("\n") == 1


def test_settings_come_from_pyproject_and_comments_silence(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "pyproject.toml").write_text('[tool.devicedb]\nignore = ["DDB110"]\nfail-on = "warning"\n')
    text = BROKEN.replace("70000},", "70000},  # ddb: ignore[DDB109]").replace(
        '"camrea",', '"camrea",  # ddb: ignore'
    )
    (folder / "device_db.py").write_text(text)
    assert main(["check"]) == 0
    assert "nothing found (2 ignored by comments)" in capsys.readouterr().out
    (folder / "pyproject.toml").write_text("[tool.devicedb]\nignroe = []\n")
    assert main(["check"]) == 2
    assert "Did you mean 'ignore'?" in capsys.readouterr().err


def test_standard_input_and_folders(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "lab_device_db.py").write_text("device_db = {}\n")
    assert main(["check", "lab_device_db.py"]) == 0
    assert main(["check", "."]) == 1
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"device_db = {'a': 'b'}\n")))
    assert main(["check", "-"]) == 1


@pytest.mark.usefixtures("folder")
def test_explain_lists_and_explains(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == sorted(RULES)
    assert main(["explain", "ddb305"]) == 0
    assert "Good:" in capsys.readouterr().out
    assert main(["explain", "DDB999"]) == 2


def test_the_reference_page_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "reference" / "rules.md").read_text(encoding="utf-8")
    assert main(["explain", "--all", "--markdown"]) == 0
    assert page == capsys.readouterr().out, "run: devicedb explain --all --markdown > docs/reference/rules.md"


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(
    "type host port port_proxy module class arguments controller target_name command simple_ssl_config "
    "ping_timer ping_timeout target environment best_effort".split()
)
WORDS = st.sampled_from(
    "local controller controller_aux_target dummy a b core {port} {prot x'y artiq.coredevice.ttl TTLOut x_rexec".split()
)
ARGUMENTS = st.dictionaries(
    st.sampled_from(["channel", "core_device", "dmgr", "sync_delay_seed", "x_devices"]),
    JUNK | WORDS,
    max_size=3,
)
ENTRIES = JUNK | WORDS | st.dictionaries(KEYS | st.integers(), JUNK | WORDS | ARGUMENTS, max_size=8)


def test_an_entry_without_class_on_a_shared_channel_is_no_accident() -> None:
    ttl = {"type": "local", "module": "artiq.coredevice.ttl", "arguments": {"channel": 1}}
    raw = {"a": {**ttl, "class": "TTLOut"}, "b": ttl, "c": {**ttl, "class": "TTLInOut"}}
    codes = {rule.code for rule, _ in hits_of(CheckedDatabase(root=from_plain(raw)), Settings())}
    assert {"DDB106", "DDB507"} <= codes


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from(["a", "b", "c", "core", "", "x y"]) | st.integers(), ENTRIES, max_size=5)
)
def test_no_rule_fails_on_any_database(raw: dict[Any, Any]) -> None:
    for rule, hit in hits_of(CheckedDatabase(root=from_plain(raw)), Settings()):
        assert rule.code in RULES
        assert isinstance(hit.message, str)


@pytest.mark.parametrize(("words", "name"), [(["-"], "<stdin>"), (["--fix", "given.py"], "given.py")])
def test_a_text_in_utf16_is_named_as_it_was_given(
    words: list[str],
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As PowerShell 5 writes it."""
    text = "device_db = {}\r\n".encode("utf-16")
    monkeypatch.chdir(tmp_path)
    Path("given.py").write_bytes(text)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert main(["check", *words]) == 2
    said = "cannot be read: it is UTF-16 text; save it as UTF-8"
    assert capsys.readouterr().err == f"devicedb check: error: {name}: {said}\n"
