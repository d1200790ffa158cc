"""File names: injective on every file system, short enough, and what it always was for ordinary names."""

import os
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rexec.ground import file_names
from rexec.ground.file_names import LIMIT, file_name, long_path_hint

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=[]), max_size=12),
    st.text("aAbBzZ19=~%. _", max_size=6),
    st.text("\u03b1\u0391\u03c2\u03c3\u00b5\u03bcß\u00e9\u212a", max_size=6),
    st.text("ab", min_size=180, max_size=400),
    st.sampled_from(["con", "CON", "nul.x", "COM1", "datasets", "Datasets", "", ".", "..", "...", "%", "="]),
)


def text_of(name: str) -> str:
    """Return the text that has this file name, on a file system that has lost the case of it."""
    body, _, mark = name.lower().partition("=")
    body = re.sub("(%[0-9a-f]{2})+", lambda found: _unescaped(found[0]), "" if body == "%" else body)
    number = int(mark, 36) if mark else 0
    text = ""
    for char in body:
        if char.isascii() and char.isalpha():
            char = char.upper() if number % 2 else char.lower()
            number //= 2
        text += char
    return text


def _unescaped(escapes: str) -> str:
    return bytes.fromhex(escapes.replace("%", "")).decode("utf-8", "surrogatepass")


@given(TEXTS)
@example("CON")
@example("\udc80")
def test_the_text_can_be_read_from_the_name_even_without_its_case(text: str) -> None:
    name = file_name(text, taken={"datasets"})
    if "==" not in name:
        assert text_of(name) == text


@given(st.lists(TEXTS, unique=True, max_size=6))
def test_no_file_system_takes_two_names_for_one(texts: list[str]) -> None:
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        names = {
            unicodedata.normalize(form, unicodedata.normalize(form, file_name(text)).casefold())
            for text in texts
        }
        assert len(names) == len(texts)


@given(TEXTS, st.sampled_from(["", "000000123-"]), st.sampled_from(["", ".h5", ".log"]))
def test_every_file_system_takes_the_name(text: str, prefix: str, suffix: str) -> None:
    name = file_name(text, prefix=prefix, suffix=suffix)
    assert 0 < len(name.encode()) <= LIMIT
    assert name.startswith(prefix)
    assert name.endswith(suffix)
    assert not re.search(r'[\x00-\x1f\x7f/\\:*?"<>|~]', name)
    assert not name.startswith((".", " "))
    assert not name.endswith((".", " "))
    assert name.split(".")[0].strip().upper() not in {"CON", "PRN", "AUX", "NUL", "COM1", "LPT9", "CONIN$"}


@given(st.lists(st.text("ab", min_size=180, max_size=400), unique=True, min_size=2, max_size=4))
def test_long_texts_stay_different_where_they_are_cut(texts: list[str]) -> None:
    names = [file_name("x" * 300 + text, suffix=".h5") for text in texts]
    assert len(set(names)) == len(texts)
    assert {len(name) for name in names} == {LIMIT}


@pytest.mark.parametrize(
    ("text", "prefix", "name"),
    [
        ("Class", "000000123-", "000000123-Class.h5"),
        ("C" * 200, "000000123-", f"000000123-{'C' * 200}.h5"),
        ("ndscan.rid_42", "", "ndscan.rid_42.h5"),
        ("λ" * 60, "", "λ" * 60 + ".h5"),
        ("scan", "", "scan.h5"),
        ("Scan", "", "Scan=1.h5"),
        ("con", "", "%63on.h5"),
        ("a/b", "", "a%2Fb.h5"),
        ("..", "", "%2E%2E.h5"),
        ("datasets", "", "%64atasets.h5"),
        ("", "", "%.h5"),
    ],
)
def test_names_that_are_in_use(text: str, prefix: str, name: str) -> None:
    assert file_name(text, prefix=prefix, suffix=".h5", taken={"datasets"}) == name


@pytest.mark.parametrize("text", ["x" * 400, "λ" * 200, "Λ" * 60, "\udc80" * 90])
def test_the_file_and_what_stands_beside_it_can_be_made(tmp_path: Path, text: str) -> None:
    name = file_name(text, suffix=".h5")
    for beside in (
        name,
        f".{name}.{os.getpid()}.tmp",
        f"{name}.journal.damaged",
        f"235959_99-{name}.journal",
    ):
        (tmp_path / beside).write_bytes(b"")
        assert (tmp_path / beside).exists()


def test_a_path_that_is_too_long_for_windows_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path.joinpath(*["folder" * 10] * 5, "r.h5")
    monkeypatch.setattr(file_names, "_IS_WINDOWS", False)
    assert long_path_hint(path) == ""
    monkeypatch.setattr(file_names, "_IS_WINDOWS", True)
    assert long_path_hint(tmp_path) == ""
    said = long_path_hint(path)
    assert f"has {len(str(path))} characters: Windows takes 259, unless LongPathsEnabled" in said
