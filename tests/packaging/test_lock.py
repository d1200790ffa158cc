"""The lock for development pins what pyproject.toml asks for, and names no place to get it from."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

packaging = pytest.importorskip("packaging.requirements", reason="needs the extra dev")

ROOT: Final = Path(__file__).resolve().parents[2]
LOCK: Final = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS: Final = dict(re.findall(r"^([a-z0-9._-]+)==([^ ;]+)", LOCK, re.MULTILINE))


def wanted(texts: list[str]) -> list[Any]:
    """Return requirements, with those of our own extras in the place of the extras."""
    found = []
    for text in texts:
        requirement = packaging.Requirement(text)
        if requirement.name == PROJECT["name"]:
            for extra in requirement.extras:
                found += wanted(PROJECT["optional-dependencies"][extra])
        else:
            found.append(requirement)
    return found


def test_every_requirement_is_pinned_to_a_version_that_satisfies_it() -> None:
    requirements = wanted([*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]])
    assert len(requirements) > 30
    for each in requirements:
        name = re.sub(r"[-_.]+", "-", each.name).lower()
        assert name in PINS, f"{each} is not in requirements-dev.lock; CONTRIBUTING.md says how it is made"
        assert each.specifier.contains(PINS[name]), f"{each} against {PINS[name]} in requirements-dev.lock"


def test_every_pin_has_hashes_and_no_place() -> None:
    assert len(PINS) > 60
    blocks = re.split(r"^(?=[a-z0-9._-]+==)", LOCK, flags=re.MULTILINE)
    assert all("--hash=sha256:" in block for block in blocks if "==" in block.partition("\n")[0])
    assert "://" not in LOCK
    assert not re.search(r"^--", LOCK, re.MULTILINE)
