"""Arguments from files and from earlier runs."""

from pathlib import Path

import pytest

from rexec.cli._given import of_file, of_run
from rexec.cli.errors import CommandError
from rexec.experiment.typed import Typed
from rexec.results.errors import ResultsError


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"f": "5MHz", "n": 3, "x": 1e6, "flag": true, "list": [1, 2]}'),
        ("a.yaml", "f: 5MHz\nn: 3\nx: 1000000.0\nflag: true\nlist: [1, 2]\n"),
    ],
)
def test_values_that_people_write_are_as_typed(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    found = of_file(path)
    assert found == {"f": "5MHz", "n": "3", "x": "1000000.0", "flag": True, "list": [1, 2]}
    assert [key for key, value in found.items() if isinstance(value, Typed)] == ["f", "n", "x"]


@pytest.mark.parametrize("name", ["a.json", "a.yaml", "a.pyon"])
def test_a_byte_order_mark_of_an_editor_is_no_argument(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text('{"mode": "fast"}', encoding="utf-8-sig")
    assert of_file(path) == {"mode": "fast"}


def test_values_that_programs_write_are_in_base_units(tmp_path: Path) -> None:
    path = tmp_path / "a.pyon"
    path.write_text('{"f": 5e6, "s": "text", "t": {"ty": "NoScan", "value": 1, "repetitions": 1}}')
    found = of_file(path)
    assert found["f"] == 5e6
    assert not any(isinstance(each, Typed) for each in found.values())


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", "[1]", "not a mapping"),
        ("a.json", "{", "is not JSON"),
        ("a.yaml", "a: [", "is not YAML"),
        ("a.yaml", "1: 2", "not a mapping"),
        ("a.pyon", "\xff", "is not PYON"),
        ("none.json", None, "No such file"),
    ],
)
def test_a_file_that_holds_no_arguments_is_refused(
    tmp_path: Path, name: str, text: str | None, said: str
) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(CommandError, match=said):
        of_file(path)


def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"--like 42: there is no folder .*results with result files"):
        of_run("42", tmp_path)
    (tmp_path / "results").mkdir()
    with pytest.raises(ResultsError, match="there is no run 42"):
        of_run("42", tmp_path)
