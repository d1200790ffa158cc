"""A file of one literal display is drawn in pieces, exactly as running the whole file draws it, or it is run."""

import builtins
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from devicedb.trace import literal
from devicedb.trace.imports import compile_traced
from devicedb.trace.literal import NotLiteralError, draw_literal
from devicedb.trace.picture import Painter
from devicedb.trace.recorder import SiteRecorder
from devicedb.trace.sites import SiteTable

FILE = "device_db.py"

ODD = [
    '"a": 1,  # }, {"no": 1},',
    '"e": ("x"\n    "y"), "e2": 1,',
    '"h": -1.5e3, "i": 0x10, 1: "k",',
    '"j": {\n        "j1": "é", "j2": None,\n        "j3": True,\n    },',
    '"f": {"type": "dummy", "deep": [1, (2, {"g": None}), True, [False]]},',
    "",
    "# only a comment,",
]
CUT_WITHIN = [
    '"b": """\n"c": 2,\n    "d": 3,\n""",',
    '"f": {"type": "dummy",\n    "deep": 1,\n},',
]
FALLS_BACK = [
    '"l": NAME,',
    '"m": b"x",',
    '"n": 1, "n": 2,',
    '**{"o": 1},',
    '"p": (), "q": (),',
    '"r": 1j,',
    '"s": "\\d",',
    '"t": f"{1}",',
    '"u": 1e999,',
    "None: 1,",
    '"v": 1 + 2,',
    '"w": {"w1": 1, "w1": 1},',
    '"x": 1},\n{"y": 2,',
    '"x": 1} | {"y": 2,',
    '"z": 1',
    '"z": "1"  # no comma,',
    "**dict(),",
]


@pytest.fixture(autouse=True, scope="module")
def small_pieces() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(literal, "PIECE", 0)
        yield
    for name in [each for each in vars(builtins) if each.startswith("__ddb_")]:
        delattr(builtins, name)


def placed(node: Any, sites: SiteTable) -> Any:
    """A node with places for the numbers of sites."""
    if type(node) is list:
        return [repr(node[0]), sites[node[1]] if node[1] >= 0 else None]
    if "d" in node:
        pairs = [[placed(key, sites), placed(value, sites)] for key, value in node["d"]]
        return {**node, "d": pairs, "s": sites[node["s"]]}
    if "l" in node:
        return {**node, "l": [placed(each, sites) for each in node["l"]], "s": sites[node["s"]]}
    return node


def run_whole(source: bytes) -> Any:
    recorder = SiteRecorder()
    recorder.install()
    space: dict[str, Any] = {}
    exec(compile_traced(source, FILE, recorder), space)  # what the child does
    pairs: list[Any] = []
    root = Painter(recorder).root(space["device_db"], recorder.databases.get(0), pairs.append)
    assert recorder.duplicates == []
    return placed(json.loads(json.dumps({**root, "d": pairs})), recorder.sites)


def drawn(source: bytes) -> Any:
    sites = SiteTable()
    pairs: list[str] = []
    root = draw_literal(source, FILE, sites, pairs.extend)
    return placed({**root, "d": [json.loads(each) for each in pairs]}, sites)


def database(lines: list[str], indent: str = "    ") -> str:
    text = "\n".join(indent + line for line in lines)
    return f'"""A laboratory."""\n\ndevice_db = {{  # all\n{text}\n}}\n# end\n'


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
scalars = scalars.filter(
    lambda value: not (isinstance(value, str) and any(0xD800 <= ord(c) < 0xE000 for c in value))
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abc'\" é", max_size=4), inner, max_size=3)
        | st.tuples(inner, inner)
    ),
    max_leaves=8,
)


def has_empty_list(value: Any) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return value == [] or any(map(has_empty_list, inner))


@example({"a": "[]", "b": ["", ([1],)]}, False)
@example({"a": ({"c": []}, 1)}, True)
@settings(max_examples=40)
@given(st.dictionaries(st.text("abcdef", min_size=1), values, min_size=1, max_size=5), st.booleans())
def test_pieces_of_a_written_out_database_are_the_whole(entries: dict[str, Any], is_windows: bool) -> None:
    text = database([f"{name!r}: {value!r}," for name, value in entries.items()])
    source = text.replace("\n", "\r\n" if is_windows else "\n").encode()
    if has_empty_list(entries):
        with pytest.raises(NotLiteralError):
            drawn(source)
    else:
        assert drawn(source) == run_whole(source)


@settings(max_examples=40)
@given(st.data())
def test_whatever_is_written_is_drawn_as_run_or_left_to_the_run(data: st.DataObject) -> None:
    lines = data.draw(st.lists(st.sampled_from(ODD + CUT_WITHIN + FALLS_BACK), max_size=6))
    text = database(lines, data.draw(st.sampled_from(["", "    ", "\t"])))
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(st.sampled_from([*"{}[](),:\"'\\#\n\r; *=x", ""])) + text[at + 1 :]
    source = text.encode()
    try:
        found = drawn(source)
    except NotLiteralError:
        return
    assert found == run_whole(source)


@pytest.mark.parametrize("line", ODD)
def test_odd_layouts_need_no_run(line: str) -> None:
    source = database(['"first": 1,', line, '"last": "x"']).encode()
    assert drawn(source) == run_whole(source)


@pytest.mark.parametrize("line", CUT_WITHIN + FALLS_BACK)
def test_what_a_run_or_the_parser_must_tell_is_left_to_them(line: str) -> None:
    with pytest.raises(NotLiteralError):
        drawn(database(['"first": 1,', line, '"last": "x"']).encode())


@pytest.mark.parametrize(
    "text",
    [
        "# coding: latin-1\ndevice_db = {\n}\n",
        "# " + "x" * 300 + " coding: latin-1\ndevice_db = {\n}\n",
        "print(1)\ndevice_db = {\n}\n",
        "device_db = {\n}\ndevice_db['a'] = 'b'\n",
        "device_db = {\n}.copy()\n",
        "device_db = {\n}; x = 1\n",
        '"""\ndevice_db = {\n}\n"""\n',
        "device_db = {\n",
        "\ndevice_db = {\n'a': 1\n} | {\n}\n",
        "if True:\n    pass\ndevice_db = {\n}\n",
    ],
)
def test_a_file_with_more_than_the_display_is_run(text: str) -> None:
    with pytest.raises(NotLiteralError):
        drawn(text.encode())
