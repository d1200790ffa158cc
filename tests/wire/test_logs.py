"""Log records are told from printed lines, and travel to a master as its controller manager sends them."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rexec.wire.logs import PRINTED, LogLine, message, records


@pytest.mark.parametrize(
    ("line", "record"),
    [
        ("hello", LogLine(logging.INFO, PRINTED, "hello")),
        ("", LogLine(logging.INFO, PRINTED, "")),
        ("WARNING:lamp:it is cold", LogLine(logging.WARNING, "lamp", "it is cold")),
        ("ERROR:x:y:z", LogLine(logging.ERROR, "x", "y:z")),
        ("ERROR:no bus", LogLine(logging.ERROR, PRINTED, "no bus")),
        ("DEBUG<1>:a:b", LogLine(logging.DEBUG, "a", "b")),
        ("CRITICAL<0>:a:b", LogLine(logging.CRITICAL, "a", "b")),
        ("TRACE:a:b", LogLine(logging.INFO, PRINTED, "TRACE:a:b")),
    ],
)
def test_a_line_is_a_record(line: str, record: LogLine) -> None:
    assert list(records(iter([line]))) == [record]


def test_a_record_of_several_lines_takes_them_whatever_they_say() -> None:
    lines = ["ERROR<3>:lamp:failed", "Traceback", "ERROR:not:a record", "done"]
    assert list(records(iter(lines))) == [
        LogLine(logging.ERROR, "lamp", "failed\nTraceback\nERROR:not:a record"),
        LogLine(logging.INFO, PRINTED, "done"),
    ]


def test_a_record_that_is_cut_off_is_not_lost() -> None:
    assert list(records(iter(["INFO<9>:lamp:a", "b"]))) == [LogLine(logging.INFO, "lamp", "a\nb")]


# What an ARTIQ 9 controller manager sent to its master's logging port, and the lines of its controller before.
@pytest.mark.parametrize(
    ("record", "sent"),
    [
        (LogLine(logging.INFO, "print", "plain on stdout"), b"controller(lamp):INFO:print:plain on stdout\n"),
        (LogLine(logging.ERROR, "x", "y:colon name"), b"controller(lamp):ERROR:x:y:colon name\n"),
        (
            LogLine(logging.WARNING, "lamp", "pinged\nsecond line\nthird µ"),
            b"controller(lamp):WARNING<3>:lamp:pinged\nsecond line\nthird \xc2\xb5\n",
        ),
    ],
)
def test_a_message_is_that_of_the_stock_manager(record: LogLine, sent: bytes) -> None:
    assert message("controller(lamp)", record) == sent


def test_what_would_make_the_master_hang_up_is_never_sent() -> None:
    assert message("a:b\nc", LogLine(25, "x:\ny", "\ud800")) == b"a.b.c:INFO:x..y:\\ud800\n"


@given(
    st.sampled_from([10, 20, 30, 40, 50]),
    st.text(st.characters(exclude_characters=":\n\r", codec="utf-8"), min_size=1),
    st.text(st.characters(codec="utf-8", exclude_characters="\r")),
)
def test_a_message_is_read_as_the_record_that_was_sent(level: int, name: str, text: str) -> None:
    sent = message("source", LogLine(level, name, text)).decode()
    assert sent.startswith("source:")
    lines = sent.removesuffix("\n").removeprefix("source:").split("\n")
    if text.count("\n") < 9999:
        assert list(records(iter(lines))) == [LogLine(level, name, text)]
