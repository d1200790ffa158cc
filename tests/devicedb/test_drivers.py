"""Drivers and experiments are read from their source; differences are those of meaning; schemas are printed."""

import ast
import json
from pathlib import Path

import pytest

from devicedb.cli import main
from devicedb.drivers.catalogue import NEWEST
from devicedb.drivers.history import ARTIQ, REPLACED, replaced_by
from devicedb.drivers.servers import offers_option, served_names
from devicedb.drivers.signatures import Drivers, installed_release, slip
from devicedb.drivers.sources import SourceFinder
from devicedb.drivers.usage import scan

EXPERIMENT = """
NAMES = ["ttl0", "ttl1"]
class E(EnvExperiment):
    CAMERA = "camera"
    def build(self):
        self.setattr_device("core")
        self.cam = self.get_device(self.CAMERA)
        for name in NAMES:
            self.setattr_device(name)
        self.get_device(f"dds{1}")
    def run(self):
        self.cam.snap()
"""


def test_names_of_devices_are_read_through_constants_and_loops(tmp_path: Path) -> None:
    (tmp_path / "e.py").write_text(EXPERIMENT)
    (tmp_path / "broken.py").write_text("class (")
    found = scan(tmp_path)
    assert sorted(each.name for each in found.uses) == ["camera", "core", "ttl0", "ttl1"]
    assert found.computed == 1
    assert [(each.device, each.method) for each in found.calls] == [("camera", "snap")]
    assert found.unreadable == (str(tmp_path / "broken.py"),)


def test_a_driver_is_parsed_through_its_bases_and_never_imported(tmp_path: Path) -> None:
    (tmp_path / "base.py").write_text(
        "class Base:\n    def __init__(self, dmgr, a, b=1, *, c, **more): pass\n"
    )
    (tmp_path / "lab.py").write_text("from base import Base\nraise SystemExit\nclass Motor(Base): pass\n")
    drivers = Drivers(finder=SourceFinder((str(tmp_path),)))
    signature = drivers.lookup("lab", "Motor").signature
    assert signature is not None
    assert (signature.required, signature.optional, signature.is_open) == (("a", "c"), ("b",), True)
    assert drivers.lookup("lab", "Mtoor").near == "Motor"
    assert drivers.lookup("elsewhere", "X").missing == ""


def test_arguments_of_artiqs_drivers_depend_on_the_release() -> None:
    old = Drivers("7").lookup("artiq.coredevice.core", "Core").signature
    new = Drivers("9").lookup("artiq.coredevice.core", "Core").signature
    assert old is not None
    assert new is not None
    assert "report_invariants" in set(new.names) - set(old.names)
    assert Drivers("9").lookup("artiq.coredevice.ad9154_spi", "AD9154").releases == ("7",)


def test_the_installed_release_is_found_by_its_metadata(tmp_path: Path) -> None:
    assert installed_release((str(tmp_path),)) is None
    (tmp_path / "artiq-8.1+abc.dist-info").mkdir()
    installed_release.cache_clear()
    assert installed_release((str(tmp_path),)) == "8"


@pytest.mark.parametrize(("name", "near"), [("tttl", "ttl"), ("spi", None), ("quantum", None)])
def test_another_chip_is_no_slip(name: str, near: str | None) -> None:
    assert slip(name, ["ttl", "spi2", "urukul"]) == near


def test_diff_tells_changes_of_meaning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = tmp_path / "a.py", tmp_path / "b.py"
    camera = {"type": "controller", "host": "::1", "port": 1, "comment": "x"}
    old.write_text(f"device_db = { ({'cam': camera, 'gone': 'cam', 'al': 'cam'})!r}")
    new.write_text(
        f"device_db = { ({'al': 'b', 'b': 'cam', 'cam': {**camera, 'host': 'lab', 'comment': 'y'}})!r}"
    )
    assert main(["diff", str(old), str(new)]) == 1
    words = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert words == [["retargeted", "al:"], ["added", "b:"], ["moved", "cam:"], ["removed", "gone:"]]
    assert main(["diff", str(old), str(new), "--format", "json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["changes"]) == 4
    assert main(["diff", str(old), str(old)]) == 0


def test_schemas_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "report"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Report of devicedb check"


@pytest.mark.parametrize(
    ("calls", "names"),
    [
        ('simple_server_loop({"a": A(), "b": B()}, "::1", 1)', ("a", "b")),
        ('simple_rexec_server_loop("a", A(), "::1", 1)', ("a", "a_rexec")),
        ('Server({"a": A()}, "text")', ("a",)),
        ('Server({"a": A()})\nServer({"a": B()})', ("a",)),
        ('Server({"a": A()})\nServer({"b": B()})', ()),
        ('Server({"a": A(), name: B()})', ()),
        ("simple_server_loop(targets, None, 1)", ()),
        ('simple_server_loop({"a": A()}, None, 1)\nsimple_server_loop(targets, None, 1)', ()),
        ("pass", ()),
    ],
)
def test_targets_that_a_program_names_plainly_are_read(calls: str, names: tuple[str, ...]) -> None:
    assert served_names(ast.parse(calls)) == names


def test_an_option_of_a_program_is_found_in_its_source() -> None:
    tree = ast.parse('parser.add_argument("-s", "--simulation", action="store_true")\nprint("--simulate")')
    assert offers_option(tree, "--simulation")
    assert not offers_option(tree, "--simulate")


@pytest.mark.parametrize("old", REPLACED)
def test_what_replaced_a_driver_is_in_the_newest_release_and_the_driver_is_not(old: str) -> None:
    drivers = Drivers(NEWEST)
    module, _, name = old.partition(".")
    assert drivers.lookup(ARTIQ + module, name).signature is None
    new = replaced_by(ARTIQ + module, name)
    assert new is None or drivers.lookup(*new).signature is not None
