"""`--static`: the file is never run, what is plain is checked, and what could not be is told."""

import sys
from pathlib import Path

import pytest

from devicedb.check.config import Settings
from devicedb.check.engine import Subject, check_file
from devicedb.check.finding import Report
from devicedb.cli import main
from devicedb.model.rule import Severity
from devicedb.rules.examples import write
from tests.devicedb.mutants import CORPUS

LEFT_OUT = "DDB011"
UNREADABLE = Path("/proc/self/mem")


def static(text: str, folder: Path) -> Report:
    path = folder / "device_db.py"
    path.write_text(text, encoding="utf-8")
    return check_file(Subject(path, "device_db.py"), Settings(static=True, artiq_release="9"))


def found(report: Report) -> list[tuple[str, int]]:
    return [(each.code, each.line) for each in report.findings]


def test_the_file_is_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    text = f"open({str(mark)!r}, 'w').close()\nraise SystemExit(3)\ndevice_db = {{'a': 'b'}}\n"
    assert found(static(text, tmp_path)) == [("DDB201", 3)]
    assert not mark.exists()


def test_constants_items_and_updates_are_followed(tmp_path: Path) -> None:
    text = (
        "PORT = 70000\n"
        'device_db = {"cam": {"type": "controller", "host": "::1", "port": PORT}}\n'
        'device_db["x"] = "nobody"\n'
        'device_db.update({"y": "cam", "z": "nowhere"})\n'
        'device_db |= {"odd": 5}\n'
    )
    report = static(text, tmp_path)
    assert sorted(code for code, _ in found(report)) == ["DDB103", "DDB109", "DDB201", "DDB201"]
    assert {line for code, line in found(report) if code == "DDB201"} == {3, 4}


@pytest.mark.parametrize(
    ("statement", "line"),
    [
        ('for i in range(3):\n    device_db[f"t{i}"] = {"type": "dummy"}', 2),
        ("device_db.update(make())", 2),
        ('device_db[name()] = {"type": "dummy"}', 2),
    ],
)
def test_what_only_running_tells_is_named_and_nothing_is_guessed(
    statement: str, line: int, tmp_path: Path
) -> None:
    report = static(f'device_db = {{"alias": "t1"}}\n{statement}\n', tmp_path)
    assert found(report) == [(LEFT_OUT, line)]
    assert "not checked, since the file was not run" in report.findings[0].message
    assert report.findings[0].hint == "check without --static"


@pytest.mark.parametrize(
    "statement",
    [
        'COMMON["type"] = "dummy"',
        'COMMON.update(type="dummy")',
        'COMMON |= {"type": "dummy"}',
        'if True:\n    COMMON = {"type": "dummy"}',
        'for COMMON in [{"type": "dummy"}]:\n    ...',
    ],
)
def test_a_constant_that_is_changed_later_is_not_taken_for_plain(statement: str, tmp_path: Path) -> None:
    assert found(static('COMMON = {}\ndevice_db = {"a": COMMON}\n', tmp_path)) == [("DDB104", 1)]
    assert not found(static(f'COMMON = {{}}\n{statement}\ndevice_db = {{"a": COMMON}}\n', tmp_path))


def test_one_object_under_two_names_is_one_server(tmp_path: Path) -> None:
    served = '{"type": "controller", "host": "::1", "port": 3290, "command": "cam -p {port}"}'
    shared = static(f'SHARED = {served}\ndevice_db = {{"a": SHARED, "b": SHARED}}\n', tmp_path)
    twice = static(f'device_db = {{"a": {served}, "b": {served}}}\n', tmp_path)
    assert "DDB408" not in {each.code for each in shared.findings}
    assert "DDB408" in {each.code for each in twice.findings}


def test_a_syntax_error_is_at_its_line(tmp_path: Path) -> None:
    assert found(static("device_db = {}\nx = = 1\n", tmp_path)) == [("DDB001", 2)]


def test_a_missing_database_is_found(tmp_path: Path) -> None:
    assert [code for code, _ in found(static("devices = {}\n", tmp_path))] == ["DDB004"]


def test_the_command_line_has_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "device_db.py"
    path.write_text("print('ran')\ndevice_db = {}\n")
    assert main(["check", "--static", str(path)]) == 0
    assert "DDB010" not in capsys.readouterr().out
    assert main(["check", "--fail-on", "warning", str(path)]) == 1
    assert "DDB010" in capsys.readouterr().out


@pytest.mark.parametrize("database", sorted(CORPUS.glob("*.ddb")), ids=lambda path: path.stem)
def test_a_working_database_is_left_alone(database: Path, tmp_path: Path) -> None:
    path = write(database.read_text(encoding="utf-8"), tmp_path)
    report = check_file(Subject(path, "device_db.py"), Settings(static=True, artiq_release="9"))
    assert not [each for each in report.findings if each.severity is not Severity.INFO]


def test_what_was_not_checked_is_said_unasked(tmp_path: Path) -> None:
    looped = static(
        'device_db = {}\nfor i in range(3):\n    device_db[f"t{i}"] = {"type": "dummy"}\n', tmp_path
    )
    assert any("parts of it were not checked" in note for note in looped.notes)
    plain = static('device_db = {"a": {"type": "dummy"}}\n', tmp_path)
    assert not plain.notes


DEEP = "- " * 5000 + "1"


def test_a_file_nested_too_deeply_is_said_to_be_unread(tmp_path: Path) -> None:
    report = static(f'device_db = {{"a": {DEEP}}}\n', tmp_path)
    assert found(report) == [(LEFT_OUT, 1)]
    assert "the whole file, which is nested too deeply" in report.findings[0].message
    assert any("not run, so parts of it were not checked" in note for note in report.notes)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a file that root cannot read either")
@pytest.mark.parametrize("options", [[], ["--static"]])
def test_a_file_that_cannot_be_read_is_one_line_with_the_reason(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(UNREADABLE), "--no-config", *options]) == 2
    said = capsys.readouterr()
    assert f"{UNREADABLE}: cannot be read: Input/output error" in said.err
    assert said.err.count("\n") == 1


def test_a_finding_in_a_file_that_is_gone_keeps_its_line(tmp_path: Path) -> None:
    (tmp_path / "part.py").write_text('\nENTRY = {"type": "controler"}\n', encoding="utf-8")
    path = tmp_path / "device_db.py"
    path.write_text(
        'import os, part\nos.remove(part.__file__)\ndevice_db = {"a": part.ENTRY}\n', encoding="utf-8"
    )
    report = check_file(Subject(path, "device_db.py"), Settings(artiq_release="9"))
    errors = [each for each in report.findings if each.severity is Severity.ERROR]
    assert [(Path(each.file).name, each.line) for each in errors] == [("part.py", 2)]
