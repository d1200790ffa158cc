"""The arguments of controllers, and the form of their log lines."""

import argparse
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rexec.common_args import (
    LineCountFormatter,
    bind_address_from_args,
    error_in_one_line,
    init_logger_from_args,
    simple_network_args,
    verbosity_args,
)


def parse(*words: str, ssl: bool = True) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    simple_network_args(parser, 3253, ssl=ssl)
    verbosity_args(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize(
    ("words", "addresses"),
    [
        ((), ["127.0.0.1", "::1"]),
        (("--bind", "192.0.2.7"), ["127.0.0.1", "::1", "192.0.2.7"]),
        (("--no-localhost-bind", "--bind", "::1"), ["::1"]),
        (("--no-localhost-bind",), []),
        (("--bind", "::1"), ["127.0.0.1", "::1"]),
        (("--bind", "0.0.0.0"), ["0.0.0.0", "::1"]),
        (("--bind", "::", "--bind", "192.0.2.7"), ["127.0.0.1", "::", "192.0.2.7"]),
        (("--bind", "*"), None),
        (("--bind", "192.0.2.7", "--bind", "*"), None),
    ],
)
def test_bind_adds_to_localhost_unless_told_otherwise(
    words: tuple[str, ...], addresses: list[str] | None
) -> None:
    assert bind_address_from_args(parse(*words)) == addresses


def test_each_parse_has_its_own_addresses() -> None:
    parser = argparse.ArgumentParser()
    simple_network_args(parser, 3253)
    assert parser.parse_args(["--bind", "a"]).bind == ["a"]
    assert parser.parse_args(["--bind", "b"]).bind == ["b"]


def test_port_has_a_default_and_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse().port == 3253
    assert parse("-p", "4000").port == parse("--port", "4000").port == 4000
    with pytest.raises(SystemExit):
        parse("-p", "70000")
    assert "'70000' is not a TCP port" in capsys.readouterr().err


def test_ssl_takes_three_files_and_only_where_it_is_offered(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse("--ssl", "c", "k", "p").ssl == ["c", "k", "p"]
    assert parse().ssl is None
    with pytest.raises(SystemExit):
        parse("--ssl", "c", "k", "p", ssl=False)
    assert "--ssl" in capsys.readouterr().err


def test_a_server_of_several_ports_has_an_option_for_each() -> None:
    parser = argparse.ArgumentParser()
    simple_network_args(parser, [("control", "control", 1), ("notify", "notification", 2)])
    assert vars(parser.parse_args(["--port-notify", "9"])) == {
        "bind": [],
        "no_localhost_bind": False,
        "port_control": 1,
        "port_notify": 9,
    }


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    logger = logging.getLogger()
    level, handlers = logger.level, logger.handlers[:]
    yield logger
    logger.setLevel(level)
    logger.handlers[:] = handlers


@pytest.mark.parametrize(
    ("words", "level"),
    [((), 30), (("-v",), 20), (("-vv",), 10), (("-q",), 40), (("-v", "-q"), 30), (("-vvvvv",), 1)],
)
def test_verbosity_moves_the_level(root: logging.Logger, words: tuple[str, ...], level: int) -> None:
    init_logger_from_args(parse(*words))
    assert root.level == level


def test_a_second_start_does_not_write_each_line_twice(root: logging.Logger) -> None:
    init_logger_from_args(parse())
    before = len(root.handlers)
    init_logger_from_args(parse("-v"))
    assert len(root.handlers) == before


def test_log_lines_of_a_controller_have_the_managers_form() -> None:
    program = (
        "import argparse, logging\n"
        "from rexec.common_args import *\n"
        "from rexec.common_args import init_logger_from_args, verbosity_args\n"
        "parser = argparse.ArgumentParser(); verbosity_args(parser)\n"
        "init_logger_from_args(parser.parse_args(['-v']))\n"
        "logging.getLogger('a.b').info('one')\n"
        "logging.getLogger('a.b').error('two\\nlines')\n"
        "logging.getLogger('a.b').debug('hidden')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=150, check=True
    )
    assert done.stdout == ""
    assert done.stderr == "INFO:a.b:one\nERROR<2>:a.b:two\nlines\n"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_number_in_a_log_line_is_that_of_its_lines(message: str) -> None:
    record = logging.LogRecord("n", logging.WARNING, "f", 1, message, None, None)
    text = LineCountFormatter().format(record)
    head = text.split(":", 1)[0]
    announced = int(head[len("WARNING<") : -1]) if "<" in head else 1
    assert announced == len(text.split("\n"))


class InstrumentError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(98, "cannot listen on ::1:3290: in use"), "cannot listen on ::1:3290: in use"),
        (FileNotFoundError("TLS file a does not exist"), "TLS file a does not exist"),
        (
            FileNotFoundError(2, "No such file or directory", "bench.yaml"),
            "bench.yaml: No such file or directory",
        ),
        (InstrumentError("COM3: nobody answers"), "COM3: nobody answers"),
    ],
)
def test_a_controller_that_cannot_begin_says_why_in_one_line(
    error: Exception, line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["lab/aqctl_camera.py"])

    @error_in_one_line(InstrumentError)
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"aqctl_camera.py: error: {line}\n"


def test_a_fault_of_a_controller_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), error_in_one_line():
        raise ZeroDivisionError
