"""`devicedb check --construct`: what constructing raises is told at the entry, and the table agrees with it."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devicedb.check import construct as construct_module
from devicedb.check.config import Settings
from devicedb.check.construct import ConstructError
from devicedb.check.engine import Subject, check_file, database_of, hits_of
from devicedb.model.rule import Severity
from devicedb.sandbox.construct_child import construct
from devicedb.sandbox.run import run_file

ARTIQ_PYTHON = os.environ.get("ARTIQ_PYTHON")
CASES = Path(__file__).with_name("cases")
RECORDED = Path(__file__).with_name("data") / "constructed.json"
LAB = """
class Stage:
    def __init__(self, dmgr, axes, laser_device):
        self.laser = dmgr.get(laser_device)
        if axes > 3:
            raise ValueError("a stage has three axes")


class Laser:
    def __init__(self, dmgr, power=1):
        self.reach = 1 / power


class Shutter:
    def __init__(self, dmgr, camera_device):
        self.exposure = dmgr.get(camera_device).exposure * 2
        assert self.exposure > 5
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "lab_drivers.py").write_text(LAB)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("lab_drivers", None)


def local(name: str, **arguments: object) -> dict[str, object]:
    return {"type": "local", "module": "lab_drivers", "class": name, "arguments": arguments}


@pytest.mark.usefixtures("lab")
def test_a_failure_is_told_of_the_device_that_causes_it() -> None:
    database = {
        "laser": local("Laser", power=0),
        "stage": local("Stage", axes=3, laser_device="laser"),
        "tall": local("Stage", axes=4, laser_device="good"),
        "good": local("Laser"),
        "lost": local("Stage", axes=3, laser_device="lazer"),
        "alias": "good",
        "by_alias": local("Stage", axes=3, laser_device="alias"),
    }
    errors = construct(database, [name for name in database if name != "alias"], True)["errors"]
    assert {name: (each["kind"], each["text"]) for name, each in errors.items()} == {
        "laser": ("ZeroDivisionError", "division by zero"),
        "tall": ("ValueError", "a stage has three axes"),
        "lost": ("KeyError", "'lazer'"),
    }


@pytest.mark.usefixtures("lab")
def test_what_a_device_that_is_not_constructed_may_cause_is_uncertain() -> None:
    database = {
        "camera": {"type": "controller", "host": "::1", "port": 1},
        "shutter": local("Shutter", camera_device="camera"),
        "missing": local("Missing"),
    }
    answer = construct(database, ["shutter", "missing"], True)
    assert set(answer["errors"]) == {"missing"}
    assert construct(database, ["shutter", "missing"], False) == {"errors": {}, "uncertain": []}


@pytest.mark.usefixtures("lab")
def test_devices_that_need_each_other_end() -> None:
    database = {
        "a": local("Stage", axes=1, laser_device="b"),
        "b": local("Stage", axes=1, laser_device="c"),
        "c": "a",
        "d": local("Stage", axes=1, laser_device="a"),
    }
    errors = construct(database, ["a", "b", "d"], True)["errors"]
    assert set(errors) == {"a", "b"}
    assert all(each["circle"] for each in errors.values())


@pytest.mark.parametrize("case", sorted(CASES.glob("*.ddb")), ids=lambda path: path.stem)
def test_the_rules_find_what_artiq_raises(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ARTIQ's answers are recorded; with ARTIQ_PYTHON they come from a live one, of release 9."""
    path = tmp_path / "device_db.py"
    path.write_bytes(case.read_bytes())
    settings = Settings(artiq_release="9", construct="artiq", artiq_python=ARTIQ_PYTHON)
    answers = json.loads(RECORDED.read_text())
    if ARTIQ_PYTHON is None:
        monkeypatch.setattr(construct_module, "_ask", lambda *_: answers[case.stem])
    db, _ = database_of(run_file(path), settings)
    raised, _ = construct_module.constructed(db, ARTIQ_PYTHON or "", (), 60, everything=False)
    assert raised == answers[case.stem]["errors"]
    found = {hit.entry for rule, hit in hits_of(db, settings) if rule.severity is Severity.ERROR}
    assert raised.keys() <= found


def test_a_failure_without_a_rule_of_its_own_is_at_the_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "device_db.py"
    path.write_text(
        'device_db = {\n    "a": {"type": "local", "module": "artiq.coredevice.core", "class": "Core",\n'
        '        "arguments": {"host": "::1", "ref_period": 1e-9, "target": "or1k"}},\n'
        '    "b": {"type": "local", "module": "lab", "class": "Laser", "arguments": {"power": 0}},\n}\n'
    )
    errors = {"a": {"kind": "ValueError", "text": "Unsupported target"}, "b": {"kind": "Fault", "text": "x"}}
    answer = {"artiq": True, "errors": errors, "uncertain": ["c"]}
    monkeypatch.setattr(construct_module, "_ask", lambda *_: answer)
    report = check_file(Subject(path, "device_db.py"), Settings(construct="all"))
    told = [(each.code, each.entry, each.line) for each in report.findings if each.severity is Severity.ERROR]
    assert ("DDB515", "b", 4) in told
    assert ("DDB515", "a", 3) not in told  # DDB509 says why
    assert any("not certain" in note for note in report.notes)


@pytest.mark.parametrize(
    ("python", "said"),
    [("/no/such/python", "cannot be started"), (sys.executable, "has no ARTIQ")],
)
def test_an_interpreter_that_cannot_construct_is_one_line(tmp_path: Path, python: str, said: str) -> None:
    path = tmp_path / "device_db.py"
    path.write_text("device_db = {}\n")
    with pytest.raises(ConstructError, match=said):
        check_file(Subject(path, "device_db.py"), Settings(construct="artiq", artiq_python=python))


ALL_USES = """
import copy, math, os, socket, subprocess


class Asks:
    def __init__(self, dmgr, of):
        print("a driver may print")
        device = dmgr.get(of)
        part = copy.copy(device.port).open(baud=9600)["x"]
        for value in (part + 1, 1 + part, part - 1, 1 - part, part * 2, 2 * part, part / 2, 2 / part, part // 2, -part,
                      2 // part, part % 2, part**2, part << 1, part >> 1, part & 1, part | 1, part ^ 1, abs(part)):
            assert value.anything
        assert (int(part), len(part), [0, 1][part], float(part)) == (1, 1, 1, 1.0)
        assert part < 1 and part <= 1 and part > 1 and part >= 1 and part and 1 in part
        assert [each.name for each in part]
        with open("asked", "a") as log:
            log.write(f"{of} ")
        raise OSError("a stand-in may have caused it")


class Knows:
    def __init__(self, dmgr):
        assert dmgr.get_desc("name")["arguments"] == {"of": "camera"}
        assert dmgr.get_device_db()["name"] == "asks"
        assert dmgr.get("nothing") is not dmgr.get("scheduler")


class Dials:
    def __init__(self, dmgr):
        socket.create_connection(("127.0.0.1", 9))


class Starts:
    def __init__(self, dmgr):
        subprocess.run(["true"])


class Mumbles:
    def __init__(self, dmgr):
        raise type("Mumbled", (Exception,), {"__str__": lambda self: 1 / 0})


class Asserts:
    def __init__(self, dmgr, reach=1):
        assert math.isnan(reach)


class Needs:
    def __init__(self, dmgr, of):
        for name in of:
            dmgr.get(name)
"""


def test_a_child_constructs_and_lets_no_driver_out(tmp_path: Path) -> None:
    """In a process of its own, beside a package that is called as ARTIQ."""
    (tmp_path / "artiq").mkdir()
    (tmp_path / "artiq" / "__init__.py").touch()
    (tmp_path / "lab_drivers.py").write_text(ALL_USES)
    database = {
        "camera": {"type": "controller", "host": "::1", "port": 1},
        "nothing": {"type": "dummy"},
        "name": "asks",
        "asks": local("Asks", of="camera"),
        "asks_scheduler": local("Asks", of="scheduler"),
        "knows": local("Knows"),
        "dials": local("Dials"),
        "starts": local("Starts"),
        "mumbles": local("Mumbles"),
        "asserts": local("Asserts"),
        "first": local("Needs", of=["knows", "dials"]),
        "second": local("Needs", of=["knows", "dials"]),
        "ring": "link",
        "link": "ring",
        "ringed": local("Needs", of=["ring"]),
        "unsure": local("Needs", of=["asks"]),
        "not_plain": local("Needs", of=float("inf")),
    }
    path = tmp_path / "device_db.py"
    path.write_text(f"inf = float('inf')\ndevice_db = {database!r}\n")
    db, _ = database_of(run_file(path), Settings())
    raised, notes = construct_module.constructed(db, sys.executable, (), 60, everything=True)
    assert (tmp_path / "asked").read_text() == "camera scheduler "
    assert {name: (each["kind"], each["text"]) for name, each in raised.items()} == {
        "dials": ("OSError", "devicedb check --construct allows no socket.connect"),
        "starts": ("OSError", "devicedb check --construct allows no subprocess.Popen"),
        "mumbles": ("Mumbled", 'raise type("Mumbled", (Exception,), {"__str__": lambda self: 1 / 0})'),
        "asserts": ("AssertionError", "assert math.isnan(reach)"),
    }
    assert notes == [
        "1 local entries with values that are not plain were not constructed",
        "not certain, because devices that they use were not constructed: 'asks', 'asks_scheduler'",
    ]
