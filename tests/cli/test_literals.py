"""Values typed on a command line."""

import ast
import math
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicedb.command import as_typed
from rexec.cli.literals import LiteralError, parse, typed

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(VALUES)
def test_what_repr_writes_is_read_back(value: Any) -> None:
    assert parse(repr(value)) == value


@given(st.text(max_size=30))
def test_any_text_is_a_value_or_one_error(text: str) -> None:
    try:
        parse(text)
    except LiteralError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_names_of_json_and_of_pyon_are_known() -> None:
    assert parse("[true, false, null, -inf]") == [True, False, None, -math.inf]
    assert math.isnan(parse("nan"))


def test_arrays_have_the_type_asked_for() -> None:
    array = parse('array([[1, 2], [3, 4]], "uint16")')
    assert array.dtype == np.uint16
    assert array.tolist() == [[1, 2], [3, 4]]
    assert parse("array([1, 2.5])").dtype == np.float64


def test_an_array_is_read_from_a_file(tmp_path: Path) -> None:
    np.save(tmp_path / "frame.npy", np.arange(6.0).reshape(2, 3))
    assert parse(f"@{tmp_path / 'frame.npy'}").tolist() == [[0, 1, 2], [3, 4, 5]]
    assert parse(f"[load({str(tmp_path / 'frame.npy')!r})]")[0].shape == (2, 3)


def test_a_file_that_holds_no_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([print], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "several.npz", a=np.arange(3), b=np.arange(4))
    (tmp_path / "text.npy").write_text("1 2 3")
    for name, why in (
        ("objects.npy", "not a .npy file of numbers"),
        ("several.npz", "it holds several"),
        ("text.npy", "not a .npy file of numbers"),
        ("absent.npy", "No such file"),
        (".", "Is a directory|Permission denied"),  # Windows opens no folder
    ):
        with pytest.raises(LiteralError, match=f"cannot read an array from .*: .*({why})"):
            parse(f"@{tmp_path / name}")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "(lambda: 1)()", "open('x')", "x", "[x for x in [1]]", "1 + 1",
        "array([1, [2]])", "array(print)", "array([1], 'object')", "{[1]: 2}", "{**{}}", "'a' 'b' +",
        "@/nonexistent.npy",        "(" * 3000, "-'a'", "f'{1}'",
    ],
)  # fmt: skip
def test_what_is_no_literal_is_refused(text: str) -> None:
    with pytest.raises(LiteralError):
        parse(text)


@pytest.mark.parametrize(
    "text", ["red", "COM3", "192.168.1.5", "/dev/ttyUSB0", "2026-11-26", "two words", "", "-x"]
)
def test_a_bare_word_is_told_how_it_is_typed(text: str) -> None:
    with pytest.raises(LiteralError) as refused:
        parse(text)
    shown = str(refused.value).partition("; text is typed ")[2]
    assert shown == f"\"'{text}'\""  # the same in sh, csh, cmd.exe and PowerShell
    assert parse(*shlex.split(shown)) == text


@pytest.mark.parametrize(
    ("text", "meant"), [("Flase", "False"), ("TRUE", "True"), ("none", "None"), ("NaN", "nan")]
)
def test_a_slip_of_a_name_is_not_taken_for_text(text: str, meant: str) -> None:
    with pytest.raises(LiteralError, match=f"Did you mean '{meant}'"):
        parse(text)


@given(st.text())
def test_what_is_shown_for_a_text_is_read_back_as_it(text: str) -> None:
    assert [parse(word) for word in shlex.split(typed(text, windows=False))] == [text]


@given(st.text())
def test_what_is_shown_on_windows_is_nothing_that_cmd_or_powershell_would_expand(text: str) -> None:
    shown = typed(text, windows=True)
    assert (shown[0], shown[-1], parse(shown[1:-1])) == ('"', '"', text)
    assert not set(shown[1:-1]) & set('"%$`')


@pytest.mark.skipif(sys.platform != "win32", reason="needs cmd")
def test_cmd_passes_on_what_is_shown_for_a_text() -> None:
    texts = [
        "fast",
        "two words",
        "it's",
        'say "hi"',
        "50 %",
        "%PATH%",
        "a^b & c | d > e",
        "C:\\lab\\",
        "`x`",
        "",
    ]
    command = [sys.executable, "-c", "import sys; print(sys.argv[1:])"]
    line = f"{as_typed(command)} {' '.join(map(typed, texts))}"
    # `/s`: cmd takes the outer quotes away, and nothing else.
    said = subprocess.run(f'cmd /s /c "{line}"', capture_output=True, text=True, timeout=150, check=True)
    assert [parse(word) for word in parse(said.stdout)] == texts


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh", "tcsh"])
def test_shells_pass_on_what_is_shown_for_a_text(shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not on the path")
    texts = ["fast", "two words", "it's", 'say "hi"', "50 %", "$HOME", "a!b", "`x`", "a\\b"]
    if shell == "tcsh":
        texts.remove("a!b")  # its history wants a backslash before ! in any quotes
    command = [sys.executable, "-c", "import sys; print(sys.argv[1:])"]
    line = " ".join([*map(shlex.quote, command), *map(typed, texts)])
    options = ["-f"] if shell in {"zsh", "tcsh"} else []
    said = subprocess.run(
        [program, *options, "-c", line], capture_output=True, text=True, timeout=150, check=True
    )
    assert [parse(word) for word in parse(said.stdout)] == texts


def test_a_slip_inside_a_list_is_told_as_python_has_it() -> None:
    with pytest.raises(LiteralError, match=r"""'fast' is not a value .*; text is typed "fast\""""):
        parse("[1, fast]")


def test_nothing_that_the_parser_accepts_is_a_call() -> None:
    assert not isinstance(ast.parse('array([1], "f4")', mode="eval").body, ast.Constant)
    assert parse('array([1], "f4")').dtype == np.float32
