"""Errors of the wire: what they are instances of, beside their own classes, and how they travel between processes."""

import builtins
import pickle
import re
import socket
import ssl
from pathlib import Path

import pytest

from rexec.remote import FleetError, RemoteFunctionError
from rexec.remote import _errors as remote_errors
from rexec.wire import errors
from rexec.wire.errors import AmbiguousTarget, ConnectionBroken, ConnectionFailed, WireError

CAUSES = [
    ConnectionRefusedError(111, "refused"),
    socket.gaierror(-2, "unknown"),
    ssl.SSLCertVerificationError("pinned"),
    ssl.SSLError(1, "[X] y"),
    ConnectionResetError(104, "reset"),
    BrokenPipeError(32, "pipe"),
    TimeoutError("late"),
    EOFError(),
    PermissionError(13, "denied"),
]


@pytest.mark.parametrize("kind", [ConnectionFailed, ConnectionBroken])
@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: type(cause).__name__)
def test_an_error_is_one_of_its_cause_too(kind: type[WireError], cause: Exception) -> None:
    error = kind.because("what, where, why", cause)
    copy = pickle.loads(pickle.dumps(error))
    for each in (error, copy):
        assert isinstance(each, kind)
        assert isinstance(each, type(cause))
        assert isinstance(each, OSError)
        assert str(each) == "what, where, why"
        assert type(each).__name__ == kind.__name__
        assert getattr(each, "errno", None) == getattr(cause, "errno", None)
    assert type(copy) is type(error)


def test_the_cause_of_a_cause_counts() -> None:
    broken = ConnectionBroken.because("lost", ConnectionResetError(104, "reset"))
    assert isinstance(ConnectionFailed.because("during the handshake", broken), ConnectionResetError)
    assert isinstance(ConnectionFailed.because("during the handshake", ConnectionBroken("closed")), EOFError)


def test_a_cause_of_no_class_of_its_own_adds_nothing() -> None:
    error = ConnectionFailed.because("no route", OSError(113, "no route"))
    assert type(error) is ConnectionFailed
    assert error.errno == 113
    assert issubclass(AmbiguousTarget, ValueError)


def test_the_page_of_errors_has_every_class_and_what_catches_it() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/errors.md").read_text()
    rows = dict(re.findall(r"(?m)^\| `(\w+)` \| (?:`(\w+)` \| )?", page))
    found = [
        kind for kind in [*vars(errors).values(), *vars(remote_errors).values(), FleetError] if _is_ours(kind)
    ]
    assert sorted(rows) == sorted({kind.__name__ for kind in found} - {"WireError"})
    for kind in found:
        if also := rows.get(kind.__name__):
            assert issubclass(kind, getattr(builtins, also, RemoteFunctionError)), kind


def _is_ours(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, errors.WireError | remote_errors.RemoteFunctionError)
