"""A name leads through aliases to an entry and an endpoint, or to one error that says why not."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from devicedb import (
    AliasLoopError,
    DeviceDBError,
    InvalidEntryError,
    MissingVariableError,
    NotAControllerError,
    TLSFiles,
    UnknownDeviceError,
    from_dict,
)
from devicedb.plain import FORMS, plain
from devicedb.resolve import validate_entry
from devicedb.suggest import nearest
from schemas.device_db import Controller, ControllerAuxTarget

TLS = {
    "client_cert": "{ARTIQ_SSL_DIR}/c.pem",
    "client_key": "/abs/k.pem",
    "server_cert": "{ARTIQ_SSL_DIR}/s.pem",
}
RAW: dict[str, Any] = {
    "core": {
        "type": "local",
        "module": "artiq.coredevice.core",
        "class": "Core",
        "arguments": {"host": None},
    },
    "camera": {
        "type": "controller",
        "host": "10.0.0.3",
        "port": 6283,
        "target_name": "camera",
        "best_effort": True,
        "command": "aqctl_camera -p {port} --bind {bind}",
    },
    "cam": "camera",
    "rexec": {"type": "controller_aux_target", "controller": "cam", "target_name": "camera_rexec"},
    "remote": "rexec",
    "strict": {
        "type": "controller_aux_target",
        "controller": "camera",
        "target_name": "camera_rexec",
        "best_effort": False,
    },
    "secure": {"type": "controller", "host": "::1", "port": "6284", "simple_ssl_config": TLS},
    "secure_rexec": {"type": "controller_aux_target", "controller": "secure", "target_name": "x"},
    "nowhere": {"type": "controller", "host": None, "port": 1},
    "lost": "camrea",
    "lost_again": "lost",
    "loop_a": "loop_b",
    "loop_b": "loop_c",
    "loop_c": "loop_b",
    "of_core": {"type": "controller_aux_target", "controller": "core", "target_name": "x"},
    "of_lost": {"type": "controller_aux_target", "controller": "lost", "target_name": "x"},
    "tuple": ({"type": "dummy"},),
    "none": None,
    "untyped": {"host": "::1"},
    "mistyped": {"type": "controler"},
    "list_typed": {"type": []},
    "portless": {"type": "controller", "host": "::1", "prot": 3},
    "bad_port": {"type": "controller", "host": "::1", "port": 70000},
}
DATABASE = from_dict(copy.deepcopy(RAW), "device_db.py")


def test_an_alias_is_walked_and_the_chain_kept() -> None:
    found = DATABASE.resolve("remote")
    assert (found.name, found.chain, found.entry_name) == ("remote", ("remote", "rexec"), "rexec")
    assert found.raw is DATABASE.raw["rexec"]


def test_an_auxiliary_target_is_on_its_controller_and_inherits_best_effort() -> None:
    found = DATABASE.endpoint("remote")
    assert (found.host, found.port, found.target_name) == ("10.0.0.3", 6283, "camera_rexec")
    assert (found.controller, found.entry_name, found.best_effort) == ("camera", "rexec", True)
    assert found.command == "aqctl_camera -p {port} --bind {bind}"
    assert found.address == "10.0.0.3:6283"
    assert not DATABASE.endpoint("strict").best_effort


def test_tls_is_inherited_and_expanded_without_touching_the_entry() -> None:
    files = TLSFiles("/certs/c.pem", "/abs/k.pem", "/certs/s.pem")
    for name in ("secure", "secure_rexec"):
        found = DATABASE.endpoint(name, {"ARTIQ_SSL_DIR": "/certs"})
        assert (found.tls, found.port, found.address) == (files, 6284, "[::1]:6284")
    assert DATABASE.raw == RAW


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARTIQ_SSL_DIR", "/here")
    tls = DATABASE.endpoint("secure").tls
    assert tls is not None
    assert tls.server_cert == "/here/s.pem"


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("camrea", UnknownDeviceError, ["'camrea' is not in device_db.py", "Did you mean 'camera'?"]),
        ("lost_again", UnknownDeviceError, ["lost_again -> lost -> camrea", "Did you mean 'camera'?"]),
        ("loop_a", AliasLoopError, ["loop_a -> loop_b -> loop_c -> loop_b"]),
        ("core", NotAControllerError, ["'core'", "'local'"]),
        ("of_core", NotAControllerError, ["'of_core'", "'core'", "'local'"]),
        ("of_lost", UnknownDeviceError, ["'of_lost'", "lost -> camrea", "Did you mean"]),
        ("secure", MissingVariableError, ["'secure'", "ARTIQ_SSL_DIR is not set"]),
        ("nowhere", InvalidEntryError, ["'nowhere'", "host None"]),
        ("tuple", InvalidEntryError, ["'tuple'", "trailing comma"]),
        ("none", InvalidEntryError, ["'none'", "NoneType", "must be a dict"]),
        ("untyped", InvalidEntryError, ["'untyped'", "no 'type'"]),
        ("mistyped", InvalidEntryError, ["'controler'", "Did you mean 'controller'?"]),
        ("list_typed", InvalidEntryError, ["unknown type []"]),
        ("portless", InvalidEntryError, ["'portless'", "'port' is missing (there is 'prot')"]),
        ("bad_port", InvalidEntryError, ["'bad_port'", "'port' is 70000"]),
    ],
)
def test_a_failure_is_one_line_with_entry_chain_and_hint(
    name: str, kind: type[DeviceDBError], said: list[str]
) -> None:
    with pytest.raises(DeviceDBError) as caught:
        DATABASE.endpoint(name, {})
    assert type(caught.value) is kind
    for each in said:
        assert each in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh"), min_size=1), st.data())
def test_aliases_in_any_arrangement_end(raw: dict[str, str], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(raw)))
    with pytest.raises((AliasLoopError, UnknownDeviceError)) as caught:
        from_dict(raw, "x").resolve(name)
    follow, seen = name, set()
    while follow in raw and follow not in seen:
        seen.add(follow)
        follow = raw[follow]
    assert isinstance(caught.value, AliasLoopError) == (follow in seen)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["type", "host", "port", "module", "class", "arguments", "controller", "target_name", "simple_ssl_config"]
)
VALUES = JUNK | st.sampled_from(["local", "controller", "controller_aux_target", "dummy", "a", "b"])


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES | st.dictionaries(FIELDS, VALUES)))
def test_whatever_the_entries_are_only_our_errors_come_out(raw: dict[str, Any]) -> None:
    database = from_dict(raw, "x")
    for name in ("a", "b", "c"):
        try:
            assert database.endpoint(name, {}).port > 0
        except DeviceDBError as error:
            assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("name", "candidates", "expected"),
    [
        ("camrea", ["camera", "core"], "camera"),
        ("CORE", ["core", "scope"], "core"),
        ("ttl_0", ["ttl0", "ttl1"], "ttl0"),
        ("xyz", ["camera"], None),
        ("camera", ["camera"], None),
        ("a", [], None),
    ],
)
def test_nearest_name(name: str, candidates: list[str], expected: str | None) -> None:
    assert nearest(name, candidates) == expected


PLAIN_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    1,
    65535,
    65536,
    -1.5,
    2.5,
    float("inf"),
    float("nan"),
    "",
    "a",
    "a b",
    "3290",
    "\xe4",
    {},
    {"a": "b"},
)
PLAIN_FIELDS = sorted({name for forms in FORMS.values() for name in forms} | {"comment"})


@given(
    st.sampled_from(sorted(FORMS)),
    st.dictionaries(st.sampled_from(PLAIN_FIELDS), st.sampled_from(PLAIN_VALUES)),
    st.booleans(),
)
def test_a_plain_entry_is_what_its_model_is(kind: str, fields: dict[str, Any], is_whole: bool) -> None:
    whole = (
        {"host": "::1", "port": 1} if kind == "controller" else {"controller": "camera", "target_name": "t"}
    )
    entry = {**(whole if is_whole else {}), **fields, "type": kind}
    found = plain(entry)
    if found is not None:
        model = validate_entry("x", entry, "db")
        assert {name: getattr(model, name) for name in vars(found)} == vars(found)


def test_every_field_of_a_model_has_a_plain_form() -> None:
    models: dict[str, type[BaseModel]] = {
        "controller": Controller,
        "controller_aux_target": ControllerAuxTarget,
    }
    assert {kind: set(forms) | {"type"} for kind, forms in FORMS.items()} == {
        kind: set(model.model_fields) for kind, model in models.items()
    }
