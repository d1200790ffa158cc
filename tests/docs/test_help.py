"""Every `--help` says what the command is for, explains each option, and shows how it is used."""

import argparse
import contextlib
import importlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicedb.cli.formatting import TextAndExamples
from devicedb.cli.main import SUBCOMMANDS as DEVICEDB
from rexec.cli.main import SUBCOMMANDS as REXEC


def parsers() -> Iterator[argparse.ArgumentParser]:
    """Yield the parser of every command, and those of its own commands."""
    modules = [f"devicedb.cli.{name}" for name in DEVICEDB] + [f"rexec.cli.{name}" for name in REXEC]
    waiting = [importlib.import_module(name).get_argparser() for name in modules]
    while waiting:
        parser = waiting.pop(0)
        yield parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                waiting += action.choices.values()


PARSERS = {parser.prog: parser for parser in parsers()}


@pytest.mark.parametrize("name", PARSERS)
def test_a_command_says_what_it_is_for_and_explains_each_argument(name: str) -> None:
    parser = PARSERS[name]
    assert parser.description
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            assert action.help, f"{name}: {action.dest} is not explained"


@pytest.mark.parametrize("name", [name for name in PARSERS if len(name.split()) == 2])
def test_a_command_shows_how_it_is_used(name: str) -> None:
    text = PARSERS[name].epilog or ""
    assert f"  {name}" in text, f"{name} --help has no example"


@pytest.mark.parametrize("name", [name for name in PARSERS if name != "rexec results"])
def test_a_command_says_how_it_ends(name: str) -> None:
    assert "Exit status: 0 " in (PARSERS[name].epilog or "").replace("\n", " "), name


def examples() -> list[str]:
    """Return the commands that the epilogs show, without the words beside them."""
    lines = [line for parser in PARSERS.values() for line in (parser.epilog or "").splitlines()]
    shown = [line.strip() for line in lines if line.startswith(("  rexec ", "  devicedb ", "  echo "))]
    return sorted({re.split(r" {2,}| > ", line.rpartition(" | ")[2])[0] for line in shown})


@pytest.mark.parametrize("example", examples())
def test_examples_are_understood(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(example)
    for word in words:
        if "*" in word:  # on Windows, patterns are resolved by the parser
            Path(word.replace("*", "x")).parent.mkdir(parents=True, exist_ok=True)
            Path(word.replace("*", "x")).touch()
    name = max((name for name in PARSERS if words[: len(name.split())] == name.split()), key=len)
    parser, rest = PARSERS[name], words[len(name.split()) :]
    # The commands of `rexec results` are parsers below one, which argparse cannot mix with other words.
    parse = parser.parse_args if name.startswith("rexec results") else parser.parse_intermixed_args
    parse(rest)  # ends the program where it does not understand


WORDS = [
    "",
    "-",
    "--",
    "x",
    "-1",
    "-1e6",
    "nan",
    "1e999",
    "99999",
    "\udcff",
    "a=b",
    "@",
    "--x",
    "[1,",
    "7",
    "%s",
    "{}",
    "::1",
]


@given(st.data())
def test_any_words_are_understood_or_refused_in_one_line(data: st.DataObject) -> None:
    parser = PARSERS[data.draw(st.sampled_from(sorted(PARSERS)))]
    options = [
        each for action in parser._actions for each in action.option_strings if each not in {"-h", "--help"}
    ]
    words = data.draw(st.lists(st.sampled_from([*WORDS, *options]), max_size=5))
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            parser.parse_args(words)
        except SystemExit as end:
            assert end.code == 2  # noqa: PT017
            assert said.getvalue().startswith(f"{parser.prog}: error: ")
            assert said.getvalue().count("\n") == 1


@pytest.mark.parametrize("name", PARSERS)
def test_help_fits_the_terminal(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = PARSERS[name].format_help().splitlines()
    assert not [line for line in lines if len(line) > 80 and not line.startswith("  ")]


def test_paragraphs_are_wrapped_and_examples_are_not() -> None:
    parser = argparse.ArgumentParser(
        prog="x",
        description="word " * 40,
        epilog="examples:\n  x  first     with spaces\n\nOne sentence.\nAnother one.",
        formatter_class=lambda prog: TextAndExamples(prog, width=60),
    )
    text = parser.format_help()
    assert max(map(len, text.splitlines())) <= 60
    assert "examples:\n  x  first     with spaces\n\nOne sentence. Another one.\n" in text
