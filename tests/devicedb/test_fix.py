"""Edits that mend findings: exact, at the traced place, or refused with the reason."""

import ast
from pathlib import Path

import pytest

from devicedb.check.config import Settings
from devicedb.check.engine import Subject, check_file
from devicedb.check.finding import Finding
from devicedb.check.fixing import FixedFile, fix_file

CONTROLLER = '"type": "controller", "host": "::1", "port": 6283'
STATIC = Settings(static=True, artiq_release="9")


def fixed(text: str, folder: Path, settings: Settings = STATIC, encoding: str = "utf-8") -> FixedFile:
    path = folder / "device_db.py"
    path.write_bytes(text.encode(encoding))
    return fix_file(Subject(path, "device_db.py"), path.read_bytes(), settings)


def mended(text: str, folder: Path) -> str:
    return fixed(text, folder).new.decode()


def findings(text: str, folder: Path, code: str, settings: Settings = STATIC) -> list[Finding]:
    path = folder / "device_db.py"
    path.write_bytes(text.encode())
    report = check_file(Subject(path, "device_db.py"), settings)
    return [each for each in report.findings if each.code == code]


def test_a_key_is_renamed_in_its_own_quotes(tmp_path: Path) -> None:
    text = f"device_db = {{'camera': {{{CONTROLLER},\r\n  # ä\r\n  'target': \"camera\"}}}}\r\n"
    (found,) = findings(text, tmp_path, "DDB401")
    assert found.fix is not None
    (edit,) = found.fix.edits
    assert (edit.line, edit.column, edit.end_line, edit.end_column) == (3, 3, 3, 11)
    assert edit.text == "'target_name'"


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        ('"typ": "dummy"', '"type": "dummy"'),
        ('"type": "dumy"', '"type": "dummy"'),
        ('"type": "controller", "hots": "::1", "port": 1', '"type": "controller", "host": "::1", "port": 1'),
        (
            '"type": "controller", "host": "::1", "port": "1"',
            '"type": "controller", "host": "::1", "port": 1',
        ),
        (f"{CONTROLLER}, 'best_efort': True", f"{CONTROLLER}, 'best_effort': True"),
        (f'{CONTROLLER}, "target": "x"', f'{CONTROLLER}, "target_name": "x"'),
        (
            f"{CONTROLLER}, 'command': 'a {{prot}} {{prot!r}}'",
            f"{CONTROLLER}, 'command': 'a {{port}} {{port!r}}'",
        ),
        (
            f'{CONTROLLER}, "command": "a {{port}}", "environment": {{"N": 3}}',
            f'{CONTROLLER}, "command": "a {{port}}", "environment": {{"N": "3"}}',
        ),
        ('"type": "controller", "host": " h", "port": 1', '"type": "controller", "host": "h", "port": 1'),
    ],
)
def test_what_is_written_wrong_in_an_entry_is_written_right(bad: str, good: str, tmp_path: Path) -> None:
    before, after = "# -\ndevice_db = {'a': {", "}}  # -"
    assert mended(before + bad + after, tmp_path) == before + good + after


CORE = (
    '"core": {"type": "local", "module": "artiq.coredevice.core", "class": "Core",'
    ' "arguments": {"host": "10.0.0.2", "ref_period": 1e-9}},\n'
)


def local(module: str, name: str, arguments: str) -> str:
    return f'"type": "local", "module": "artiq.coredevice.{module}", "class": "{name}", "arguments": {{{arguments}}}'


TTL = '"type": "local", "module": "artiq.coredevice.ttl", "class": "TTLOut"'


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        (f'{TTL}, "arguments": {{"chanel": 1}}', f'{TTL}, "arguments": {{"channel": 1}}'),
        (f'{TTL}, "arguments": {{"channel": " 1"}}', f'{TTL}, "arguments": {{"channel": 1}}'),
        (f'{TTL[:-1]}s", "arguments": {{"channel": 1}}', f'{TTL}, "arguments": {{"channel": 1}}'),
        (f'{TTL}, "arguments": {{"channel": 1, "dmgr": 0}}', f'{TTL}, "arguments": {{"channel": 1}}'),
        (
            f'{TTL}, "arguments": {{"channel": 1, "core_device": "coree"}}',
            f'{TTL}, "arguments": {{"channel": 1, "core_device": "core"}}',
        ),
        (
            '"type": "local", "module": "artiq.coredevice.i2c", "class": "PCA9548"',
            '"type": "local", "module": "artiq.coredevice.i2c", "class": "I2CSwitch"',
        ),
        (
            '"type": "local", "module": "artiq.coredevice.spi", "class": "SPIMaster", "arguments": {"channel": 1}',
            '"type": "local", "module": "artiq.coredevice.spi2", "class": "SPIMaster", "arguments": {"channel": 1}',
        ),
        (
            '"type": "local", "module": "artiq.coredevice.core", "class": "Core", "arguments": {"host": "h", '
            '"external_clock": False, "ref_period": 1e-9}',
            '"type": "local", "module": "artiq.coredevice.core", "class": "Core", "arguments": {"host": "h", '
            '"ref_period": 1e-9}',
        ),
    ],
)
def test_what_a_driver_refuses_is_mended(bad: str, good: str, tmp_path: Path) -> None:
    text = f"device_db = {{{CORE}'a': {{"
    assert mended(f"{text}{bad}}}}}", tmp_path) == f"{text}{good}}}}}"


def test_arguments_that_became_one_list_are_merged(tmp_path: Path) -> None:
    spi = local("spi2", "SPIMaster", '"channel": 1')
    cpld = local("urukul", "CPLD", '"spi_device": "spi"')
    servo = local("suservo", "SUServo", '"channel": 2, "pgia_device": "spi", «')
    text = f"device_db = {{{CORE}'spi': {{{spi}}},\n'u': {{{cpld}}},\n's': {{{servo}}}}}"
    single = '"cpld_device": "u", "dds_devices": ["u"]'
    assert mended(text.replace("«", single), tmp_path) == text.replace(
        "«", '"cpld_devices": ["u"], "dds_devices": ["u"]'
    )
    bad = '"cpld0_device": "u",\n  "cpld1_device": "u", # 2\n  "dds0_device": "u", "dds1_device": "u"'
    good = '"cpld_devices": ["u", "u"],\n  "dds_devices": ["u", "u"]'
    assert mended(text.replace("«", bad), tmp_path) == text.replace("«", good)


@pytest.mark.parametrize(
    ("release", "argument", "is_removed"), [("8", "proto_rev", True), ("9", "proto_rev", False)]
)
def test_an_argument_that_the_release_does_not_have_is_removed(
    release: str, argument: str, is_removed: bool, tmp_path: Path
) -> None:
    text = (
        f'device_db = {{{CORE}"spi": {{"type": "local", "module": "artiq.coredevice.spi2", "class": "SPIMaster",'
        '"arguments": {"channel": 1}}, "u": {"type": "local", "module": "artiq.coredevice.urukul", '
        f'"class": "CPLD", "arguments": {{\n"{argument}": 9,  # of 9\n"spi_device": "spi"}}}}}}'
    )
    done = fixed(text, tmp_path, Settings(static=True, artiq_release=release))
    assert (argument not in done.new.decode()) is is_removed
    assert ("# of 9" not in done.new.decode()) is is_removed
    assumed = fixed(text, tmp_path, Settings(static=True, select=("DDB504",)))
    assert assumed.new == assumed.old


AUX = '"rexec": {"type": "controller_aux_target", "controller": "cam", "target_name": "%s_rexec"}'


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (f"{{{CONTROLLER}}}", f'{{{CONTROLLER[:-12]}"target_name": "lens", {CONTROLLER[-12:]}}}'),
        (
            "{\n    'type': 'controller',\n    # here\n    'host': '::1',\n    'port': 6283  # 2\n  }",
            "{\n    'type': 'controller',\n    # here\n    'host': '::1',\n    'target_name': 'lens',\n"
            "    'port': 6283  # 2\n  }",
        ),
        (
            "{'type': 'controller',\r\n  'host': '::1',\r\n  # port\r\n  'port': 6283,\r\n }",
            "{'type': 'controller',\r\n  'target_name': 'lens',\r\n  'host': '::1',\r\n"
            "  # port\r\n  'port': 6283,\r\n }",
        ),
        (
            "{'type': 'controller',\n  # a\n  'host': '::1',\n  # b\n  'port': 1}",
            "{'target_name': 'lens', 'type': 'controller',\n  # a\n  'host': '::1',\n  # b\n  'port': 1}",
        ),
        (f'{{{CONTROLLER}, "target_nam": "x"}}', f'{{{CONTROLLER}, "target_name": "x"}}'),
        (f'{{{CONTROLLER}, "target_name": ""}}', f'{{{CONTROLLER}, "target_name": "lens"}}'),
    ],
)
def test_a_target_that_its_aux_target_proves_is_named(entry: str, expected: str, tmp_path: Path) -> None:
    text = f"device_db = {{'cam': %s,\n {AUX % 'lens'}}}"
    assert mended(text % entry, tmp_path) == text % expected


def test_two_aux_targets_that_disagree_prove_nothing(tmp_path: Path) -> None:
    other = (AUX % "b").replace("rexec", "two", 1)
    text = f"device_db = {{'cam': {{{CONTROLLER}}},\n {AUX % 'a'}, {other}}}"
    assert mended(text, tmp_path) == text


@pytest.mark.parametrize(
    ("names", "written", "meant"),
    [
        (("camera",), "camrea", "camera"),
        (("camera", "camera2"), "camrea", "camera"),
        (("camera", "camara"), "camra", None),
        (("camera_a", "camera_b"), "camer_c", None),
        (("ttl4",), "ttl5", None),
        (("Camera", "camara"), "CAMERA", "Camera"),
    ],
)
def test_an_alias_is_mended_if_one_name_only_is_near(
    names: tuple[str, ...], written: str, meant: str | None, tmp_path: Path
) -> None:
    entries = "".join(f'"{name}": {{"type": "dummy"}}, ' for name in names)
    text = f"device_db = {{{entries}}}\ndevice_db['x'] = '%s'\n"
    assert mended(text % written, tmp_path) == text % (meant or written)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f'for i in "ab":\n    device_db[i] = {{{CONTROLLER}, "target": i}}\n', "a loop makes it"),
        (f'device_db |= {{i: {{{CONTROLLER}, "target": i}} for i in "ab"}}\n', "a comprehension makes it"),
        (f'def f():\n    return {{{CONTROLLER}, "target": "t"}}\ndevice_db["a"] = f()\n', "a function makes"),
        (f'class A:\n    b = {{{CONTROLLER}, "target": "t"}}\ndevice_db["a"] = A.b\n', "a class makes it"),
        (
            'device_db["a"] = dict(type="controller", host="::1", port=1, target="t")\n',
            "another call makes it",
        ),
        (
            f'def f(x):\n    return x\ndevice_db["a"] = f({{{CONTROLLER}, "target": "t"}})\n',
            "a call makes it",
        ),
        (f'KEY = "target"\ndevice_db["a"] = {{{CONTROLLER}, KEY: "t"}}\n', "it is the value of a variable"),
        (f"device_db['a'] = {{{CONTROLLER}, f'{{str()}}target': 't'}}\n", "an f-string makes it"),
        (f'device_db["a"] = {{{CONTROLLER}, "tar" "get": "t"}}\n', "it is not written as one literal"),
        (f'device_db["a"] = {{{CONTROLLER}, "tar" + "get": "t"}}\n', "it is computed"),
        (
            f'A = {{"target": "t"}}\ndevice_db["a"] = {{{CONTROLLER}, **A}}\n'
            'device_db["b"] = {**A, "type": "controller_aux_target", "controller": "a", "target_name": "c"}\n',
            "'b' uses the same text, which is right there",
        ),
        (
            f'device_db["a"] = {{{CONTROLLER}, "target": "t"}}\ndevice_db["a"]["target"] = "u"\n',
            "line 3 sets it again",
        ),
    ],
)
def test_what_is_computed_is_left_with_a_word_why(text: str, reason: str, tmp_path: Path) -> None:
    done = fixed("device_db = {}\n" + text, tmp_path, Settings(artiq_release="9"))
    assert done.new == done.old
    assert {why for _, why in done.left if reason in why}, done.left


def test_what_another_file_makes_is_left(tmp_path: Path) -> None:
    (tmp_path / "sibling.py").write_text(f'A = {{{CONTROLLER}, "target": "t"}}\n')
    done = fixed("from sibling import A\ndevice_db = {'a': A}\n", tmp_path, Settings())
    assert done.new == done.old
    assert "another file" in done.left[0][1]


def test_a_key_that_a_statement_sets_is_renamed_there(tmp_path: Path) -> None:
    text = f'device_db = {{"a": {{{CONTROLLER}}}}}\ndevice_db["a"]["%s"] = "t"\n'
    done = fixed(text % "target", tmp_path, Settings(artiq_release="9"))
    assert done.new.decode() == text % "target_name"


def test_a_dict_under_two_names_is_mended_once(tmp_path: Path) -> None:
    text = f'A = {{{CONTROLLER}, "%s": "t"}}\ndevice_db = {{"a": A, "b": A}}\n'
    assert mended(text % "target", tmp_path) == text % "target_name"


def test_an_edit_that_leads_to_another_finding_is_left_out_and_others_are_made(tmp_path: Path) -> None:
    # With its type the entry has a finding that nothing mends: no host.
    text = 'device_db = {"a": {"typ": "controller", "port": 1}, "b": {"%s": "dummy"}}'
    done = fixed(text % "typ", tmp_path)
    assert done.new.decode() == text % "type"
    assert [why for _, why in done.left] == ["the edit would lead to DDB106"]


def test_a_fix_that_uncovers_a_fixable_finding_is_made_with_it(tmp_path: Path) -> None:
    text = f"device_db = {{{CORE}'a': {{{TTL[:-1]}s\", 'arguments': {{'chanel': 1}}}}}}"
    assert mended(text, tmp_path) == f"device_db = {{{CORE}'a': {{{TTL}, 'arguments': {{'channel': 1}}}}}}"


def test_a_file_keeps_its_encoding_and_byte_order_mark(tmp_path: Path) -> None:
    text = f'# coding: latin-1\ndevice_db = {{"é": "é1", "a": {{{CONTROLLER}, "ä": 1, "target": "ö"}}}}\n'
    done = fixed(text, tmp_path, encoding="latin-1")
    assert done.new.decode("latin-1") == text.replace('"target"', '"target_name"')
    marked = text.partition("\n")[2]
    done = fixed(marked, tmp_path, encoding="utf-8-sig")
    assert done.new.decode("utf-8-sig") == marked.replace('"target"', '"target_name"')
    assert done.new.startswith(b"\xef\xbb\xbfd")


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        ('{"channel": 1, "dmgr": 0}', '{"channel": 1}'),
        ('{"dmgr": 0, "channel": 1}', '{"channel": 1}'),
        ('{"dmgr": 0 # d\n , "channel": 1}', '{ # d\n  "channel": 1}'),
        ('{"channel": 1, "dmgr": 0,}', '{"channel": 1, }'),
        ('{\n "channel": 1,  # c\n "dmgr": 0  # d\n}', '{\n "channel": 1,  # c\n}'),
        ('{\n "channel": 1,  # c\n "dmgr": 0}', '{\n "channel": 1,  # c\n }'),
        ('{\n "dmgr": 0, "channel": 1}', '{\n "channel": 1}'),
        ('{\n "channel": 1, "dmgr": 0,  # d\n}', '{\n "channel": 1, # d\n}'),
        ('{\r\n "channel": 1, "dmgr": 0,\r\n}', '{\r\n "channel": 1,\r\n}'),
        ('{"channel": 1, ("dmgr"): 0}', '{"channel": 1, ("dmgr"): 0}'),
        ('{"channel": 1, "dmgr": (0)}', '{"channel": 1, "dmgr": (0)}'),
    ],
)
def test_an_item_is_removed_with_its_comma_and_its_lines(bad: str, good: str, tmp_path: Path) -> None:
    text = f"device_db = {{{CORE}'a': {{{TTL}, 'arguments': %s}}}}"
    assert mended(text % bad, tmp_path) == text % good
    ast.parse(text % good)
