"""A catalogue of drivers is made from source that is parsed and never imported."""

import json
from pathlib import Path
from typing import Any

import pytest

from devicedb.catalogue.__main__ import main
from devicedb.catalogue.build import add, find_package, read
from devicedb.catalogue.methods import FILE as METHODS
from devicedb.catalogue.methods import artiq_driver, merged, methods_in
from devicedb.drivers.catalogue import FILE

DRIVERS = """
from .base import Base
raise SystemExit("imported")
class Motor(Base):
    def __init__(self, dmgr, channel, speed=1.0, *, core="core", **more): pass
class Stage(Base): pass
class Helper:
    def __init__(self, channel, speed): pass
class _Hidden(Base): pass
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout" / "lab"
    (folder / "drivers").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "drivers" / "__init__.py").write_text("")
    (folder / "drivers" / "base.py").write_text(
        "class Base:\n    def __init__(self, device_mgr, host): pass\n"
    )
    (folder / "drivers" / "motor.py").write_text(DRIVERS)
    return folder / "drivers"


def built(argv: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    assert main(argv) == 0
    return json.loads(capsys.readouterr().out)["drivers"]


def test_drivers_are_told_by_their_manager(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert built([str(package), "--release", "8"], capsys) == {
        "lab.drivers.base": {"Base": [{"releases": ["8"], "required": ["host"], "optional": []}]},
        "lab.drivers.motor": {
            "Motor": [
                {
                    "releases": ["8"],
                    "required": ["channel"],
                    "optional": ["speed", "core"],
                    "open": True,
                }
            ],
            "Stage": [{"releases": ["8"], "required": ["host"], "optional": []}],
        },
    }


def test_a_dotted_name_is_found_on_the_path(
    package: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(package.parents[1]))
    assert "lab.drivers.motor" in built(["lab.drivers", "--release", "8"], capsys)


def test_constructors_may_call_the_manager_otherwise(
    package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (package / "motor.py").write_text("class M:\n    def __init__(self, dm, x): pass\n")
    assert "lab.drivers.motor" not in built([str(package), "--release", "8"], capsys)
    assert list(built([str(package), "--release", "8", "--manager", "dm"], capsys)) == ["lab.drivers.motor"]


def test_an_update_replaces_one_release_and_keeps_the_others(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "old.json"
    assert main([str(package), "--release", "8", "--output", str(old)]) == 0
    (package / "base.py").write_text("class Base:\n    def __init__(self, dmgr, host, port=1): pass\n")
    made = built([str(package), "--release", "9", "--update", str(old)], capsys)
    assert [form["releases"] for form in made["lab.drivers.motor"]["Motor"]] == [["8", "9"]]
    assert [(form["releases"], form["optional"]) for form in made["lab.drivers.base"]["Base"]] == [
        (["8"], []),
        (["9"], ["port"]),
    ]
    assert add(read(old), iter([]), "8") == {}


def test_the_shipped_catalogue_is_in_this_form() -> None:
    shipped = read(FILE)
    assert add(shipped, iter([]), "none") == shipped


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("nowhere.at.all", None, "there is no such folder"),
        ("", "class (", "broken.py: cannot be parsed by Python"),
    ],
)
def test_what_cannot_be_read_is_one_line_and_nothing_is_written(
    package: Path, tmp_path: Path, name: str, text: str | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (package / "broken.py").write_text(text)
    output = tmp_path / "out.json"
    assert main([name or str(package), "--release", "8", "--output", str(output)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not output.exists()


def test_a_file_that_is_no_catalogue_is_not_updated(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.json").write_text('{"drivers": {"m": {"C": [{}]}}}')
    assert main([str(package), "--release", "8", "--update", str(tmp_path / "x.json")]) == 2
    assert "is no catalogue of drivers: KeyError('required')" in capsys.readouterr().err


def test_methods_of_several_releases_are_one_list_the_newest_signature_first(tmp_path: Path) -> None:
    for release, extra in (("new", "=1"), ("old", "")):
        folder = tmp_path / release / "lab"
        folder.mkdir(parents=True)
        (folder / "drivers.py").write_text(
            "class Base:\n    def close(self): ...\n"
            f"class Dds(Base):\n    def __init__(self, dmgr, channel):\n        self.channel = channel\n"
            f"    def set(self, frequency: float{extra}) -> int: ...\n    def {release}(self): ...\n"
            "    @staticmethod\n    def limits(): ...\n    alias = set\n    def _own(self): ...\n"
        )
    found = merged([methods_in(find_package(str(tmp_path / each / "lab"))) for each in ("new", "old")])
    assert found == {"drivers": {"Dds": {"methods": {
        "close": "(self)", "limits": "(self)", "new": "(self)", "old": "(self)",
        "set": "(self, frequency: float=1) -> int",
    }, "attributes": ["channel"]}}}  # fmt: skip


def test_every_signature_of_the_shipped_methods_can_be_read() -> None:
    names = [
        (module, name)
        for module, classes in json.loads(METHODS.read_bytes())["drivers"].items()
        for name in classes
    ]
    assert len(names) > 50
    for module, name in names:
        facts = artiq_driver(module, name)
        assert facts is not None
        assert facts.methods
    assert artiq_driver("artiq.coredevice.ttl", "Nothing") is None
