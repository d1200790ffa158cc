"""`rexec results list`, `find`, `comment` and `tag`, as people type them."""

import json
import os
from pathlib import Path

import pytest

from rexec.catalogue import QueryError
from rexec.catalogue.notes import comment
from rexec.cli.results import main
from rexec.results import ResultsError
from tests.catalogue.laboratories import made, made_by_artiq


@pytest.fixture
def runs(results: Path) -> list[Path]:
    """Return the files of five runs of ours and one of ARTIQ."""
    paths = [made(results, rid, arguments={"phase": rid / 10, "label": "x" * 60}) for rid in range(5)]
    return [*paths, made_by_artiq(results / "artiq.h5", 7, start=1.0)]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    """Return what was printed."""
    return capsys


def test_list_is_a_table_that_fits(
    runs: list[Path], said: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "76")
    assert main(["list"]) == 0
    lines = said.readouterr().out.splitlines()
    assert lines[0].split() == ["run", "class", "status", "started", "arguments"]
    assert [line.split()[0] for line in lines[1:]] == ["4", "3", "2", "1", "0", "7"]
    assert "phase=0.4, label=xxxx" in lines[1]
    assert "Flop    -" in lines[6]
    assert max(map(len, lines)) <= 76
    for width in (20, 40, 60):
        monkeypatch.setenv("COLUMNS", str(width))
        assert main(["list"]) == 0
        assert [line.split()[0] for line in said.readouterr().out.splitlines()[1:]] == [
            "4",
            "3",
            "2",
            "1",
            "0",
            "7",
        ]


def test_a_long_name_of_a_class_gives_way_to_the_terminal(
    results: Path, said: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made(results, 123456, "CalibrationOfTheSecondRamseyLaser")
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["list"]) == 0
    lines = said.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60
    assert lines[1].startswith("123456  CalibrationOfThe")


def test_a_short_comment_leaves_its_heading_whole(
    results: Path, said: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    comment(made(results, 1), "bad")
    for width in (60, 80, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        assert main(["list"]) == 0
        heading, line = said.readouterr().out.splitlines()
        assert heading.index("comment") == line.index("bad")


def test_limits_paths_and_json(runs: list[Path], said: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--limit", "2"]) == 0
    assert said.readouterr().out.splitlines()[-1] == "... and more: --limit 4, or --limit 0 for all"
    assert main(["list", "--limit", "2", "--paths"]) == 0
    assert [Path(line).name for line in said.readouterr().out.splitlines()] == [runs[4].name, runs[3].name]
    assert main(["find", "phase<0.15", "class=Ramsey", "--json"]) == 0
    found = json.loads(said.readouterr().out)
    assert [(each["rid"], each["arguments"]["phase"], each["datasets"]) for each in found] == [
        (1, 0.1, ["signal"]),
        (0, 0.0, ["signal"]),
    ]


def test_since(runs: list[Path], said: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--since", "2026-11-02 11:30", "--paths"]) == 0
    assert len(said.readouterr().out.splitlines()) == 2
    with pytest.raises(QueryError, match="no time"):
        main(["list", "--since", "one day"])


def test_files_of_other_centuries_are_listed_and_found(
    results: Path, said: pytest.CaptureFixture[str]
) -> None:
    made_by_artiq(results / "a.h5", 1, start=4e10)
    written = made_by_artiq(results / "b.h5", None)
    os.utime(written, (-1e9, -1e9))  # such files come from archives and shares
    assert main(["list"]) == 0
    lines = said.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["1", "-"]
    assert "3237-" in lines[1]
    assert "1938-" in lines[2]
    for query, expected in (("since=3200", "a.h5"), ("until=1960-05-01", "b.h5")):
        assert main(["find", query, "--paths"]) == 0
        assert [Path(line).name for line in said.readouterr().out.splitlines()] == [expected]


def test_find_says_when_there_is_none(runs: list[Path], said: pytest.CaptureFixture[str]) -> None:
    assert main(["find", "phase>7"]) == 1
    assert said.readouterr() == ("", "no run was found\n")
    with pytest.raises(QueryError, match="Did you mean 'phase'"):
        main(["find", "phas>7"])
    with pytest.raises(ResultsError, match="there is no folder nowhere"):
        main(["list", "--in", "nowhere"])


def test_an_empty_folder(results: Path, said: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert said.readouterr() == ("", "there are no result files\n")
    assert main(["list", "--json"]) == 0
    assert said.readouterr().out == "[]\n"


def test_comment_and_tag(runs: list[Path], said: pytest.CaptureFixture[str]) -> None:
    assert main(["comment", "3", "good", "contrast"]) == 0
    assert main(["tag", "last:Ramsey", "paper", "ref"]) == 0
    assert main(["tag", "4", "ref", "--remove"]) == 0
    assert main(["comment", "3"]) == 0
    assert said.readouterr().out == "paper ref\npaper\ngood contrast\n"
    assert main(["show", "4"]) == 0
    assert "\nnoted        #paper\n" in said.readouterr().out
    assert main(["find", "paper"]) == 0
    assert "#paper" in said.readouterr().out
    assert main(["list", "--limit", "2"]) == 0
    assert "good contrast" in said.readouterr().out
    with pytest.raises(ResultsError, match=r"--remove: name the tags"):
        main(["tag", "3", "--remove"])
    with pytest.raises(ResultsError, match=r"there is no result file x\.h5"):
        main(["comment", "x.h5", "text"])


def test_numbers_that_json_does_not_have(results: Path, said: pytest.CaptureFixture[str]) -> None:
    made(
        results,
        1,
        values={"x": float("nan"), "y": float("inf")},
        arguments={"z": float("nan"), "big": 10**30},
    )
    assert main(["list", "--json"]) == 0
    (found,) = json.loads(
        said.readouterr().out, parse_constant=lambda text: pytest.fail(f"{text} is no JSON")
    )
    assert found["arguments"] == {"z": "nan", "big": 10**30}


def test_tags_may_be_named_before_and_after_remove(
    runs: list[Path], said: pytest.CaptureFixture[str]
) -> None:
    assert main(["tag", "3", "paper", "bad", "good"]) == 0
    assert main(["tag", "3", "--remove", "bad"]) == 0
    assert main(["tag", "3", "paper", "--remove"]) == 0
    assert said.readouterr().out.splitlines() == ["paper bad good", "paper good", "good"]
    with pytest.raises(ResultsError, match="name the tags"):
        main(["tag", "3", "--remove"])
