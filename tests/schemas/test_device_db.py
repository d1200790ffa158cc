"""The models of entries take what laboratories write and refuse what would fail."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import schemas
from schemas.device_db import (
    ENTRY_ADAPTER,
    Controller,
    ControllerAuxTarget,
    DeviceDB,
    DummyDevice,
    LocalDevice,
)
from schemas.json_schema import FILES, render

FOLDER = Path(schemas.__file__).parent
CONTROLLER = {"type": "controller", "host": "::1", "port": 3286}
LOCAL = {"type": "local", "module": "artiq.coredevice.ttl", "class": "TTLOut", "arguments": {"channel": 1}}
AUX = {"type": "controller_aux_target", "controller": "camera", "target_name": "camera_rexec"}

GOOD: list[dict[str, Any]] = [
    CONTROLLER,
    LOCAL,
    AUX,
    {"type": "dummy"},
    {**CONTROLLER, "host": None},
    {**CONTROLLER, "port": "3286"},
    {**CONTROLLER, "target_name": None, "command": None, "comment": "left of the table", "ping_timer": 10},
    {**LOCAL, "mockmodule": "lab.mock", "mockclass": "TTL"},
    {key: value for key, value in LOCAL.items() if key != "arguments"},
    {**AUX, "best_effort": True},
]
BAD: list[dict[str, Any]] = [
    {},
    {"type": "controler"},
    {"type": "controller", "host": "::1"},
    {**CONTROLLER, "port": 0},
    {**CONTROLLER, "port": 65536},
    {**CONTROLLER, "target_name": "two words"},
    {**CONTROLLER, "simple_ssl_config": {"client_cert": "a", "client_key": "b"}},
    {**LOCAL, "module": ""},
    {"type": "local", "module": "a"},
    {"type": "controller_aux_target", "controller": "camera"},
    {**AUX, "target_name": ""},
]


@pytest.mark.parametrize("entry", GOOD)
def test_an_entry_of_a_working_laboratory_is_taken(entry: dict[str, Any]) -> None:
    assert ENTRY_ADAPTER.validate_python(entry).type == entry["type"]


@pytest.mark.parametrize("entry", BAD)
def test_an_entry_that_would_fail_is_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ENTRY_ADAPTER.validate_python(entry)


def test_type_says_which_model() -> None:
    kinds = [type(ENTRY_ADAPTER.validate_python(each)) for each in GOOD[:4]]
    assert kinds == [Controller, LocalDevice, ControllerAuxTarget, DummyDevice]


def test_unknown_keys_are_kept() -> None:
    entry = ENTRY_ADAPTER.validate_python({**CONTROLLER, "serial": "A1"})
    assert entry.model_extra == {"serial": "A1"}


def test_entries_are_frozen() -> None:
    entry = Controller.model_validate(CONTROLLER)
    with pytest.raises(ValidationError, match="frozen"):
        entry.port = 1  # type: ignore[misc]


def test_class_is_spelt_as_in_the_file() -> None:
    entry = LocalDevice.model_validate(LOCAL)
    assert entry.class_ == "TTLOut"
    assert entry.model_dump(by_alias=True)["class"] == "TTLOut"


def test_a_database_holds_entries_and_aliases() -> None:
    database = DeviceDB.model_validate({"camera": CONTROLLER, "cam": "camera"})
    assert database.root["cam"] == "camera"


@pytest.mark.parametrize("name", FILES)
def test_the_schema_file_is_current(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == render(FILES[name]), (
        "run: devicedb schema --write schemas"
    )


@pytest.mark.parametrize("entry", GOOD + BAD)
def test_json_schema_and_models_agree(entry: dict[str, Any]) -> None:
    if isinstance(entry.get("port"), str):
        pytest.skip("the models take a string of digits; the schema, which editors read, does not")
    schema = json.loads((FOLDER / "device_db.schema.json").read_text())
    is_valid = jsonschema.Draft202012Validator(schema).is_valid({"name": entry})
    assert is_valid == (entry in GOOD)


@given(extra=st.dictionaries(st.text(min_size=1).map(lambda text: f"x_{text}"), st.integers() | st.text()))
def test_any_further_keys_survive_a_round_trip(extra: dict[str, object]) -> None:
    entry = ENTRY_ADAPTER.validate_python({**CONTROLLER, **extra})
    assert entry.model_dump(exclude_unset=True) == {**CONTROLLER, **extra}
