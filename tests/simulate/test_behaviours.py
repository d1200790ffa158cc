"""Behaviours: read from a file, and checked against the drivers that they stand for."""

from pathlib import Path
from typing import Any

import pytest

from devicedb import from_dict
from devicedb.drivers.methods import DriverFacts, facts_of_class
from devicedb.drivers.sources import SourceFinder
from rexec.simulate.behaviours import check_class, check_names, load_behaviours
from rexec.simulate.errors import BehaviourError

DRIVER = '''
class Base:
    def close(self): ...

class Laser(Base):
    """A laser."""

    LIMIT = 5

    def set_power(self, watts: float, *, ramp: float = LIMIT) -> None:
        """Set the power."""

    def get_power(self) -> float: ...

    async def wait(self, seconds=1.5): ...

    @property
    def hidden(self): ...

    @staticmethod
    def limits() -> tuple[float, float]: ...

    def _private(self): ...
'''


def facts(tmp_path: Path) -> DriverFacts:
    (tmp_path / "driver.py").write_text(DRIVER)
    finder = SourceFinder((str(tmp_path),))
    source = finder.source("driver")
    assert source is not None
    found = finder.find_class(source, "Laser")
    assert found is not None
    return facts_of_class(found, finder)


def load(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "behaviours.py"
    path.write_text(text)
    return load_behaviours(path)


def test_the_source_of_a_driver_says_its_methods(tmp_path: Path) -> None:
    found = facts(tmp_path)
    assert list(found.methods) == ["set_power", "get_power", "wait", "limits", "close"]
    assert str(found.methods["set_power"].signature) == "(watts: 'float', *, ramp: 'float' = LIMIT) -> 'None'"
    assert found.methods["set_power"].doc == "Set the power."
    assert found.methods["wait"].is_coroutine
    assert str(found.methods["limits"].signature) == "() -> 'tuple[float, float]'"
    assert found.methods["get_power"].origin == "driver.py:13"
    assert found.doc == "A laser."
    assert found.is_closed


def test_public_classes_of_a_file_are_its_behaviours(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("POWER = 3.0\nclass Other: pass\n")
    found = load(
        tmp_path,
        "from helper import POWER, Other\nclass _Base:\n    pass\nclass laser(_Base):\n"
        "    def get_power(self):\n        return POWER\n",
    )
    assert list(found.classes) == ["laser"]
    assert found.classes["laser"]().get_power() == 3.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("class laser:\n    def f(self:\n", "behaviours.py:2: syntax error"),
        ("\nimport nowhere_at_all\n", "behaviours.py:2: raises ModuleNotFoundError"),
        ("1 / 0\n", "behaviours.py:1: raises ZeroDivisionError"),
        ("raise SystemExit(3)\n", "behaviours.py:1: raises SystemExit"),
        ("x = 1\n", "has no class"),
    ],
)
def test_a_file_that_is_wrong_is_refused_at_its_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BehaviourError) as found:
        load(tmp_path, text)
    assert words in str(found.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BehaviourError) as found:
        load_behaviours(tmp_path / "nothing.py")
    reason = found.value.__context__
    assert isinstance(reason, FileNotFoundError)
    assert str(found.value).endswith(f"nothing.py: {reason.strerror}")  # in the words of the system


@pytest.mark.parametrize(
    "method",
    [
        "def set_power(self, watts, ramp=0): ...",
        "def set_power(self, watts, *, ramp=0, more=1): ...",
        "def set_power(self, *args, **kwargs): ...",
        "def get_power(self): ...",
        "def get_power(this): ...",
        "@staticmethod\n    def get_power(): ...",
        "@classmethod\n    def get_power(cls): ...",
        "def ping(self): ...",
        "def _own(self, anything): ...",
    ],
)
def test_a_method_that_takes_what_the_driver_takes_is_accepted(tmp_path: Path, method: str) -> None:
    found = load(tmp_path, f"class laser:\n    {method}\n")
    check_class(found.classes["laser"], facts(tmp_path), "laser")


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (
            "def set_power(self): ...",
            "set_power() does not take what the driver takes: set_power(watts: 'float'",
        ),
        ("def set_power(self, power, *, ramp=0): ...", "does not take what the driver takes"),
        ("def set_power(self, watts): ...", "does not take what the driver takes"),
        ("def set_power(self, watts, more, *, ramp=0): ...", "does not take what the driver takes"),
        ("def get_powr(self): ...", "has no such method (Laser in"),
        ("def get_powr(self): ...", "Did you mean 'get_power'?"),
    ],
)
def test_a_method_that_does_not_fit_the_driver_is_refused_at_its_line(
    tmp_path: Path, method: str, words: str
) -> None:
    found = load(tmp_path, f"class laser:\n    {method}\n")
    with pytest.raises(BehaviourError) as error:
        check_class(found.classes["laser"], facts(tmp_path), "laser")
    assert words in str(error.value)
    assert "behaviours.py:2: laser." in str(error.value)


def test_a_class_that_is_named_after_nothing_is_refused(tmp_path: Path) -> None:
    found = load(tmp_path, "class lasre:\n    pass\n")
    database = from_dict({"laser": {"type": "dummy"}}, "device_db.py")
    with pytest.raises(BehaviourError, match=r"behaviours\.py:1: class lasre: .*Did you mean 'laser'\?"):
        check_names(found, database, ())
