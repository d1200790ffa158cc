"""Every name, host, command and variable comes back from the exported files, whatever characters they have."""

import configparser
import contextlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("systemd, supervisord and Compose start programs of Linux", allow_module_level=True)

from hypothesis import given, settings
from hypothesis import strategies as st

from devicedb import Endpoint
from devicedb.whole_file import write_all
from rexec.ground.file_names import file_name
from rexec.supervise.errors import ExportError
from rexec.supervise.export import FORMATS, export, variables
from rexec.supervise.selection import Spec
from rexec.supervise.unit_names import program_name, systemd_name
from tests.campaigns.hostile import NAMES

OWN = {"PATH": "/usr/bin:/bin"}
CLASHES = [
    "cam 1",
    "cam-1",
    "cam/1",
    "cam_1",
    "cam.1",
    "cam.201",
    "cam\\x2d1",
    "Cam 1",
    "cam\n1",
    "CAM",
    "cam",
]

_text = st.text("aBc 0-_./:@=,;#$%'\"\\{}\t\n\r\x1b\x7f\x85\xa0\u2028\u202eµ\U0001f600", max_size=8)
_variable = st.text("AB_", min_size=1, max_size=3)


@st.composite
def _specs(draw: st.DrawFn) -> dict[str, Spec]:
    names = draw(st.lists(_text | st.sampled_from(CLASHES), unique=True, min_size=1, max_size=4))
    return {name: _spec(draw, name) for name in names}


def _spec(draw: st.DrawFn, name: str) -> Spec:
    words = ("/bin/sh", *draw(st.lists(_text, max_size=4)))
    host = draw(_text | st.sampled_from(["::1", "127.0.0.1"]))
    environment = draw(st.dictionaries(_variable, _text, max_size=3))
    folder = Path("/" + draw(st.sampled_from(["lab", "a b", "x:y", "100%", "$HOME", "a'b\"", "µ"])))
    return Spec(_endpoint(name, host), words, environment, folder)


def _endpoint(name: str, host: str = "::1") -> Endpoint:
    return Endpoint(name, (name,), name, name, host, 3300, None, False, None, None)


def _is_text(name: str) -> bool:
    return "\0" not in name and name == name.encode("utf-8", "replace").decode()


def _c_unescaped(text: str) -> str:
    def character(found: "re.Match[str]") -> str:
        code = found[1]
        if code[0] in "xuU":
            return chr(int(code[1:], 16))
        return code

    return re.sub(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|.)", character, text)


def _unit_words(text: str) -> list[str]:
    """Split as systemd.syntax(7) says, for words that are all in double quotes."""
    found = re.findall(r'"((?:[^"\\]|\\.)*)"(?: |$)', text)
    assert " ".join(f'"{each}"' for each in found) == text
    return [_c_unescaped(each.replace("%%", "%")) for each in found]


def _check_unit(spec: Spec, name: str, text: str) -> None:
    assert "\n".join(text.splitlines()) + "\n" == text
    assert text.isascii() or all(char.isprintable() for char in text.replace("\n", ""))
    keys: dict[str, list[str]] = {}
    for line in text.split("\n"):
        key, equals, value = line.partition("=")
        if equals:
            keys.setdefault(key, []).append(value)
        else:
            assert key in {"", "[Unit]", "[Service]", "[Install]"}
    assert {key for key, values in keys.items() if len(values) > 1} <= {"Environment"}
    first, *others = _unit_words(keys["ExecStart"][0])
    assert (first, *(word.replace("$$", "$") for word in others)) == spec.words
    found = dict(_unit_words(value)[0].split("=", 1) for value in keys["Environment"])
    assert found == variables(spec, OWN)
    assert keys["WorkingDirectory"] == [str(spec.folder).replace("%", "%%")]
    assert (
        _c_unescaped(keys["Description"][0].replace("%%", "%"))
        == f"ARTIQ controller {spec.name} at {spec.endpoint.address}"
    )
    assert name == f"{systemd_name(spec.name)}.service"


def _check_section(spec: Spec, parser: configparser.RawConfigParser) -> None:
    section = parser[f"program:{program_name(spec.name)}"]
    words = shlex.split(section["command"].replace("%%", "%"))
    found = dict(re.findall(r'(\w+)="([^"]*)"', section["environment"].replace("%%", "%")))
    if words[0] == "env":
        split = 1
        while words[split] != "/bin/sh":
            name, _, value = words[split].partition("=")
            found[name] = value
            split += 1
        words = words[split:]
    assert tuple(words) == spec.words
    assert found == variables(spec, OWN)
    assert section["directory"].replace("%%", "%") == str(spec.folder)


def _check_service(spec: Spec, services: Mapping[str, dict[str, object]]) -> None:
    service = json.loads(json.dumps(services[program_name(spec.name)]).replace("$$", "$"))
    assert service["labels"] == {"controller": spec.name, "address": spec.endpoint.address}
    assert tuple(service["command"]) == spec.words
    assert service["environment"] == {
        key: value for key, value in variables(spec, OWN).items() if key != "PATH"
    }
    assert service["volumes"][0]["source"] == str(spec.folder)


@settings(max_examples=50)
@given(_specs())
def test_everything_comes_back_from_the_parsed_files(specs: dict[str, Spec]) -> None:
    with contextlib.suppress(ExportError):
        files = export("systemd", specs, OWN)
        assert len(files) == len(specs)
        for spec, (name, text) in zip(specs.values(), files.items(), strict=True):
            _check_unit(spec, name, text)
    with contextlib.suppress(ExportError):
        parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"))
        parser.read_string(export("supervisord", specs, OWN)["controllers.conf"])
        assert len(parser.sections()) == len(specs)
        for spec in specs.values():
            _check_section(spec, parser)
    services = json.loads(export("compose", specs, OWN)["compose.yaml"])["services"]
    assert len(services) == len(specs)
    for spec in specs.values():
        _check_service(spec, services)


@pytest.mark.parametrize("kind", FORMATS)
def test_names_that_collide_elsewhere_stay_apart(kind: str) -> None:
    """In units and programs, and in file names where the case of letters counts."""
    specs = {name: Spec(_endpoint(name), ("/bin/sh",), {}, Path("/")) for name in (*CLASHES, *NAMES)}
    for make in (systemd_name, program_name, file_name):
        made = {make(name) for name in specs}
        assert len(made) == len(specs)
        assert max(len(name.encode()) for name in made) < 256 - len(".service")
    text = "\n".join(export(kind, {name: specs[name] for name in specs if _is_text(name)}, OWN).values())
    assert not any(line.startswith("FORGED") for line in text.splitlines())


@pytest.mark.skipif(shutil.which("systemd-escape") is None, reason="systemd-escape is not here")
def test_the_names_of_units_are_those_of_systemd_escape() -> None:
    """All but its cut: systemd-escape has no limit."""
    names = [name for name in (*CLASHES, *NAMES) if name and len(name) < 40 and _is_text(name)]
    # It prints the names on one line, with spaces between them, which it escapes within them.
    done = subprocess.run(["systemd-escape", "--", *names], capture_output=True, check=True, timeout=150)
    expected = done.stdout.decode().rstrip("\n").split(" ")
    assert [systemd_name(name) for name in names] == [f"controller-{each}" for each in expected]


def test_what_a_format_cannot_hold_is_refused_with_the_controllers_name() -> None:
    def refused(kind: str, *words: str, folder: str = "/", **environment: str) -> str:
        spec = Spec(_endpoint("cam"), words or ("/bin/sh",), environment, Path(folder))
        with pytest.raises(ExportError, match=r"controller 'cam'.*Nothing was exported") as caught:
            export(kind, {"cam": spec}, OWN)
        return str(caught.value)

    for kind in FORMATS:
        assert "null" in refused(kind, "/bin/sh", "a\0b")
        assert "no UTF-8" in refused(kind, "/bin/sh", "\udcff")
        assert "no name of a variable" in refused(kind, **{"A B": "1"})
    assert "working folder" in refused("systemd", folder="/a\nExecStartPre=x")
    assert "working folder" in refused("systemd", folder="/a\\")
    assert "path" in refused("systemd", "/opt/a'b")
    assert "path" in refused("systemd", "-x")
    assert "control characters" in refused("systemd", KEY="\x1b")
    assert "control characters" in refused("supervisord", "/bin/sh", "a\nb")
    assert "working folder" in refused("supervisord", folder="/a ;b")


def test_all_files_are_written_or_none(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "c").write_bytes(b"old")
    with pytest.raises(IsADirectoryError):
        write_all(tmp_path, {"a": b"1", "c": b"3", "b": b"2"})
    assert sorted(each.name for each in tmp_path.iterdir()) == ["b", "c"]
    assert (tmp_path / "c").read_bytes() == b"old"
    write_all(tmp_path / "d" / "e", {"a": b"1", "c": b"3"})
    assert {each.name: each.read_bytes() for each in (tmp_path / "d" / "e").iterdir()} == {
        "a": b"1",
        "c": b"3",
    }


def test_a_failure_of_the_last_step_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"old")
    import devicedb.whole_file as module

    real = module.put_in_place

    def put(temporary: Path, path: Path, *, sync_folder: bool = True) -> None:
        if path.name == "c":
            raise OSError(28, "No space left on device", str(path))
        real(temporary, path, sync_folder=sync_folder)

    monkeypatch.setattr(module, "put_in_place", put)
    with pytest.raises(OSError, match="No space left"):
        write_all(tmp_path, {"a": b"1", "b": b"2", "c": b"3"})
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"a": b"old"}


def test_names_that_differ_only_in_case_are_refused_where_they_are_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import builtins

    import devicedb.whole_file as module

    def ignoring_case(path: Path, mode: str) -> object:
        return builtins.open(str(path).replace(path.name, path.name.lower()), mode)

    monkeypatch.setattr(module, "open", ignoring_case, raising=False)
    with pytest.raises(FileExistsError, match="differs from it only in case"):
        write_all(tmp_path, {"CAM": b"1", "cam": b"2"})
    assert not [each.name for each in tmp_path.iterdir() if not each.name.startswith(".")]
