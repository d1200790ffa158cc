"""Both versions of PYON against what a real peer wrote and read back."""

import bisect
import itertools
import json
import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from rexec.wire import pyon, pyon_v1
from rexec.wire._pyon_encode import MAX_DEPTH

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "pyon_vectors.json").read_text(encoding="utf-8")
)["vectors"]
CODECS = {"v2": pyon, "v1": pyon_v1}
# The reference cannot write these arrays, but reads them.
WE_CAN = {("nparray datetime", "v2"), ("nparray datetime", "v1")}
# The reference's v1 decoder leaves the two halves of such characters apart.
READ_BETTER = {("unicode", "v1")}


def value_of(vector: dict[str, Any]) -> Any:
    return eval(vector["python"], {"np": np, "Fraction": Fraction, "OrderedDict": OrderedDict})


def described(value: Any) -> str:
    # The recordings have the form that an OrderedDict was shown in before Python 3.12.
    shown = f"OrderedDict({list(value.items())!r})" if isinstance(value, OrderedDict) else repr(value)
    return f"{type(value).__module__}.{type(value).__qualname__} {shown}"[:300]


@pytest.mark.parametrize("version", CODECS)
@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_value_is_written_as_a_real_peer_writes_it(vector: dict[str, Any], version: str) -> None:
    if f"{version}_error" in vector and (vector["name"], version) not in WE_CAN:
        with pytest.raises(TypeError):
            CODECS[version].encode(value_of(vector))
        return
    text = CODECS[version].encode(value_of(vector))
    assert text.isascii()
    if version in vector:
        assert text == vector[version]
    else:
        assert np.array_equal(CODECS[version].decode(text), value_of(vector))


@pytest.mark.parametrize("version", CODECS)
@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_what_a_real_peer_wrote_is_read_as_it_reads_it(vector: dict[str, Any], version: str) -> None:
    if version not in vector:
        assert f"{version}_error" in vector
        return
    value = CODECS[version].decode(vector[version])
    if (vector["name"], version) in READ_BETTER:
        assert value == value_of(vector)
    else:
        assert described(value) == vector[f"{version}_back"]


def test_decoded_arrays_are_writable_and_aligned() -> None:
    for codec in CODECS.values():
        array = codec.decode(codec.encode(np.arange(5.0)))
        array[0] = 7.0
        assert array.flags.aligned
        assert array.tolist() == [7.0, 1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("codec", CODECS.values())
@pytest.mark.parametrize(
    "value",
    [object(), np.array([object()]), np.ma.array([1, 2], mask=[True, False]), lambda: 0],
    ids=["object", "object array", "masked array", "function"],
)
def test_an_unknown_type_is_refused_with_its_path(codec: Any, value: Any) -> None:
    with pytest.raises(TypeError, match=r"^value\['fits'\]\[3\]: "):
        codec.encode({"fits": [1, 2, (3,), value]})


def test_a_dict_that_looks_like_a_tag_is_refused() -> None:
    with pytest.raises(TypeError, match="__jsonclass__"):
        pyon.encode({"__jsonclass__": ["tuple", [[]]]})


@pytest.mark.parametrize("codec", CODECS.values())
def test_a_value_that_contains_itself_is_refused(codec: Any) -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="nested deeper"):
        codec.encode(loop)


@pytest.mark.parametrize(
    ("codec", "text"),
    [
        (pyon, "[" * 100_000),
        (pyon, "[" * 600 + '"\\u00b5"' + "]" * 600),
        (pyon, "[" * 50_000 + "]" * 50_000),
        (pyon_v1, "(" * 100_000),
        (pyon_v1, "[" * 600 + "]" * 600),
    ],
    ids=["open", "600", "50000", "old open", "old 600"],
)
def test_a_deeply_nested_text_is_refused(codec: Any, text: str) -> None:
    with pytest.raises(ValueError, match="PYON"):
        codec.decode(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"__jsonclass__":["nparray",[[1],"|O","AAAAAAAAAAA="]]}',
        '{"__jsonclass__":["nparray",[[1],"<i4,<i4","AAAAAAAAAAA="]]}',
        '{"__jsonclass__":["nparray",[[2],"<f8","AAAAAAAAAAA="]]}',
        '{"__jsonclass__":["nparray",[[-1],"<f8",""]]}',
        '{"__jsonclass__":["nparray",[[0,1000000000000000000000],"<f8",""]]}',
        '{"__jsonclass__":["nparray",[[1],"<f8","AAAA!AAAAAA="]]}',
        '{"__jsonclass__":["nparray",[[1],"<f8",0]]}',
        '{"__jsonclass__":["npscalar",["|O","AAAAAAAAAAA="]]}',
    ],
)
def test_an_array_that_does_not_fit_its_description_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        pyon.decode(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"__jsonclass__":["os.system",["true"]]}',
        '{"__jsonclass__":["tuple",[1]]}',
        '{"__jsonclass__":["Fraction",[1,0]]}',
        '{"__jsonclass__":"tuple"}',
        '{"__jsonclass__":["tuple",[[]]],"x":1}',
        '{"__json\\u0063lass__":["nothing",[]]}',
    ],
)
def test_an_unknown_or_malformed_tag_is_a_type_error(text: str) -> None:
    with pytest.raises(TypeError):
        pyon.decode(text)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "slice",
        "(lambda: 1)()",
        "[x for x in (1,)]",
        "1 + 1",
        "open",
        "a.b",
        "",
    ],
)
def test_a_hostile_old_line_is_parsed_not_run(text: str) -> None:
    with pytest.raises(ValueError, match="not PYON v1"):
        pyon_v1.decode(text)


def test_whole_numbers_stay_exact_at_any_size() -> None:
    for number in (2**53 + 1, 2**63, -(2**63) - 1, 2**64 - 1, 2**64, 10**25, -(10**40)):
        assert pyon.decode(pyon.encode([number])) == [number]
        assert pyon_v1.decode(pyon_v1.encode([number])) == [number]


def test_a_large_base64_line_is_the_array_that_was_sent() -> None:
    big = np.random.default_rng(1).integers(0, 255, 1 << 20, dtype=np.uint8)
    value = {"a": [big, big.tobytes(), 'x{"__jsonclass__":["bytes",["'], "s": "A" * 100_000, "t": (1,)}
    back = pyon.decode(pyon.encode(value))
    assert np.array_equal(back["a"][0], big)
    assert back["a"][1:] == value["a"][1:]
    assert back["s"] == value["s"]
    assert back["t"] == (1,)


@pytest.mark.parametrize("version", [pyon, pyon_v1], ids=["v2", "v1"])
def test_files_are_written_whole_and_read_back(tmp_path: Path, version: ModuleType) -> None:
    path = tmp_path / "x.pyon"
    version.store_file(path, {"a": (1, 2)})
    with pytest.raises(TypeError):
        version.store_file(path, {"a": object()})
    assert version.load_file(path) == {"a": (1, 2)}
    version.store_file(path, {"a": {}, "b": {"c": 1}})  # for people, too
    assert path.read_bytes() == b'{\n    "a": {},\n    "b": {\n        "c": 1\n    }\n}\n'
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.pyon"]


@pytest.mark.skipif(os.name == "nt", reason="permissions are of another kind there")
def test_a_file_that_is_replaced_keeps_its_permissions_and_a_new_one_has_the_usual(tmp_path: Path) -> None:
    path, usual = tmp_path / "x.pyon", tmp_path / "usual"
    usual.touch()
    pyon.store_file(path, 1)
    assert path.stat().st_mode == usual.stat().st_mode
    path.chmod(0o640)
    pyon.store_file(path, 2)
    assert path.stat().st_mode & 0o777 == 0o640


def test_an_application_registers_types_of_its_own() -> None:
    class Point:
        def __init__(self, x: float, y: Any) -> None:
            self.x, self.y = x, y

    pyon.register([Point], name="test.Point", encode=lambda p: (p.x, p.y), decode=Point)
    try:
        text = pyon.encode([Point(1, (2,))])
        assert text == '[{"__jsonclass__":["test.Point",[1,{"__jsonclass__":["tuple",[[2]]]}]]}]'
        assert pyon.decode(text)[0].y == (2,)
        for name in ("test.Other", "test.Point", "tuple"):
            with pytest.raises(ValueError, match="already"):
                pyon.register([Point], name=name, encode=list, decode=list)
    finally:
        pyon.deregister([Point], "test.Point")
    with pytest.raises(TypeError, match=r"unknown PYON type 'test\.Point'"):
        pyon.decode(text)


@pytest.mark.parametrize("options", [{}, {"parse_float": float}], ids=["usual", "own decoder"])
def test_the_deepest_level_is_read_and_the_next_one_refused(options: dict[str, Any]) -> None:
    tag, levels = (
        '{"__jsonclass__": ["tuple", [[]]]}',
        MAX_DEPTH - 2,
    )  # of which a tag with its arguments takes two

    def read(depth: int) -> Any:
        return pyon.decode("[" * depth + tag + "]" * depth, **options)

    value = read(levels)
    for _ in range(levels):
        (value,) = value
    assert value == ()
    with pytest.raises(ValueError, match="nested deeper"):
        read(levels + 1)


HOLDERS: list[Callable[[Any], Any]] = [
    lambda inner: [inner],
    lambda inner: {"a": inner},
    lambda inner: {1: inner},
    lambda inner: (inner,),
    lambda inner: slice(inner, None),
    lambda inner: OrderedDict(a=inner),
]


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@pytest.mark.parametrize(
    "innermost", [1.5, (), set(), {1: 2}, 1j, Fraction(1, 2), np.zeros(2), b"x"], ids=repr
)
def test_what_is_written_is_not_too_deep_to_be_read(
    innermost: Any, codec: ModuleType, deep_stack: None
) -> None:
    for holders in itertools.product(HOLDERS, repeat=2):
        cycle = itertools.islice(itertools.cycle(holders), MAX_DEPTH + 2)
        values = list(itertools.accumulate(cycle, lambda value, holder: holder(value), initial=innermost))
        deepest = bisect.bisect(values, 0, key=lambda value: refused(codec, value)) - 1
        text = codec.encode(values[deepest])
        assert codec.encode(codec.decode(text)) == text
        with pytest.raises(ValueError, match="nested deeper"):
            codec.encode(values[deepest + 1])


@pytest.fixture
def deep_stack() -> Iterator[None]:
    """Python's limit refuses less where a test has used up some of the stack."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(5000)
    yield
    sys.setrecursionlimit(before)


def refused(codec: ModuleType, value: Any) -> int:
    try:
        codec.encode(value)
    except ValueError:
        return 1
    return 0


def test_a_name_or_a_type_is_registered_once() -> None:
    class One:
        pass

    class Two:
        pass

    def register(kind: type, name: str) -> None:
        pyon.register([kind], name=name, encode=lambda _: [], decode=kind)

    register(One, "test.One")
    try:
        for name in ("test.One", "tuple"):
            with pytest.raises(ValueError, match=f"the PYON name '{name}' is taken already"):
                register(Two, name)
        with pytest.raises(ValueError, match=r"One is registered with PYON already, as 'test\.One'"):
            register(One, "test.Other")
        assert type(pyon.decode(pyon.encode(One()))) is One
        with pytest.raises(TypeError):
            pyon.encode(Two())
    finally:
        pyon.deregister([One], "test.One")
