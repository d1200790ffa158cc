"""What a check looks at, where it says what it finds, and in which order."""

import sys
from pathlib import Path

import pytest

from devicedb.check.config import Settings
from devicedb.check.engine import Subject, _Sources, check_file, drivers_of, examine, usage_of, visible
from devicedb.check.finding import Finding, Report
from devicedb.drivers.catalogue import NEWEST
from devicedb.drivers.signatures import installed_release
from devicedb.errors import DatabaseLoadError
from devicedb.model.rule import Severity


def checked(folder: Path, text: str, **settings: object) -> Report:
    path = folder / "device_db.py"
    path.write_text(text, encoding="utf-8")
    return check_file(Subject(path, "shown.py"), Settings(artiq_release="9", time_limit=60, **settings))  # type: ignore[arg-type]


def test_what_cannot_be_read_is_no_finding(tmp_path: Path) -> None:
    for path, why in ((tmp_path, "it is no regular file"), (tmp_path / "absent.py", "there is no such file")):
        with pytest.raises(DatabaseLoadError, match=why) as caught:
            check_file(Subject(path, "shown.py"), Settings())
        assert "shown.py" in str(caught.value)


def test_the_text_of_another_file_is_checked_under_the_name_of_the_first(tmp_path: Path) -> None:
    source = tmp_path / "buffer"
    source.write_text("device_db = {'a b': {'type': 'dummy'}}\n")
    found = check_file(Subject(tmp_path / "device_db.py", "shown.py", source), Settings()).findings
    assert [(each.code, each.file, each.line, each.column) for each in found] == [
        ("DDB102", "shown.py", 1, 14)
    ]


MANY = """device_db = {
    "z z": {"type": "dummy"}, "ä ä": {"type": "dummy"},
    "b": {"type": "controller", "host": "::1", "port": "x"},
    "c c": {"type": "dummy"},  # ddb: ignore[DDB102]
    "d d": {"type": "dummy"},  # ddb: ignore[DDB102]
}
"""


def test_findings_are_in_the_order_of_the_file_and_silenced_ones_are_counted(tmp_path: Path) -> None:
    report = checked(tmp_path, MANY)
    places = [(each.line, each.column) for each in report.findings]
    assert places == sorted(places)
    assert {each.line for each in report.findings} == {2, 3}
    assert report.ignored == 2
    assert report.files == ("shown.py",)
    assert report.sources["shown.py"][1].startswith('    "z z"')
    # Columns are those of characters, not of bytes.
    assert [each.column for each in report.findings if each.code == "DDB102"] == [5, 31]


def test_faults_that_differ_in_names_only_are_one_finding(tmp_path: Path) -> None:
    report = checked(tmp_path, "device_db = {f'a {n}': {'type': 'dummy'} for n in range(3)}\n")
    (found,) = report.findings
    assert found.entries == ("a 0", "a 1", "a 2")


def test_a_place_that_is_not_in_the_file_has_a_column(tmp_path: Path) -> None:
    path = tmp_path / "there.py"
    path.write_text("ä = 1\n", encoding="utf-8")
    sources = _Sources({}, {})
    assert [sources.column(str(path), line, 4) for line in (0, 1, 2)] == [1, 4, 1]
    assert sources.column(str(tmp_path / "absent.py"), 1, 4) == 1


def test_only_what_was_asked_for_is_checked(tmp_path: Path) -> None:
    text = "print('x')\ndevice_db = {'a b': {'type': 'dummy'}, 'c': {'type': 'dumy'}}\n"
    every = {each.code for each in checked(tmp_path, text).findings}
    assert {"DDB010", "DDB102"} < every
    assert {each.code for each in checked(tmp_path, text, select=("DDB10",)).findings} == {
        code for code in every if code.startswith("DDB10")
    }
    assert {each.code for each in checked(tmp_path, text, ignore=("DDB0", "DDB102")).findings} == every - {
        "DDB010",
        "DDB102",
    }


@pytest.mark.parametrize("end", ["raise ValueError", "import os; os._exit(3)"])
def test_what_a_file_prints_before_it_fails_is_no_fault_of_its_own(tmp_path: Path, end: str) -> None:
    codes = {each.code for each in checked(tmp_path, f"print('why')\n{end}\n").findings}
    assert codes
    assert "DDB010" not in codes


def test_the_database_of_a_check_is_whole_where_the_file_is_known(tmp_path: Path) -> None:
    path = tmp_path / "device_db.py"
    path.write_text("device_db = {'a': {'type': 'dummy'}}\n")
    made = examine(Subject(path, "shown.py"), Settings(static=True))
    assert made.database is not None
    assert made.database.is_complete
    assert made.database.folder == str(tmp_path)
    assert made.report.notes == ()
    path.write_text(
        "import os\ndevice_db = {'a': {'type': 'dummy'}}\ndevice_db.update(eval(os.environ['X']))\n"
    )
    made = examine(Subject(path, "shown.py"), Settings(static=True))
    assert made.database is None or not made.database.is_complete
    assert any(note.startswith("shown.py: not run") for note in made.report.notes)
    path.write_text("device_db = []\n")
    assert examine(Subject(path, "shown.py"), Settings()).database is None


def test_drivers_are_of_the_chosen_release_else_the_installed_one_else_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(installed_release.cache_clear)

    def found(release: str | None) -> tuple[str, bool, bool]:
        drivers = drivers_of(Settings(artiq_release=release), str(tmp_path))
        return drivers.release, drivers.is_certain, drivers.is_installed

    monkeypatch.setattr(sys, "path", [str(tmp_path), ""])
    installed_release.cache_clear()
    assert found(None) == (NEWEST, False, False)
    assert found("8") == ("8", True, False)
    (tmp_path / "artiq-7.8123.dist-info").mkdir()
    installed_release.cache_clear()
    assert found(None) == ("7", True, True)
    assert found("8") == ("8", True, False)


def test_drivers_are_looked_for_beside_the_file_then_in_the_search_path_then_in_the_interpreter_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", ["", "/of/python"])
    drivers = drivers_of(Settings(search_path=(str(tmp_path),)), "/beside")
    assert drivers.finder.folders == ("/beside", str(tmp_path), "/of/python")
    with pytest.raises(DatabaseLoadError, match="no such folder of drivers"):
        drivers_of(Settings(search_path=(str(tmp_path / "absent"),)), "/beside")


def test_what_experiments_use_is_gathered_from_all_folders(tmp_path: Path) -> None:
    assert usage_of(Settings()) == (None, [])
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        (folder / "e.py").write_text(
            "from artiq.experiment import *\nclass E(EnvExperiment):\n    def build(self):\n"
            f"        self.setattr_device('{folder.name}')\n        self.setattr_device(self.name)\n"
            f"    def run(self):\n        self.{folder.name}.fire()\n"
        )
    (folders[1] / "wrong.py").write_text("x = (")
    usage, notes = usage_of(Settings(experiments=tuple(map(str, folders))))
    assert usage is not None
    assert [use.name for use in usage.uses] == ["one", "two"]
    assert len(usage.calls) == 2
    assert (usage.computed, usage.files) == (2, 3)
    assert notes == [
        f"{folders[1] / 'wrong.py'}: cannot be parsed; its devices are not checked",
        "2 device names in 3 experiment files are computed and were not checked",
    ]
    (folders[0] / "e.py").write_text("")
    assert usage_of(Settings(experiments=(str(folders[0]),)))[1] == []
    with pytest.raises(DatabaseLoadError, match="no such folder of experiments"):
        usage_of(Settings(experiments=(str(tmp_path / "absent"),)))


@pytest.mark.parametrize(
    ("show", "fail_on", "kept"),
    [
        ("info", "error", 3),
        ("warning", "error", 2),
        ("error", "error", 1),
        ("error", "warning", 2),
        ("error", "info", 3),
    ],
)
def test_what_is_below_what_was_asked_for_is_not_shown(show: str, fail_on: str, kept: int) -> None:
    findings = tuple(
        Finding(f"DDB10{n}", severity, "f", 1, 1, 1, 1, "", "", "")
        for n, severity in enumerate((Severity.ERROR, Severity.WARNING, Severity.INFO))
    )
    settings = Settings(show=Severity(show), fail_on=Severity(fail_on))
    assert visible(Report(("f",), findings), settings).findings == findings[:kept]
