"""What shipped code finds on a controller, and how its errors come back."""

import linecache
import logging
import os
import sys
import types
from typing import Any

import pytest

from rexec.remote.agent import exceptions
from rexec.remote.agent.exceptions import SELF_FILE, pack, plain_names
from rexec.remote.agent.output import CURRENT, PREFIX, show
from rexec.remote.agent.sendable import DEEPEST, LARGEST, problem_of, size_of
from rexec.remote.agent.workspace import Workspace

DRIVER = object()


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.setattr(linecache, "cache", {})
    return Workspace({"controller_driver": DRIVER, "extra": 7}, logging.ERROR)


def bundle(key: str = "lab", **further: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "key": key, "module": "lab", "file": "/home/lab.py", "values": [], "imports": [], "binds": [],
        "provided": [], "pieces": [],
    }  # fmt: skip
    return usual | further


def test_definitions_find_values_imports_and_what_the_controller_provides(workspace: Workspace) -> None:
    workspace.take(
        [
            bundle(
                values=[["x", 3]],
                imports=[["m", "math", None], ["root", "math", "sqrt"], ["p", "os.path", None]],
                provided=[["now", "job"], ["lamp", "controller_driver"]],
                pieces=[
                    ["f", 1, "def f(y: Unknown) -> Any: return x + y\n"],
                    ["g", 5, "def g():\n    1 / 0\n"],
                ],
            )
        ],
        {"controller_driver": DRIVER},
    )
    space = workspace.namespaces["lab"]
    assert (space["f"](4), space["m"].pi > 3, space["root"](4), space["p"].__name__) == (
        7,
        True,
        2,
        os.path.__name__,
    )
    assert (space["now"], space["job"], space["lamp"]) == (CURRENT, CURRENT, DRIVER)
    assert (space["__name__"], space["f"].__module__) == (PREFIX + "lab", PREFIX + "lab")
    assert space["__builtins__"]["print"] is show
    assert logging.getLogger(PREFIX + "lab").level == logging.ERROR
    assert sys.modules[PREFIX + "lab"].__name__ == PREFIX + "lab"
    assert set(workspace.files.values()) == {"/home/lab.py"}
    name = space["g"].__code__.co_filename
    assert (space["g"].__code__.co_firstlineno, linecache.getline(name, 6)) == (5, "    1 / 0\n")
    assert workspace.namespace("lab", "other") is space
    with pytest.raises(ZeroDivisionError) as caught:
        space["g"]()
    told = pack(caught.value, workspace.files)
    assert len(told["frames"]) == 1
    assert 'File "/home/lab.py", line 6, in g\n    1 / 0\n' in told["frames"][0]
    assert len(linecache.cache.keys() & workspace.files.keys()) == 2
    workspace.drop_sources()
    assert not linecache.cache.keys() & workspace.files.keys()


def test_names_of_another_bundle_are_bound_whichever_comes_first(workspace: Workspace) -> None:
    there = bundle("b", module="lab_b", pieces=[["f", 1, "def f(): return 5"]])
    here = bundle(binds=[["g", "b", "f"]], pieces=[["h", 1, "def h(): return g()"]])
    workspace.take([here, there], {})
    assert workspace.namespaces["lab"]["h"]() == 5
    workspace.take([bundle("c", binds=[["g", "b", "f"]])], {})
    assert workspace.namespaces["c"]["g"]() == 5
    there["pieces"] = [["f", 1, "def f(): return 6"]]
    workspace.take([there, here], {})
    assert workspace.namespaces["lab"]["h"]() == 6


def test_a_module_that_was_shipped_whole_is_imported_first(workspace: Workspace) -> None:
    workspace.take(
        [
            {
                "module": "lab_whole",
                "file": "/home/lab_whole.py",
                "text": "A = 1\ndef f(): return __file__, print\n",
            },
            {"module": "lab_in.part.deep", "file": "/home/deep.py", "text": "B = 2\n"},
            bundle(
                imports=[["whole", "lab_whole", None], ["a", "lab_whole", "A"]],
                pieces=[
                    [
                        "f",
                        1,
                        "def f():\n    import lab_whole\n    from lab_whole import A\n    return lab_whole.A, A",
                    ],
                    ["g", 1, "def g():\n    import lab_in.part.deep\n    return lab_in.part.deep.B"],
                    [
                        "h",
                        1,
                        "def h():\n    import lab_in.part.deep as deep\n    import os.path\n    return deep.B, os.sep",
                    ],
                ],
            ),
        ],
        {},
    )
    space = workspace.namespaces["lab"]
    assert (space["a"], space["whole"].f()) == (1, ("/home/lab_whole.py", show))
    assert (space["f"](), space["g"](), space["h"]()) == ((1, 1), 2, (2, os.sep))
    assert space["whole"].__name__ == PREFIX + "lab_whole"
    assert sys.modules[PREFIX + "lab_whole"].__name__ == PREFIX + "lab_whole"
    assert logging.getLogger(PREFIX + "lab_whole").level == logging.ERROR
    assert "lab_whole" not in sys.modules
    assert space["whole"].f.__code__.co_firstlineno == 2
    with pytest.raises(ImportError):
        workspace.import_module("lab_whole", {"__package__": "rexec"}, None, ["A"], 1)


def test_the_package_of_remote_functions_is_that_of_the_controller(workspace: Workspace) -> None:
    found: Any = workspace.import_module("rexec.remote", None, None, ["remote"])
    assert (found.controller_driver, found.job, found.provided("extra")) == (DRIVER, CURRENT, 7)
    assert found.remote(len) is found(len) is len
    above: Any = workspace.import_module("rexec")
    assert above.remote is found
    assert above(len) is len
    assert found.Fleet.__name__ == "Fleet"  # of the toolkit, where it is installed
    assert not hasattr(found, "__wrapped__")
    assert "controller_initial_namespace" not in vars(found)


def test_code_is_noted_for_an_audit_that_a_controller_keeps(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[Any] = []
    guard = types.SimpleNamespace(note_code=lambda *what: noted.append(what))
    sys.modules["rexec.access.guard"] = guard  # type: ignore[assignment]
    workspace.take(
        [bundle(imports=[["m", "math", None], ["r", "math", "sqrt"]], pieces=[["x", 4, "x = 1"]])], {}
    )
    workspace.take([bundle(values=[["y", 1]])], {})
    assert noted == [
        ("import math as m\nimport math.sqrt as r", "/home/lab.py"), ("x = 1", "/home/lab.py:4"),
    ]  # fmt: skip


class Odd(Exception):
    pass


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as found:
        return found


def test_an_error_is_packed_with_what_can_be_sent_of_it() -> None:
    error = Odd("a", 2)
    error.add_note("noted")
    error.level, error.lock = 3, object()  # type: ignore[attr-defined]
    told = pack(raised(error), {})
    assert {name: told[name] for name in ("class", "builtin", "message", "args", "module", "state", "notes")} == {
        "class": "Odd", "builtin": False, "message": "('a', 2)", "args": ["a", 2], "module": __name__,
        "state": {"level": 3}, "notes": ["noted"],
    }  # fmt: skip
    assert told["text"].startswith("Traceback (most recent call last):\n")
    assert pack(KeyError("k"), {})["builtin"]
    for args in ((object(),), (10**5000,), (b"x", [1])):
        assert pack(Odd(*args), {})["args"] is None
    assert pack(Odd(None, 1.5, b"x"), {})["args"] == [None, 1.5, b"x"]


def test_an_error_whose_text_cannot_be_made_is_packed_all_the_same() -> None:
    class Ends(Exception):
        def __str__(self) -> str:
            raise KeyboardInterrupt

    assert pack(Ends(), {}) == {
        "class": "Ends", "builtin": False, "message": "<KeyboardInterrupt while the message was made>",
        "args": None, "module": "", "state": {}, "frames": [], "text": "", "notes": [],
    }  # fmt: skip


def test_a_traceback_begins_with_shipped_code_and_names_its_files(workspace: Workspace) -> None:
    text = "def f(n):\n    if n: f(n - 1)\n    raise ValueError(n)\n"
    workspace.take([bundle(pieces=[["f", 10, text]])], {})
    agent: dict[str, Any] = {"f": workspace.namespaces["lab"]["f"]}
    exec(compile("def call(): f(1)", SELF_FILE, "exec"), agent)
    with pytest.raises(ValueError, match="0") as caught:
        agent["call"]()
    group = raised(ExceptionGroup("all", [caught.value]), raised(caught.value))
    for error in (caught.value, group):
        told = pack(error, workspace.files)
        assert SELF_FILE not in told["text"]
        assert "<rexec " not in told["text"]
        assert told["text"].count('"/home/lab.py", line 11, in f') >= 1
    assert len(pack(caught.value, workspace.files)["frames"]) == 2
    assert len(pack(raised(ValueError()), {})["frames"]) == 1  # none of it is shipped
    assert plain_names(f"{PREFIX}__main__.A {PREFIX}lab.B") == "A lab.B"


def test_causes_are_renamed_fifty_deep(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    rename = exceptions.rename

    def noting(told: Any, files: Any, depth: int) -> None:
        seen.append(depth)
        rename(told, files, depth)

    monkeypatch.setattr(exceptions, "rename", noting)
    chain = ValueError()
    last: BaseException = chain
    for _ in range(60):
        last.__cause__ = ValueError()
        last = last.__cause__
    pack(chain, {})
    assert seen == list(range(51))


def nested(depth: int, kind: Any = list) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value} if kind is dict else kind([value])
    return value


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (nested(DEEPEST + 1), ""), (nested(DEEPEST + 1, dict), ""), (LARGEST - 1, ""), (1 - LARGEST, ""),
        (nested(DEEPEST + 2), "nested deeper than 100 levels"),
        (nested(DEEPEST + 2, dict), "nested deeper than 100 levels"),
        ({nested(DEEPEST, tuple): 1}, ""), ({nested(DEEPEST + 1, tuple): 1}, "nested deeper than 100 levels"),
        (LARGEST, "value: an integer of over 4,000 digits"), (-LARGEST, "value: an integer of over 4,000 digits"),
        ((1, [LARGEST]), "value[1][0]: an integer"), ({"a": {(LARGEST,): 1}}, "a key of value['a'][0]: an integer"),
        ({"__jsonclass__": 1}, "value: a dict with the key '__jsonclass__'"), ({1, "a"}, ""), ([1, None, "x"], ""),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_cannot_be_sent_is_named_by_its_place(value: Any, problem: str) -> None:
    found = problem_of(value)
    assert found == problem if not problem else problem in found
    assert (DEEPEST, LARGEST) == (100, 1 << 14_000)


def test_sizes_are_counted_with_what_is_around_a_value() -> None:
    assert [size_of(each, 1e9) for each in (1, "ab", b"abc", bytearray(4), [], [1, "ab"], {"ab": 1}, (1,))] == [
        64, 66, 67, 68, 64, 194, 194, 128,
    ]  # fmt: skip
    assert size_of([1] * 100, 128.0) == 192
    assert size_of([[1] * 100, 1], 192.0) == 256
