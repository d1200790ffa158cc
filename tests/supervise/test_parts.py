"""The parts of supervision: hosts, output."""

import io
import logging
import socket

import pytest

from rexec.devices.hosts import addresses, is_this_machine
from rexec.supervise.output import Output


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "127.8.9.10"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_this_machine(host)


def test_our_own_name_is_this_machine_if_it_resolves() -> None:
    name = socket.gethostname()
    assert is_this_machine(name) == bool(addresses(name))


def test_another_address_and_an_unknown_name_are_not() -> None:
    assert not is_this_machine("192.0.2.1")
    assert not is_this_machine("no-such-host.invalid")
    assert addresses("no-such-host.invalid") == frozenset()


def test_records_of_several_lines_keep_their_level(caplog: pytest.LogCaptureFixture) -> None:
    text = b"plain\nWARNING<3>:lamp:first\nsecond\nthird\nDEBUG:lamp:x\nlast \xff\n"
    with caplog.at_level(logging.DEBUG):
        output = Output("lamp", io.BytesIO(text), keep=3)
        assert output.tail(5.0) == ["third", "DEBUG:lamp:x", "last \ufffd"]
    found = [(level, said) for name, level, said in caplog.record_tuples if name == "controller.lamp"]
    assert found == [
        (logging.INFO, "plain"),
        (logging.WARNING, "lamp:first\nsecond\nthird"),
        (logging.DEBUG, "lamp:x"),
        (logging.INFO, "last \ufffd"),
    ]
