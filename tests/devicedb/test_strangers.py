"""Files of strangers: nested, long or hostile ones end in findings, never in a traceback or beyond the limits."""

import contextlib
import json
import os
import sys
import textwrap
from pathlib import Path

import pytest

from devicedb.check.config import Settings
from devicedb.check.databases import databases_in
from devicedb.check.engine import Subject, check_file, hits_of
from devicedb.cli import main
from devicedb.drivers.usage import scan
from devicedb.model.database import CheckedDatabase, shown
from devicedb.model.located import from_plain
from devicedb.model.rule import Severity
from devicedb.rules.hosts import fault_of_host
from devicedb.sandbox.run import run_file
from tests.supervise.controllers import alive
from tests.waiting import within

if sys.platform == "win32":
    import _winapi

DEEP = {
    "minus": "x = " + "-" * 5000 + "1\ndevice_db = {}\n",
    "sum": "x = " + "+".join(["1"] * 20_000) + "\ndevice_db = {}\n",
    "digits": "device_db = {'a': " + "9" * 50_000 + "}\n",
    "elif": "x = 1\nif x == 0:\n    device_db = {}\n"
    + "".join(f"elif x == {n}:\n    pass\n" for n in range(5000)),
    "parentheses": "device_db = " + "(" * 3000 + ")" * 3000 + "\n",
    "lists": "a0 = [1]\n"
    + "".join(f"a{n} = [a{n - 1}, a{n - 1}]\n" for n in range(1, 60))
    + "device_db = {'c': {'type': 'controller', 'host': a59, 'port': 1}}\n",
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
@pytest.mark.parametrize("static", [True, False], ids=["static", "run"])
def test_a_deep_or_long_file_ends_in_findings(text: str, static: bool, tmp_path: Path) -> None:
    path = tmp_path / "device_db.py"
    path.write_text(text)
    report = check_file(Subject(path, "device_db.py"), Settings(static=static, time_limit=30))
    assert report.findings
    assert all(len(each.message) < 500 for each in report.findings)


def test_a_value_that_doubles_itself_is_shown_short() -> None:
    value: list[object] = [1]
    for _ in range(60):
        value = [value, value]
    assert len(shown(value)) <= 60


@pytest.mark.parametrize("end", [{"type": "dummy"}, "nowhere", "a0"], ids=["entry", "nothing", "loop"])
def test_each_alias_of_a_long_chain_is_followed_once(end: object) -> None:
    count = 20_000
    raw = {**{f"a{n}": f"a{n + 1}" for n in range(count)}, f"a{count}": end}
    db = CheckedDatabase(from_plain(raw))
    looked = 0

    class Counted(dict):  # type: ignore[type-arg]
        def get(self, key: object, default: object = None) -> object:
            nonlocal looked
            looked += 1
            return super().get(key, default)

    db.__dict__["entries"] = Counted(db.entries)
    for name in raw:
        db.walk(name)
    assert looked <= 2 * count + 10
    codes = {rule.code for rule, hit in hits_of(db, Settings(select=("DDB2",)))}
    assert codes == ({"DDB201"} if end == "nowhere" else {"DDB202"} if end == "a0" else set())


def test_a_file_on_another_drive_has_its_whole_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part, path = tmp_path / "part.py", tmp_path / "device_db.py"
    part.write_text("ENTRY = {'type': 'controler'}\n")
    path.write_text("from part import ENTRY\ndevice_db = {'a': ENTRY}\n")
    monkeypatch.setattr(os.path, "relpath", _on_another_drive)
    found = check_file(Subject(path, "device_db.py"), Settings()).findings
    assert str(part) in {each.file for each in found}


def _on_another_drive(_: object) -> str:
    raise ValueError("path is on mount 'D:', start on mount 'C:'")  # as on Windows


def test_the_arguments_of_the_child_are_not_the_files(tmp_path: Path) -> None:
    path = tmp_path / "device_db.py"
    path.write_text(
        "import sys\nfrom pathlib import Path\n"
        "line = Path('/proc/self/cmdline')\n"
        "seen = line.read_bytes().decode().split(chr(0)) if line.exists() else []\n"
        "device_db = {'argv': repr(sys.argv), 'line': repr(seen), 'stdin': repr(sys.stdin.read())}\n"
    )
    picture = run_file(path).picture
    told = json.dumps(list(picture["root"]["d"]))
    assert "result" not in told.replace("repr", "")
    assert str(path).replace("\\", "") in told.replace("\\", "")  # which has them escaped


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_a_process_that_leaves_the_session_is_ended_too(tmp_path: Path) -> None:
    path, pid_file = tmp_path / "device_db.py", tmp_path / "pid"
    path.write_text(
        textwrap.dedent(
            f"""
            import os, time
            if os.fork() == 0:
                os.setsid()
                open({str(pid_file)!r}, "w").write(str(os.getpid()))
                time.sleep(1000)
            while not os.path.exists({str(pid_file)!r}) or not open({str(pid_file)!r}).read():
                time.sleep(0.01)
            device_db = {{}}
            """
        )
    )
    assert run_file(path, time_limit=30).root_kind == "dict"
    pid = int(pid_file.read_text())
    assert within(150, lambda: not alive(pid))


def test_a_print_is_told_at_its_line_with_its_stream(tmp_path: Path) -> None:
    (tmp_path / "lab_ports.py").write_text("import sys\n\nprint('old ports', file=sys.stderr)\nPORTS = {}\n")
    path = tmp_path / "device_db.py"
    path.write_text("from lab_ports import PORTS\n\ndevice_db = {}\nprint('loading', len(PORTS))\n")
    found = check_file(Subject(path, "device_db.py"), Settings()).findings
    told = sorted((Path(each.file).name, each.line, each.message) for each in found if each.code == "DDB010")
    assert [(file, line) for file, line, _ in told] == [("device_db.py", 4), ("lab_ports.py", 3)]
    assert "standard output" in told[0][2]
    assert "standard error" in told[1][2]


def test_control_characters_do_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "device_db.py"
    path.write_text('device_db = {"a\x1b]0;x\x07\u202e": {"type": "\x9b31m"}}  # \x1b[2J\n', encoding="utf-8")
    assert main(["check", str(path), "--no-config"]) == 1
    text = capsys.readouterr().out
    assert not [
        each for each in text if (each < " " and each != "\n") or "\x7f" <= each <= "\x9f" or each == "\u202e"
    ]


def test_only_databases_of_a_folder_are_run(tmp_path: Path) -> None:
    texts = {
        "device_db.py": "device_db = {}\n",
        "device_db_left.py": "from base import device_db\n",
        "make_device_db.py": "import argparse\ndevice_db = {}\nopen('ran', 'w')\n",
        "test_device_db.py": "def test_it():\n    device_db = {}\n",
        "device_db_tools.py": "def load():\n    device_db = {}\n    return device_db\n",
        "old_device_db.py": "if True:\n    device_db = {}\n",
        "device_db_broken.py": "device_db = {\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    found, others = databases_in(tmp_path)
    assert [path.name for path in found] == [
        "device_db.py",
        "device_db_broken.py",
        "device_db_left.py",
        "old_device_db.py",
    ]
    assert [path.name for path in others] == ["device_db_tools.py", "make_device_db.py", "test_device_db.py"]


EXPERIMENT = """
class Scan(EnvExperiment):
    def build(self):
        for axis in "xy":
            self.setattr_device(axis)
        self.camera = self.hub.get_device("usb0")
        if "spare" in self.get_device_db():
            self.setattr_device("spare")
        try:
            self.setattr_device("perhaps")
        except KeyError:
            pass
        self.setattr_device("surely")


class Hub(HasEnvironment):
    def get_device(self, name):
        return self.ports[name]

    def build(self):
        self.get_device("port_1")
"""


def test_only_what_experiments_surely_ask_for_is_used(tmp_path: Path) -> None:
    path = tmp_path / "scan.py"
    path.write_text(EXPERIMENT)
    assert sorted(use.name for use in scan(path).uses) == ["surely", "x", "y"]


def test_a_hint_does_not_lead_to_another_error(tmp_path: Path) -> None:
    path = tmp_path / "device_db.py"
    path.write_text(
        'device_db = {"servo": {"type": "local", "module": "artiq.coredevice.suservo", "class": "SUServo",\n'
        '    "arguments": {"channel": 1, "pgia_device": "servo", "cpld0_device": "servo"}}}\n'
    )
    found = check_file(Subject(path, "device_db.py"), Settings(artiq_release="9")).findings
    (hint,) = [each.hint for each in found if each.code == "DDB504"]
    assert hint == "write \"cpld_devices\": ['servo']"


def test_a_driver_that_is_gone_is_an_error_where_the_release_is_named(tmp_path: Path) -> None:
    path = tmp_path / "device_db.py"
    entry = '{"type": "local", "module": "artiq.coredevice.%s", "class": "%s"}'
    path.write_text(f'device_db = {{"a": {entry % ("i2c", "PCA9548")}, "b": {entry % ("sawg", "SAWG")}}}\n')
    for release, severity in (("9", Severity.ERROR), (None, Severity.INFO)):
        found = check_file(Subject(path, "device_db.py"), Settings(artiq_release=release)).findings
        told = {each.entry: each for each in found if each.code == "DDB502"}
        assert {each.severity for each in told.values()} == {severity}
        assert "I2CSwitch" in told["a"].hint
        assert "it went in ARTIQ 8" in told["b"].message


def test_a_package_that_only_the_laboratory_has_stays_unknown(tmp_path: Path) -> None:
    path = tmp_path / "device_db.py"
    path.write_text(
        "import lab_tools.ports\nfrom lab_tools import HOST\n"
        'device_db = {"a": {"type": "controller", "host": HOST, "port": lab_tools.ports.of("a") + 1},\n'
        '    "b": {"type": "controller", "host": "::1", "port": 70000}, "c": "from_lab"}\n'
        "device_db.update(lab_tools.entries())\n"
    )
    found = check_file(Subject(path, "device_db.py"), Settings()).findings
    assert [(each.code, each.severity) for each in found] == [("DDB003", Severity.ERROR)]
    assert "--assume-installed lab_tools" in found[0].hint
    settings = Settings(assume_installed=("lab_tools",))
    assert [each.code for each in check_file(Subject(path, "device_db.py"), settings).findings] == ["DDB109"]


def test_services_get_paths_from_the_root_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".git").mkdir()
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / "device_db.py").write_text('device_db = {"a": "b"}\n')
    monkeypatch.chdir(folder)
    for name in ("GITHUB_WORKSPACE", "CI_PROJECT_DIR"):
        monkeypatch.delenv(name, raising=False)
    for root in (None, tmp_path):
        if root is not None:
            monkeypatch.setenv("GITHUB_WORKSPACE", str(root))
        assert main(["check", "--format", "github"]) == 1
        assert "file=lab/device_db.py," in capsys.readouterr().out


def test_the_cost_of_unknown_names_does_not_grow_with_their_square(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def count(name: str, candidates: object) -> str:
        asked.append(name)
        return ""

    monkeypatch.setattr("devicedb.model.database.did_you_mean", count)
    same: dict[str, object] = {f"a{n}": "cor" for n in range(500)}
    hits = list(hits_of(CheckedDatabase(from_plain(same)), Settings()))
    assert (len(hits), len(asked)) == (500, 1)
    every: dict[str, object] = {f"a{n}": f"b{n}" for n in range(500)}
    hits = list(hits_of(CheckedDatabase(from_plain(every)), Settings()))
    assert (len(hits), len(asked)) == (500, 201)


@pytest.mark.parametrize("host", ["a[b", "a]", "a:b", "[", "x[y]:1", "\x1b[31mred", "http://a[b", "[[::1]"])
def test_a_host_with_something_odd_in_its_middle_is_wrong_and_no_more(host: str) -> None:
    found = fault_of_host(host)
    assert found is not None
    assert host not in found[1]


def test_a_database_that_cannot_be_read_is_not_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "device_db.py").write_text("device_db = {}\n")
    unread = tmp_path / "device_db_lab.py"
    with contextlib.ExitStack() as stack:
        if sys.platform == "win32":
            unread.write_text("device_db = {}\n")
            handle = _winapi.CreateFile(str(unread), _winapi.GENERIC_READ, 0, 0, _winapi.OPEN_EXISTING, 0, 0)
            stack.callback(_winapi.CloseHandle, handle)
        else:
            unread.symlink_to("nowhere")
        assert main(["check", str(tmp_path)]) == 2
    assert "device_db_lab.py: " in capsys.readouterr().err
