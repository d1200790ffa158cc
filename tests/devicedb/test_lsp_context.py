"""What a position in a device database or an experiment is, also while the text is broken; positions in a text."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicedb.check.finding import Finding
from devicedb.lsp.analysis import Outcome
from devicedb.lsp.buffer import BufferText, Spot, line_now
from devicedb.lsp.context import context_at
from devicedb.lsp.notices import MOST, notices
from devicedb.model.rule import Severity

PLACES = [
    ('device_db = {"a|": {}}', "key", "a", "", "device_db"),
    ('device_db = {"a": "c|am\n "b": "x"}', "value", "cam", "a", "device_db"),
    ('device_db["a"] = "c|am"\n', "value", "cam", "a", "device_db"),
    ('device_db["a|"] = {}', "key", "a", "", "device_db"),
    ('device_db.update({"a": "|b"})', "value", "b", "a", "device_db"),
    ('device_db |= {"a": "|b"}'.replace("|=", "\0="), "value", "b", "a", "device_db"),
    ('device_db: dict[str, Any] = {"a": "|b"}', "value", "b", "a", "device_db"),
    ('device_db = {"a": {"type": "controller", |"host": 1}}', "key", "host", "", "device_db a"),
    ('device_db = {"a": {"type": "controller", |', "key", "", "", "device_db a"),
    ('device_db = {"a": {"type": |}}', "value", "", "type", "device_db a"),
    (
        'device_db = {"a": {"type": "local", "arguments": {"ch|": 1}}}',
        "key",
        "ch",
        "",
        "device_db a arguments",
    ),
    (
        'device_db = {"a": {"arguments": {"devs": ["x", "u|"]}}}',
        "value",
        "u",
        "devs",
        "device_db a arguments",
    ),
    ('for i in range(8):\n    device_db[f"a{i}"] = {"type": "|"}', "value", "", "type", "device_db "),
    ('def make(n):\n    return {"type": "local", "arguments": {"c|": n}}', "key", "c", "", " arguments"),
    ('device_db = dict(a=dict(type="local", mod|))', "key", "mod", "", "device_db a"),
    ('device_db = dict(a=dict(module="m|"))', "value", "m", "module", "device_db a"),
    ('self.setattr_device("cam|', "argument", "cam", "", ""),
    ('x = self.get_device(key="cam|")', "argument", "cam", "key", ""),
    ('device_db = {"é𝒳": {"host": r"\\a|", "x": """\n"b" {""", }}', "value", "\\a", "host", "device_db é𝒳"),
    ('device_db = {"a": {"b": [({})]}, # } "\n "c": "|"}', "value", "", "c", "device_db"),
]


@pytest.mark.parametrize(("text", "role", "word", "key", "path"), PLACES, ids=[each[0] for each in PLACES])
def test_a_position_is_known_by_brackets_alone(text: str, role: str, word: str, key: str, path: str) -> None:
    offset = text.index("|")
    found = context_at((text[:offset] + text[offset + 1 :]).replace("\0", "|"), offset)
    assert found is not None
    assert (found.role.value, found.text, found.key, " ".join(found.bracket.path)) == (role, word, key, path)
    assert found.typed == text[found.start : offset]


@pytest.mark.parametrize(
    "text",
    [
        "x = 1|",
        'device_db = {# "a": "|"\n}',
        'device_db = {"a": "b" |}',
        'self.get_device("a", "b|")',
        "|",
        '"|"',
    ],
)
def test_elsewhere_there_is_nothing(text: str) -> None:
    offset = text.index("|")
    assert context_at(text[:offset] + text[offset + 1 :], offset) is None


def test_the_keys_behind_the_position_are_known() -> None:
    text = 'device_db = {"a": {"arguments": {"": 1}, "module": "m", "class": "C", "x": {"type": 1}}, "type": "no"}'
    found = context_at(text, text.index('""') + 1)
    assert found is not None
    assert found.entry is not None
    assert found.entry.items == {"arguments": "", "module": "m", "class": "C", "x": ""}


TOKENS = st.sampled_from(
    [
        "device_db",
        " = ",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        '"a"',
        '"',
        "'",
        '"""',
        ":",
        ",",
        "\n",
        "# ",
        "dict",
        "\\",
        "é",
    ]
)


@given(st.lists(TOKENS, max_size=40).map("".join), st.data())
def test_any_text_has_an_answer(text: str, data: st.DataObject) -> None:
    offset = data.draw(st.integers(0, len(text)))
    found = context_at(text, offset)
    assert found is None or 0 <= found.start <= found.end <= len(text)


@given(
    st.text(st.sampled_from("aé€😀\n\r\x0c\u2028"), max_size=30),
    st.sampled_from(["utf-8", "utf-16", "utf-32"]),
    st.data(),
)
def test_offsets_and_positions_are_the_same_places(text: str, encoding: str, data: st.DataObject) -> None:
    offset = data.draw(st.integers(0, len(text)).filter(lambda at: text[at - 1 : at + 1] != "\r\n"))
    buffer = BufferText(text, encoding)
    spot = buffer.spot(offset)
    before = text[:offset].replace("\r\n", "\n").replace("\r", "\n")
    line = before.rpartition("\n")[2]
    codec = {"utf-8": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}[encoding]
    size = {"utf-8": 1, "utf-16": 2, "utf-32": 4}[encoding]
    assert spot == Spot(before.count("\n"), len(line.encode(codec)) // size)
    assert buffer.offset(spot) == offset
    assert buffer.at_byte(spot.line, len(line.encode())) == spot


def test_a_position_beyond_the_text_is_its_end() -> None:
    buffer = BufferText("é\nb")
    assert [buffer.offset(Spot(0, 99)), buffer.offset(Spot(9, 9))] == [1, 3]
    assert buffer.at(7, 3) == Spot(1, 1)


def test_lines_around_an_edit_only_move() -> None:
    before = BufferText("a\nb\nc\nd\n")
    now = BufferText("a\nb\nnew\nnewer\nc\nd\n")
    assert [line_now(before, number, now) for number in range(4)] == [0, 1, 4, 5]
    assert [line_now(now, number, before) for number in range(6)] == [0, 1, 2, 3, 2, 3]
    twice = BufferText("new\na\nb\nc\nD\n")
    assert [line_now(before, number, twice) for number in range(4)] == [1, 2, 3, 3]


def test_of_thousands_of_findings_the_worst_are_shown() -> None:
    path = Path("device_db.py").absolute()
    kinds = [Severity.WARNING] * 2000 + [Severity.ERROR]
    found = tuple(Finding("DDB1", kind, str(path), 1, 1, 1, 2, "a", "wrong", "") for kind in kinds)
    shown = notices(path, Outcome(BufferText("a"), found), lambda _: BufferText(""))[path]
    assert [shown[-2].severity, len(shown)] == [Severity.ERROR, MOST + 1]
    assert shown[-1].message == f"{2001 - MOST} more findings are not shown: `devicedb check` lists all"
