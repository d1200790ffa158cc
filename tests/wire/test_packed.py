"""Exceptions as they travel: what is packed of each kind, and what is made of each pack."""

import pickle
from typing import Any

import pytest

from rexec.wire import packed_exceptions
from rexec.wire.packed_exceptions import (
    GenericRemoteException,
    current_exc_packed,
    exception_from,
    pack_exception,
    raise_packed_exc,
)


class Own(Exception):
    """No builtin one."""


class Mute(Exception):
    """Its text cannot be made."""

    def __str__(self) -> str:
        raise LookupError


def raised(error: BaseException, depth: int = 0) -> BaseException:
    try:
        if depth:
            raised_inner(error, depth - 1)
        raise error
    except BaseException as caught:
        return caught


def raised_inner(error: BaseException, depth: int) -> None:
    if depth:
        raised_inner(error, depth - 1)
    raise error


@pytest.mark.parametrize(
    ("error", "name", "message", "remote", "args"),
    [
        (ValueError("bad"), "ValueError", "bad", "ValueError", ["bad"]),
        (KeyError("k"), "KeyError", "'k'", "KeyError", ["k"]),
        (OSError("none"), "OSError", "none", "OSError", ["none"]),
        (ValueError("x" * 65532), "ValueError", "x" * 65532, "ValueError", ["x" * 65532]),
        (ValueError("x" * 65533), "ValueError", "x" * 65533, "ValueError", None),
        (FileNotFoundError(2, "none"), "FileNotFoundError", "[Errno 2] none", "FileNotFoundError", [2, "none"]),
        (ValueError(object), "ValueError", str(object), "ValueError", None),
        (Own("bad"), "GenericRemoteException", f"{__name__}.Own: bad", "Own", None),
        (Own(), "GenericRemoteException", f"{__name__}.Own", "Own", None),
        (Mute(), "GenericRemoteException", f"{__name__}.Mute: <LookupError while the message was made>", "Mute", None),
        (SystemExit(3), "GenericRemoteException", "SystemExit: 3", "SystemExit", None),
        (GenericRemoteException("far"), "GenericRemoteException", "far", "Exception", None),
    ],
)  # fmt: skip
def test_an_exception_is_packed_by_its_name(
    error: BaseException, name: str, message: str, remote: str, args: list[Any] | None
) -> None:
    packed = pack_exception(raised(error))
    assert (packed["class"], packed["message"]) == (name, message)
    assert packed.keys() == {"class", "message", "traceback"}
    (frame,) = packed["traceback"]
    assert "in raised" in frame
    packed = pack_exception(error, extended=True)
    assert packed["remote_class"] == remote
    assert packed.get("args") == args


def test_frames_of_the_server_are_left_out_but_the_last() -> None:
    error = raised(ValueError("bad"), 3)
    assert len(pack_exception(error)["traceback"]) == 4
    for skip, left in ((1, 3), (3, 1), (4, 1), (9, 1)):
        found = pack_exception(error, skip=skip)["traceback"]
        assert len(found) == left
        assert "raised_inner" in found[-1]
    assert pack_exception(ValueError("never raised"), skip=2)["traceback"] == []


def test_causes_contexts_and_notes_travel() -> None:
    error = ValueError("outer")
    error.add_note("look here")
    error.__cause__ = raised(KeyError("cause"))
    told = pack_exception(error)["traceback"]
    assert "KeyError: 'cause'" in told[1]
    assert "direct cause" in told[1]
    assert told[2] == "  note: look here\n"
    error = ValueError("outer")
    error.__context__ = KeyError("context")
    told = pack_exception(error)["traceback"]
    assert "KeyError: 'context'" in told[0]
    assert "During handling" in told[0]
    error.__suppress_context__ = True
    assert pack_exception(error)["traceback"] == []
    last: BaseException = ValueError("0")
    for number in range(1, 40):
        further = ValueError(str(number))
        further.__cause__, last = last, further
    assert len(pack_exception(last)["traceback"]) == 21
    odd = ValueError("odd")
    odd.__notes__ = [3, "text"]  # type: ignore[list-item]
    assert pack_exception(odd)["traceback"] == ["  note: text\n"]
    odd.__notes__ = "text"  # type: ignore[assignment]
    assert pack_exception(odd)["traceback"] == []


def test_an_exception_that_resists_is_named_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise SystemExit

    monkeypatch.setattr(packed_exceptions, "_packed", fails)
    assert pack_exception(Own()) == {
        "class": "GenericRemoteException",
        "message": "Own: <SystemExit while the exception was packed>",
        "traceback": [],
    }


def test_what_is_being_handled_is_packed() -> None:
    with pytest.raises(RuntimeError, match="no exception is being handled"):
        current_exc_packed()
    try:
        raise ValueError("bad")
    except ValueError:
        packed = current_exc_packed()
    assert packed["message"] == "bad"
    with pytest.raises(ValueError, match=r"^bad\n"):
        raise_packed_exc(packed)


@pytest.mark.parametrize(
    ("pack", "kind", "message", "args"),
    [
        ({"class": "ValueError", "message": "bad"}, ValueError, "bad", ("bad",)),
        ({"class": "ValueError", "message": "bad", "args": ["bad"]}, ValueError, "bad", ("bad",)),
        ({"class": "ValueError", "message": "bad", "args": ["good"]}, ValueError, "bad", ("bad",)),
        ({"class": "ValueError", "message": ""}, ValueError, "", ()),
        ({"class": "KeyError", "message": "'k'"}, KeyError, "'k'", ("k",)),
        ({"class": "KeyError", "message": "no literal"}, KeyError, "no literal", ("no literal",)),
        ({"class": "OSError", "message": "[Errno 2] none", "args": [2, "none"]}, FileNotFoundError, "[Errno 2] none",
         (2, "none")),
        ({"class": "UnicodeDecodeError", "message": "odd"}, UnicodeDecodeError, "odd", ("odd",)),
        ({"class": "ExceptionGroup", "message": "many"}, ExceptionGroup, "many", None),
        ({"class": "SystemExit", "message": "3"}, GenericRemoteException, "SystemExit: 3", ("SystemExit: 3",)),
        ({"class": "print", "message": "x"}, GenericRemoteException, "print: x", ("print: x",)),
        ({"class": "EnvironmentError", "message": "x"}, GenericRemoteException, "EnvironmentError: x", None),
        ({"class": "GenericRemoteException", "message": "a.B: x"}, GenericRemoteException, "a.B: x", ("a.B: x",)),
        ({"class": 3, "message": 4}, GenericRemoteException, "3: 4", None),
        (None, GenericRemoteException, "None: None", None),
    ],
)  # fmt: skip
def test_an_exception_is_made_of_any_pack(pack: Any, kind: type, message: str, args: Any) -> None:
    error = exception_from(pack)
    assert isinstance(error, kind)
    assert type(error).__name__ == kind.__name__
    if kind is not ExceptionGroup:
        assert str(error) == message
        assert str(pickle.loads(pickle.dumps(error))) == message
    assert args is None or error.args == args
    assert error.parent_traceback == []  # type: ignore[attr-defined]
    assert not hasattr(error, "__notes__")


@pytest.mark.parametrize(
    ("pack", "name"),
    [
        ({"class": "GenericRemoteException", "message": "a.B: x", "remote_class": "B"}, "B"),
        ({"class": "GenericRemoteException", "message": "a.B: x", "remote_class": 3}, "a.B"),
        ({"class": "GenericRemoteException", "message": "a.B: x"}, "a.B"),
        ({"class": "Odd", "message": "x"}, "Odd"),
        ({"class": "Odd", "message": "x", "remote_class": "Even"}, "Even"),
        ({"class": 3, "message": "x"}, "x"),
    ],
)
def test_the_class_of_the_remote_side_is_known_by_name(pack: dict[str, Any], name: str) -> None:
    error = exception_from(pack)
    assert isinstance(error, GenericRemoteException)
    assert error.remote_class == name


def test_frames_of_the_remote_side_are_shown_below_the_own() -> None:
    frames = ["  one\n", 3, "  two\n"]
    error = exception_from({"class": "ValueError", "message": "x", "traceback": frames}, "lab:1")
    assert error.parent_traceback == ["  one\n", "  two\n"]  # type: ignore[attr-defined]
    assert error.__notes__ == ["Traceback of lab:1 (most recent call last):\n  one\n  two"]
    others: list[Any] = ["text", 3, None, []]
    for odd in others:
        error = exception_from({"class": "ValueError", "message": "x", "traceback": odd})
        assert error.parent_traceback == []  # type: ignore[attr-defined]
