"""How the source of a remote function is read, whatever else the process parses meanwhile."""

import ast
import collections
import functools
import gc
import importlib
import importlib.metadata
import json
import linecache
import math
import os
import sys
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import devicedb
import rexec.remote
from rexec.remote import CannotTravel, _source

TEXT = '''import math
from collections import OrderedDict as Ordered

FIRST = 1
FIRST = (
    2
)
ANNOTATED: int = 3
BARE: int
A = B = 4


def decorated(kind):
    return kind


class Kept:
    first = True


@decorated
class Kept:
    """A class."""

    def method(self):
        return FIRST


def function(x):
    from math import tau as full_circle
    return x, lambda: full_circle


def replaced():
    return 1


replaced = function
A = 5


def A():
    from . import sibling
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import a module of the user's own."""
    (tmp_path / "lab_source.py").write_text(TEXT)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield importlib.import_module("lab_source")
    del sys.modules["lab_source"]


def edit(module: types.ModuleType, text: str) -> None:
    """Write another text into the file of a module."""
    assert module.__file__
    Path(module.__file__).write_text(text)
    os.utime(module.__file__, (1, 1))


def test_the_source_of_a_function_and_of_a_class_is_found_with_its_place(module: Any) -> None:
    def inner() -> None: ...

    assert _source.source_of(module.function)[0].startswith("def function(x):\n    from math")
    assert _source.source_of(module.function)[1:] == (
        TEXT[: TEXT.index("def function")].count("\n") + 1,
        module.__file__,
    )
    text, first, file = _source.source_of(module.Kept)
    assert text == TEXT[TEXT.index("@decorated") : TEXT.index("\n\n\ndef function")] + "\n"
    assert (first, file) == (TEXT[: TEXT.index("@decorated")].count("\n") + 1, module.__file__)
    assert _source.source_of(inner)[0] == "def inner() -> None: ...\n"


def test_the_source_of_a_class_in_a_notebook_is_that_of_its_last_cell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cells = ["class Cell:\n    a = 1\n", "x = 0\nclass Cell:\n    a = 2\n", "class Other:\n    pass\n"]
    for number, text in enumerate(cells):
        entry = (len(text), None, text.splitlines(True), f"<cell {number}>")
        monkeypatch.setitem(linecache.cache, f"<cell {number}>", entry)
    monkeypatch.setitem(
        linecache.cache, "<lazy>", (lambda: "class Cell: ...",)
    )  # as the doctest module leaves
    notebook = types.ModuleType("lab_notebook")
    monkeypatch.setitem(sys.modules, "lab_notebook", notebook)
    assert _source.source_of(type("Cell", (), {"__module__": "lab_notebook"})) == (
        "class Cell:\n    a = 2\n", 2, "<cell 1>",
    )  # fmt: skip
    with pytest.raises(CannotTravel, match="Lost: its source cannot be found"):
        _source.source_of(type("Lost", (), {"__module__": "lab_notebook"}))


def test_the_source_of_a_class_is_found_while_another_thread_reads_a_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Entry(tuple[Any, ...]):
        """Adds to the kept files when it is looked at, as a traceback in another thread may."""

        __slots__ = ()

        def __len__(self) -> int:
            monkeypatch.setitem(linecache.cache, "another file", (5, 1.0, ["pass\n"], "another file"))
            return 4

    text = "class Cell:\n    a = 1\n"
    monkeypatch.setitem(linecache.cache, "<cell>", Entry((len(text), None, text.splitlines(True), "<cell>")))
    thing = type("Cell", (), {"__module__": "no module that there is"})
    assert _source.source_of(thing) == (text, 1, "<cell>")


def test_a_function_that_is_no_def_of_its_file_is_refused_by_name_and_place(module: Any) -> None:
    with pytest.raises(CannotTravel, match=r"lab_source\.py:\d+: a lambda cannot travel: write a def"):
        _source.source_of(module.function(1)[1])
    with pytest.raises(CannotTravel, match=r"lab_source\.py:\d+: Kept\.method is a method"):
        _source.source_of(module.Kept.method)
    edit(module, "\n" * 3 + TEXT)
    with pytest.raises(CannotTravel, match=r"lab_source\.py:\d+: function is not there: the file was edited"):
        _source.source_of(module.function)


@pytest.mark.parametrize(
    ("name", "found"),
    [("FIRST", "FIRST = (\n    2\n)\n"), ("ANNOTATED", "ANNOTATED: int = 3\n"), ("BARE", None), ("B", "A = B = 4\n"),
     ("A", None), ("Kept", None), ("function", None), ("replaced", "replaced = function\n"), ("absent", None)],
)  # fmt: skip
def test_the_assignment_of_a_name_is_the_last_one(module: Any, name: str, found: str | None) -> None:
    place = None if found is None else (found, TEXT[: TEXT.index(found)].count("\n") + 1)
    assert _source.assignment_of(name, vars(module)) == place


def test_the_text_is_that_of_now_and_one_that_cannot_be_read_has_none(module: Any) -> None:
    assert _source.assignment_of("FIRST", vars(module))
    edit(module, "FIRST = 17\n")
    assert _source.assignment_of("FIRST", vars(module)) == ("FIRST = 17\n", 1)
    edit(module, "FIRST = = 1\n")
    assert _source.assignment_of("FIRST", vars(module)) is None
    assert _source.assignment_of("FIRST", {}) is None
    assert _source.assignment_of("FIRST", {"__file__": None}) is None


def test_decorators_of_ours_are_blanked_and_others_stay() -> None:
    ours = "@rexec.remote\n@rexec.remote.remote\n@mark\n@rexec.remote.remote(\n)\n"
    text = f"@functools.cache\n{ours}@rexec.absent.remote\n@unknown\ndef f():\n    @mark\n    def g(): ...\n"
    scope = {"rexec": rexec, "mark": rexec.remote.remote, "functools": functools}
    assert _source.without_own_decorators(text, scope) == text.replace(ours, "\n" * 5, 1)
    assert _source.without_own_decorators("x = 1\n", {}) == "x = 1\n"


def test_names_are_found_where_they_are_first_used() -> None:
    text = textwrap.dedent("""
        @decorator
        def f(a: Hint, b=default, *, c: Hint = 1) -> Hint:
            global made, read
            local: Hint = a
            made = helper(
                local, read)
            def inner(d: Hint) -> Hint:
                nonlocal local
                local = f(b, made_inside, helper)
                return [each for each in outer]
            async def other(e: Hint) -> Hint:
                return len(e)
            class Part(Base):
                held: Hint = constant
            return Part, inner
    """)[1:]  # fmt: skip
    names, made = _source.names_used(text, 100)
    assert names == {
        "decorator": 100, "default": 101, "helper": 104, "read": 105, "made_inside": 108, "outer": 109, "len": 111,
        "Base": 112, "constant": 113,
    }  # fmt: skip
    assert list(names) == [name for _, name in sorted((at, name) for name, at in names.items())]
    assert made == {"made"}


def test_what_is_installed_is_imported_there_by_module_and_name(module: Any) -> None:
    scope = vars(module)
    assert _source.imported_from(scope, "x", math.sqrt) == ("math", "sqrt")
    assert _source.imported_from(scope, "x", collections.OrderedDict) == ("collections", "OrderedDict")
    assert _source.imported_from(scope, "x", np.ndarray.sum) is None  # it has no module
    assert _source.imported_from(scope, "x", Path("x")) is None  # it has the module of its class, and no name
    assert _source.imported_from(scope, "x", module.function) is None
    # By the statement in the file, for a value that does not tell.
    assert _source.imported_from(scope, "full_circle", math.tau) == ("math", "tau")
    assert _source.imported_from(scope, "Ordered", 1) == ("collections", "OrderedDict")
    assert _source.imported_from(scope, "sibling", 1) is None
    assert _source.imported_from(scope, "absent", 1) is None
    edit(module, "from lab_source import A\nfrom lab_absent import B\n")
    assert _source.imported_from(scope, "A", 1) is None
    assert _source.imported_from(scope, "B", 1) is None
    # A name that the module gives to something else by now.
    fake = types.FunctionType(module.function.__code__, {}, "sqrt")
    fake.__module__ = "math"
    assert _source.imported_from(scope, "x", fake) is None
    fake.__module__ = "lab_absent"
    assert _source.imported_from(scope, "x", fake) is None


def test_local_is_what_a_controller_cannot_be_expected_to_have(module: Any) -> None:
    assert _source.is_local(module)
    assert _source.is_local(types.ModuleType("__main__"))
    for each in (math, json, importlib.metadata, np, np.linalg, rexec.remote, devicedb, pytest):
        assert not _source.is_local(each), each
    package = types.ModuleType("lab_package")
    package.__file__ = module.__file__
    assert _source.is_local(package)
    package.__path__ = []
    assert not _source.is_local(package)
    assert not _source.is_local(types.ModuleType("lab_without_file"))
    for folder in ("site-packages", "dist-packages"):
        installed = types.ModuleType("lab_installed")
        installed.__file__ = f"/usr/lib/{folder}/lab_installed.py"
        assert not _source.is_local(installed)


def test_a_package_installed_from_a_folder_of_its_own_is_not_the_user_s(
    module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def distribution(folder: Path, **texts: str) -> importlib.metadata.Distribution:
        info = folder / "x.dist-info"
        info.mkdir(parents=True)
        for name, text in texts.items():
            (info / name.replace("_json", ".json").replace("_txt", ".txt")).write_text(text)
        return importlib.metadata.Distribution.at(info)

    site = tmp_path / "site-packages"
    found = [
        distribution(site / "a", top_level_txt="one\ntwo\n"),
        distribution(site / "b", top_level_txt="three\n", direct_url_json='{"dir_info": {"editable": true}}'),
        distribution(site / "c", direct_url_json='{"dir_info": {"editable": true}}'),
        distribution(site / "d", top_level_txt="four\n", direct_url_json='{"dir_info": {}}'),
        distribution(tmp_path / "e", top_level_txt="five\nsix\n"),
    ]
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: found)
    look = _source._installed_elsewhere.__wrapped__
    assert look() == {"three", "five", "six"}
    monkeypatch.setattr(_source, "_installed_elsewhere", look)
    module.__name__ = "five.part"
    assert not _source.is_local(module)


class _Parses:
    """Garbage that parses when it is collected, as a finalizer does that calls a remote function."""

    def __init__(self) -> None:
        self.cycle = self

    def __del__(self) -> None:
        try:
            ast.parse("x = 1 + (2 * (3 + 4))")
        except SystemError:  # disturbed in its turn
            return


def test_a_source_is_read_while_a_finalizer_reads_another() -> None:
    text = "def f(a):\n" + "".join(f"    x{n} = (a + {n}) * [1, {{'k': {n}}}][0]\n" for n in range(100))
    before = gc.get_threshold()
    gc.set_threshold(50)
    try:
        for _ in range(20):
            for _ in range(20):
                _Parses()
            assert len(_source._parse(text).body[0].body) == 100  # type: ignore[attr-defined]
    finally:
        gc.set_threshold(*before)


def test_a_source_that_is_disturbed_for_ever_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def disturbed(_: str) -> Any:
        raise SystemError("AST constructor recursion depth mismatch")

    monkeypatch.setattr(ast, "parse", disturbed)
    with pytest.raises(SystemError):
        _source._parse("x = 1")
