"""The reference leaves no command out, and says what each key of an entry is."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from devicedb.cli.main import SUBCOMMANDS as DEVICEDB
from rexec.cli.main import SUBCOMMANDS as REXEC
from schemas.device_db import Controller, ControllerAuxTarget, LocalDevice

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "reference/cli.md"


@pytest.mark.parametrize(
    "command", [*(f"devicedb {name}" for name in DEVICEDB), *(f"rexec {name}" for name in REXEC)]
)
def test_the_command_is_in_the_reference(command: str) -> None:
    program, name = command.split()
    text = PAGE.read_text(encoding="utf-8")
    assert f"### {command}\n" in text
    assert f":module: {program}.cli.{name}\n" in text


@pytest.fixture(scope="module")
def conf() -> ModuleType:
    """Return the configuration of the documentation."""
    pytest.importorskip("sphinxarg", reason="needs the extra docs")
    spec = importlib.util.spec_from_file_location("docs_conf", DOCS / "conf.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("model", [Controller, ControllerAuxTarget, LocalDevice])
def test_the_fields_of_a_model_are_in_the_reference(conf: Any, model: Any) -> None:
    lines = ["What it is."]
    conf.describe_fields(None, "class", "", model, None, lines)
    for key, field in model.model_fields.items():
        (said,) = [each for each in lines if each.startswith(f":param {field.alias or key}: ")]
        assert key == "type" or field.description in said
    assert not [each for each in lines if "Annotated" in each or "FieldInfo" in each]
    assert conf.write_signature(None, "class", "", model, None, "(*, type: ...)", None) == ("", None)


def test_types_are_written_as_they_are_read(conf: Any) -> None:
    fields = Controller.model_fields
    assert conf.annotation_text(fields["target_name"].annotation) == "str | None"
    assert conf.annotation_text(fields["environment"].annotation) == "dict[str, str]"
    assert conf.annotation_text(fields["type"].annotation) == "'controller'"


@pytest.mark.parametrize(
    ("signature", "shown"),
    [
        ("(a: str = <class 'rexec.experiment.errors.NoDefault'>)", "(a: str = NoDefault)"),
        ("(a: dict[str, ~typing.Any]=<factory>)", "(a: dict[str, ~typing.Any]=...)"),
        ("(*args: ~P, **kwargs: ~P)", "(*args: P, **kwargs: P)"),
        ("(*args: ~typing.~P)", "(*args: P)"),
        (
            "(d: ~typing.Any = <function _decorator.<locals>.decorator at 0x7f>)",
            "(d: ~typing.Any = decorator)",
        ),
    ],
)
def test_a_signature_shows_no_internals(conf: Any, signature: str, shown: str) -> None:
    assert conf.write_signature(None, "function", "", print, None, signature, None) == (shown, None)
